//! Counters and sizes, for status and metrics.

use super::Server;
use super::family::Family;
use super::io::Carrier;
use crate::error::ErrorCode;

/// What the server has counted since it began, and how large it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Sessions alive.
    pub sessions: usize,
    /// Of them, those that have a WebSocket.
    pub streaming_sessions: usize,
    /// The sessions of peers on Unix sockets.
    pub unix_sessions: Carried,
    /// The sessions of peers on TCP, with TLS or without.
    pub tcp_sessions: Carried,
    /// The sessions of peers on vsock.
    pub vsock_sessions: Carried,
    /// Streams open.
    pub streams: usize,
    /// Requests that have no response yet.
    pub exchanges: usize,
    /// Connects that wait for an event or their time.
    pub held_connects: usize,
    /// Publishes and replays that wait for a verdict.
    pub pending_offers: usize,
    /// Events waiting in sessions' queues.
    pub queued_messages: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// The most events that have ever waited for one session.
    pub fullest_queue: usize,
    /// Messages received, bad ones included.
    pub received: u64,
    /// Events put into sessions' queues.
    pub delivered: u64,
    /// Events dropped from full queues.
    pub dropped: u64,
    /// Messages refused, by code.
    pub refused: Refused,
}

/// Sessions by what carries them now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// They have a WebSocket.
    pub websocket: usize,
    /// They come with requests, or are away.
    pub long_polling: usize,
}

/// How often each code was given as a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused([u64; ErrorCode::ALL.len()]);

impl Refused {
    pub(super) fn count(&mut self, code: ErrorCode) {
        let of_code = ErrorCode::ALL.iter().position(|of_all| *of_all == code);
        if let Some(count) = of_code.and_then(|at| self.0.get_mut(at)) {
            *count += 1;
        }
    }

    /// Each code with its count.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        ErrorCode::ALL.into_iter().zip(self.0)
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Server {
    /// Counters and sizes as of now. Looks at every session, so it is for status and metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats =
            Stats { sessions: self.sessions.len(), pending_offers: self.offers.len(), ..self.stats };
        for connection in self.connections.iter() {
            match connection.carrier {
                Carrier::Stream => stats.streams += 1,
                Carrier::Exchange => stats.exchanges += 1,
            }
        }
        for session in self.sessions.iter() {
            let carried = match session.peer.address.family() {
                Family::Unix => &mut stats.unix_sessions,
                Family::Tcp => &mut stats.tcp_sessions,
                Family::Vsock => &mut stats.vsock_sessions,
            };
            let streams = usize::from(session.stream.is_some());
            carried.websocket += streams;
            carried.long_polling += 1 - streams;
            stats.streaming_sessions += streams;
            stats.held_connects += usize::from(session.held.is_some());
            stats.queued_messages += session.queue.len();
            stats.queued_bytes += session.queue.bytes();
        }
        stats
    }
}
