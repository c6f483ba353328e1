//! The Bayeux server core: a value that is fed inputs and gives outputs.
//!
//! One owner drives it: [`Server::handle`] for what happens, [`Server::handle_timeout`] when the clock has
//! reached [`Server::next_timeout`], then [`Server::poll_output`] until it is empty. The server never waits:
//! a stream that does not take its bytes only fills its own session's bounded queue.
//!
//! This file dispatches inputs. `receive` reads messages and finds their rule; the rules are in `meta` (handshake,
//! connect, subscribe, …) and `publish` (who gets what); `delivery` makes frames of queues; `lifecycle` is how
//! connections and sessions begin and end; `probe` asks whether a client is still there; `extensions` are in files of their own.

mod batch;
mod connection;
mod delivery;
pub mod extensions;
mod family;
mod io;
mod lifecycle;
mod meta;
mod outgoing;
mod policy;
mod probe;
mod publish;
mod queue;
mod receive;
mod reply;
mod session;
mod source;
mod stats;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

use batch::Batch;
use connection::Connections;
pub use extensions::replay::ReplayFrom;
use extensions::{Extension, Extensions};
pub use family::{Family, InvalidFamily};
pub use io::{
    Carrier, CloseReason, EndReason, Input, LocalId, LocalSession, OfferId, Output, Sender, ServerConfig,
};
pub use policy::{BearerToken, Certificate, Peer, PeerAddress, Principal, SecurityPolicy};
use publish::PendingOffer;
use session::{SessionKey, Sessions};
pub use stats::{Carried, Refused, Stats};
use subscriptions::SubscriptionIndex;
use timers::{Timer, Timers};

use crate::ids::{ConnectionId, IdSource};
use crate::number_map::NumberMap;
use crate::time::Now;

const HANDSHAKE: &str = "/meta/handshake";

/// A Bayeux server. See the module's text for how to drive it.
pub struct Server {
    config: ServerConfig,
    policy: Box<dyn SecurityPolicy>,
    ids: Box<dyn IdSource>,
    extensions: Extensions,
    sessions: Sessions,
    connections: Connections,
    subscriptions: SubscriptionIndex,
    /// Sessions that a replay was begun for, some of which may have caught up since.
    behind: Vec<SessionKey>,
    locals: Vec<LocalSession>,
    offers: NumberMap<OfferId, PendingOffer>,
    last_offer: u64,
    timers: Timers,
    /// Sessions whose held connect has something to carry.
    ripe: VecDeque<SessionKey>,
    outputs: VecDeque<Output>,
    /// The last batch of events alone: whoever has the same ones waiting is given it too.
    shared: Batch,
    stats: Stats,
    /// A message that is being written.
    draft: String,
    /// The time of the last call.
    now: Now,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Server {
    /// A server without sessions.
    #[must_use]
    pub fn new(config: ServerConfig, policy: Box<dyn SecurityPolicy>, ids: Box<dyn IdSource>) -> Self {
        Self {
            config,
            policy,
            ids,
            extensions: Extensions::default(),
            sessions: Sessions::default(),
            connections: Connections::default(),
            subscriptions: SubscriptionIndex::default(),
            behind: Vec::new(),
            locals: Vec::new(),
            offers: NumberMap::default(),
            last_offer: 0,
            timers: Timers::default(),
            ripe: VecDeque::new(),
            outputs: VecDeque::new(),
            shared: Batch::default(),
            stats: Stats::default(),
            draft: String::new(),
            now: Now { uptime: Duration::ZERO, wall: Duration::ZERO },
        }
    }

    /// Adds a local session. The first one that accepts a channel is asked about its publishes.
    pub fn attach(&mut self, local: LocalSession) {
        self.locals.push(local);
    }

    /// Adds an extension. They see messages in the order they were added.
    pub fn extend(&mut self, extension: Box<dyn Extension>) {
        self.extensions.push(extension);
    }

    /// Takes in what has happened. Outputs wait in [`Server::poll_output`].
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Opened { connection, peer, carrier } => self.opened(connection, peer, carrier),
            Input::Received { connection, bytes } => self.received(connection, bytes),
            Input::Writable { connection } => self.written(connection),
            Input::Closed { connection } => self.closed(connection),
            Input::Publish { publication, receipt } => self.publish_own(publication, receipt),
            Input::Tell { client, publication, receipt } => self.tell(client, publication, receipt),
            Input::Replayed { client, pattern, publication, receipt } => {
                self.replayed(client, pattern, publication, receipt);
            }
            Input::CaughtUp { client, pattern } => self.caught_up(client, pattern),
            Input::Settled { offer, verdict } => self.settle(offer, verdict),
            Input::Probe { client } => self.probe(client),
            Input::Drain => self.drain(),
        }
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        while let Some(timer) = self.timers.pop_due(now.uptime) {
            match timer {
                Timer::Session(key) => self.session_due(key),
                Timer::Handshake(connection) => self.handshake_due(connection),
            }
        }
    }

    /// When [`Server::handle_timeout`] is to be called next, on the clock of [`Now::uptime`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// The next thing to do. Frames are put together only when nothing else is left, so that all inputs handled
    /// before the poll share one write per connection; and held connects are answered only with what no other
    /// response has taken along.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if let Some(connection) = self.connections.pop_dirty() {
                self.flush(connection);
            } else if let Some(key) = self.ripe.pop_front() {
                self.answer_ripe(key);
            } else {
                // Nobody else will have the same, and it may be large.
                self.shared = Batch::default();
                return None;
            }
        }
    }
}
