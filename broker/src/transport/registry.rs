//! The open connections, and the one place where each finds what it has to write.
//!
//! The driver puts a frame into a connection's slot and never waits: there is at most one frame, because the
//! server core gives the next only when this one is reported as written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cloud_channel_protocol::ConnectionId;
use cloud_channel_protocol::server::CloseReason;
use dashmap::DashMap;
use tokio::sync::Notify;

/// What a connection has to do next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Write a frame and say so.
    Frame(Bytes),
    /// Close, after what was given before.
    Close(CloseReason),
}

/// Holds what one connection has to do, until it does it.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    waiting: Mutex<(Option<Bytes>, Option<CloseReason>)>,
    changed: Notify,
}

impl Slot {
    fn put(&self, outgoing: Outgoing) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match outgoing {
            Outgoing::Frame(frame) => waiting.0 = Some(frame),
            Outgoing::Close(reason) => waiting.1 = Some(reason),
        }
        drop(waiting);
        self.changed.notify_one();
    }

    fn take(&self) -> Option<Outgoing> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = waiting.0.take().map(Outgoing::Frame);
        frame.or_else(|| waiting.1.take().map(Outgoing::Close))
    }

    /// Waits for something to do. Nothing is lost if the wait is abandoned.
    pub(crate) async fn next(&self) -> Outgoing {
        loop {
            if let Some(outgoing) = self.take() {
                return outgoing;
            }
            self.changed.notified().await;
        }
    }
}

/// Connection number to slot. Connections enter and leave by themselves; the driver looks up.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRegistry {
    slots: DashMap<ConnectionId, Arc<Slot>>,
    last: AtomicU64,
}

impl ConnectionRegistry {
    /// Numbers a new connection and gives it its slot.
    pub(crate) fn enter(&self) -> (ConnectionId, Arc<Slot>) {
        let id = ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let slot = Arc::new(Slot::default());
        self.slots.insert(id, slot.clone());
        (id, slot)
    }

    pub(crate) fn leave(&self, id: ConnectionId) {
        self.slots.remove(&id);
    }

    /// Gives a connection something to do; one that has left has nothing to do any more.
    pub(crate) fn put(&self, id: ConnectionId, outgoing: Outgoing) {
        let slot = self.slots.get(&id).map(|entry| entry.value().clone());
        if let Some(slot) = slot {
            slot.put(outgoing);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
