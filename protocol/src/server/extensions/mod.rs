//! Extensions: what clients and server agree on beyond the Bayeux text, in `ext` (Bayeux 1.0, "Extensions").
//!
//! To write another, copy `timesync.rs` (answers requests) or `activity.rs` (keeps something of each session and
//! may end it), and hand it to [`Server::extend`](super::Server::extend). `ack` and `replay` are here too, but are
//! no [`Extension`]s: they change when events travel, which is the core's own business.
//!
//! What an extension does not know it leaves alone: `ext` and `data` of publishes reach their receivers untouched,
//! which is all that CometD's binary extension needs of a server.

pub(super) mod ack;
mod activity;
pub(super) mod replay;
mod timestamp;
mod timesync;

pub use activity::Activity;
pub use timestamp::Timestamp;
pub use timesync::Timesync;

use std::fmt;

use serde_json::value::RawValue;

use crate::advice::Reconnect;
use crate::channel::ChannelName;
use crate::error::BayeuxError;
use crate::ids::ClientId;
use crate::time::Now;

/// A message that has come in, as extensions see it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its channel.
    pub channel: &'a ChannelName,
    /// Its session, which is known to be alive; none for a handshake and for unconnected publishes.
    pub client: Option<ClientId>,
    /// Its `ext`, an object.
    pub ext: Option<&'a RawValue>,
}

/// An extension's refusal of a message.
#[derive(Debug)]
pub struct Veto {
    /// What the client reads.
    pub error: BayeuxError,
    /// If given, the session ends with it, and the client is advised so.
    pub ends_session: Option<Reconnect>,
}

/// A member of the reply's `ext`, made when the reply is: a held connect's is answered later than it was asked.
pub struct ReplyPart {
    name: &'static str,
    make: Box<dyn FnOnce(Now) -> String + Send>,
}

impl ReplyPart {
    /// `make` gives JSON text.
    pub fn new(name: &'static str, make: impl FnOnce(Now) -> String + Send + 'static) -> Self {
        Self { name, make: Box::new(make) }
    }

    /// The member's name and its JSON.
    pub(super) fn finish(self, now: Now) -> (&'static str, String) {
        (self.name, (self.make)(now))
    }
}

impl fmt::Debug for ReplyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyPart({})", self.name)
    }
}

/// The optional fields of what goes out that no rule of the core sets.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// `timestamp`, ISO 8601.
    pub timestamp: Option<String>,
}

/// Hooks into what comes in and goes out. All have a default that does nothing.
pub trait Extension: Send {
    /// Looks at a message before it is processed. What it returns joins the reply's `ext`.
    ///
    /// # Errors
    /// If the message is not to be processed.
    fn received(&mut self, _now: Now, _message: &Incoming<'_>) -> Result<Option<ReplyPart>, Veto> {
        Ok(None)
    }

    /// Adds to a reply, or to an event, which is made once for all its receivers.
    fn outgoing(&self, _now: Now, _message: &mut Outgoing) {}

    /// A session has ended: whatever is kept of it may go.
    fn ended(&mut self, _client: ClientId) {}
}

/// Those of one server, in the order they were added.
#[derive(Default)]
pub(super) struct Extensions(Vec<Box<dyn Extension>>);

impl Extensions {
    pub(super) fn push(&mut self, extension: Box<dyn Extension>) {
        self.0.push(extension);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn received(&mut self, now: Now, message: &Incoming<'_>) -> Result<Vec<ReplyPart>, Veto> {
        let mut parts = Vec::new();
        for extension in &mut self.0 {
            parts.extend(extension.received(now, message)?);
        }
        Ok(parts)
    }

    pub(super) fn outgoing(&self, now: Now) -> Outgoing {
        let mut message = Outgoing::default();
        for extension in &self.0 {
            extension.outgoing(now, &mut message);
        }
        message
    }

    pub(super) fn ended(&mut self, client: ClientId) {
        for extension in &mut self.0 {
            extension.ended(client);
        }
    }
}
