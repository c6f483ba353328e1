//! The client core: one Bayeux session over WebSocket or long-polling, and its resumption over the next stream.
//!
//! ```text
//!            opened, no session        handshake ok            disconnect
//!   Away ───────────────────▶ Handshaking ────────▶ Connected ───────────▶ Disconnecting ──▶ Away, Ended
//!    │                            ▲                     ▲  │
//!    │ opened, session            │ session unknown     │  └─ stream closed, reply overdue ──▶ Away
//!    └───────────────────────▶ Resuming ────────────────┘
//! ```
//!
//! Whoever owns a [`Client`] tells it what happened (`opened`, `received`, `closed`, `handle_timeout` once the clock
//! has reached `next_timeout`) and what it wants (`subscribe`, `publish`, …), and after each call takes all outputs.
//! Nothing is sent before they are taken, so requests of one turn share frames.
//!
//! Long-polling is a stream too, as this core sees it: it is opened and lost. On it a frame is a request, and what is
//! received is its response. There are two of them at a time at most: the connect, which the server holds
//! (`ClientOutput::Hold`), and one for everything else (`ClientOutput::Transmit`), the next only after `answered`.
//!
//! What it does not do: dial, wait, choose among endpoints, repeat a publish, or tell duplicates apart.

mod acks;
mod backoff;
mod config;
mod connection_type;
mod deadlines;
mod heartbeat;
mod outbox;
mod output;
mod publishes;
mod replies;
mod request;
mod session;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::value::RawValue;

pub use self::backoff::Backoff;
pub use self::config::{ClientConfig, InvalidExt};
pub use self::output::{ClientOutput, CloseReason, EndReason, PublishError, PublishFailure, Request};

use self::acks::Acks;
use self::connection_type::ConnectionType;
use self::heartbeat::Heartbeat;
use self::outbox::Outbox;
use self::publishes::Publishes;
use self::request::RequestId;
use self::session::{Phase, Session};
use self::subscriptions::{Answer, Subscriptions};
use crate::channel::{ChannelKind, ChannelPattern};
use crate::limits::Limits;
use crate::publication::Publication;
use crate::server::ReplayFrom;
use crate::time::Now;

/// One client. See the module's text for how it is driven.
pub struct Client {
    limits: Limits,
    network_delay: Duration,
    max_in_flight: usize,
    /// Whether to offer the ack extension.
    ack: bool,
    /// The handshake's whole `ext`.
    handshake_ext: Option<Box<RawValue>>,
    /// The uptime at the last call.
    now: Duration,
    phase: Phase,
    connection: ConnectionType,
    session: Option<Session>,
    /// Counts sessions, so that late replies are told from current ones.
    session_number: u64,
    handshakes: u8,
    /// Streams in a row that did not resume the session, and the time of the first.
    resumptions: u8,
    unresumed_since: Duration,
    last_handshake: Duration,
    last_request: u64,
    /// The server speaks the replay extension.
    can_replay: bool,
    acks: Acks,
    heartbeat: Heartbeat,
    subscriptions: Subscriptions,
    publishes: Publishes,
    outbox: Outbox,
}

impl Client {
    /// A client without a stream.
    ///
    /// # Errors
    /// If `handshake_ext` is no JSON object.
    pub fn new(config: ClientConfig) -> Result<Self, InvalidExt> {
        let handshake_ext = config.whole_ext()?;
        Ok(Self {
            limits: config.limits,
            network_delay: config.network_delay,
            max_in_flight: config.max_in_flight,
            ack: config.ack,
            handshake_ext,
            now: Duration::ZERO,
            phase: Phase::Away,
            connection: ConnectionType::WebSocket,
            session: None,
            session_number: 0,
            handshakes: 0,
            resumptions: 0,
            unresumed_since: Duration::ZERO,
            last_handshake: Duration::ZERO,
            last_request: 0,
            can_replay: false,
            acks: Acks::default(),
            heartbeat: Heartbeat::new(),
            subscriptions: Subscriptions::default(),
            publishes: Publishes::default(),
            outbox: Outbox::default(),
        })
    }

    /// A new WebSocket is open. A session that is believed to be alive is resumed, otherwise a new one is begun.
    pub fn opened(&mut self, now: Now) {
        self.closed(now);
        self.begin(ConnectionType::WebSocket);
    }

    /// A server can be reached over long-polling. As [`Client::opened`].
    pub fn opened_long_polling(&mut self, now: Now) {
        self.closed(now);
        self.begin(ConnectionType::LongPolling);
    }

    /// The last [`ClientOutput::Transmit`] of long-polling has this response: the next may go out.
    pub fn answered(&mut self, now: Now, response: &[u8]) {
        self.received(now, response);
        self.outbox.answered();
    }

    /// One frame has come, or the response to a [`ClientOutput::Hold`].
    pub fn received(&mut self, now: Now, frame: &[u8]) {
        self.now = now.uptime;
        if !matches!(self.phase, Phase::Away) {
            self.read(frame);
        }
    }

