//! Who may talk to this guest, by what the kernel says of the peer. Default: nobody.

use cloud_channel_protocol::server::{Peer, PeerAddress, Principal, SecurityPolicy};
use cloud_channel_protocol::{BayeuxError, ChannelName, ChannelPattern, ErrorCode, HOST_CID, Place, Topic};
use serde_json::value::RawValue;

/// Ports below this can be bound by privileged processes only, also on the host's side of a vsock.
const FIRST_UNPRIVILEGED_PORT: u32 = 1024;

/// Which of the host's source ports are trusted on a vsock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum HostPorts {
    /// Below 1024: where the host has `AF_VSOCK`, every process of it can dial us, and only root can do it from there.
    #[default]
    Privileged,
    /// All: where a machine monitor (Firecracker, Cloud Hypervisor) turns a Unix socket of the host into vsock, its
    /// streams come from high ports, and that socket's permissions say who may dial.
    Any,
}

/// Lets in root and ourselves over a Unix socket, and privileged processes of the host over vsock; in development
/// mode, everyone who reaches a listener.
#[derive(Debug, Clone, Copy)]
pub struct PeerPolicy {
    dev: bool,
    own_uid: u32,
    host_ports: HostPorts,
}

impl PeerPolicy {
    /// The policy of a daemon that runs as `own_uid`.
    #[must_use]
    pub const fn new(dev: bool, own_uid: u32, host_ports: HostPorts) -> Self {
        Self { dev, own_uid, host_ports }
    }

    fn identify(self, peer: &Peer) -> Option<Principal> {
        match &peer.address {
            _ if self.dev => Some(Principal::new("dev")),
            PeerAddress::Unix { uid } if *uid == 0 || *uid == self.own_uid => Some(Principal::new("root")),
            PeerAddress::Vsock { cid: HOST_CID, port }
                if *port < FIRST_UNPRIVILEGED_PORT || self.host_ports == HostPorts::Any =>
            {
                Some(Principal::new("host"))
            }
            PeerAddress::Unix { .. } | PeerAddress::Vsock { .. } | PeerAddress::Tcp(_) => None,
        }
    }

    fn check(self, peer: &Peer) -> Result<Principal, BayeuxError> {
        self.identify(peer).ok_or_else(|| {
            let text = match &peer.address {
                PeerAddress::Tcp(_) => {
                    "TCP peers are not trusted, use the Unix socket, vsock, or `--dev` for a trial"
                }
                PeerAddress::Unix { .. } => "only root and the daemon's own user are trusted",
                PeerAddress::Vsock { .. } => {
                    "only the host (CID 2) is trusted, from a port below 1024 unless `host-ports: any` is configured"
                }
            };
            BayeuxError::new(ErrorCode::Forbidden, "", text)
        })
    }
}

impl SecurityPolicy for PeerPolicy {
    fn admit(&self, peer: &Peer, _ext: Option<&RawValue>) -> Result<Principal, BayeuxError> {
        self.check(peer)
    }

    fn admit_unconnected(&self, peer: &Peer) -> Result<Principal, BayeuxError> {
        self.check(peer)
    }

    fn may_subscribe(&self, _principal: &Principal, _pattern: &ChannelPattern) -> bool {
        true
    }

    fn may_publish(&self, _principal: &Principal, _channel: &ChannelName) -> bool {
        true
    }

    /// Pushed config goes to its module and answers go to their asker: neither is anybody else's, whoever
    /// subscribes to what.
    fn may_receive(&self, _principal: &Principal, channel: &ChannelName) -> bool {
        !matches!(Place::of(channel), Place::Instance(_, Some(Topic::Config(..))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in() {
        let strict = PeerPolicy::new(false, 1000, HostPorts::Privileged);
        let tcp = PeerAddress::Tcp("127.0.0.1:5".parse().unwrap());
        for (address, expected) in [
            (PeerAddress::Unix { uid: 0 }, Some("root")),
            (PeerAddress::Unix { uid: 1000 }, Some("root")),
            (PeerAddress::Unix { uid: 1001 }, None),
            (PeerAddress::Vsock { cid: 2, port: 1023 }, Some("host")),
            (PeerAddress::Vsock { cid: 2, port: 1024 }, None),
            (PeerAddress::Vsock { cid: 3, port: 1 }, None),
            (tcp.clone(), None),
        ] {
            let peer = Peer::from(address);
            assert_eq!(strict.admit(&peer, None).ok().as_ref().map(Principal::as_str), expected, "{peer}");
            assert_eq!(strict.admit_unconnected(&peer).is_ok(), expected.is_some(), "{peer}");
        }
        let dev = PeerPolicy::new(true, 1000, HostPorts::Privileged);
        assert_eq!(dev.admit(&tcp.into(), None).unwrap().as_str(), "dev");
        let monitored = PeerPolicy::new(false, 1000, HostPorts::Any);
        assert_eq!(
            monitored.admit(&PeerAddress::Vsock { cid: 2, port: 1 << 30 }.into(), None).unwrap().as_str(),
            "host"
        );
        assert!(monitored.admit(&PeerAddress::Vsock { cid: 3, port: 1 }.into(), None).is_err());
    }

    #[test]
    fn pushed_config_is_nobodys_to_read() {
        let policy = PeerPolicy::new(true, 0, HostPorts::Privileged);
        let may = |text: &str| policy.may_receive(&Principal::new("dev"), &ChannelName::parse(text).unwrap());
        assert!(!may("/cloudinit/i/config/set/cc_set_passwords"));
        assert!(!may("/cloudinit/other/config/set/anything"));
        assert!(!may("/cloudinit/i/config/get/network"));
        assert!(may("/cloudinit/i/modules-config/network"));
        assert!(may("/custom/foobar"));
    }
}
