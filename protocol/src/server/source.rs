//! Whose sessions count together.

use std::net::{IpAddr, Ipv4Addr};

use super::policy::PeerAddress;

/// What one peer has, however many connections, ports and addresses it may choose: sessions are counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A user of this machine.
    Uid(u32),
    /// A machine with one address, or all that are behind one.
    Ipv4(Ipv4Addr),
    /// The upper half of an address. A link has one of these at least (RFC 4291, 2.5.1), and who is on it may take any
    /// address below.
    Ipv6(u64),
    /// A machine on this host.
    Cid(u32),
}

impl Source {
    pub(super) fn of(address: &PeerAddress) -> Self {
        match address {
            PeerAddress::Unix { uid } => Self::Uid(*uid),
            // A listener of both families names its IPv4 peers `::ffff:a.b.c.d`.
            PeerAddress::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(address) => Self::Ipv4(address),
                IpAddr::V6(address) => Self::Ipv6((address.to_bits() >> 64) as u64),
            },
            PeerAddress::Vsock { cid, .. } => Self::Cid(*cid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> Source {
        Source::of(&PeerAddress::Tcp(address.parse().unwrap()))
    }

    #[test]
    fn what_a_peer_can_choose_does_not_count() {
        for (one, other) in [
            ("192.0.2.1:1", "192.0.2.1:65535"),
            ("192.0.2.1:1", "[::ffff:192.0.2.1]:2"),
            ("[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff:ffff:ffff:ffff]:2"),
            ("[fe80::1%2]:1", "[fe80::2%3]:1"),
        ] {
            assert_eq!(tcp(one), tcp(other), "{one} {other}");
        }
        let vsock = |cid, port| Source::of(&PeerAddress::Vsock { cid, port });
        assert_eq!(vsock(2, 1), vsock(2, 2));
    }

    #[test]
    fn what_it_is_counts() {
        let sources = [
            tcp("192.0.2.1:1"),
            tcp("192.0.2.2:1"),
            tcp("[2001:db8:0:1::1]:1"),
            tcp("[2001:db8:0:2::1]:1"),
            // The same number three times.
            tcp("0.0.0.2:1"),
            Source::of(&PeerAddress::Unix { uid: 2 }),
            Source::of(&PeerAddress::Vsock { cid: 2, port: 1 }),
            Source::of(&PeerAddress::Unix { uid: 3 }),
            Source::of(&PeerAddress::Vsock { cid: 3, port: 1 }),
        ];
        for (at, source) in sources.iter().enumerate() {
            assert!(!sources[at + 1..].contains(source), "{source:?}");
        }
    }
}
