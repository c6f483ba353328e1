//! The Bayeux server core: a value that is fed inputs and gives outputs.
//!
//! One owner drives it: [`Server::handle`] for what happens, [`Server::handle_timeout`] when the clock has
//! reached [`Server::next_timeout`], then [`Server::poll_output`] until it is empty. The server never waits:
//! a stream that does not take its bytes only fills its own session's bounded queue.
//!
//! This file dispatches. The rules are in `meta` (handshake, connect, subscribe, …), `publish` (who gets what)
//! and `delivery` (queues to frames).

mod ack;
mod connection;
mod delivery;
mod io;
mod meta;
mod policy;
mod publish;
mod queue;
mod reply;
mod session;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use connection::{Connection, Connections};
pub use io::{
    Carrier, CloseReason, EndReason, Input, LocalId, LocalSession, OfferId, Output, Sender, ServerConfig,
    Stats,
};
pub use policy::{BearerToken, Certificate, Peer, PeerAddress, Principal, SecurityPolicy};
use publish::PendingOffer;
use reply::Origin;
use session::{SessionKey, Sessions};
use subscriptions::SubscriptionIndex;
use timers::{Timer, Timers};

use crate::channel::{ChannelKind, ChannelName};
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::{ClientId, ConnectionId, IdSource, MessageId};
use crate::publication::Publication;
use crate::time::Now;
use crate::wire::{self, Envelope, Fields, Unreadable};

const HANDSHAKE: &str = "/meta/handshake";

/// A Bayeux server. See the module's text for how to drive it.
pub struct Server {
    config: ServerConfig,
    policy: Box<dyn SecurityPolicy>,
    ids: Box<dyn IdSource>,
    sessions: Sessions,
    connections: Connections,
    subscriptions: SubscriptionIndex,
    locals: Vec<LocalSession>,
    offers: HashMap<OfferId, PendingOffer>,
    last_offer: u64,
    timers: Timers,
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Server {
    /// A server without sessions.
    #[must_use]
    pub fn new(config: ServerConfig, policy: Box<dyn SecurityPolicy>, ids: Box<dyn IdSource>) -> Self {
        Self {
            config,
            policy,
            ids,
            sessions: Sessions::default(),
            connections: Connections::default(),
            subscriptions: SubscriptionIndex::default(),
            locals: Vec::new(),
            offers: HashMap::new(),
            last_offer: 0,
            timers: Timers::default(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Adds a local session. The first one that accepts a channel is asked about its publishes.
    pub fn attach(&mut self, local: LocalSession) {
        self.locals.push(local);
    }

    /// Takes in what has happened. Outputs wait in [`Server::poll_output`].
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Opened { connection, peer, carrier } => self.opened(now, connection, peer, carrier),
            Input::Received { connection, bytes } => self.received(now, connection, bytes),
            Input::Writable { connection } => self.written(connection),
            Input::Closed { connection } => self.closed(now, connection),
            Input::Publish { publication, receipt } => {
                self.deliver(now, publication, Publication::encode, receipt);
            }
            Input::Tell { client, publication, receipt } => self.tell(now, client, publication, receipt),
            Input::Settled { offer, verdict } => self.settle(offer, verdict),
            Input::Drain => self.drain(now),
        }
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_due(now.uptime) {
            match timer {
                Timer::Session(key) => self.session_due(now, key),
                // Cleared when a session begins.
                Timer::Handshake(connection) => self.close(connection, CloseReason::NoSession),
            }
        }
    }

    /// When [`Server::handle_timeout`] is to be called next, on the clock of [`Now::uptime`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// The next thing to do. Frames are put together only when nothing else is left, so that all inputs handled
    /// before the poll share one write per stream.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let connection = self.connections.pop_dirty()?;
            self.flush(connection);
        }
    }

