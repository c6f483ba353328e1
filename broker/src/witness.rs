//! Whose messages show that a change of the network has not cut the machine off: whoever has pushed it, over the kind of
//! transport it was pushed over.

use std::fmt;

use cloud_channel_protocol::server::{Family, InvalidFamily, PeerAddress, Principal};
use cloud_channel_protocol::shorten;
use serde::{Deserialize, Serialize};

/// How the journal calls the dialled side.
const LINK: &str = "link";

/// The dialled side, or a peer as the rules know it and where it comes from. Two sessions of one peer are one witness: the
/// first may be lost with the change.
///
/// The journal holds it as text: `link`, or `<transport> <principal>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Witness {
    /// The management server that this guest dials.
    Link,
    /// A peer, with a session or without.
    Peer {
        /// What it comes over.
        transport: Family,
        /// Its name among the rules, and nothing else of it: what it may do, and by which credential, may have changed
        /// when it comes again.
        principal: Principal,
    },
}

/// A text that is no [`Witness`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWitness {
    /// It has one word.
    #[error("`{0}` names no witness: expected `link`, or a family of sockets and a principal")]
    NoPrincipal(String),
    /// Its first word is not known.
    #[error(transparent)]
    Family(#[from] InvalidFamily),
}

impl Witness {
    /// A peer, with a session or without.
    #[must_use]
    pub fn peer(principal: &Principal, address: &PeerAddress) -> Self {
        // Its name is shared, so nothing is copied.
        let principal = principal.clone().with_rights(0).with_credential(0);
        Self::Peer { transport: address.family(), principal }
    }

    /// True if it comes over a network, and may so be cut off by what is done to one.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        match self {
            Self::Link => true,
            Self::Peer { transport, .. } => matches!(transport, Family::Tcp),
        }
    }
}

impl From<Witness> for String {
    fn from(witness: Witness) -> Self {
        match witness {
            Witness::Link => LINK.to_owned(),
            Witness::Peer { transport, principal } => format!("{transport} {principal}"),
        }
    }
}

impl TryFrom<String> for Witness {
    type Error = InvalidWitness;

    fn try_from(text: String) -> Result<Self, InvalidWitness> {
        if text == LINK {
            return Ok(Self::Link);
        }
        let (transport, principal) =
            text.split_once(' ').ok_or_else(|| InvalidWitness::NoPrincipal(shorten(&text)))?;
        Ok(Self::Peer { transport: transport.parse()?, principal: Principal::new(principal) })
    }
}

/// For people.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("the management server that is dialled"),
            Self::Peer { transport, principal } => write!(f, "`{principal}` over {transport}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &PeerAddress) -> Witness {
        Witness::peer(&Principal::new("host root"), address)
    }

    fn addresses() -> [PeerAddress; 3] {
        let tcp = PeerAddress::Tcp("192.0.2.1:9".parse().unwrap());
        [tcp, PeerAddress::Unix { uid: 0 }, PeerAddress::Vsock { cid: 2, port: 1 }]
    }

    #[test]
    fn the_journal_holds_it_as_text() {
        let [tcp, unix, vsock] = addresses().map(|address| peer(&address));
        let texts = [
            (Witness::Link, r#""link""#),
            (tcp, r#""tcp host root""#),
            (unix, r#""unix host root""#),
            (vsock, r#""vsock host root""#),
        ];
        for (witness, text) in texts {
            assert_eq!(serde_json::to_string(&witness).unwrap(), text);
            assert_eq!(serde_json::from_str::<Witness>(text).unwrap(), witness);
        }
    }

    #[test]
    fn a_text_that_names_nobody_is_refused() {
        for (text, reason) in [
            (r#""""#, "names no witness"),
            (r#""Link""#, "names no witness"),
            (r#""udp root""#, "no family of sockets"),
            (r#"" root""#, "no family of sockets"),
            ("7", "expected a string"),
        ] {
            let error = serde_json::from_str::<Witness>(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn what_comes_over_a_network_can_be_cut_off_by_a_change_of_it() {
        assert!(Witness::Link.is_remote());
        assert_eq!(addresses().map(|address| peer(&address).is_remote()), [true, false, false]);
    }

    #[test]
    fn a_peer_that_comes_again_is_the_same_witness() {
        let [_, unix, vsock] = addresses();
        let again = Principal::new("host root").with_rights(3).with_credential(4);
        assert_eq!(Witness::peer(&again, &PeerAddress::Unix { uid: 1 }), peer(&unix));
        assert_ne!(Witness::peer(&again, &vsock), peer(&unix));
        assert_ne!(Witness::peer(&Principal::new("guest"), &unix), peer(&unix));
    }

    #[test]
    fn people_read_who_it_is() {
        let [tcp, ..] = addresses();
        assert_eq!(peer(&tcp).to_string(), "`host root` over tcp");
        assert_eq!(Witness::Link.to_string(), "the management server that is dialled");
    }
}
