//! What goes into the server and what comes out.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::extensions::replay::ReplayFrom;
use super::policy::{Peer, PeerAddress, Principal};
use crate::advice::{Advice, Reconnect};
use crate::channel::ChannelPattern;
use crate::error::BayeuxError;
use crate::ids::{ClientId, ConnectionId};
use crate::limits::Limits;
use crate::publication::Publication;

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What it accepts, keeps and waits for.
    pub limits: Limits,
    /// What it tells its clients: `timeout` is how long a connect is held.
    pub advice: Advice,
    /// How much longer than `advice.interval` a client may stay away.
    pub max_interval: Duration,
    /// How sessions may be carried, as the shell can; a handshake needs one of them.
    pub connection_types: &'static [&'static str],
    /// Whether the shell keeps events and answers [`Output::Replay`].
    pub replay: bool,
}

impl Default for ServerConfig {
    /// Times as CometD documents them: connects held for 30 s, sessions kept for 10 s.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            advice: Advice {
                reconnect: Reconnect::Retry,
                interval: Duration::ZERO,
                timeout: Duration::from_secs(30),
            },
            max_interval: Duration::from_secs(10),
            connection_types: &["websocket", "long-polling"],
            replay: false,
        }
    }
}

/// A session inside this process: a service that publishes, subscribes and accepts like any client, without
/// handshake or stream (CometD's local session).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u16);

/// What a local session takes part in.
#[derive(Debug, Clone)]
pub struct LocalSession {
    /// Its number, chosen by whoever attaches it.
    pub id: LocalId,
    /// Publishes that it alone is asked about: they go to nobody else, and their reply waits for its verdict.
    pub accepts: Vec<ChannelPattern>,
    /// Channels it hears like any subscriber.
    pub subscribes: Vec<ChannelPattern>,
}

/// A publish that waits for its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfferId(pub u64);

/// Who published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Whom the policy took it for.
    pub principal: Principal,
    /// Its session; none for an unconnected publish.
    pub client: Option<ClientId>,
    /// Where it is.
    pub address: PeerAddress,
}

/// What a connection can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A WebSocket: frames both ways until it is closed, events pushed at any time.
    Stream,
    /// One HTTP request and its response: a single [`Input::Received`], answered by a single [`Output::Transmit`].
    Exchange,
}

/// What happens to the server.
pub enum Input<'a> {
    /// There is a new connection.
    Opened {
        /// Its number, not used before.
        connection: ConnectionId,
        /// Who is at its other end.
        peer: Peer,
        /// What it can do.
        carrier: Carrier,
    },
    /// A frame, or a request's body, has come in.
    Received {
        /// Where.
        connection: ConnectionId,
        /// All of it.
        bytes: &'a [u8],
    },
    /// What was last given with [`Output::Transmit`] has been written.
    Writable {
        /// Where.
        connection: ConnectionId,
    },
    /// The stream is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// A local session publishes to all who may hear it.
    Publish {
        /// The message.
        publication: &'a Publication,
        /// If given, [`Output::Receipt`] names it once a peer has taken the event.
        receipt: Option<u64>,
    },
    /// A local session tells one client something.
    Tell {
        /// The client; one that is gone hears nothing.
        client: ClientId,
        /// The message.
        publication: &'a Publication,
        /// As with `Publish`.
        receipt: Option<u64>,
    },
    /// An event that a replay has found. What the client may not receive, or has unsubscribed from since, is
    /// passed over.
    Replayed {
        /// Whose replay.
        client: ClientId,
        /// Which of its subscriptions.
        pattern: &'a ChannelPattern,
        /// The event.
        publication: &'a Publication,
        /// Given back as [`Output::Receipt`] once the client has it, or at once if it is passed over.
        receipt: Option<u64>,
    },
    /// A replay has handed over everything: from now on the subscription hears what is published.
    CaughtUp {
        /// Whose replay.
        client: ClientId,
        /// Which of its subscriptions.
        pattern: &'a ChannelPattern,
    },
    /// A verdict on an offer or a replay: the reply goes out now.
    Settled {
        /// Which offer.
        offer: OfferId,
        /// Accepted, or the refusal that the publisher reads.
        verdict: Result<(), BayeuxError>,
    },
    /// Has a client show that it is there: [`Output::Proven`] follows if it does.
    Probe {
        /// The client.
        client: ClientId,
    },
    /// The server is about to end: held connects are answered and every connection is closed.
    Drain,
}

/// Why a connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// It has had no session for too long.
    NoSession,
    /// Too many connections have none.
    TooManyUnbound,
    /// Its session goes on over another stream.
    Moved,
    /// It does not read its replies.
    StuckReader,
    /// The server ends.
    GoingAway,
}

impl CloseReason {
    /// For people and for close frames.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSession => "no session within the handshake deadline",
            Self::TooManyUnbound => "too many connections without a session",
            Self::Moved => "the session continues on another connection",
            Self::StuckReader => "replies are not being read",
            Self::GoingAway => "the server is ending",
        }
    }
}

