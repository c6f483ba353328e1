//! How connections and sessions begin, belong to each other, and end.

use std::time::Duration;

use super::connection::Connection;
use super::io::{Carrier, CloseReason, EndReason, Output};
use super::policy::{Peer, Principal};
use super::reply::Reply;
use super::session::{Session, SessionKey};
use super::timers::Timer;
use super::{ConnectionId, Server};
use crate::advice::Reconnect;
use crate::ids::ClientId;

impl Server {
    pub(super) fn opened(&mut self, id: ConnectionId, peer: Peer, carrier: Carrier) {
        let family = peer.address.family();
        self.connections.insert(id, Connection::new(peer, carrier));
        self.await_session(id);
        let unbound = self.connections.unbound(family);
        if unbound.len() > self.config.limits.unbound_connections
            && let Some(oldest) = unbound.first().copied()
        {
            // Whoever means well has long begun a session.
            self.close(oldest, CloseReason::TooManyUnbound);
        }
    }

    /// Gives a connection the time of the handshake deadline to begin a session.
    pub(super) fn await_session(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id).filter(|connection| !connection.closing) else {
            return;
        };
        let at = self.now.uptime + self.config.limits.handshake_deadline;
        self.timers.set(connection.armed.replace(at), at, Timer::Handshake(id));
    }

    /// A connection that has had no session for too long. A request is answered by its own rules.
    pub(super) fn handshake_due(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.armed = None;
        if connection.owed == 0 {
            self.close(id, CloseReason::NoSession);
        } else {
            // It waits for us, not we for it.
            self.await_session(id);
        }
    }

    /// Writes what can be written and has the connection closed. What still comes from it is passed over.
    pub(super) fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        self.flush(id);
        let Some(connection) = self.connections.begin_closing(id) else { return };
        self.timers.clear(connection.armed.take(), Timer::Handshake(id));
        self.outputs.push_back(Output::Close { connection: id, reason });
    }

    /// The same once all replies are written.
    fn close_when_done(&mut self, id: ConnectionId, reason: CloseReason) {
        self.flush(id);
        match self.connections.get_mut(id) {
            Some(connection) if !connection.is_done() => connection.close_after = Some(reason),
            _ => self.close(id, reason),
        }
    }

    pub(super) fn closed(&mut self, id: ConnectionId) {
        let Some(mut connection) = self.connections.remove(id) else { return };
        self.timers.clear(connection.armed, Timer::Handshake(id));
        // A disconnect's response may be on its way when the session is gone.
        let Some(key) = connection.session else { return };
        let expires = self.expiry();
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(unwritten) = connection.take_unwritten(key) {
            self.stats.dropped += session.queue.put_back(&unwritten, &self.config.limits);
        }
        if session.stream == Some(id) {
            session.stream = None;
            session.expires = expires;
        }
        if session.held.as_ref().is_some_and(|held| held.on == id) {
            session.held = None;
            session.expires = expires;
        }
        if connection.starts_clock {
            session.expires = expires;
        }
        self.stir(key);
        self.arm(key);
    }

    /// Begins a session. One that the stream had before is over: its client has given it up.
    pub(super) fn begin_session(
        &mut self,
        connection: ConnectionId,
        principal: Principal,
        ack: bool,
    ) -> ClientId {
        let client = self.ids.next_client_id();
        let Some(stream) = self.connections.get(connection) else { return client };
        let (peer, carrier) = (stream.peer.clone(), stream.carrier);
        let address = peer.address.clone();
        if let Some(former) = stream.session {
            self.answer_held(former);
            self.end_session(former, EndReason::Replaced);
        }
        let expires = self.expiry();
        let key = self.sessions.insert(Session::new(client, principal.clone(), peer, ack, expires));
        match carrier {
            Carrier::Stream => self.bind_stream(connection, key),
            Carrier::Exchange => self.bind_exchange(connection, key),
        }
        self.arm(key);
        self.outputs.push_back(Output::SessionBegun { client, principal, connection, address });
        client
    }

    /// Ties a request to the session that it speaks for.
    pub(super) fn bind_exchange(&mut self, connection: ConnectionId, key: SessionKey) {
        self.connections.bind(connection, Some(key));
        self.disarm(connection);
    }

    /// A connection need not begin a session any more.
    pub(super) fn disarm(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            self.timers.clear(connection.armed.take(), Timer::Handshake(id));
        }
    }

    /// Ties a stream to a session; what the session had before is closed, and what was not written there comes first.
    pub(super) fn bind_stream(&mut self, connection: ConnectionId, key: SessionKey) {
        self.connections.bind(connection, Some(key));
        self.disarm(connection);
        let held = self.sessions.get(key).and_then(|session| session.held.as_ref()).map(|held| held.on);
        let on_exchange =
            held.and_then(|on| self.connections.get(on)).is_some_and(|on| on.carrier == Carrier::Exchange);
        if on_exchange {
            self.answer_held(key);
        }
        self.leave_stream(key);
        if let Some(session) = self.sessions.get_mut(key) {
            session.stream = Some(connection);
        }
        self.connections.mark_dirty(connection);
    }

    /// The session goes on elsewhere: its stream, if any, is closed.
    pub(super) fn leave_stream(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(former) = session.stream.take() else { return };
        session.held = None;
        session.stirred = false;
        let unwritten = self.connections.get_mut(former).and_then(|stream| stream.take_unwritten(key));
        if let Some(unwritten) = unwritten {
            self.stats.dropped += session.queue.put_back(&unwritten, &self.config.limits);
        }
        self.connections.bind(former, None);
        self.close(former, CloseReason::Moved);
    }

    /// When a session that is heard of now ends unless it is heard of again.
    pub(super) fn expiry(&self) -> Duration {
        self.now.uptime + self.config.advice.interval + self.config.max_interval
    }

    /// Sets a session's next deadline, unless an earlier one is set, which will set this one when it fires.
    pub(super) fn arm(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let deadline = session.deadline();
        if session.armed.is_none_or(|armed| deadline < armed) {
            let former = session.armed.replace(deadline);
            self.timers.set(former, deadline, Timer::Session(key));
        }
    }

    pub(super) fn session_due(&mut self, key: SessionKey) {
        let expires = self.expiry();
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.armed = None;
        let due = session.deadline() <= self.now.uptime;
        let answering = session.answering.and_then(|connection| self.connections.get(connection));
        let is_reading = answering.is_some_and(|on| on.starts_clock && on.session == Some(key));
        match (due, session.held.is_some()) {
            (true, true) => self.answer_held(key),
            // A peer that reads slowly has not gone; one that has stopped is closed by the shell.
            (true, false) if is_reading => session.expires = expires,
            (true, false) => self.end_session(key, EndReason::Expired),
            (false, _) => {}
        }
        self.arm(key);
    }

    /// Answers a held connect with the news that the session is over; nothing if none is held.
    pub(super) fn release_held(&mut self, key: SessionKey, reconnect: Reconnect) {
        let held = self.sessions.get_mut(key).and_then(|session| session.held.take());
        let Some(mut held) = held else { return };
        let ack = self.sessions.get(key).and_then(|session| session.ack.as_ref());
        let mut reply = Reply::success(&mut held.origin).with_advice(self.config.advice.with(reconnect));
        reply.ext.extend(ack.map(|ack| ("ack", ack.last_batch().to_string())));
        self.owes_less(held.on);
        self.reply(held.on, reply);
    }

    /// Ends a session that its client has not given up: a held connect is answered with the news.
    pub(super) fn dismiss(&mut self, key: SessionKey, reconnect: Reconnect, reason: EndReason) {
        self.release_held(key, reconnect);
        self.end_session(key, reason);
    }

    /// Forgets a session. Its stream, if any, has the handshake deadline to begin another.
    pub(super) fn end_session(&mut self, key: SessionKey, reason: EndReason) {
        let Some(session) = self.sessions.remove(key) else { return };
        self.timers.clear(session.armed, Timer::Session(key));
        for pattern in &session.subscriptions {
            self.subscriptions.remove(pattern, key);
        }
        self.extensions.ended(session.client);
        if let Some(connection) = session.stream {
            self.connections.bind(connection, None);
            self.await_session(connection);
        }
        self.outputs.push_back(Output::SessionEnded { client: session.client, reason });
    }

    /// One reply less to wait for.
    pub(super) fn owes_less(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.touch(id) {
            connection.owed = connection.owed.saturating_sub(1);
        }
    }

    /// Closes what has been waiting for its last replies to be written.
    pub(super) fn close_if_done(&mut self, id: ConnectionId) {
        let done = self.connections.get_mut(id).filter(|connection| connection.is_done());
        if let Some(reason) = done.and_then(|connection| connection.close_after.take()) {
            self.close(id, reason);
        }
    }

    pub(super) fn drain(&mut self) {
        for key in self.sessions.keys() {
            self.answer_held(key);
        }
        for connection in self.connections.ids() {
            self.close_when_done(connection, CloseReason::GoingAway);
        }
    }
}
