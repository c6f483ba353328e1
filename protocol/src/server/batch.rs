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
    /// Replies first, then events.
    pub(super) fn of(replies: &[String], events: Vec<QueuedEvent>) -> Self {
        let bytes = join(replies.iter().map(String::as_str).chain(events.iter().map(QueuedEvent::json)));
        let events = if events.is_empty() { None } else { Some(events.into()) };
        Self { events, bytes }
    }

    /// True if these events, and no others, wait in a queue.
    pub(super) fn is_all_of(&self, queue: &SessionQueue) -> bool {
        self.events.as_ref().is_some_and(|events| queue.holds_exactly(events))
    }
}

/// A JSON array of texts that are JSON.
fn join<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Bytes {
    let size: usize = texts.clone().map(|text| text.len() + 1).sum();
    let mut batch = String::with_capacity(size + 1);
    for text in texts {
        batch.push(if batch.is_empty() { '[' } else { ',' });
        batch.push_str(text);
    }
    batch.push(']');
    batch.into()
}
