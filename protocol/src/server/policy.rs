//! Who may do what: asked for every message, and again for every delivery.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::channel::{ChannelName, ChannelPattern};
use crate::error::BayeuxError;

/// The other end of a connection, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A Unix socket's peer credentials (unix(7), `SO_PEERCRED`).
    Unix {
        /// Effective user id when it connected.
        uid: u32,
    },
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A vsock peer (vsock(7)).
    Vsock {
        /// Context id; 2 is the host.
        cid: u32,
        /// Source port; below 1024 only privileged processes can bind.
        port: u32,
    },
}

impl Peer {
    /// True if both are the same party as far as the kernel can tell: a session may move only between streams
    /// for which this holds, so that a stolen clientId is worth nothing from elsewhere.
    #[must_use]
    pub fn same_party(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix { uid }, Self::Unix { uid: theirs }) => uid == theirs,
            (Self::Tcp(address), Self::Tcp(theirs)) => address.ip() == theirs.ip(),
            (Self::Vsock { cid, .. }, Self::Vsock { cid: theirs, .. }) => cid == theirs,
            _ => false,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { uid } => write!(f, "unix uid {uid}"),
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Vsock { cid, port } => write!(f, "vsock {cid}:{port}"),
        }
    }
}

/// Whom the policy took a peer for when it let it in. The policy alone gives it a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Names one.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rules. Protocol rules (meta channels, known sessions) come first and are not the policy's business; neither
/// is what a local session accepts.
pub trait SecurityPolicy: Send {
    /// May this peer have a session? The principal stays with the session. `ext` holds its credentials, if any.
    ///
    /// # Errors
    /// The refusal, as the peer will read it.
    fn admit(&self, peer: &Peer, ext: Option<&RawValue>) -> Result<Principal, BayeuxError>;

    /// May a message without a session be looked at, and as whom? (Bayeux 1.0, "unconnected clients".)
    ///
    /// # Errors
    /// The refusal, as the peer will read it.
    fn admit_unconnected(&self, peer: &Peer) -> Result<Principal, BayeuxError>;

    /// May it ask for this pattern? What arrives is decided anew for each channel by [`Self::may_receive`].
    fn may_subscribe(&self, principal: &Principal, pattern: &ChannelPattern) -> bool;

    /// May it publish there?
    fn may_publish(&self, principal: &Principal, channel: &ChannelName) -> bool;

    /// May it be handed an event of this channel? Asked for each delivery: a wildcard never widens authority.
    fn may_receive(&self, principal: &Principal, channel: &ChannelName) -> bool;
}
