//! Every limit of the protocol cores, in one place.

use std::time::Duration;

/// What a core accepts, keeps and waits for. Each limit's overflow has a typed, tested behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message. Over it: that message is refused with 413, the rest of its batch goes on.
    pub message_bytes: usize,
    /// Bytes of one batch as it comes from the wire. Over it: the batch is refused whole with 413.
    pub batch_bytes: usize,
    /// Bytes of input that is not processed yet, of all connections of one family of listeners together, beyond the
    /// first few of each message. Over it: what would be more is turned away, with the advice to come back. At least
    /// `batch_bytes`.
    pub input_bytes: usize,
    /// Messages in one batch. Over it: the batch is refused whole with 413.
    pub batch_messages: usize,
    /// Nesting of arrays and objects in one batch, the batch's own array included. Over it: refused with 400.
    pub json_depth: usize,
    /// Sessions alive at a time. Over it: a handshake is refused with 503 and the advice to come back.
    pub sessions: usize,
    /// Sessions of one peer: an IPv4 address, the upper half of an IPv6 address, a user of this machine, a vsock CID.
    /// Over it: as `sessions`.
    pub sessions_per_peer: usize,
    /// Streams of one family (TCP, Unix, vsock) that have no session. Over it: the oldest of them is closed.
    pub unbound_connections: usize,
    /// Subscriptions of one session. Over it: the subscribe is refused with 403.
    pub subscriptions_per_session: usize,
    /// Events waiting for one session. Over it: the oldest go, and a gap marker counts them.
    pub queued_messages: usize,
    /// Bytes of events waiting for one session; as `queued_messages`.
    pub queued_bytes: usize,
    /// Bytes of replies waiting for one connection that does not read. Over it: the connection is closed.
    pub reply_bytes: usize,
    /// The same as long as the connection has no session; as `reply_bytes`.
    pub unbound_reply_bytes: usize,
    /// Publishes whose acceptance is not settled yet. Over it: refused with 503.
    pub pending_offers: usize,
    /// The same of one connection, so that no peer can use up all of them; as `pending_offers`.
    pub pending_offers_per_connection: usize,
    /// How long a connection may live without a session or a first message. Over it: closed.
    pub handshake_deadline: Duration,
}

/// Sessions that no single peer may take: enough for the machine's own people and a few servers.
const FOR_OTHERS: usize = 16;

impl Limits {
    /// How many of all sessions one peer may have unless somebody says otherwise: all but 16, or but an eighth of
    /// them if that is less, and at least one. Many machines may be behind one address, so it is as much as leaves room for
    /// others.
    #[must_use]
    pub const fn sessions_for_one(sessions: usize) -> usize {
        let eighth = sessions.div_ceil(8);
        let for_others = if eighth < FOR_OTHERS { eighth } else { FOR_OTHERS };
        if sessions <= 1 { sessions } else { sessions - for_others }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 256 * 1024,
            batch_bytes: 1024 * 1024,
            input_bytes: 16 * 1024 * 1024,
            batch_messages: 4_096,
            json_depth: 64,
            sessions: 1_024,
            sessions_per_peer: Self::sessions_for_one(1_024),
            unbound_connections: 256,
            subscriptions_per_session: 256,
            queued_messages: 1_000,
            queued_bytes: 1024 * 1024,
            reply_bytes: 2 * 1024 * 1024,
            unbound_reply_bytes: 128 * 1024,
            pending_offers: 256,
            pending_offers_per_connection: 128,
            handshake_deadline: Duration::from_secs(10),
        }
    }
}
