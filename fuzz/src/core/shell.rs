//! What a shell brings to the core: its rules and its ids.

use cloud_channel_protocol::server::{Peer, PeerAddress, Principal, SecurityPolicy};
use cloud_channel_protocol::{BayeuxError, ChannelName, ChannelPattern, ClientId, IdSource};
use serde_json::Value;
use serde_json::value::RawValue;

/// Rules that can be read off the names.
pub(super) struct Rules;

impl SecurityPolicy for Rules {
    fn admit(&self, _peer: &Peer, ext: Option<&RawValue>) -> Result<Principal, BayeuxError> {
        let ext: Value = ext.and_then(|ext| serde_json::from_str(ext.get()).ok()).unwrap_or_default();
        match ext["user"].as_str() {
            Some("stranger") => Err(BayeuxError::forbidden("", "Not known here")),
            Some(user) => Ok(Principal::new(user)),
            None => Ok(Principal::new("guest")),
        }
    }

    fn admit_unconnected(&self, peer: &Peer) -> Result<Principal, BayeuxError> {
        match peer.address {
            PeerAddress::Unix { uid: 0 } => Ok(Principal::new("root")),
            _ => Err(BayeuxError::unknown_client()),
        }
    }

    fn may_subscribe(&self, _principal: &Principal, pattern: &ChannelPattern) -> bool {
        pattern.to_string() != "/private"
    }

    fn may_publish(&self, _principal: &Principal, channel: &ChannelName) -> bool {
        channel.as_str() != "/readonly"
    }

    fn may_receive(&self, principal: &Principal, channel: &ChannelName) -> bool {
        principal.as_str() == "admin" || channel.segments().next() != Some("secret")
    }
}

/// 1, 2, 3, …
#[derive(Default)]
pub(super) struct Counter(u128);

impl IdSource for Counter {
    fn next_client_id(&mut self) -> ClientId {
        self.0 += 1;
        ClientId::from_random(self.0 << 64 | 0xc0ff_ee00)
    }
}
