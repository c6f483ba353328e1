//! A policy for what is about reading or speed, not about rights. The benchmarks use it too.

use cloud_channel_protocol::server::{Peer, Principal, SecurityPolicy};
use cloud_channel_protocol::{BayeuxError, ChannelName, ChannelPattern};
use serde_json::value::RawValue;

/// Everybody may do everything.
pub(crate) struct Open;

impl SecurityPolicy for Open {
    fn admit(&self, _peer: &Peer, _ext: Option<&RawValue>) -> Result<Principal, BayeuxError> {
        Ok(Principal::new("anyone"))
    }

    fn admit_unconnected(&self, _peer: &Peer) -> Result<Principal, BayeuxError> {
        Ok(Principal::new("anyone"))
    }

    fn may_subscribe(&self, _principal: &Principal, _pattern: &ChannelPattern) -> bool {
        true
    }

    fn may_publish(&self, _principal: &Principal, _channel: &ChannelName) -> bool {
        true
    }

    fn may_receive(&self, _principal: &Principal, _channel: &ChannelName) -> bool {
        true
    }
}
