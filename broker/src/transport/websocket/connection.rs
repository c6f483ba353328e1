//! The task of one WebSocket: what comes in goes to the driver, and what the driver could not write at once goes out.
//!
//! There are many, and nearly all of them wait: so what a task carries lies in one box, and what it needs seldom in
//! others, as its own size is that of its largest moment. What happens for nearly every message is done in one poll
//! function; whatever else does has a future of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cloud_channel_protocol::ConnectionId;
use cloud_channel_protocol::server::{Carrier, Peer};
use hyper::body::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::frame::Purpose;
use super::reader::{End, FrameReader, Taken};
use super::slot::{Line, Slot};
use crate::happening::{DriverEnded, DriverHandle, Happening, Telling};
use crate::transport::registry::ConnectionRegistry;
use crate::transport::scratch::{READ_SIZE, linger};
use crate::transport::web::Web;
use crate::transport::{MESSAGE_DEADLINE, Stream, WRITE_DEADLINE};

/// How long the answer to what came together with the end of a stream is waited for.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// One WebSocket.
pub(super) struct Connection {
    id: ConnectionId,
    slot: Arc<Slot>,
    reader: FrameReader,
    registry: Arc<ConnectionRegistry>,
    driver: DriverHandle,
    _place: OwnedSemaphorePermit,
    /// When what is being written, or a message that has begun, is given up. There only while there is such a thing,
    /// as nearly always there is none.
    write_by: Option<Pin<Box<Sleep>>>,
    message_by: Option<Pin<Box<Sleep>>>,
}

/// What has happened on the stream.
enum Step {
    /// What was read, and whether there may be more at once.
    Taken(Taken, bool),
    Written(Purpose),
    /// The driver is full: nothing more is read until it has been told.
    Telling(Telling),
    Over(Over),
}

/// How it ends.
#[derive(Debug)]
enum Over {
    /// The peer is gone, or does not take what is written: there is nobody to say it to.
    Gone,
    /// The close frame is written.
    Closed,
    /// The driver is no more.
    DriverEnded,
}

impl From<DriverEnded> for Over {
    fn from(_: DriverEnded) -> Self {
        Self::DriverEnded
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: &Peer, web: &Web, place: OwnedSemaphorePermit) -> Box<Self> {
        let budget = web.budgets.of(&peer.address).clone();
        let slot = Arc::new(Slot::new(stream));
        Box::new(Self {
            id: web.registry.enter_stream(slot.clone()),
            slot,
            reader: FrameReader::new(web.limits.batch_bytes, budget),
            registry: web.registry.clone(),
            driver: web.driver.clone(),
            _place: place,
            write_by: None,
            message_by: None,
        })
    }

    /// Runs until either side ends it.
    pub(super) async fn run(mut self: Box<Self>, peer: Box<Peer>, early: Bytes) {
        let over = match Box::pin(self.begin(peer, early)).await {
            Some(over) => over,
            None => self.converse().await,
        };
        tracing::debug!(connection = %self.id, ?over, "closed");
        // Before the driver hears of it, which looks whether anybody is left.
        self.registry.leave(self.id);
        // A driver that has ended has no sessions left to tell.
        let _ended = self.driver.tell(Happening::Closed { connection: self.id }).await;
        if let (Over::Closed, Some(slot)) = (over, Arc::into_inner(self.slot)) {
            Box::pin(linger(slot.into_stream())).await;
        }
    }

    /// Tells the driver who is there, and takes what came with the request. Something if it is over by that.
    async fn begin(&mut self, peer: Box<Peer>, early: Bytes) -> Option<Over> {
        tracing::debug!(connection = %self.id, %peer, "opened");
        let opened = Happening::Opened { connection: self.id, peer, carrier: Carrier::Stream };
        if let Err(ended) = self.driver.tell(opened).await {
            return Some(ended.into());
        }
        let step = Step::Taken(self.reader.feed(&early), false);
        drop(early);
        self.follow(step).await
    }

    async fn converse(&mut self) -> Over {
        loop {
            let step = std::future::poll_fn(|cx| self.poll_unusual(cx)).await;
            if let Some(over) = Box::pin(self.follow(step)).await {
                return over;
            }
        }
    }

