//! What a peer may not send, and the close code that says so.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("a frame is not masked, expected a client's frames to be")]
    NotMasked,
    #[error("a frame has reserved bits, expected none: no extension was agreed, compression neither")]
    ReservedBits,
    #[error("a frame has an unknown kind, expected text, binary, continuation, close, ping or pong")]
    UnknownKind,
    #[error("a control frame is fragmented or longer than 125 bytes, expected neither")]
    ControlFrame,
    #[error("a continuation frame continues nothing, expected a text or binary frame before it")]
    NothingToContinue,
    #[error("a message begins within another, expected its continuation frames first")]
    NotContinued,
    #[error("a text frame is no UTF-8, expected UTF-8 text of at most {limit} bytes")]
    NotUtf8 { limit: usize },
    #[error("a message is too large, expected UTF-8 text of at most {limit} bytes")]
    TooLarge { limit: usize },
    #[error("a close frame is malformed, expected nothing or a code and a reason in UTF-8")]
    CloseFrame,
    #[error("a close frame's reason is no UTF-8")]
    CloseReason,
}

impl Violation {
    /// The code of the close frame that tells it (RFC 6455, 7.4.1).
    pub(super) const fn code(self) -> CloseCode {
        match self {
            Self::NotUtf8 { .. } | Self::CloseReason => CloseCode::Invalid,
            Self::TooLarge { .. } => CloseCode::Size,
            _ => CloseCode::Protocol,
        }
    }
}
