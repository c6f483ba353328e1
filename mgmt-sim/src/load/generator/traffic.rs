//! The generator's connections: what is read, what is written, and what is opened anew.

use super::super::error::LoadError;
use super::super::poller::Token;
use super::super::target::Transport;
use super::super::wire::{Piece, Wire};
use super::Generator;

impl Generator<'_> {
    /// Sends a batch, on a new connection if the server has closed the former one.
    pub(super) fn send(&mut self, token: Token, batch: &[u8]) -> Result<(), LoadError> {
        if self.wire(token).is_some_and(|wire| wire.socket().is_none()) {
            let socket = self.dial(token)?;
            if let Some(wire) = self.wire(token) {
                wire.replace(socket);
            }
        }
        let client = &mut self.clients[token.session];
        let wire = if token.second { client.second.as_mut() } else { Some(&mut client.first) };
        if let Some(wire) = wire {
            wire.send(&self.address, batch);
        }
        self.flush(token)
    }

    /// Sends what waits in a session's outbox, as far as its connection takes it.
    pub(super) fn post(&mut self, session: usize) -> Result<(), LoadError> {
        let most = self.plan.batch;
        let client = &mut self.clients[session];
        if self.plan.target.transport() == Transport::WebSocket {
            client.outbox.send_all(most, |batch| client.first.send(&self.address, batch));
            return self.flush(Token { session, second: false });
        }
        let token = Token { session, second: true };
        if client.second.as_ref().is_some_and(|wire| !wire.is_free()) {
            return Ok(());
        }
        let Some(batch) = client.outbox.next(most).or_else(|| client.goodbye.take()) else { return Ok(()) };
        if client.second.is_none() {
            let socket = self.dial(token)?;
            let client = &mut self.clients[session];
            let mut wire = Wire::new(socket, Transport::LongPolling, &self.address);
            wire.set_cookie(client.first.cookie());
            client.second = Some(wire);
        }
        self.send(token, &batch)
    }

    pub(super) fn flush(&mut self, token: Token) -> Result<(), LoadError> {
        let Some(socket) = self.wire(token).and_then(Wire::socket) else { return Ok(()) };
        // Asked for and withdrawn only when it changes: a write nearly always takes everything.
        let waited = socket.waits();
        let waits = match socket.flush() {
            Ok(done) => !done,
            Err(error) => return Err(self.gone(token.session, error)),
        };
        if waits == waited {
            return Ok(());
        }
        socket.set_waits(waits);
        let Self { poller, clients, .. } = self;
        let client = &mut clients[token.session];
        let wire = if token.second { client.second.as_mut() } else { Some(&mut client.first) };
        let Some(socket) = wire.and_then(Wire::socket) else { return Ok(()) };
        poller
            .expect_room(&*socket, token, waits)
            .map_err(|source| LoadError::System { what: "watch a connection (epoll)", source })
    }

    pub(super) fn read(&mut self, token: Token) -> Result<(), LoadError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.read_into(token, &mut buffer);
        self.buffer = buffer;
        outcome
    }

    fn read_into(&mut self, token: Token, buffer: &mut [u8]) -> Result<(), LoadError> {
        loop {
            let Some(wire) = self.wire(token) else { return Ok(()) };
            let Some(socket) = wire.socket() else { return Ok(()) };
            let count = match socket.read(buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => {
                    let closed = wire.closed();
                    return closed.or_else(|error| self.cut(token.session, &error));
                }
                Ok(Some(count)) => count,
                Err(error) => return self.cut(token.session, &error),
            };
            self.take(token, &buffer[..count])?;
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// A connection has ended: allowed to sessions that have left.
    fn cut(&mut self, session: usize, error: &std::io::Error) -> Result<(), LoadError> {
        if self.clients[session].session.is_leaving() { Ok(()) } else { Err(self.gone(session, error)) }
    }

    fn take(&mut self, token: Token, bytes: &[u8]) -> Result<(), LoadError> {
        let now = self.now();
        let Some(wire) = self.wire(token) else { return Ok(()) };
        let mut pending = std::mem::take(&mut wire.pending);
        if pending.is_empty() {
            let taken = self.consume(token, bytes, now)?;
            pending.extend_from_slice(&bytes[taken..]);
        } else {
            pending.extend_from_slice(bytes);
            let taken = self.consume(token, &pending, now)?;
            pending.drain(..taken);
        }
        if pending.is_empty() {
            // Idle sessions keep nothing.
            pending = Vec::new();
        }
        if let Some(wire) = self.wire(token) {
            wire.pending = pending;
        }
        Ok(())
    }

    fn consume(&mut self, token: Token, bytes: &[u8], now: u64) -> Result<usize, LoadError> {
        let mut taken = 0;
        loop {
            let Some(wire) = self.wire(token) else { return Ok(taken) };
            let split =
                wire.split(&bytes[taken..]).map_err(|problem| Self::unreadable(token.session, problem));
            let (piece, length) = match split {
                Ok(Some(split)) => split,
                Ok(None) => break,
                // After the goodbye a server may close as it likes.
                Err(_) if self.clients[token.session].session.is_leaving() => return Ok(bytes.len()),
                Err(error) => return Err(error),
            };
            taken += length;
            match piece {
                Piece::Upgraded => self.greet(token.session)?,
                Piece::Batch(batch) => self.batch(token.session, &batch, now)?,
                Piece::Nothing => self.flush(token)?,
            }
        }
        if token.second {
            self.post(token.session)?;
        }
        Ok(taken)
    }
}
