//! The sessions of peers, as the log tells of them: a span each, in which everything is told that happens in it.

use std::collections::HashMap;

use cloud_channel_protocol::ClientId;
use cloud_channel_protocol::ConnectionId;
use cloud_channel_protocol::server::{EndReason, PeerAddress, Principal};
use tracing::Span;

/// Spans by session. As many as the server has sessions, which it bounds.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<ClientId, Span>);

impl Sessions {
    /// A clientId shows its beginning only: whole, it is the session's credential.
    pub(super) fn begun(
        &mut self,
        client: ClientId,
        principal: &Principal,
        connection: ConnectionId,
        address: &PeerAddress,
    ) {
        let transport = transport(address);
        let span = tracing::info_span!("session", %client, %principal, transport);
        span.in_scope(|| tracing::info!(%connection, "session begun"));
        self.0.insert(client, span);
    }

    pub(super) fn ended(&mut self, client: ClientId, reason: EndReason) {
        if let Some(span) = self.0.remove(&client) {
            span.in_scope(|| tracing::info!(?reason, "session ended"));
        }
    }

    /// A session's span; none for one that is gone, and for what comes without a session.
    pub(super) fn span(&self, client: Option<ClientId>) -> Span {
        client.and_then(|client| self.0.get(&client)).cloned().unwrap_or_else(Span::none)
    }
}

const fn transport(address: &PeerAddress) -> &'static str {
    match address {
        PeerAddress::Unix { .. } => "unix",
        PeerAddress::Tcp(_) => "tcp",
        PeerAddress::Vsock { .. } => "vsock",
    }
}
