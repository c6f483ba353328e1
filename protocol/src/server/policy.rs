//! Who may do what: asked for every message, and again for every delivery.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::family::Family;
use crate::channel::{ChannelName, ChannelPattern};
use crate::error::BayeuxError;

/// Where a connection comes from, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAddress {
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

impl PeerAddress {
    /// The family of its socket.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Unix { .. } => Family::Unix,
            Self::Tcp(_) => Family::Tcp,
            Self::Vsock { .. } => Family::Vsock,
        }
    }
}

/// The certificate that a peer has proved to own in a mutual TLS handshake, verified against the configured CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its DER form.
    pub fingerprint: [u8; 32],
    /// Its subject alternative names (DNS names and URIs), as they stand there.
    pub names: Vec<String>,
}

/// What a peer's HTTP request carried as `Authorization: Bearer`, not looked at yet.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// Wraps one.
    #[must_use]
    pub const fn new(token: String) -> Self {
        Self(token)
    }

    /// The secret itself, for comparing.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

// Not derived: it is a secret.
impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// The other end of a connection: where it is, and what it has shown of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it comes from.
    pub address: PeerAddress,
    /// Its TLS client certificate, if it has shown a valid one.
    pub certificate: Option<Arc<Certificate>>,
    /// The token its request carried, if any.
    pub bearer: Option<BearerToken>,
}

impl Peer {
    /// True if both are the same party as far as can be told without its credentials: a session may move only
    /// between streams for which this holds, so that a stolen clientId is worth nothing from elsewhere.
    #[must_use]
    pub fn same_party(&self, other: &Self) -> bool {
        let same_address = match (&self.address, &other.address) {
            (PeerAddress::Unix { uid }, PeerAddress::Unix { uid: theirs }) => uid == theirs,
            (PeerAddress::Tcp(address), PeerAddress::Tcp(theirs)) => address.ip() == theirs.ip(),
            (PeerAddress::Vsock { cid, .. }, PeerAddress::Vsock { cid: theirs, .. }) => cid == theirs,
            _ => false,
        };
        same_address && self.certificate == other.certificate
    }
}

impl From<PeerAddress> for Peer {
    fn from(address: PeerAddress) -> Self {
        Self { address, certificate: None, bearer: None }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            PeerAddress::Unix { uid } => write!(f, "unix uid {uid}"),
            PeerAddress::Tcp(address) => write!(f, "tcp {address}"),
            PeerAddress::Vsock { cid, port } => write!(f, "vsock {cid}:{port}"),
        }?;
        match self.certificate.as_ref().and_then(|certificate| certificate.names.first()) {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

/// Whom the policy took a peer for when it let it in. The policy alone gives it a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    name: Arc<str>,
    rights: u64,
    credential: u64,
}

impl Principal {
    /// Names one.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), rights: 0, credential: 0 }
    }

    /// The same with the policy's own word on what it may do.
    #[must_use]
    pub fn with_rights(self, rights: u64) -> Self {
        Self { rights, ..self }
    }

    /// The same with the policy's own number of the credential it has shown; 0 is none.
    #[must_use]
    pub fn with_credential(self, credential: u64) -> Self {
        Self { credential, ..self }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// What [`Self::with_rights`] has noted.
    #[must_use]
    pub const fn rights(&self) -> u64 {
        self.rights
    }

    /// What [`Self::with_credential`] has noted.
    #[must_use]
    pub const fn credential(&self) -> u64 {
        self.credential
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
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

    /// May a session go on? Asked for each of its messages, as its credential may have been taken away.
    ///
    /// # Errors
    /// The refusal, as the peer will read it; with 401 it is told not to come back.
    fn may_continue(&self, _principal: &Principal) -> Result<(), BayeuxError> {
        Ok(())
    }

    /// May it ask for this pattern? What arrives is decided anew for each channel by [`Self::may_receive`].
    fn may_subscribe(&self, principal: &Principal, pattern: &ChannelPattern) -> bool;

    /// May it publish there?
    fn may_publish(&self, principal: &Principal, channel: &ChannelName) -> bool;

    /// May it be handed an event of this channel? Asked for each delivery: a wildcard never widens authority.
    fn may_receive(&self, principal: &Principal, channel: &ChannelName) -> bool;
}
