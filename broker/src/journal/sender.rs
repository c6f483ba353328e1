//! Whom a push came from, as far as its message id goes.

use std::fmt;
use std::sync::Arc;

use cloud_channel_protocol::hex;
use sha2::{Digest as _, Sha256};

/// Whom a push came from: the scope in which its message id is unique, such as a session. 1 to 256 bytes.
///
/// It may be a session id, which is a credential: `Debug` shows its beginning only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sender(Arc<str>);

/// Longest [`Sender`], in bytes.
const MAX_SENDER: usize = 256;
/// What journals call the dialled side.
const LINK: &str = "link";
/// What journals call the guest itself.
const GUEST: &str = "guest";

/// A text that is no [`Sender`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sender's name of {given} bytes: expected 1 to {MAX_SENDER}")]
pub struct InvalidSender {
    given: usize,
}

impl Sender {
    /// The management server that this guest dials.
    #[must_use]
    pub fn link() -> Self {
        Self(LINK.into())
    }

    /// The guest itself, which has done later what it has put off.
    #[must_use]
    pub fn guest() -> Self {
        Self(GUEST.into())
    }

    /// A principal, by its name. One that is too long, which ours never are, is known by its SHA-256.
    #[must_use]
    pub fn named(principal: &str) -> Self {
        if (1..=MAX_SENDER).contains(&principal.len()) {
            Self(principal.into())
        } else {
            Self(hex::write(&Sha256::digest(principal)).into())
        }
    }

    /// One session of this sender.
    #[must_use]
    pub fn in_session(&self, session: &str) -> Self {
        Self::named(&format!("{}-{session}", self.0))
    }

    /// Takes any text of 1 to 256 bytes.
    ///
    /// # Errors
    /// If it is empty or longer.
    pub fn parse(text: &str) -> Result<Self, InvalidSender> {
        if (1..=MAX_SENDER).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSender { given: text.len() })
        }
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.0.chars().take(8).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_have_the_names_that_journals_hold() {
        assert_eq!(Sender::link().as_str(), "link");
        assert_eq!(Sender::guest().as_str(), "guest");
        assert_eq!(Sender::named("token-ops").as_str(), "token-ops");
        assert_eq!(Sender::link().in_session("00ff").as_str(), "link-00ff");
    }

    #[test]
    fn whatever_the_name_it_can_be_read_back() {
        let longest = "x".repeat(MAX_SENDER);
        assert_eq!(Sender::named(&longest).as_str(), longest);
        let too_long = [longest.clone() + "y", longest.clone() + "z", String::new()];
        let senders = too_long.map(|name| Sender::named(&name));
        for sender in senders.iter().chain([&Sender::named(&longest).in_session("1")]) {
            assert_eq!(Sender::parse(sender.as_str()).as_ref(), Ok(sender));
        }
        assert_ne!(senders[0], senders[1], "two names are two senders");
        assert_eq!(Sender::parse(&(longest + "y")), Err(InvalidSender { given: MAX_SENDER + 1 }));
        assert_eq!(Sender::parse(""), Err(InvalidSender { given: 0 }));
    }
}
