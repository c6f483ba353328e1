//! Orders on their way to the clerk.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use cloud_channel_protocol::BayeuxError;

use super::Order;
use crate::journal::JournalSize;
use crate::metrics::Depth;

/// Orders that others' messages cause, at most; what follows from a push already accepted is never refused, and
/// is bounded by the number of modules and of waiting events.
const QUEUE: usize = 1_024;

#[derive(Debug, Default)]
struct Waiting {
    orders: VecDeque<Order>,
    depth: Depth,
    closed: bool,
}

/// First in, first out, between the driver and the clerk.
#[derive(Debug, Default)]
pub(super) struct OrderQueue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// How much the journal held after the last orders.
    size: Mutex<JournalSize>,
}

impl OrderQueue {
    fn put(&self, order: Order) -> Result<(), BayeuxError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return Err(BayeuxError::busy("The daemon is ending, send it again later"));
        }
        if !order.follows_a_promise() && waiting.orders.len() >= QUEUE {
            return Err(BayeuxError::busy("Too much is waiting to be recorded, send it again later"));
        }
        waiting.orders.push_back(order);
        let now = waiting.orders.len();
        waiting.depth.note(now);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for orders and takes up to `most`: none at all once the patience is over, `None` once the queue is
    /// closed and empty.
    pub(super) fn take(&self, most: usize, patience: Option<Duration>) -> Option<Vec<Order>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |waiting: &mut Waiting| waiting.orders.is_empty() && !waiting.closed;
        waiting = match patience {
            None => self.changed.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.changed.wait_timeout_while(waiting, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if waiting.closed && waiting.orders.is_empty() {
            return None;
        }
        let count = waiting.orders.len().min(most);
        Some(waiting.orders.drain(..count).collect())
    }

    /// Notes how much the journal holds now.
    pub(super) fn note_size(&self, size: JournalSize) {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = size;
    }

    pub(super) fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}

/// How the driver reaches the clerk.
#[derive(Debug, Clone)]
pub(crate) struct ClerkHandle(Arc<OrderQueue>);

impl ClerkHandle {
    pub(super) fn new(queue: Arc<OrderQueue>) -> Self {
        Self(queue)
    }

    /// Gives an order; never waits.
    ///
    /// # Errors
    /// If too many wait already, or the clerk has ended.
    pub(crate) fn order(&self, order: Order) -> Result<(), BayeuxError> {
        self.0.put(order)
    }

    /// How many orders wait, and waited at most.
    pub(crate) fn depth(&self) -> Depth {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Depth { now: waiting.orders.len(), ..waiting.depth }
    }

    /// How much the journal held when the clerk had last carried out orders.
    pub(crate) fn journal_size(&self) -> JournalSize {
        *self.0.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more orders will come; those that wait are still carried out.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}
