//! A session's waiting events: bounded, the oldest go first, and what went is counted for the reader.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::limits::Limits;

/// One event on its way to sessions; all of them share it. No derived `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct QueuedEvent(Arc<Event>);

struct Event {
    json: String,
    /// The publisher wants to know when a peer's socket, or a peer's ack, has taken it.
    receipt: Option<u64>,
    /// Not an event, but the marker for so many that were dropped at its place.
    missed: u64,
}

impl QueuedEvent {
    pub(super) fn new(json: String, receipt: Option<u64>) -> Self {
        Self(Arc::new(Event { json, receipt, missed: 0 }))
    }

    /// Tells a reader how many events it has missed at this place of its stream (`specs/protocol.md`).
    fn gap(missed: u64) -> Self {
        let json = format!(r#"{{"channel":"/service/gap","data":{{"dropped":{missed}}}}}"#);
        Self(Arc::new(Event { json, receipt: None, missed }))
    }

    pub(super) fn json(&self) -> &str {
        &self.0.json
    }

    pub(super) fn receipt(&self) -> Option<u64> {
        self.0.receipt
    }

    /// How many events it tells of.
    fn weight(&self) -> u64 {
        self.0.missed.max(1)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for QueuedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueuedEvent({} bytes)", self.0.json.len())
    }
}

/// Places that an empty queue may keep.
const KEPT: usize = 8;

/// First in, first out, up to a count and a number of bytes.
#[derive(Debug, Default)]
pub(super) struct SessionQueue {
    events: VecDeque<QueuedEvent>,
    bytes: usize,
    /// Dropped before the first event, and not told yet.
    gap: u64,
}

impl SessionQueue {
    /// Adds an event; over the limits the oldest are dropped. Returns how many were.
    pub(super) fn push(&mut self, event: QueuedEvent, limits: &Limits) -> u64 {
        self.bytes += event.json().len();
        self.events.push_back(event);
        let mut dropped = 0;
        while self.events.len() > limits.queued_messages || self.bytes > limits.queued_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.json().len();
            self.gap += oldest.weight();
            dropped += u64::from(oldest.0.missed == 0);
        }
        dropped
    }

    /// Puts events back that were taken and did not arrive. They are older than all others; limits hold.
    pub(super) fn put_back(&mut self, events: &[QueuedEvent], limits: &Limits) -> u64 {
        if events.is_empty() {
            return 0;
        }
        // What was dropped meanwhile is missing behind them, not before.
        if self.gap > 0 {
            let gap = std::mem::take(&mut self.gap);
            self.push_front(QueuedEvent::gap(gap));
        }
        for event in events.iter().rev() {
            self.push_front(event.clone());
        }
        match self.events.pop_back() {
            None => 0,
            Some(newest) => {
                self.bytes -= newest.json().len();
                self.push(newest, limits)
            }
        }
    }

    fn push_front(&mut self, event: QueuedEvent) {
        self.bytes += event.json().len();
        self.events.push_front(event);
    }

    /// Bytes that the first of [`Self::take`] needs, with its comma.
    pub(super) fn next_size(&self) -> usize {
        let next = if self.gap > 0 { QueuedEvent::gap(self.gap).json().len() } else { 0 };
        1 + if next > 0 { next } else { self.events.front().map_or(0, |event| event.json().len()) }
    }

    /// Takes the oldest events, with their commas up to `max_bytes` of them but at least one. A gap marker comes first where
    /// events were dropped.
    pub(super) fn take(&mut self, max_bytes: usize) -> Vec<QueuedEvent> {
        self.take_some(usize::MAX, max_bytes)
    }

    /// As [`Self::take`], and no more than `max_events` behind the marker.
    pub(super) fn take_some(&mut self, max_events: usize, max_bytes: usize) -> Vec<QueuedEvent> {
        let mut taken = Vec::new();
        if self.gap > 0 {
            taken.push(QueuedEvent::gap(std::mem::take(&mut self.gap)));
        }
        let mut size: usize = taken.iter().map(|marker| marker.json().len() + 1).sum();
        let most = max_events.saturating_add(taken.len());
        while let Some(event) = self.events.front() {
            size += event.json().len() + 1;
            if taken.len() >= most || (size > max_bytes && !taken.is_empty()) {
                break;
            }
            self.bytes -= event.json().len();
            taken.extend(self.events.pop_front());
        }
        self.shrink();
        taken
    }

