//! Who may do what at the management server: a guest lives below its own instance-id, an observer only reads.

use cloud_channel_protocol::server::{Peer, Principal, SecurityPolicy};
use cloud_channel_protocol::{
    BayeuxError, ChannelName, ChannelPattern, CloudinitExt, ErrorCode, InstanceId, Place, Topic, Verb,
};
use serde_json::value::RawValue;

const GUEST: &str = "guest ";
const OBSERVER: &str = "observer";

/// Takes a guest's word for its instance-id: a simulator has no keys to check it with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestPolicy {
    /// Lets in clients that name no instance.
    pub(crate) anyone: bool,
}

/// The guest that a principal is, if it is one.
pub(crate) fn instance_of(principal: &Principal) -> Option<InstanceId> {
    principal.as_str().strip_prefix(GUEST).and_then(|id| InstanceId::parse(id).ok())
}

impl SecurityPolicy for GuestPolicy {
    fn admit(&self, _peer: &Peer, ext: Option<&RawValue>) -> Result<Principal, BayeuxError> {
        let ext = CloudinitExt::from_ext(ext)
            .map_err(|text| BayeuxError::new(ErrorCode::Malformed, "ext.cloudinit", text))?;
        match ext.instance {
            Some(instance) => Ok(Principal::new(format!("{GUEST}{instance}"))),
            None if self.anyone => Ok(Principal::new(OBSERVER)),
            None => Err(BayeuxError::forbidden(
                "",
                "Guests only: expected ext.cloudinit.instance in the handshake",
            )),
        }
    }

    fn admit_unconnected(&self, _peer: &Peer) -> Result<Principal, BayeuxError> {
        Err(BayeuxError::forbidden("", "Handshake first"))
    }

    /// What arrives is decided for each event.
    fn may_subscribe(&self, _principal: &Principal, _pattern: &ChannelPattern) -> bool {
        true
    }

    fn may_publish(&self, principal: &Principal, channel: &ChannelName) -> bool {
        match Place::of(channel) {
            Place::Instance(_, Some(Topic::Config(Verb::Set, _))) | Place::Elsewhere => false,
            Place::Instance(id, _) => instance_of(principal) == Some(id),
        }
    }

    fn may_receive(&self, principal: &Principal, channel: &ChannelName) -> bool {
        let Place::Instance(id, topic) = Place::of(channel) else { return false };
        match instance_of(principal) {
            Some(own) => own == id,
            None => !matches!(topic, Some(Topic::Config(..))),
        }
    }
}

#[cfg(test)]
mod tests {
    use cloud_channel_protocol::server::PeerAddress;

    use super::*;

    #[test]
    fn a_guest_lives_below_its_own_id() {
        let policy = GuestPolicy { anyone: false };
        let channel = |text: &str| ChannelName::parse(text).unwrap();
        let ext = RawValue::from_string(r#"{"cloudinit":{"instance":"a"}}"#.to_owned()).unwrap();
        let guest = policy.admit(&PeerAddress::Unix { uid: 1 }.into(), Some(&ext)).unwrap();
        assert!(policy.may_publish(&guest, &channel("/cloudinit/a/hotplug/network")));
        assert!(!policy.may_publish(&guest, &channel("/cloudinit/b/hotplug/network")));
        assert!(!policy.may_publish(&guest, &channel("/cloudinit/a/config/set/network")));
        assert!(!policy.may_publish(&guest, &channel("/custom/foobar")));
        assert!(policy.may_receive(&guest, &channel("/cloudinit/a/config/set/network")));
        assert!(!policy.may_receive(&guest, &channel("/cloudinit/b/config/set/network")));
        assert!(policy.admit(&PeerAddress::Unix { uid: 0 }.into(), None).is_err());
    }

    #[test]
    fn an_observer_reads_and_never_sees_config() {
        let policy = GuestPolicy { anyone: true };
        let observer = policy.admit(&PeerAddress::Unix { uid: 1 }.into(), None).unwrap();
        let channel = |text: &str| ChannelName::parse(text).unwrap();
        assert!(policy.may_receive(&observer, &channel("/cloudinit/a/hotplug/network")));
        assert!(!policy.may_receive(&observer, &channel("/cloudinit/a/config/set/network")));
        assert!(!policy.may_publish(&observer, &channel("/cloudinit/a/hotplug/network")));
    }
}
