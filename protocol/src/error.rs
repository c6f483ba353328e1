//! Bayeux errors: `code:args:text` (Bayeux 1.0, "error").

use std::fmt;

use crate::channel::InvalidChannel;

/// What kind of refusal it is; the three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 301: no connection type in common.
    ConnectionTypes,
    /// 400: the message is not understood; the argument names the field.
    Malformed,
    /// 401: the credential it came with is not valid, or not any more.
    Unauthenticated,
    /// 402: the clientId is unknown, missing or not this connection's.
    UnknownClient,
    /// 403: understood and refused.
    Forbidden,
    /// 404: nobody here answers for this channel.
    NotFound,
    /// 405: not a channel.
    InvalidChannel,
    /// 409: it contradicts something newer or already done.
    Conflict,
    /// 413: larger than a limit.
    TooLarge,
    /// 500: our own fault; nothing was done.
    Internal,
    /// 503: a queue is full; try again later.
    Busy,
}

impl ErrorCode {
    /// All of them, in order of their digits.
    pub const ALL: [Self; 11] = [
        Self::ConnectionTypes,
        Self::Malformed,
        Self::Unauthenticated,
        Self::UnknownClient,
        Self::Forbidden,
        Self::NotFound,
        Self::InvalidChannel,
        Self::Conflict,
        Self::TooLarge,
        Self::Internal,
        Self::Busy,
    ];

    /// The three digits.
    #[must_use]
    pub const fn digits(self) -> u16 {
        match self {
            Self::ConnectionTypes => 301,
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::UnknownClient => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::InvalidChannel => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Busy => 503,
        }
    }
}

/// A refusal, as a reply's `error` carries it.
///
/// Making one is the exception, and marked as such: the code for it then lies apart from what runs for every message.
///
/// The text is everything after the second colon. It may quote a peer's own value, and then hold colons; the
/// codes' standard texts hold none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BayeuxError {
    code: ErrorCode,
    arg: String,
    text: String,
}

impl BayeuxError {
    /// A refusal with one argument (a field, a channel; may be empty) and a text.
    #[cold]
    pub fn new(code: ErrorCode, arg: impl AsRef<str>, text: impl Into<String>) -> Self {
        Self { code, arg: fit_argument(arg.as_ref()), text: text.into() }
    }

    /// 400 for a required field that is not there.
    #[cold]
    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self::new(ErrorCode::Malformed, field, "Missing required field")
    }

    /// 400 for a field of the wrong shape: says what kind of JSON value was given, since the value itself may be
    /// a secret.
    #[cold]
    #[must_use]
    pub fn wrong(field: &str, expected: &str, given_json: &str) -> Self {
        Self::new(ErrorCode::Malformed, field, format!("{expected}, got {}", json_kind(given_json)))
    }

    /// 402.
    #[cold]
    #[must_use]
    pub fn unknown_client() -> Self {
        Self::new(ErrorCode::UnknownClient, "", "Unknown client")
    }

    /// 403 for a channel or pattern.
    #[cold]
    #[must_use]
    pub fn forbidden(channel: &str, text: &str) -> Self {
        Self::new(ErrorCode::Forbidden, channel, text)
    }

    /// 405.
    #[cold]
    #[must_use]
    pub fn invalid_channel(error: &InvalidChannel) -> Self {
        let text = format!("Invalid channel, expected {}", error.expected());
        Self::new(ErrorCode::InvalidChannel, error.given(), text)
    }

    /// 503: come back later.
    #[cold]
    #[must_use]
    pub fn busy(text: &str) -> Self {
        Self::new(ErrorCode::Busy, "", text)
    }

    /// The kind.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The text after the second colon.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for BayeuxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.code.digits(), self.arg, self.text)
    }
}

impl std::error::Error for BayeuxError {}

fn json_kind(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

/// Arguments may hold neither colons nor commas, and no peer's control characters.
fn fit_argument(arg: &str) -> String {
    crate::shorten(arg)
        .chars()
        .map(|c| if c == ':' || c == ',' || c.is_control() { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_cannot_break_the_grammar() {
        let error = BayeuxError::forbidden("/a:b,c\n", "no");
        assert_eq!(error.to_string(), "403:/a_b_c_:no");
        assert_eq!(BayeuxError::unknown_client().to_string(), "402::Unknown client");
        assert_eq!(BayeuxError::missing("data").to_string(), "400:data:Missing required field");
    }
}