    /// Does what nearly every message takes, until something else is to be done.
    fn poll_unusual(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            let connection = self.id;
            let happening = match ready!(self.poll_step(cx)) {
                Step::Taken(Taken { messages, ping: None, end: None }, false) => {
                    if messages.is_empty() {
                        continue;
                    }
                    Happening::Received { connection, messages }
                }
                Step::Written(Purpose::Batch) => Happening::Writable { connection },
                step => return Poll::Ready(step),
            };
            match self.driver.tell(happening) {
                Telling::Told(Ok(())) => {}
                telling => return Poll::Ready(Step::Telling(telling)),
            }
        }
    }

    /// Does what a step asks for. Something if it is over by that.
    async fn follow(&mut self, step: Step) -> Option<Over> {
        match step {
            Step::Taken(Taken { messages, ping, end }, more) => {
                let (asked, given) = (!messages.is_empty(), self.slot.given());
                // Waits while the driver is full, and nothing more is read meanwhile.
                if asked
                    && let Err(ended) =
                        self.driver.tell(Happening::Received { connection: self.id, messages }).await
                {
                    return Some(ended.into());
                }
                if let Some(ping) = ping {
                    self.slot.pong(ping);
                }
                if let Some(end) = end {
                    if asked && let Some(over) = self.hear_out(given).await {
                        return Some(over);
                    }
                    return Some(self.finish(end).await);
                }
                if more {
                    // The others get their turn, and the driver its.
                    tokio::task::yield_now().await;
                }
                None
            }
            Step::Written(Purpose::Batch) => {
                let told = self.driver.tell(Happening::Writable { connection: self.id }).await;
                told.err().map(Over::from)
            }
            Step::Written(Purpose::Pong) => None,
            Step::Written(Purpose::Close) => Some(Over::Closed),
            Step::Telling(telling) => telling.await.err().map(Over::from),
            Step::Over(over) => Some(over),
        }
    }

    /// What came together with the end is answered before the close frame, if that does not take long. Nothing more is
    /// read meanwhile. `given` is how many batches the driver had given before it was told; something if the stream is
    /// over by that.
    async fn hear_out(&mut self, given: u32) -> Option<Over> {
        let Self { id, slot, write_by, driver, .. } = self;
        let answered = async {
            loop {
                let step = std::future::poll_fn(|cx| {
                    let mut line = slot.lock();
                    if line.has_answered(given) {
                        return Poll::Ready(None);
                    }
                    poll_write(&mut line, write_by, *id, cx).map(Some)
                });
                match step.await? {
                    Step::Written(Purpose::Batch) => {
                        // It may have been another's, and the answer comes only now.
                        if let Err(ended) = driver.tell(Happening::Writable { connection: *id }).await {
                            return Some(ended.into());
                        }
                    }
                    Step::Written(Purpose::Close) => return Some(Over::Closed),
                    Step::Written(Purpose::Pong) | Step::Taken(..) | Step::Telling(_) => {}
                    Step::Over(over) => return Some(over),
                }
            }
        };
        timeout(LAST_ANSWER, answered).await.unwrap_or_default()
    }

    /// Says why, and writes what is to be written; nothing more is read.
    async fn finish(&mut self, end: End) -> Over {
        match end {
            End::Closed(code) => self.slot.close(code, ""),
            End::Violated(violation) => {
                // The stream cannot be read on from here. The session lives on.
                tracing::info!(connection = %self.id, %violation, "unreadable WebSocket frame");
                self.slot.close(Some(violation.code()), &violation.to_string());
            }
            End::NoRoom(no_room) => {
                self.reader.budget().log_no_room(&self.id);
                self.slot.close(Some(CloseCode::Again), &no_room.to_string());
            }
        }
        loop {
            let Self { id, slot, write_by, .. } = &mut *self;
            match std::future::poll_fn(|cx| poll_write(&mut slot.lock(), write_by, *id, cx)).await {
                Step::Written(Purpose::Close) => return Over::Closed,
                Step::Written(_) | Step::Taken(..) | Step::Telling(_) => {}
                Step::Over(over) => return over,
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Self { id, slot, reader, write_by, message_by, .. } = self;
        let mut line = slot.lock();
        if let Poll::Ready(step) = poll_write(&mut line, write_by, *id, cx) {
            return Poll::Ready(step);
        }
        let most = reader.appetite(READ_SIZE);
        match line.poll_read(cx, most, |bytes| Step::Taken(reader.feed(bytes), bytes.len() == most)) {
            Poll::Ready(Ok(Some(step))) => {
                if matches!(&step, Step::Taken(taken, _) if !taken.messages.is_empty()) {
                    // One that goes on is another one.
                    *message_by = None;
                }
                return Poll::Ready(step);
            }
            Poll::Ready(Ok(None)) => return Poll::Ready(Step::Over(Over::Gone)),
            Poll::Ready(Err(error)) => {
                tracing::debug!(connection = %id, %error, "cannot read");
                return Poll::Ready(Step::Over(Over::Gone));
            }
            Poll::Pending => {}
        }
        if !reader.is_midway() {
            *message_by = None;
            return Poll::Pending;
        }
        ready!(poll_deadline(message_by, MESSAGE_DEADLINE, cx));
        let seconds = MESSAGE_DEADLINE.as_secs();
        tracing::info!(connection = %id, seconds, "the peer does not finish its message, closing");
        line.close(Some(CloseCode::Policy), "a message took too long to arrive");
        *message_by = None;
        poll_write(&mut line, write_by, *id, cx)
    }
}

/// Writes on. The deadline is that of a peer who takes nothing: it begins anew whenever something was taken.
fn poll_write(
    line: &mut Line,
    write_by: &mut Option<Pin<Box<Sleep>>>,
    id: ConnectionId,
    cx: &mut Context<'_>,
) -> Poll<Step> {
    loop {
        let before = line.progress();
        match line.poll_write(cx) {
            Poll::Ready(Ok(purpose)) => {
                *write_by = None;
                return Poll::Ready(Step::Written(purpose));
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(connection = %id, %error, "cannot write");
                return Poll::Ready(Step::Over(Over::Gone));
            }
            Poll::Pending if !line.is_writing() => return Poll::Pending,
            Poll::Pending => {}
        }
        if line.progress() != before {
            *write_by = None;
        }
        ready!(poll_deadline(write_by, WRITE_DEADLINE, cx));
        if !line.push() {
            break;
        }
        *write_by = None;
    }
    let seconds = WRITE_DEADLINE.as_secs();
    tracing::info!(connection = %id, seconds, "the peer does not read, closing");
    Poll::Ready(Step::Over(Over::Gone))
}

/// Ready once the deadline is over, which begins with the first call.
fn poll_deadline(deadline: &mut Option<Pin<Box<Sleep>>>, after: Duration, cx: &mut Context<'_>) -> Poll<()> {
    deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(after))).as_mut().poll(cx)
}
