//! One connection as the server sees it: whose it is, what waits to be written to it, and what it still owes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::CloseReason;
use super::batch::SharedEvents;
use super::family::Family;
use super::io::Carrier;
use super::outgoing::Outgoing;
use super::policy::Peer;
use super::queue::SessionQueue;
use super::session::SessionKey;
use crate::channel::ChannelName;
use crate::ids::ConnectionId;
use crate::limits::Limits;
use crate::number_map::NumberMap;

/// Two lines of the cache: every message goes through it.
#[repr(align(64))]
pub(super) struct Connection {
    /// Shared with its session.
    pub(super) peer: Arc<Peer>,
    pub(super) carrier: Carrier,
    pub(super) session: Option<SessionKey>,
    /// Where it last published: most go on there, and what has been read once need not be read again.
    pub(super) last_channel: Option<ChannelName>,
    /// False while the shell is writing what it was given last.
    pub(super) writable: bool,
    pub(super) outgoing: Outgoing,
    /// What waited for a session when it was given up here: it goes out behind the reply.
    pub(super) parting: Option<Box<SessionQueue>>,
    /// Events given to the shell and not yet known to be written.
    pub(super) in_flight: Option<SharedEvents>,
    /// Whose they are. A later session on the same stream must not inherit them.
    pub(super) in_flight_of: Option<SessionKey>,
    /// Replies that are still to come: a held connect's, unsettled offers'. An exchange is answered when there is none.
    pub(super) owed: usize,
    /// A connect reply is among what waits or is written: its client's time runs from when it has been.
    pub(super) starts_clock: bool,
    /// False once something came that could not be read as messages.
    pub(super) understood: bool,
    /// It is to be closed once it owes nothing and everything is written.
    pub(super) close_after: Option<CloseReason>,
    /// It has been told to close, or has its response: nothing more is read from it or written to it.
    pub(super) closing: bool,
    /// Its deadline in `Timers` while it has no session.
    pub(super) armed: Option<Duration>,
    dirty: bool,
}

impl Connection {
    pub(super) fn new(peer: Peer, carrier: Carrier) -> Self {
        Self {
            peer: Arc::new(peer),
            carrier,
            session: None,
            last_channel: None,
            writable: true,
            outgoing: Outgoing::default(),
            parting: None,
            in_flight: None,
            in_flight_of: None,
            owed: 0,
            starts_clock: false,
            understood: true,
            close_after: None,
            closing: false,
            armed: None,
            dirty: false,
        }
    }

    /// Takes back what was given to the shell for this session and is not known to be written.
    pub(super) fn take_unwritten(&mut self, of: SessionKey) -> Option<SharedEvents> {
        self.in_flight.take_if(|_| self.in_flight_of == Some(of))
    }

    /// Adds a message to what waits. A stream's frames are no larger than what we would take ourselves (unless a single
    /// message is); an exchange has one frame.
    pub(super) fn push(&mut self, limits: &Limits, message: &str) {
        let longest = match self.carrier {
            Carrier::Stream => limits.batch_bytes,
            Carrier::Exchange => usize::MAX,
        };
        self.outgoing.push(longest, message);
    }

    /// True for a stream that speaks for no session. (An exchange never waits for one.)
    fn is_unbound_stream(&self) -> bool {
        self.session.is_none() && self.carrier == Carrier::Stream && !self.closing
    }

    /// True if nothing is left to be said or waited for.
    pub(super) fn is_done(&self) -> bool {
        self.writable && self.outgoing.is_empty() && self.parting.is_none() && self.owed == 0
    }
}

/// All connections, and which of them may have something to write.
#[derive(Default)]
pub(super) struct Connections {
    /// Each in a box: a look-up then goes through few lines of the cache, and room for more costs little.
    all: NumberMap<ConnectionId, Box<Connection>>,
    dirty: VecDeque<ConnectionId>,
    /// Streams without a session that are not closing, of each family.
    unbound: [BTreeSet<ConnectionId>; 3],
}

impl Connections {
    pub(super) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        if connection.is_unbound_stream() {
            self.unbound[connection.peer.address.family() as usize].insert(id);
        }
        self.all.insert(id, Box::new(connection));
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let connection = self.all.remove(&id)?;
        self.unbound[connection.peer.address.family() as usize].remove(&id);
        Some(connection)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.all.get(&id).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.all.get_mut(&id).map(Box::as_mut)
    }

    /// Ties a connection to a session or frees it.
    pub(super) fn bind(&mut self, id: ConnectionId, session: Option<SessionKey>) {
        let Some(connection) = self.all.get_mut(&id) else { return };
        connection.session = session;
        let unbound = &mut self.unbound[connection.peer.address.family() as usize];
        if connection.is_unbound_stream() {
            unbound.insert(id);
        } else {
            unbound.remove(&id);
        }
    }

    /// It publishes on this channel.
    pub(super) fn published(&mut self, id: ConnectionId, channel: &ChannelName) {
        if let Some(connection) = self.all.get_mut(&id)
            && connection.last_channel.as_ref() != Some(channel)
        {
            connection.last_channel = Some(channel.clone());
        }
    }

    /// Nothing more is read from it or written to it. Returns it if that is new.
    pub(super) fn begin_closing(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.all.get_mut(&id).map(Box::as_mut).filter(|connection| !connection.closing)?;
        connection.closing = true;
        self.unbound[connection.peer.address.family() as usize].remove(&id);
        Some(connection)
    }

    pub(super) fn mark_dirty(&mut self, id: ConnectionId) {
        self.touch(id);
    }

    /// Finds one and marks it: it is about to have something to write.
    pub(super) fn touch(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.all.get_mut(&id).map(Box::as_mut)?;
        if !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push_back(id);
        }
        Some(connection)
    }

    /// The next that may have something to write, in the order they were marked.
    pub(super) fn pop_dirty(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.dirty.pop_front() {
            if let Some(connection) = self.all.get_mut(&id) {
                connection.dirty = false;
                return Some(id);
            }
        }
        None
    }

    /// Streams of a family without a session, oldest first.
    pub(super) fn unbound(&self, family: Family) -> &BTreeSet<ConnectionId> {
        &self.unbound[family as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.all.values().map(Box::as_ref)
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        let mut ids: Vec<ConnectionId> = self.all.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_stays_as_small_as_it_says() {
        assert_eq!(size_of::<Connection>(), 128);
    }
}
