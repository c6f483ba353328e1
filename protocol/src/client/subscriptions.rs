//! Subscriptions: what the application wants, and what the server knows of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::request::RequestId;
use crate::channel::ChannelPattern;
use crate::ext::CloudinitExt;
use crate::ids::MessageId;
use crate::publication::Publication;
use crate::server::ReplayFrom;

/// All patterns of one client, over all its sessions.
#[derive(Default)]
pub(super) struct Subscriptions(BTreeMap<ChannelPattern, Entry>);

struct Entry {
    wanted: bool,
    /// From where on it is asked for, if its past is wanted: after what has come of it already.
    from: Option<ReplayFrom>,
    server: Known,
}

/// What the server knows of a pattern.
enum Known {
    No,
    Yes,
    /// It was asked, and the stream went before it answered.
    Perhaps,
    Asked {
        id: RequestId,
        since: Duration,
    },
}

impl Entry {
    /// True if the server has to be asked; both requests may be repeated without harm.
    const fn is_due(&self) -> bool {
        match self.server {
            Known::No => self.wanted,
            Known::Yes => !self.wanted,
            Known::Perhaps => true,
            Known::Asked { .. } => false,
        }
    }

    fn is_answered_by(&self, id: Option<&MessageId>) -> bool {
        matches!(self.server, Known::Asked { id: own, .. } if own.is_answered_by(id))
    }
}

/// What a reply means to the application.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Subscribed(ChannelPattern),
    Refused(ChannelPattern),
    /// Nothing to tell.
    Settled,
}

impl Subscriptions {
    /// Remembers a pattern; `ask` finds it due unless the server knows it already.
    pub(super) fn add(&mut self, pattern: ChannelPattern, from: Option<ReplayFrom>, limit: usize) -> Answer {
        if let Some(entry) = self.0.get_mut(&pattern) {
            entry.wanted = true;
            return if matches!(entry.server, Known::Yes) {
                Answer::Subscribed(pattern)
            } else {
                Answer::Settled
            };
        }
        if self.0.len() >= limit {
            return Answer::Refused(pattern);
        }
        self.0.insert(pattern, Entry { wanted: true, from, server: Known::No });
        Answer::Settled
    }

    /// Has the server asked once more about a pattern that it knows; `None` if it knows none.
    pub(super) fn repeat(&mut self) -> Option<ChannelPattern> {
        let mut known = self.0.iter_mut().filter(|(_, entry)| entry.wanted && entry.from.is_none());
        let (pattern, entry) = known.find(|(_, entry)| matches!(entry.server, Known::Yes))?;
        entry.server = Known::Perhaps;
        Some(pattern.clone())
    }

    /// Forgets a pattern, and has the server forget it if it may know.
    pub(super) fn remove(&mut self, pattern: &ChannelPattern) {
        if let Some(entry) = self.0.get_mut(pattern) {
            entry.wanted = false;
            if matches!(entry.server, Known::No) {
                self.0.remove(pattern);
            }
        }
    }

    /// An event has come: a session that begins later asks for those after it. Where several patterns match it, it
    /// may have come for any of them, and then it does not tell how far the others are: rather twice than never.
    pub(super) fn seen(&mut self, event: &Publication) {
        let mut matching = self.0.iter_mut().filter(|(pattern, _)| pattern.matches(&event.channel));
        let (Some((_, entry)), None) = (matching.next(), matching.next()) else { return };
        let Some(from) = entry.from.as_mut() else { return };
        let ext = CloudinitExt::from_ext(event.ext.as_deref());
        let Some(seq) = ext.ok().and_then(|ext| ext.seq) else { return };
        *from = match *from {
            ReplayFrom::After(newest) => ReplayFrom::After(seq.max(newest)),
            ReplayFrom::Oldest => ReplayFrom::After(seq),
        };
    }

    /// The next pattern that the server has to be asked about, whether it is wanted, and from where on; it counts as
    /// asked.
    pub(super) fn ask(
        &mut self,
        id: RequestId,
        now: Duration,
    ) -> Option<(ChannelPattern, bool, Option<ReplayFrom>)> {
        let (pattern, entry) = self.0.iter_mut().find(|(_, entry)| entry.is_due())?;
        entry.server = Known::Asked { id, since: now };
        Some((pattern.clone(), entry.wanted, entry.from.filter(|_| entry.wanted)))
    }

    /// True if a reply with this id answers something that was asked in this session.
    pub(super) fn is_answered_by(&self, id: Option<&MessageId>) -> bool {
        self.0.values().any(|entry| entry.is_answered_by(id))
    }

    /// A reply to a subscribe (`subscribe`) or an unsubscribe. The wish may have changed since it was asked.
    pub(super) fn answered(&mut self, id: Option<&MessageId>, subscribe: bool, successful: bool) -> Answer {
        let Some((pattern, entry)) = self.0.iter_mut().find(|(_, entry)| entry.is_answered_by(id)) else {
            return Answer::Settled;
        };
        let pattern = pattern.clone();
        entry.server = if subscribe && successful { Known::Yes } else { Known::No };
        let answer = match (entry.wanted, subscribe, successful) {
            (true, true, true) => Answer::Subscribed(pattern),
            (true, true, false) => Answer::Refused(pattern),
            // Wanted again, or no longer: `ask` finds it due.
            (true, false, _) | (false, true, true) => return Answer::Settled,
            (false, true, false) | (false, false, _) => {
                self.0.remove(&pattern);
                return Answer::Settled;
            }
        };
        if let Answer::Refused(pattern) = &answer {
            self.0.remove(pattern);
        }
        answer
    }

    /// The stream is gone; the session may go on over another.
    pub(super) fn stream_lost(&mut self) {
        for entry in self.0.values_mut() {
            if matches!(entry.server, Known::Asked { .. }) {
                entry.server = Known::Perhaps;
            }
        }
    }

    /// The session is gone: a new one begins with none.
    pub(super) fn session_lost(&mut self) {
        self.0.retain(|_, entry| entry.wanted);
        for entry in self.0.values_mut() {
            entry.server = Known::No;
        }
    }

    /// Since when the oldest request waits.
    pub(super) fn oldest(&self) -> Option<Duration> {
        let since = |entry: &Entry| match entry.server {
            Known::Asked { since, .. } => Some(since),
            Known::No | Known::Yes | Known::Perhaps => None,
        };
        self.0.values().filter_map(since).min()
    }
}
