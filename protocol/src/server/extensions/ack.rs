//! The ack extension, server side (CometD's "acknowledged messages").
//!
//! Events travel with connect replies only; each reply names the batch it closes, and the next connect says
//! which batch has been seen. What has not been seen is sent again.

use std::collections::VecDeque;

use crate::limits::Limits;
use crate::server::queue::QueuedEvent;

/// What one session has been sent and has not acknowledged.
#[derive(Debug, Default)]
pub(in crate::server) struct AckState {
    /// The last batch that was closed.
    batch: u64,
    unseen: VecDeque<(u64, QueuedEvent)>,
    /// Bytes of all unseen.
    bytes: usize,
}

impl AckState {
    /// The client has seen this batch and all before it. Returns what it has seen. A number that was never
    /// given out is nonsense and changes nothing.
    pub(in crate::server) fn seen(&mut self, batch: u64) -> Vec<QueuedEvent> {
        let mut seen = Vec::new();
        if batch > self.batch {
            return seen;
        }
        while self.unseen.front().is_some_and(|(of, _)| *of <= batch) {
            seen.extend(self.unseen.pop_front().map(|(_, event)| event));
        }
        self.bytes -= seen.iter().map(|event| event.json().len()).sum::<usize>();
        seen
    }

    /// The last batch that was closed.
    pub(in crate::server) const fn last_batch(&self) -> u64 {
        self.batch
    }

    /// Closes a batch: all that is unseen, and the new events. Returns its number and its events. What was sent before is
    /// still seen with the batch that it was first in.
    pub(in crate::server) fn close(&mut self, new: Vec<QueuedEvent>) -> (u64, Vec<QueuedEvent>) {
        self.batch += 1;
        let batch = self.batch;
        self.bytes += new.iter().map(|event| event.json().len()).sum::<usize>();
        self.unseen.extend(new.into_iter().map(|event| (batch, event)));
        (batch, self.unseen.iter().map(|(_, event)| event.clone()).collect())
    }

    /// What was sent and not seen, oldest first.
    pub(in crate::server) fn unseen(&self) -> impl Iterator<Item = &QueuedEvent> {
        self.unseen.iter().map(|(_, event)| event)
    }

    /// True if something was sent and not seen.
    pub(in crate::server) fn has_unseen(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// How many further events a connect may carry, and how many bytes of them; none if it may not carry any. What is
    /// unseen has the bounds of a queue, so that a reader who acknowledges nothing cannot grow it; what there is no room
    /// for waits in the queue.
    pub(in crate::server) fn room(&self, limits: &Limits) -> Option<(usize, usize)> {
        let events = limits.queued_messages.saturating_sub(self.unseen.len());
        // A connect carries all of it, beside other replies.
        let bytes = limits.queued_bytes.min(limits.reply_bytes / 2).saturating_sub(self.bytes);
        (events > 0 && bytes > 0).then_some((events, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(texts: &[&str]) -> Vec<QueuedEvent> {
        texts.iter().map(|text| QueuedEvent::new((*text).into(), None)).collect()
    }

    fn texts(events: &[QueuedEvent]) -> Vec<&str> {
        events.iter().map(QueuedEvent::json).collect()
    }

    #[test]
    fn unseen_events_are_sent_again_in_order() {
        let mut ack = AckState::default();
        let (batch, sent) = ack.close(events(&["a", "b"]));
        assert_eq!((batch, texts(&sent)), (1, vec!["a", "b"]));
        let (batch, sent) = ack.close(events(&["c"]));
        assert_eq!((batch, texts(&sent)), (2, vec!["a", "b", "c"]));
        assert!(ack.seen(99).is_empty() && ack.has_unseen());
        assert_eq!(texts(&ack.seen(1)), ["a", "b"]);
        assert_eq!(texts(&ack.seen(2)), ["c"]);
        assert_eq!(ack.close(Vec::new()).1.len(), 0);
    }

    #[test]
    fn what_is_unseen_takes_room() {
        let limits = Limits { queued_messages: 3, queued_bytes: 4, ..Limits::default() };
        let mut ack = AckState::default();
        assert_eq!(ack.room(&limits), Some((3, 4)));
        ack.close(events(&["abc"]));
        assert_eq!(ack.room(&limits), Some((2, 1)));
        ack.close(events(&["de"]));
        assert_eq!(ack.room(&limits), None);
        ack.seen(2);
        ack.close(events(&["a", "b", "c"]));
        assert_eq!(ack.room(&limits), None, "by count");
    }
}