    /// Counters and sizes as of now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { sessions: self.sessions.len(), connections: self.connections.len(), ..self.stats }
    }

    fn opened(&mut self, now: Now, id: ConnectionId, peer: Peer, carrier: Carrier) {
        self.connections.insert(id, Connection::new(peer, carrier));
        if self.connections.unbound() > self.config.limits.unbound_connections {
            self.close(id, CloseReason::TooManyUnbound);
        } else {
            self.await_session(now, id);
        }
    }

    /// Gives a connection the time of the handshake deadline to begin a session.
    fn await_session(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id).filter(|connection| !connection.closing) else {
            return;
        };
        let at = now.uptime + self.config.limits.handshake_deadline;
        self.timers.set(connection.armed.replace(at), at, Timer::Handshake(id));
    }

    /// Writes what can be written and has the stream closed. What still comes from it is passed over.
    fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        self.flush(id);
        let Some(connection) = self.connections.get_mut(id).filter(|connection| !connection.closing) else {
            return;
        };
        connection.closing = true;
        self.timers.clear(connection.armed.take(), Timer::Handshake(id));
        self.outputs.push_back(Output::Close { connection: id, reason });
    }

    fn closed(&mut self, now: Now, id: ConnectionId) {
        let Some(mut connection) = self.connections.remove(id) else { return };
        self.timers.clear(connection.armed, Timer::Handshake(id));
        let Some(key) = connection.session else { return };
        let expires = self.expiry(now);
        if let Some(session) = self.sessions.get_mut(key) {
            self.stats.dropped += session.queue.put_back(connection.take_unwritten(key), &self.config.limits);
            session.connection = None;
            session.held = None;
            session.expires = expires;
        }
        self.arm(key);
    }

    fn received(&mut self, now: Now, connection: ConnectionId, bytes: &[u8]) {
        if !self.is_open(connection) {
            return;
        }
        let messages = match wire::split_requests(bytes, &self.config.limits) {
            Ok(messages) => messages,
            Err(error) => return self.refuse_unreadable(connection, &Envelope::default(), &error),
        };
        self.stats.received += messages.len() as u64;
        let alone = messages.len() == 1;
        // A handshake stands alone: what came with it must be ignored (Bayeux 1.0, "handshake").
        let handshake = messages.iter().position(is_handshake);
        for (at, message) in messages.into_iter().enumerate() {
            if !self.is_open(connection) {
                break;
            }
            match message {
                _ if handshake.is_some_and(|only| only != at) => {}
                Ok(fields) => self.message(now, connection, &fields, alone),
                Err(message) => self.refuse_unreadable(connection, &message.envelope, &message.error),
            }
        }
    }

    fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.get(connection).is_some_and(|connection| !connection.closing)
    }

    fn message(&mut self, now: Now, connection: ConnectionId, fields: &Fields<'_>, alone: bool) {
        let origin = Origin::of(&fields.envelope());
        let channel = match read_envelope(fields) {
            Ok(channel) => channel,
            Err(error) => return self.refuse(connection, &origin, fields.subscription, &error),
        };
        let outcome = match (channel.kind(), channel.as_str()) {
            (_, HANDSHAKE) => {
                self.handshake(now, connection, fields, &origin);
                Ok(())
            }
            (_, "/meta/connect") => self.connect(now, connection, fields, &origin, alone),
            (_, "/meta/subscribe") => self.subscribe(now, connection, fields, &origin),
            (_, "/meta/unsubscribe") => self.unsubscribe(now, connection, fields, &origin),
            (_, "/meta/disconnect") => self.disconnect(now, connection, fields, &origin),
            (ChannelKind::Meta, name) => Err(BayeuxError::forbidden(name, "Unknown meta channel")),
            (ChannelKind::Service | ChannelKind::Broadcast, _) => {
                self.publish(now, connection, channel, fields, &origin)
            }
        };
        if let Err(error) = outcome {
            self.refuse(connection, &origin, fields.subscription, &error);
        }
    }

    /// Which session a message speaks for; ties the stream to it if the stream is free.
    fn resolve(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fields: &Fields<'_>,
    ) -> Result<SessionKey, BayeuxError> {
        let raw =
            fields.client_id.filter(|raw| raw.get() != "null").ok_or_else(BayeuxError::unknown_client)?;
        let text: String = serde_json::from_str(raw.get())
            .map_err(|_| BayeuxError::wrong("clientId", "expected a string", raw.get()))?;
        let known = ClientId::parse(&text).and_then(|client| self.sessions.find(client));
        let key = known.ok_or_else(BayeuxError::unknown_client)?;
        let stream = self.connections.get(connection).ok_or_else(BayeuxError::unknown_client)?;
        let session = self.sessions.get(key).ok_or_else(BayeuxError::unknown_client)?;
        let elsewhere = stream.session.is_some_and(|bound| bound != key);
        if elsewhere || !session.peer.same_party(&stream.peer) {
            return Err(BayeuxError::unknown_client());
        }
        let free = stream.session.is_none();
        let expires = self.expiry(now);
        if let Some(session) = self.sessions.get_mut(key) {
            session.expires = expires;
        }
        if free {
            self.bind(connection, key);
            // A connect that was held over the former stream no longer keeps it alive.
            self.arm(key);
        }
        Ok(key)
    }

    /// Ties a stream to a session; the session's former stream is closed, and what it had not written comes first.
    fn bind(&mut self, connection: ConnectionId, key: SessionKey) {
        self.connections.bind(connection, Some(key));
        if let Some(stream) = self.connections.get_mut(connection) {
            self.timers.clear(stream.armed.take(), Timer::Handshake(connection));
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let former = session.connection.replace(connection);
        session.held = None;
        if let Some(former) = former.filter(|former| *former != connection) {
            if let Some(stream) = self.connections.get_mut(former) {
                self.stats.dropped += session.queue.put_back(stream.take_unwritten(key), &self.config.limits);
            }
            self.connections.bind(former, None);
            self.close(former, CloseReason::Moved);
        }
        self.connections.mark_dirty(connection);
    }

    fn expiry(&self, now: Now) -> Duration {
        now.uptime + self.config.advice.interval + self.config.max_interval
    }

    /// Sets a session's next deadline, unless an earlier one is set, which will set this one when it fires.
    fn arm(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let deadline = session.deadline();
        if session.armed.is_none_or(|armed| deadline < armed) {
            let former = session.armed.replace(deadline);
            self.timers.set(former, deadline, Timer::Session(key));
        }
    }

    fn session_due(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.armed = None;
        let due = session.deadline() <= now.uptime;
        match (due, session.held.is_some()) {
            (true, true) => self.answer_held(now, key),
            (true, false) => self.end_session(now, key, EndReason::Expired),
            (false, _) => {}
        }
        self.arm(key);
    }

    /// Forgets a session. Its stream, if any, has the handshake deadline to begin another.
    fn end_session(&mut self, now: Now, key: SessionKey, reason: EndReason) {
        let Some(session) = self.sessions.remove(key) else { return };
        self.timers.clear(session.armed, Timer::Session(key));
        for pattern in &session.subscriptions {
            self.subscriptions.remove(pattern, key);
        }
        if let Some(connection) = session.connection {
            self.connections.bind(connection, None);
            self.await_session(now, connection);
        }
        self.outputs.push_back(Output::SessionEnded { client: session.client, reason });
    }

    fn drain(&mut self, now: Now) {
        for key in self.sessions.keys() {
            self.answer_held(now, key);
        }
        for connection in self.connections.ids() {
            self.close(connection, CloseReason::GoingAway);
        }
    }
}

