//! An error with its causes, for people, each of them once.

use std::error::Error;

/// The error's text, followed by those of its causes after colons. A cause that the text before it has said already is
/// left out: other libraries' errors often show their source and name it as well.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("the connection failed")]
        Outer(#[source] Box<Self>),
        #[error("WebSocket protocol error: {0}")]
        Repeats(#[source] Box<Self>),
        #[error("reset without closing")]
        Plain(#[source] io::Error),
    }

    #[test]
    fn each_cause_is_said_once() {
        let plain = || Layer::Plain(io::Error::other("the peer is gone"));
        let outer = Layer::Outer(Box::new(Layer::Repeats(Box::new(plain()))));
        let expected =
            "the connection failed: WebSocket protocol error: reset without closing: the peer is gone";
        assert_eq!(error_chain(&outer), expected);
        assert_eq!(error_chain(&plain()), "reset without closing: the peer is gone");
    }
}