/// Why a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client disconnected.
    Disconnected,
    /// It stayed away.
    Expired,
    /// It began a new session on the same stream.
    Replaced,
    /// The policy does not let it go on.
    Revoked,
    /// An extension has ended it.
    Vetoed,
}

/// What the shell has to do.
pub enum Output {
    /// Write this as one frame, then say [`Input::Writable`].
    Transmit {
        /// Where.
        connection: ConnectionId,
        /// A JSON array of messages, shared by all connections that get the same.
        batch: Bytes,
        /// False if what was received could not be read as messages at all (HTTP status 400).
        understood: bool,
    },
    /// Write what was given before, then close.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// Ask a local session about a publish, and bring its verdict as [`Input::Settled`].
    Offer {
        /// Names the verdict.
        offer: OfferId,
        /// Who is asked.
        to: LocalId,
        /// Who published.
        sender: Sender,
        /// The message.
        publication: Publication,
    },
    /// Hand an event to a local session that subscribes to it.
    Deliver {
        /// To whom.
        to: LocalId,
        /// Who published.
        sender: Sender,
        /// The message.
        publication: Publication,
    },
    /// A client subscribes and wants what is retained. Decide with [`Input::Settled`]; if it is granted, hand over
    /// the events of each pattern in order with [`Input::Replayed`], and end it with [`Input::CaughtUp`].
    Replay {
        /// Names the verdict.
        offer: OfferId,
        /// Who.
        client: ClientId,
        /// Its patterns, and from where on each.
        wanted: Vec<(ChannelPattern, ReplayFrom)>,
    },
    /// A peer has taken an event that was published with this receipt. May come more than once.
    Receipt(u64),
    /// A client has subscribed to more than before.
    Subscribed {
        /// Who.
        client: ClientId,
        /// Whom the policy takes it for.
        principal: Principal,
        /// The new patterns.
        added: Vec<ChannelPattern>,
        /// What it was subscribed to already.
        had: Vec<ChannelPattern>,
    },
    /// A client that was asked for it has shown that it is there: it was given something since, and has said something
    /// after that.
    Proven {
        /// The client.
        client: ClientId,
    },
    /// A session has begun.
    SessionBegun {
        /// Whose.
        client: ClientId,
        /// Whom the policy takes it for.
        principal: Principal,
        /// Over which stream.
        connection: ConnectionId,
        /// Where its peer is.
        address: PeerAddress,
    },
    /// A session has ended.
    SessionEnded {
        /// Whose.
        client: ClientId,
        /// Why.
        reason: EndReason,
    },
}

// Not derived: a frame may hold a password, and a handshake's reply holds the session's credential.
impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { connection, peer, carrier } => {
                write!(f, "Opened({connection}, {peer}, {carrier:?})")
            }
            Self::Received { connection, bytes } => {
                write!(f, "Received({connection}, {} bytes)", bytes.len())
            }
            Self::Writable { connection } => write!(f, "Writable({connection})"),
            Self::Closed { connection } => write!(f, "Closed({connection})"),
            Self::Publish { publication, receipt } => {
                write!(f, "Publish({publication:?}, receipt {receipt:?})")
            }
            Self::Tell { client, publication, receipt } => {
                write!(f, "Tell({client}, {publication:?}, receipt {receipt:?})")
            }
            Self::Replayed { client, pattern, publication, receipt } => {
                write!(f, "Replayed({client}, {pattern}, {publication:?}, receipt {receipt:?})")
            }
            Self::CaughtUp { client, pattern } => write!(f, "CaughtUp({client}, {pattern})"),
            Self::Settled { offer, verdict } => write!(f, "Settled({offer:?}, {verdict:?})"),
            Self::Probe { client } => write!(f, "Probe({client})"),
            Self::Drain => f.write_str("Drain"),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transmit { connection, batch, .. } => {
                write!(f, "Transmit({connection}, {} bytes)", batch.len())
            }
            Self::Close { connection, reason } => write!(f, "Close({connection}, {reason:?})"),
            Self::Offer { offer, to, sender, publication } => {
                write!(f, "Offer({offer:?}, {to:?}, {sender:?}, {publication:?})")
            }
            Self::Deliver { to, sender, publication } => {
                write!(f, "Deliver({to:?}, {sender:?}, {publication:?})")
            }
            Self::Replay { offer, client, wanted } => write!(f, "Replay({offer:?}, {client}, {wanted:?})"),
            Self::Receipt(receipt) => write!(f, "Receipt({receipt})"),
            Self::Subscribed { client, principal, added, had } => {
                write!(f, "Subscribed({client}, {principal}, {added:?}, had {had:?})")
            }
            Self::Proven { client } => write!(f, "Proven({client})"),
            Self::SessionBegun { client, principal, connection, .. } => {
                write!(f, "SessionBegun({client}, {principal}, {connection})")
            }
            Self::SessionEnded { client, reason } => write!(f, "SessionEnded({client}, {reason:?})"),
        }
    }
}
