//! The replay extension (as Salesforce's Streaming API has it): a subscriber asks for retained events from a number on.
//!
//! Handshake: `ext.replay: true` both ways. Subscribe: `ext.replay: {"<channel>": n}`; n = -1 new events only (the
//! default), -2 all that are retained, n >= 0 everything after number n. An event's number is `ext.cloudinit.seq`.
//! The store is the shell's: the core asks it with [`Output::Replay`](super::super::Output::Replay), and until it
//! has handed over everything the subscription gets nothing else, so that nothing comes twice or is missed.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Server;
use super::super::queue::QueuedEvent;
use super::super::session::SessionKey;
use crate::channel::{ChannelKind, ChannelName, ChannelPattern};
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::ClientId;
use crate::object::Object;

/// From where on a subscriber wants events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayFrom {
    /// All that are retained (-2).
    Oldest,
    /// Those after this number.
    After(u64),
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    replay: Option<&'a RawValue>,
}

/// Whether a handshake asks for the extension.
pub(in crate::server) fn is_wanted(ext: Option<&RawValue>) -> bool {
    member(ext).is_some_and(|raw| raw.get() == "true")
}

/// Which of a subscribe's patterns are to be replayed. New events only is what happens anyway, and is left out.
pub(in crate::server) fn wanted(
    ext: Option<&RawValue>,
    patterns: &[ChannelPattern],
) -> Result<Vec<(ChannelPattern, ReplayFrom)>, BayeuxError> {
    let Some(raw) = member(ext) else { return Ok(Vec::new()) };
    let expected = "expected an object of channels and numbers, -1 for new, -2 for all, or the last one seen";
    let numbers: HashMap<String, &RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| BayeuxError::wrong("ext.replay", expected, raw.get()))?;
    let mut wanted = Vec::new();
    for pattern in patterns {
        let Some(number) = numbers.get(&pattern.to_string()) else { continue };
        if let Some(from) = from(number)? {
            wanted.push((pattern.clone(), from));
        }
    }
    Ok(wanted)
}

/// From where a number says; nothing for new events only.
fn from(number: &RawValue) -> Result<Option<ReplayFrom>, BayeuxError> {
    match serde_json::from_str::<i64>(number.get()) {
        Ok(-1) => Ok(None),
        Ok(-2) => Ok(Some(ReplayFrom::Oldest)),
        Ok(after @ 0..) => Ok(Some(ReplayFrom::After(after.unsigned_abs()))),
        Ok(..-2) | Err(_) => {
            let given = crate::shorten(number.get());
            let text = format!(
                "expected a whole number, -1 for new, -2 for all, or the last one seen, as that of a channel, got {given}"
            );
            Err(BayeuxError::new(ErrorCode::Malformed, "ext.replay", text))
        }
    }
}

/// What the shell has to know of a client while it replays for it.
impl Server {
    /// The patterns that a client hears what is published on, leaving out those that a replay is still filling; none
    /// if it is gone.
    #[must_use]
    pub fn hears(&self, client: ClientId) -> Vec<ChannelPattern> {
        let session = self.sessions.find(client).and_then(|key| self.sessions.get(key));
        let live = session.map(|session| {
            session.subscriptions.iter().filter(|pattern| !session.catching_up.contains(pattern)).cloned()
        });
        live.into_iter().flatten().collect()
    }

    /// Whether a replay is still filling a subscription: false once the client has unsubscribed, or is gone.
    #[must_use]
    pub fn is_catching_up(&self, client: ClientId, pattern: &ChannelPattern) -> bool {
        let session = self.sessions.find(client).and_then(|key| self.sessions.get(key));
        session.is_some_and(|session| session.catching_up.contains(pattern))
    }

    /// Whether a client may be given events of a channel: false if it is gone.
    #[must_use]
    pub fn may_be_given(&self, client: ClientId, channel: &ChannelName) -> bool {
        let session = self.sessions.find(client).and_then(|key| self.sessions.get(key));
        session.is_some_and(|session| self.policy.may_receive(&session.principal, channel))
    }

