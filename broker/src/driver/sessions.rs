//! The sessions of peers, as the log tells of them, a span each in which everything is told that happens in it; and whose
//! they are.

use std::collections::HashMap;

use cloud_channel_protocol::ClientId;
use cloud_channel_protocol::ConnectionId;
use cloud_channel_protocol::server::{EndReason, PeerAddress, Principal};
use tracing::Span;

use crate::witness::Witness;

/// By session. As many as the server has sessions, which it bounds.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<ClientId, Session>);

#[derive(Debug)]
struct Session {
    span: Span,
    witness: Witness,
}

impl Sessions {
    /// A clientId shows its beginning only: whole, it is the session's credential.
    pub(super) fn begun(
        &mut self,
        client: ClientId,
        principal: &Principal,
        connection: ConnectionId,
        address: &PeerAddress,
    ) {
        let transport = address.family().as_str();
        let span = tracing::info_span!("session", %client, %principal, transport);
        span.in_scope(|| tracing::info!(%connection, "session begun"));
        self.0.insert(client, Session { span, witness: Witness::peer(principal, address) });
    }

    pub(super) fn ended(&mut self, client: ClientId, reason: EndReason) {
        if let Some(session) = self.0.remove(&client) {
            session.span.in_scope(|| tracing::info!(?reason, "session ended"));
        }
    }

    /// A session's span; none for one that is gone, and for what comes without a session.
    pub(super) fn span(&self, client: Option<ClientId>) -> Span {
        let session = client.and_then(|client| self.0.get(&client));
        session.map_or_else(Span::none, |session| session.span.clone())
    }

    /// Whose a session is.
    pub(super) fn witness(&self, client: ClientId) -> Option<&Witness> {
        self.0.get(&client).map(|session| &session.witness)
    }

    /// The sessions of a witness.
    pub(super) fn of(&self, witness: &Witness) -> Vec<ClientId> {
        let theirs = self.0.iter().filter(|(_, session)| session.witness == *witness);
        theirs.map(|(client, _)| *client).collect()
    }

    /// The sessions of whoever may be cut off by a change of the network.
    pub(super) fn remote(&self) -> Vec<ClientId> {
        let remote = self.0.iter().filter(|(_, session)| session.witness.is_remote());
        remote.map(|(client, _)| *client).collect()
    }
}
