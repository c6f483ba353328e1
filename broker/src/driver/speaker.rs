//! Who pushes config, or says a word about it.

use cloud_channel_protocol::MessageId;
use cloud_channel_protocol::server::{self, Principal};

use crate::ids::random_u64;
use crate::journal::Sender;
use crate::request::{Asker, id_scope};
use crate::witness::Witness;

/// Who pushes config, or says a word about it.
pub(super) struct Speaker {
    pub(super) asker: Asker,
    /// The scope of the message's id.
    pub(super) scope: Sender,
    pub(super) who: Principal,
    pub(super) witness: Witness,
}

impl Speaker {
    /// A peer, with a message of this id.
    pub(super) fn peer(asker: Asker, peer: &server::Sender, id: Option<&MessageId>) -> Self {
        // Without a session there is no scope for counters: the next to publish so may begin again.
        let session = peer.client.map_or_else(|| session_text(random_u64()), |client| client.reveal());
        Self {
            asker,
            scope: id_scope(Sender::named(peer.principal.as_str()), &session, id),
            who: peer.principal.clone(),
            witness: Witness::peer(&peer.principal, &peer.address),
        }
    }

    /// The management server that is dialled, in one of its sessions, with a message of this id.
    pub(super) fn link(session: u64, id: Option<&MessageId>) -> Self {
        Self {
            asker: Asker::Link,
            scope: id_scope(Sender::link(), &session_text(session), id),
            who: Principal::new("link"),
            witness: Witness::Link,
        }
    }
}

/// A session that has a number of ours, as journals hold it.
fn session_text(session: u64) -> String {
    format!("{session:016x}")
}
