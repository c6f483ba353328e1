//! How many streams a listener lets in, and who has to leave when it is full.
//!
//! A stream counts as long as it lives, whatever is spoken on it. There is room for twice as many as there can be
//! sessions, as a client of long-polling has two streams at a time, and for the newcomers that have none. The rest
//! waits in the kernel's bounded backlog. What has a session or a request under way always fits, because the core
//! bounds the one and deadlines the other; so when the door is full, streams are there that owe us a request: kept alive
//! between two, silent, or in the middle of a head. The one that has owed it longest makes room for a newcomer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cloud_channel_protocol::Limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::watch::Watch;

/// The streams of one listener.
#[derive(Debug)]
pub(super) struct Door {
    places: Arc<Semaphore>,
    /// Those that speak HTTP: a WebSocket is the core's to close.
    streams: Mutex<HashMap<u64, Arc<Watch>>>,
    last: AtomicU64,
}

/// Keeps a stream known to its door.
#[derive(Debug)]
pub(super) struct Entered {
    door: Arc<Door>,
    number: u64,
}

impl Door {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(2 * limits.sessions + limits.unbound_connections)),
            streams: Mutex::default(),
            last: AtomicU64::new(0),
        })
    }

    /// A place for one more stream, as soon as there is one.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return place;
        }
        self.make_room();
        self.places.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Sends away the stream that has owed us a request longest.
    pub(super) fn make_room(&self) {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let owing =
            streams.values().filter_map(|watch| watch.owes_request_since().map(|since| (since, watch)));
        if let Some((_, watch)) = owing.min_by_key(|(since, _)| *since) {
            watch.send_away();
        }
    }

    /// Knows a watch, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>, watch: Arc<Watch>) -> Entered {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(number, watch);
        Entered { door: self.clone(), number }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.door.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