fn is_handshake(message: &Result<Fields<'_>, Unreadable<'_>>) -> bool {
    let channel = match message {
        Ok(fields) => fields.channel,
        Err(unreadable) => unreadable.envelope.channel,
    };
    // Parsed, since JSON has more than one way to write it: `\/` is what PHP makes of a slash.
    channel.is_some_and(|raw| serde_json::from_str::<String>(raw.get()).is_ok_and(|name| name == HANDSHAKE))
}

/// Checks the fields that every message may have, and reads its channel.
fn read_envelope(fields: &Fields<'_>) -> Result<ChannelName, BayeuxError> {
    if let Some(id) = fields.id.filter(|id| id.get() != "null") {
        MessageId::from_raw(id).map_err(|expected| BayeuxError::wrong("id", expected, id.get()))?;
    }
    if let Some(ext) = fields.ext.filter(|ext| ext.get() != "null" && !ext.get().starts_with('{')) {
        return Err(BayeuxError::wrong("ext", "expected an object", ext.get()));
    }
    let channel = fields.channel.ok_or_else(|| BayeuxError::missing("channel"))?;
    let text: String = serde_json::from_str(channel.get())
        .map_err(|_| BayeuxError::wrong("channel", "expected a string", channel.get()))?;
    ChannelName::parse(&text).map_err(|error| {
        let text = format!("Invalid channel, expected {}", error.expected());
        BayeuxError::new(ErrorCode::InvalidChannel, error.given(), text)
    })
}
