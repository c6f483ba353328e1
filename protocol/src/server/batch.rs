//! Messages put together as one frame, and shared: receivers that get the same events get the same bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::queue::{QueuedEvent, SessionQueue};

/// Events, shared with whoever else has the same ones.
pub(super) type SharedEvents = Arc<[QueuedEvent]>;

/// Messages as one JSON array, and the events among them.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch {
    pub(super) events: Option<SharedEvents>,
    pub(super) bytes: Bytes,
}

impl Batch {
    /// Replies first, as a frame that is not finished or empty; then events.
    pub(super) fn of(replies: String, events: Vec<QueuedEvent>) -> Self {
        let mut json = replies;
        let size: usize = events.iter().map(|event| event.json().len() + 1).sum();
        json.reserve_exact(size + 1);
        for event in &events {
            json.push(if json.is_empty() { '[' } else { ',' });
            json.push_str(event.json());
        }
        json.push(']');
        let events = if events.is_empty() { None } else { Some(events.into()) };
        Self { events, bytes: json.into() }
    }

    /// True if these events, and no others, wait in a queue.
    pub(super) fn is_all_of(&self, queue: &SessionQueue) -> bool {
        self.events.as_ref().is_some_and(|events| queue.holds_exactly(events))
    }
}
