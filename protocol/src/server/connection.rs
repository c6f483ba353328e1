//! One stream as the server sees it: whose it is, and what waits to be written to it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::io::Carrier;
use super::policy::Peer;
use super::queue::QueuedEvent;
use super::session::SessionKey;
use crate::ids::ConnectionId;

pub(super) struct Connection {
    pub(super) peer: Peer,
    pub(super) carrier: Carrier,
    pub(super) session: Option<SessionKey>,
    /// False while the shell is writing what it was given last.
    pub(super) writable: bool,
    /// Finished messages that are never dropped: replies, and what an ack session's connect carries.
    outgoing: VecDeque<String>,
    outgoing_bytes: usize,
    /// Events given to the shell and not yet known to be written.
    pub(super) in_flight: Vec<QueuedEvent>,
    /// Whose they are. A later session on the same stream must not inherit them.
    pub(super) in_flight_of: Option<SessionKey>,
    /// It has been told to close: nothing more is read from it or written to it.
    pub(super) closing: bool,
    /// Its deadline in `Timers` while it has no session.
    pub(super) armed: Option<Duration>,
}

impl Connection {
    pub(super) fn new(peer: Peer, carrier: Carrier) -> Self {
        Self {
            peer,
            carrier,
            session: None,
            writable: true,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            in_flight: Vec::new(),
            in_flight_of: None,
            closing: false,
            armed: None,
        }
    }

    /// Takes back what was given to the shell for this session and is not known to be written.
    pub(super) fn take_unwritten(&mut self, of: SessionKey) -> Vec<QueuedEvent> {
        if self.in_flight_of == Some(of) { std::mem::take(&mut self.in_flight) } else { Vec::new() }
    }

    pub(super) fn push(&mut self, message: String) {
        self.outgoing_bytes += message.len();
        self.outgoing.push_back(message);
    }

    pub(super) fn outgoing_bytes(&self) -> usize {
        self.outgoing_bytes
    }

    /// Takes the oldest messages, up to `max_bytes` of them with their commas, but at least one.
    pub(super) fn take_outgoing(&mut self, max_bytes: usize) -> Vec<String> {
        let mut taken = Vec::new();
        let mut size = 0;
        while let Some(message) = self.outgoing.front() {
            size += message.len() + 1;
            if size > max_bytes && !taken.is_empty() {
                break;
            }
            self.outgoing_bytes -= message.len();
            taken.extend(self.outgoing.pop_front());
        }
        taken
    }
}

/// All connections, and which of them may have something to write.
#[derive(Default)]
pub(super) struct Connections {
    all: HashMap<ConnectionId, Connection>,
    dirty: BTreeSet<ConnectionId>,
    unbound: usize,
}

impl Connections {
    pub(super) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        self.unbound += 1;
        self.all.insert(id, connection);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.dirty.remove(&id);
        let connection = self.all.remove(&id)?;
        self.unbound -= usize::from(connection.session.is_none());
        Some(connection)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.all.get_mut(&id)
    }

    /// Ties a connection to a session or frees it.
    pub(super) fn bind(&mut self, id: ConnectionId, session: Option<SessionKey>) {
        let Some(connection) = self.all.get_mut(&id) else { return };
        self.unbound += usize::from(session.is_none());
        self.unbound -= usize::from(connection.session.is_none());
        connection.session = session;
    }

    pub(super) fn mark_dirty(&mut self, id: ConnectionId) {
        self.dirty.insert(id);
    }

    pub(super) fn pop_dirty(&mut self) -> Option<ConnectionId> {
        self.dirty.pop_first()
    }

    /// Connections without a session.
    pub(super) fn unbound(&self) -> usize {
        self.unbound
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        let mut ids: Vec<ConnectionId> = self.all.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}