    /// The stream is gone. Publishes in flight are given back as lost; the session is kept for the next stream.
    pub fn closed(&mut self, now: Now) {
        self.now = now.uptime;
        match self.phase {
            Phase::Away => {}
            Phase::Disconnecting { .. } => self.end(EndReason::Disconnected),
            _ => self.leave(),
        }
    }

    /// Subscribes now and after each new handshake. [`ClientOutput::Subscribed`] or
    /// [`ClientOutput::SubscribeRefused`] follows once the server has answered; refused at once if
    /// `subscriptions_per_session` of the limits are remembered already.
    pub fn subscribe(&mut self, now: Now, pattern: ChannelPattern) {
        self.now = now.uptime;
        self.add_subscription(pattern, None);
    }

    /// Subscribes to what the server has retained as well, from `from` on; after a new handshake, from the newest
    /// number on that has come. Only a server with the replay extension understands it, see [`Client::can_replay`].
    /// For the rest as [`Client::subscribe`].
    pub fn subscribe_from(&mut self, now: Now, pattern: ChannelPattern, from: ReplayFrom) {
        self.now = now.uptime;
        self.add_subscription(pattern, Some(from));
    }

    /// True if the replay extension was offered and the server has answered that it speaks it.
    #[must_use]
    pub const fn can_replay(&self) -> bool {
        self.can_replay
    }

    fn add_subscription(&mut self, pattern: ChannelPattern, from: Option<ReplayFrom>) {
        let limit = self.limits.subscriptions_per_session;
        match self.subscriptions.add(pattern, from, limit) {
            Answer::Settled => {}
            Answer::Subscribed(pattern) => self.outbox.tell(ClientOutput::Subscribed(pattern)),
            Answer::Refused(pattern) => {
                let error = format!("{limit} subscriptions are remembered already, expected fewer");
                self.outbox.tell(ClientOutput::SubscribeRefused { pattern, error });
            }
        }
    }

    /// Takes a subscription back. Events that are under way still come.
    pub fn unsubscribe(&mut self, now: Now, pattern: &ChannelPattern) {
        self.now = now.uptime;
        self.subscriptions.remove(pattern);
    }

    /// Publishes. One [`ClientOutput::PublishReply`] under the publication's id follows, whatever happens.
    ///
    /// # Errors
    /// If there is no session, too many await their replies, the id is missing or in flight, or the channel is a
    /// meta channel. Then nothing is sent.
    pub fn publish(&mut self, now: Now, publication: &Publication) -> Result<(), PublishError> {
        self.now = now.uptime;
        let channel = &publication.channel;
        if channel.kind() == ChannelKind::Meta {
            return Err(PublishError::Meta(channel.clone()));
        }
        let Some(id) = &publication.id else { return Err(PublishError::NoId(channel.clone())) };
        let (Phase::Connected, Some(session)) = (&self.phase, &self.session) else {
            return Err(PublishError::NotConnected(channel.clone()));
        };
        if self.publishes.len() >= self.max_in_flight {
            return Err(PublishError::Busy { channel: channel.clone(), limit: self.max_in_flight });
        }
        if self.publishes.contains(id) {
            return Err(PublishError::IdInFlight(id.clone()));
        }
        self.outbox.send(&request::publish(id, &session.client, publication));
        self.publishes.add(id, self.session_number, self.now);
        Ok(())
    }

    /// The events of this batch are durable. Only then does the next connect go out and tell the server to forget
    /// them. Numbers other than the last batch's are ignored: that batch comes again, or its session is gone.
    pub fn confirm(&mut self, now: Now, batch: u64) {
        self.now = now.uptime;
        self.acks.confirm(batch);
    }

    /// Has the server show that it is there, by subscribing anew to what is subscribed already: the next
    /// [`ClientOutput::Subscribed`] of this pattern is its answer. `None` if there is nothing to ask it for; a session that
    /// is not connected shows it by being resumed.
    pub fn probe(&mut self, now: Now) -> Option<ChannelPattern> {
        self.now = now.uptime;
        if self.is_connected() { self.subscriptions.repeat() } else { None }
    }

    /// Ends the session. [`ClientOutput::Ended`] follows, at the latest after the network delay.
    pub fn disconnect(&mut self, now: Now) {
        self.now = now.uptime;
        self.say_goodbye();
    }

    /// Does what is due. Too early a call does no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now.uptime;
        self.check_deadlines();
    }

    /// When [`Client::handle_timeout`] wants to be called next, as an uptime; ask after taking all outputs. A moment
    /// that has passed means now.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.next_deadline()
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        if let Some(output) = self.outbox.next() {
            return Some(output);
        }
        self.send_what_is_due();
        self.outbox.next()
    }

    /// True between [`ClientOutput::Connected`] and the end of the stream or session: publishes are taken.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    const fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("phase", &self.phase)
            .field("session", &self.session.is_some())
            .field("in_flight", &self.publishes.len())
            .finish_non_exhaustive()
    }
}
