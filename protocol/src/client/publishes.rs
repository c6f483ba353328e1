//! Publishes in flight: sent, and not answered yet.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::ids::MessageId;

/// In the order of sending, found by id.
#[derive(Default)]
pub(super) struct Publishes {
    by_order: BTreeMap<u64, Flight>,
    by_id: HashMap<MessageId, u64>,
    next: u64,
}

/// One of them.
pub(super) struct Flight {
    /// As the application wrote it.
    pub(super) id: MessageId,
    /// The session it was sent in.
    pub(super) session: u64,
    since: Duration,
}

impl Publishes {
    pub(super) fn len(&self) -> usize {
        self.by_order.len()
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.by_id.contains_key(&canonical(id))
    }

    /// One has been sent. Its id must not be in flight.
    pub(super) fn add(&mut self, id: &MessageId, session: u64, now: Duration) {
        self.by_id.insert(canonical(id), self.next);
        self.by_order.insert(self.next, Flight { id: id.clone(), session, since: now });
        self.next += 1;
    }

    /// A reply has come. A reply without an id answers nothing: many may be in flight.
    pub(super) fn answered(&mut self, id: Option<&MessageId>) -> Option<Flight> {
        let order = self.by_id.remove(&canonical(id?))?;
        self.by_order.remove(&order)
    }

    /// Gives all of them up, in the order of sending.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = MessageId> + use<> {
        self.by_id.clear();
        std::mem::take(&mut self.by_order).into_values().map(|flight| flight.id)
    }

    /// Since when the oldest one waits.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.by_order.values().next().map(|flight| flight.since)
    }
}

/// A server may escape a string's characters in another way than its sender did.
fn canonical(id: &MessageId) -> MessageId {
    if id.json().starts_with('"') { MessageId::from_text(&id.text()) } else { id.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::raw;

    #[test]
    fn ids_are_compared_as_text_and_given_back_as_written() {
        let mut publishes = Publishes::default();
        let id = |json: &str| MessageId::from_raw(&raw(json)).unwrap();
        publishes.add(&id(r#""a\/b""#), 1, Duration::ZERO);
        publishes.add(&id("7"), 1, Duration::from_secs(1));
        assert!(publishes.contains(&id(r#""a/b""#)) && !publishes.contains(&id(r#""7""#)));
        assert_eq!(publishes.answered(Some(&id(r#""\u0061/b""#))).unwrap().id.json(), r#""a\/b""#);
        assert!(publishes.answered(None).is_none());
        assert_eq!(publishes.oldest(), Some(Duration::from_secs(1)));
        assert_eq!(publishes.take_all().collect::<Vec<_>>(), [id("7")]);
        assert_eq!((publishes.len(), publishes.contains(&id("7"))), (0, false));
    }
}
