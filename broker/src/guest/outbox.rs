//! Events that nobody has taken yet, in memory as they stand in the journal.

use std::collections::BTreeMap;

use cloud_channel_protocol::{ChannelPattern, Publication};

use crate::journal::Seq;

/// One waiting event.
#[derive(Debug)]
struct Waiting {
    publication: Publication,
    /// Sent over the dialled link and not answered yet.
    sent: bool,
}

/// Waiting events by number, oldest first. Its size is bounded by the journal's, which says what it dropped.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    events: BTreeMap<Seq, Waiting>,
}

impl Outbox {
    pub(crate) fn insert(&mut self, seq: Seq, publication: Publication) {
        self.events.insert(seq, Waiting { publication, sent: false });
    }

    /// Forgets one. Returns false if it was not there.
    pub(crate) fn remove(&mut self, seq: Seq) -> bool {
        self.events.remove(&seq).is_some()
    }

    /// True if it still waits.
    pub(crate) fn has(&self, seq: Seq) -> bool {
        self.events.contains_key(&seq)
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// How many are on their way over the link.
    pub(crate) fn in_flight(&self) -> usize {
        self.events.values().filter(|waiting| waiting.sent).count()
    }

    /// The oldest that is not on its way, and marks it so once `send` has taken it.
    pub(crate) fn send_next(&mut self, send: impl FnOnce(Seq, &Publication) -> bool) -> bool {
        let Some((seq, waiting)) = self.events.iter_mut().find(|(_, waiting)| !waiting.sent) else {
            return false;
        };
        waiting.sent = send(*seq, &waiting.publication);
        waiting.sent
    }

    /// The link is gone: what was on its way is not, as far as we know.
    pub(crate) fn recall(&mut self) {
        for waiting in self.events.values_mut() {
            waiting.sent = false;
        }
    }

    /// What a new subscription covers and the subscriber's others did not.
    pub(crate) fn backlog(
        &self,
        added: &[ChannelPattern],
        had: &[ChannelPattern],
    ) -> Vec<(Seq, Publication)> {
        let covered = |patterns: &[ChannelPattern], publication: &Publication| {
            patterns.iter().any(|pattern| pattern.matches(&publication.channel))
        };
        self.events
            .iter()
            .filter(|(_, w)| covered(added, &w.publication) && !covered(had, &w.publication))
            .map(|(seq, waiting)| (*seq, waiting.publication.clone()))
            .collect()
    }
}
