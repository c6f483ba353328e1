//! The open connections, and the one place where the driver finds each.
//!
//! The driver hands over what is to be written and never waits: a stream has at most one batch that is not written,
//! because the server core gives the next only when this one is, and an exchange has one in all.

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cloud_channel_protocol::server::CloseReason;
use cloud_channel_protocol::{ConnectionId, NumberHasher};
use dashmap::DashMap;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::websocket::{Sent, Slot};

/// What becomes of an exchange.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The response, whole.
    Batch {
        /// A JSON array of messages.
        batch: Bytes,
        /// False if the request could not be read as messages at all.
        understood: bool,
    },
    /// There is none.
    Closed(CloseReason),
}

/// Where the driver leaves what is for one connection.
enum Seat {
    Stream(Arc<Slot>),
    /// Taken once it is answered; the seat stays until the answer is written.
    Exchange(Option<oneshot::Sender<Answer>>),
}

/// Connection number to seat. Connections enter and leave by themselves; the driver looks up.
#[derive(Default)]
pub(crate) struct ConnectionRegistry {
    seats: DashMap<ConnectionId, Seat, BuildHasherDefault<NumberHasher>>,
    last: AtomicU64,
}

impl ConnectionRegistry {
    /// Numbers a new stream.
    pub(super) fn enter_stream(&self, slot: Arc<Slot>) -> ConnectionId {
        self.enter(Seat::Stream(slot))
    }

    /// Numbers a new exchange; its answer comes here.
    pub(super) fn enter_exchange(&self) -> (ConnectionId, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        (self.enter(Seat::Exchange(Some(sender))), receiver)
    }

    fn enter(&self, seat: Seat) -> ConnectionId {
        let id = ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        self.seats.insert(id, seat);
        id
    }

    pub(super) fn leave(&self, id: ConnectionId) {
        self.seats.remove(&id);
    }

    /// Gives a connection a batch to write, in this turn of the driver; one that has left has nothing to write to.
    pub(crate) fn transmit(&self, id: ConnectionId, batch: Bytes, understood: bool, turn: u64) -> Sent {
        let slot = match self.seats.get_mut(&id).as_deref_mut() {
            Some(Seat::Stream(slot)) => slot.clone(),
            Some(Seat::Exchange(answer)) => {
                answered(answer, Answer::Batch { batch, understood });
                return Sent::Later;
            }
            None => return Sent::Later,
        };
        slot.transmit(batch, turn)
    }

    /// Closes a connection, after what was given before.
    pub(crate) fn close(&self, id: ConnectionId, reason: CloseReason) {
        tracing::info!(%id, reason = reason.as_str(), "closing");
        match self.seats.get_mut(&id).as_deref_mut() {
            Some(Seat::Stream(slot)) => slot.close(Some(code(reason)), reason.as_str()),
            Some(Seat::Exchange(answer)) => answered(answer, Answer::Closed(reason)),
            None => {}
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }
}

fn answered(waiting: &mut Option<oneshot::Sender<Answer>>, answer: Answer) {
    if let Some(waiting) = waiting.take() {
        // A client that has hung up meanwhile: the driver hears of it as of any closed connection.
        let _hung_up = waiting.send(answer);
    }
}

const fn code(reason: CloseReason) -> CloseCode {
    match reason {
        CloseReason::GoingAway => CloseCode::Away,
        CloseReason::Moved => CloseCode::Normal,
        CloseReason::NoSession | CloseReason::TooManyUnbound | CloseReason::StuckReader => CloseCode::Policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_answered_once_and_stays_until_it_leaves() {
        let registry = ConnectionRegistry::default();
        let (id, mut answer) = registry.enter_exchange();
        let sent = registry.transmit(id, Bytes::from_static(b"[]"), true, 1);
        assert_eq!(sent, Sent::Later, "written by nobody yet");
        registry.close(id, CloseReason::GoingAway);
        assert!(matches!(answer.try_recv(), Ok(Answer::Batch { understood: true, .. })));
        assert!(!registry.is_empty(), "it may not be written yet");
        registry.leave(id);
        assert!(registry.is_empty());
        assert_eq!(registry.transmit(id, Bytes::new(), true, 2), Sent::Later, "nobody is there");
    }
}
