//! Who is meant by a rule: one fact about a peer, or several that have to hold together.

use std::fmt;
use std::sync::Arc;

use cloud_channel_protocol::server::{Certificate, Peer, PeerAddress};
use cloud_channel_protocol::{HOST_CID, hex};

use super::HostPorts;

/// Ports below this can be bound by privileged processes only, also on the host's side of a vsock.
const FIRST_UNPRIVILEGED_PORT: u32 = 1024;

/// A user of this machine, known by the kernel's word on a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnixUser {
    /// Whoever the daemon runs as.
    Own,
    /// This one.
    Uid(u32),
    /// Every user who can open the socket.
    Any,
}

/// Where a TCP peer is. An address proves nothing, so it only narrows what a credential gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TcpPlace {
    /// On this machine.
    Loopback,
    /// Anywhere.
    Any,
}

/// The other end of a vsock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VsockPeer {
    /// Its context id.
    pub cid: u32,
    /// From which of its ports.
    pub ports: HostPorts,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// This very one, by the SHA-256 of its DER form.
    Fingerprint([u8; 32]),
    /// One with this subject alternative name, a DNS name or a URI, compared without regard to case.
    Name(String),
}

/// The facts that have to hold; at least one is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// It comes over a Unix socket, as this user.
    pub unix: Option<UnixUser>,
    /// It comes over vsock, from here.
    pub vsock: Option<VsockPeer>,
    /// It comes over TCP, from here.
    pub tcp: Option<TcpPlace>,
    /// It has shown this certificate.
    pub certificate: Option<CertificateName>,
    /// It has shown a token of this name.
    pub token: Option<String>,
}

/// What is known of a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) peer: &'a Peer,
    /// The name of the valid token it has shown.
    pub(super) token: Option<&'a str>,
    pub(super) own_uid: u32,
}

impl UnixUser {
    fn is(self, uid: u32, own_uid: u32) -> bool {
        match self {
            Self::Own => uid == own_uid,
            Self::Uid(wanted) => uid == wanted,
            Self::Any => true,
        }
    }
}

impl VsockPeer {
    fn is(self, cid: u32, port: u32) -> bool {
        cid == self.cid && (self.ports == HostPorts::Any || port < FIRST_UNPRIVILEGED_PORT)
    }

    fn covers(self, other: Self) -> bool {
        self.cid == other.cid && (self.ports == HostPorts::Any || other.ports == HostPorts::Privileged)
    }
}

impl CertificateName {
    fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Fingerprint(wanted) => *wanted == certificate.fingerprint,
            Self::Name(wanted) => certificate.names.iter().any(|name| name.eq_ignore_ascii_case(wanted)),
        }
    }
}

impl Who {
    /// True if every fact holds.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        let (uid, vsock, tcp) = match &facts.peer.address {
            PeerAddress::Unix { uid } => (Some(*uid), None, None),
            PeerAddress::Vsock { cid, port } => (None, Some((*cid, *port)), None),
            PeerAddress::Tcp(address) => (None, None, Some(address.ip())),
        };
        let certificate = facts.peer.certificate.as_deref();
        let here = |place: TcpPlace| tcp.is_some_and(|ip| place == TcpPlace::Any || ip.is_loopback());
        self.unix.is_none_or(|user| uid.is_some_and(|uid| user.is(uid, facts.own_uid)))
            && self.vsock.is_none_or(|peer| vsock.is_some_and(|(cid, port)| peer.is(cid, port)))
            && self.tcp.is_none_or(here)
            && self.certificate.as_ref().is_none_or(|name| certificate.is_some_and(|shown| name.is(shown)))
            && self.token.as_deref().is_none_or(|name| facts.token == Some(name))
    }

    /// True if everybody who is meant by `other` is meant by this too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let unix = |ours: UnixUser| other.unix.is_some_and(|theirs| ours == UnixUser::Any || ours == theirs);
        self.unix.is_none_or(unix)
            && self.vsock.is_none_or(|ours| other.vsock.is_some_and(|theirs| ours.covers(theirs)))
            && self
                .tcp
                .is_none_or(|ours| other.tcp.is_some_and(|theirs| ours == TcpPlace::Any || ours == theirs))
            && self.certificate.as_ref().is_none_or(|ours| other.certificate.as_ref() == Some(ours))
            && self.token.as_ref().is_none_or(|ours| other.token.as_ref() == Some(ours))
    }
}

/// What a peer is called in events' scopes and in the log: the most telling of what it has shown.
pub(super) fn name_of(facts: &Facts<'_>) -> Arc<str> {
    if let Some(token) = facts.token {
        return format!("token-{token}").into();
    }
    if let Some(certificate) = &facts.peer.certificate {
        return format!("certificate-{}", hex::write(&certificate.fingerprint[..8])).into();
    }
    match &facts.peer.address {
        PeerAddress::Unix { uid: 0 } => "root".into(),
        PeerAddress::Unix { uid } => format!("uid-{uid}").into(),
        PeerAddress::Vsock { cid: HOST_CID, .. } => "host".into(),
        PeerAddress::Vsock { cid, .. } => format!("cid-{cid}").into(),
        PeerAddress::Tcp(_) => "tcp".into(),
    }
}

impl fmt::Display for Who {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut facts = Vec::new();
        if let Some(user) = self.unix {
            facts.push(match user {
                UnixUser::Own => "unix: self".to_owned(),
                UnixUser::Uid(0) => "unix: root".to_owned(),
                UnixUser::Uid(uid) => format!("unix: {uid}"),
                UnixUser::Any => "unix: any".to_owned(),
            });
        }
        if let Some(VsockPeer { cid, ports }) = self.vsock {
            let cid = if cid == HOST_CID { "host".to_owned() } else { cid.to_string() };
            facts.push(format!("vsock: {cid}, ports: {}", format!("{ports:?}").to_lowercase()));
        }
        if let Some(place) = self.tcp {
            facts.push(format!("tcp: {}", format!("{place:?}").to_lowercase()));
        }
        match &self.certificate {
            Some(CertificateName::Fingerprint(digest)) => {
                facts.push(format!("certificate: sha256:{}", hex::write(digest)));
            }
            Some(CertificateName::Name(name)) => facts.push(format!("certificate: {name}")),
            None => {}
        }
        facts.extend(self.token.iter().map(|name| format!("token: {name}")));
        write!(f, "{{{}}}", facts.join(", "))
    }
}
