//! Whose messages show that a change of the network has not cut the machine off: whoever has pushed it, over the kind of
//! transport it was pushed over.

use std::fmt;

use cloud_channel_protocol::server::{PeerAddress, Principal};
use serde::{Deserialize, Serialize};

/// The dialled side, or a peer as the rules know it and where it comes from. Two sessions of one peer are one witness: the
/// first may be lost with the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Witness(String);

impl Witness {
    /// The management server that this guest dials.
    #[must_use]
    pub fn link() -> Self {
        Self("link".to_owned())
    }

    /// A peer, with a session or without.
    #[must_use]
    pub fn peer(principal: &Principal, address: &PeerAddress) -> Self {
        Self(format!("{} {principal}", transport(address)))
    }

    /// True if it comes over a network, and may so be cut off by what is done to one.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        !(self.0.starts_with("unix ") || self.0.starts_with("vsock "))
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(' ') {
            None => f.write_str("the management server that is dialled"),
            Some((transport, principal)) => write!(f, "`{principal}` over {transport}"),
        }
    }
}

/// What the log and the witness call a peer's transport.
pub(crate) const fn transport(address: &PeerAddress) -> &'static str {
    match address {
        PeerAddress::Unix { .. } => "unix",
        PeerAddress::Tcp(_) => "tcp",
        PeerAddress::Vsock { .. } => "vsock",
    }
}
