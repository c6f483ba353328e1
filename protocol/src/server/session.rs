//! A client's session: who it is, what it wants, what waits for it, and until when it lives.
//!
//! ```text
//! handshake ──▶ HANDSHAKEN ──connect──▶ CONNECTED ──disconnect──▶ gone
//!                   │                      │
//!                   └── stayed away ───────┴──▶ gone      (both ends are "unknown client")
//! ```
//!
//! A session outlives its connections. It has a stream, over which events are pushed, or it has none and its events
//! travel with the responses to its requests; either way another connection of the same party continues it by naming
//! its clientId.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::extensions::ack::AckState;
use super::policy::{Peer, Principal};
use super::probe::Probe;
use super::queue::SessionQueue;
use super::reply::Origin;
use super::source::Source;
use crate::channel::ChannelPattern;
use crate::ids::{ClientId, ConnectionId};
use crate::number_map::NumberMap;

/// A session's number within the server; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SessionKey(pub(super) NonZeroU64);

/// A connect that waits for an event, its deadline, or another connect.
#[derive(Debug)]
pub(super) struct HeldConnect {
    pub(super) origin: Origin,
    pub(super) until: Duration,
    /// Where it came, and where its reply goes.
    pub(super) on: ConnectionId,
}

/// In the order of how often it is needed: a message touches the first two lines of the cache, a delivery the third.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Session {
    pub(super) client: ClientId,
    pub(super) principal: Principal,
    /// When it ends unless heard of; counts only while no connect is held.
    pub(super) expires: Duration,
    pub(super) queue: SessionQueue,
    /// Its events are on their way out: its stream is marked or being written, or its held connect is on the list of
    /// those with something to carry.
    pub(super) stirred: bool,
    /// True once a connect has been answered.
    pub(super) connected: bool,
    /// Whether it is asked to show that it is there.
    pub(super) probe: Probe,
    /// The ack extension's state, if the client asked for it.
    pub(super) ack: Option<Box<AckState>>,
    /// Its WebSocket; none while it lives by requests, or has lost it.
    pub(super) stream: Option<ConnectionId>,
    /// The earliest deadline for it in `Timers`.
    pub(super) armed: Option<Duration>,
    /// Where the last connect's reply went. Its time does not run before that is written.
    pub(super) answering: Option<ConnectionId>,
    pub(super) held: Option<Box<HeldConnect>>,
    pub(super) subscriptions: Vec<ChannelPattern>,
    /// Those of them that a replay is still filling; they hear nothing else.
    pub(super) catching_up: Vec<ChannelPattern>,
    pub(super) peer: Arc<Peer>,
}

impl Session {
    pub(super) fn new(
        client: ClientId,
        principal: Principal,
        peer: Arc<Peer>,
        ack: bool,
        expires: Duration,
    ) -> Self {
        Self {
            client,
            principal,
            peer,
            connected: false,
            stream: None,
            subscriptions: Vec::new(),
            catching_up: Vec::new(),
            queue: SessionQueue::default(),
            held: None,
            expires,
            answering: None,
            ack: ack.then(Box::default),
            armed: None,
            stirred: false,
            probe: Probe::Idle,
        }
    }

    /// The next moment at which something has to happen to it by itself.
    pub(super) fn deadline(&self) -> Duration {
        self.held.as_ref().map_or(self.expires, |held| held.until)
    }

    /// True if events may go out without a connect to carry them. Not while its client is asked whether it is there: what a
    /// dead stream takes would count as had.
    pub(super) fn pushes_events(&self) -> bool {
        self.ack.is_none() && self.stream.is_some() && self.probe == Probe::Idle
    }

    /// True if events may travel with whatever response goes out next.
    pub(super) fn lends_events(&self) -> bool {
        self.ack.is_none() && self.stream.is_none()
    }
}

/// All sessions, by key and by clientId.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Each in a box, as connections are.
    by_key: NumberMap<SessionKey, Box<Session>>,
    by_client: NumberMap<ClientId, SessionKey>,
    /// How many a peer has; none with none. Peers have a say in what they are called, so its hash is not a simple one.
    by_source: HashMap<Source, usize>,
    /// How many there have been.
    begun: u64,
}

impl Sessions {
    pub(super) fn insert(&mut self, session: Session) -> SessionKey {
        let key = SessionKey(NonZeroU64::MIN.saturating_add(self.begun));
        self.begun += 1;
        self.by_client.insert(session.client, key);
        *self.by_source.entry(Source::of(&session.peer.address)).or_default() += 1;
        self.by_key.insert(key, Box::new(session));
        key
    }

    pub(super) fn remove(&mut self, key: SessionKey) -> Option<Box<Session>> {
        let session = self.by_key.remove(&key)?;
        self.by_client.remove(&session.client);
        if let Entry::Occupied(mut count) = self.by_source.entry(Source::of(&session.peer.address)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(session)
    }

    pub(super) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.by_key.get_mut(&key).map(Box::as_mut)
    }

    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.by_key.get(&key).map(Box::as_ref)
    }

    pub(super) fn find(&self, client: ClientId) -> Option<SessionKey> {
        self.by_client.get(&client).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_key.values().map(Box::as_ref)
    }

    pub(super) fn keys(&self) -> Vec<SessionKey> {
        let mut keys: Vec<SessionKey> = self.by_key.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many one peer has.
    pub(super) fn of_source(&self, source: Source) -> usize {
        self.by_source.get(&source).copied().unwrap_or(0)
    }

    /// How many peers have one at least.
    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        self.by_source.len()
    }
}
