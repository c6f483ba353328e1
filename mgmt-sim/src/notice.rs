//! What the two shells tell their owner, in one vocabulary: sessions that come and go, events, replies.

use cloud_channel_protocol::{InstanceId, MessageId, Publication};
use tokio::sync::mpsc;

/// Notices that may wait to be read. What comes when the queue is full is counted, not kept.
const QUEUE: usize = 8_192;

/// Something that has happened on a link.
#[derive(Debug)]
pub enum Notice {
    /// A connection is open.
    LineUp {
        /// Which.
        line: String,
        /// From whom, or to whom.
        other: String,
    },
    /// A connection is gone, or could not be made.
    LineDown {
        /// Which; the endpoint if none could be made.
        line: String,
        /// Why.
        reason: String,
    },
    /// A session has begun, or goes on over a new connection.
    Up {
        /// The guest; nobody in particular if an observer came, or if we are the ones who dialled.
        instance: Option<InstanceId>,
        /// An earlier session goes on.
        resumed: bool,
    },
    /// The other side is ready for pushes: a guest has subscribed to its config, or our subscription stands.
    Ready {
        /// As with `Up`.
        instance: Option<InstanceId>,
    },
    /// A session has ended.
    Down {
        /// As with `Up`.
        instance: Option<InstanceId>,
        /// Why.
        reason: String,
    },
    /// An event.
    Event(Publication),
    /// What became of a message that we published: taken (by a publish reply, or by the guest's ack), or why not.
    Reply {
        /// The message's id.
        id: MessageId,
        /// Taken, or the refusal.
        result: Result<(), String>,
    },
    /// Something for the log.
    Remark(String),
    /// So many notices were lost because nobody read them.
    Missed(u64),
}

/// The shell's end of the queue.
#[derive(Debug)]
pub(crate) struct Notices {
    queue: mpsc::Sender<Notice>,
    missed: u64,
}

impl Notices {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Notice>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { queue, missed: 0 }, receiver)
    }

    /// Never waits: a shell that waited for its owner could not serve its link.
    pub(crate) fn tell(&mut self, notice: Notice) {
        if self.missed > 0 && self.queue.try_send(Notice::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        // An owner that is gone misses nothing.
        if self.queue.try_send(notice).is_err() {
            self.missed += 1;
        }
    }
}