    /// True if these events wait here, and nothing else.
    pub(super) fn holds_exactly(&self, events: &[QueuedEvent]) -> bool {
        self.gap == 0
            && self.events.len() == events.len()
            && self.events.iter().zip(events).all(|(ours, theirs)| ours.is(theirs))
    }

    /// Lets everything go: somebody else has it.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        (self.bytes, self.gap) = (0, 0);
        self.shrink();
    }

    /// A burst must not leave its space behind in every session.
    fn shrink(&mut self) {
        if self.events.is_empty() && self.events.capacity() > KEPT {
            self.events = VecDeque::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.gap == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &QueuedEvent> {
        self.events.iter()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> QueuedEvent {
        QueuedEvent::new(text.into(), None)
    }

    fn texts(events: &[QueuedEvent]) -> Vec<&str> {
        events.iter().map(QueuedEvent::json).collect()
    }

    #[test]
    fn overflow_drops_the_oldest_and_says_how_many() {
        let limits = Limits { queued_messages: 2, ..Limits::default() };
        let mut queue = SessionQueue::default();
        let dropped: u64 = ["1", "2", "3", "4", "5"].map(|t| queue.push(event(t), &limits)).iter().sum();
        assert_eq!(dropped, 3);
        let taken = queue.take(1_000);
        assert_eq!(texts(&taken), [r#"{"channel":"/service/gap","data":{"dropped":3}}"#, "4", "5"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn bytes_are_bounded_too_and_an_oversized_event_leaves_a_gap() {
        let limits = Limits { queued_bytes: 3, ..Limits::default() };
        let mut queue = SessionQueue::default();
        assert_eq!(queue.push(event("12"), &limits), 0);
        assert_eq!(queue.push(event("34"), &limits), 1);
        assert_eq!(queue.push(event("56789"), &limits), 2);
        assert_eq!(queue.len(), 0);
        assert_eq!(texts(&queue.take(9)), [r#"{"channel":"/service/gap","data":{"dropped":3}}"#]);
    }

    #[test]
    fn what_did_not_arrive_comes_first_again() {
        let limits = Limits { queued_messages: 3, ..Limits::default() };
        let mut queue = SessionQueue::default();
        for text in ["1", "2", "3"] {
            queue.push(event(text), &limits);
        }
        let taken = queue.take(4);
        assert_eq!(texts(&taken), ["1", "2"]);
        queue.push(event("4"), &limits);
        assert_eq!(queue.put_back(&taken, &limits), 1);
        assert_eq!(texts(&queue.take(99))[1..], ["2", "3", "4"]);
    }

    #[test]
    fn a_gap_is_told_where_it_is_and_counts_exactly_after_a_return() {
        let limits = Limits { queued_messages: 3, ..Limits::default() };
        let marker = |dropped: u64| format!(r#"{{"channel":"/service/gap","data":{{"dropped":{dropped}}}}}"#);
        let mut queue = SessionQueue::default();
        for text in ["1", "2", "3", "4", "5"] {
            queue.push(event(text), &limits);
        }
        let taken = queue.take(99);
        assert_eq!(texts(&taken), [&marker(2), "3", "4", "5"]);
        queue.push(event("6"), &limits);
        assert_eq!(queue.put_back(&taken, &limits), 1, "the marker is no event");
        let taken = queue.take(99);
        assert_eq!(texts(&taken), [&marker(3), "4", "5", "6"]);
        let wide = Limits { queued_messages: 9, ..Limits::default() };
        for text in ["7", "8", "9", "10"] {
            queue.push(event(text), &limits);
        }
        assert_eq!(queue.put_back(&taken, &wide), 0);
        assert_eq!(texts(&queue.take(999)), [&marker(3), "4", "5", "6", &marker(1), "8", "9", "10"]);
    }
}