    /// Whether an event with this receipt waits for a client or is on its way to it. If not, and no receipt has come,
    /// the event has been dropped from the client's queue, or the client is gone.
    #[must_use]
    pub fn is_underway(&self, client: ClientId, receipt: u64) -> bool {
        let Some(key) = self.sessions.find(client) else { return false };
        let Some(session) = self.sessions.get(key) else { return false };
        let is_it = |event: &QueuedEvent| event.receipt() == Some(receipt);
        session.queue.iter().any(is_it)
            || session.ack.as_ref().is_some_and(|ack| ack.unseen().any(is_it))
            || self
                .connections
                .iter()
                .filter(|connection| connection.in_flight_of == Some(key))
                .any(|connection| connection.in_flight.iter().flat_map(|events| events.iter()).any(is_it))
    }

    /// What one client publishes for the others is kept by nobody, so no replay will bring it: those who are catching
    /// up have it now.
    pub(in crate::server) fn deliver_behind(
        &mut self,
        channel: &ChannelName,
        encode: impl FnOnce() -> String,
    ) {
        if self.behind.is_empty() || channel.kind() != ChannelKind::Broadcast {
            return;
        }
        let sessions = &self.sessions;
        self.behind.retain(|key| sessions.get(*key).is_some_and(|session| !session.catching_up.is_empty()));
        let missing: Vec<SessionKey> =
            self.behind.iter().copied().filter(|key| self.misses(*key, channel)).collect();
        if !missing.is_empty() {
            let event = QueuedEvent::new(encode(), None);
            for key in missing {
                self.enqueue(key, event.clone());
            }
        }
    }

    /// True if a session is to have what is published on a channel, and a replay keeps it from it.
    fn misses(&self, key: SessionKey, channel: &ChannelName) -> bool {
        self.sessions.get(key).is_some_and(|session| {
            let mut matching =
                session.subscriptions.iter().filter(|pattern| pattern.matches(channel)).peekable();
            matching.peek().is_some()
                && matching.all(|pattern| session.catching_up.contains(pattern))
                && self.policy.may_receive(&session.principal, channel)
        })
    }

    /// Whether a client is kept by a replay from what is published on a channel now.
    #[must_use]
    pub fn is_kept_from(&self, client: ClientId, channel: &ChannelName) -> bool {
        self.sessions.find(client).is_some_and(|key| self.misses(key, channel))
    }

    /// How many events were dropped from full queues so far.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.stats.dropped
    }
}

fn member(ext: Option<&RawValue>) -> Option<&RawValue> {
    Object::<Outer<'_>>::read(ext?.get()).ok()?.replay
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::raw;

    #[test]
    fn numbers_say_from_where() {
        let patterns = ["/a", "/b/*", "/c", "/d"].map(|text| ChannelPattern::parse(text).unwrap());
        let ext = raw(r#"{"ack":true,"replay":{"/a":-2,"/b/*":7,"/c":-1,"/elsewhere":3}}"#);
        let found = wanted(Some(&ext), &patterns).unwrap();
        let expected =
            vec![(patterns[0].clone(), ReplayFrom::Oldest), (patterns[1].clone(), ReplayFrom::After(7))];
        assert_eq!(found, expected);
        for none in ["{}", "7", r#"[{"/a":-2}]"#] {
            assert_eq!(wanted(Some(&raw(none)), &patterns).unwrap(), [], "{none}");
        }
        assert!(!is_wanted(Some(&raw("[true]"))));
        for wrong in [r#"{"replay":7}"#, r#"{"replay":[-2]}"#, r#"{"replay":true}"#] {
            let error = wanted(Some(&raw(wrong)), &patterns).unwrap_err();
            assert!(error.to_string().starts_with("400:ext.replay:expected an object"), "{error}");
        }
        for wrong in ["-3", r#""x""#, "1.5", "1e3", "null", "[7]", "12345678901234567890"] {
            let ext = raw(&format!(r#"{{"replay":{{"/elsewhere":3,"/a":{wrong}}}}}"#));
            let error = wanted(Some(&ext), &patterns).unwrap_err().to_string();
            assert!(error.starts_with("400:ext.replay:expected a whole number"), "{error}");
            assert!(error.ends_with(&format!(", got {wrong}")), "{error}");
        }
        assert!(is_wanted(Some(&raw(r#"{"replay":true}"#))) && !is_wanted(Some(&raw(r#"{"replay":1}"#))));
    }
}
