//! How a client and its server exchange messages.

/// The connection types that this client speaks, by their names in Bayeux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionType {
    /// Frames both ways on one stream.
    WebSocket,
    /// Requests and their responses, two at a time at most: one that the server holds, and one for all else.
    LongPolling,
}

impl ConnectionType {
    /// As it stands in handshakes and connects.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::LongPolling => "long-polling",
        }
    }
}
