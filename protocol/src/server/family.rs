//! The families of sockets that peers come over.

use std::fmt;
use std::str::FromStr;

use crate::shorten;

/// A family of sockets. What strangers on one use up is not taken from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// TCP, with TLS or without (tcp(7)).
    Tcp,
    /// Unix sockets (unix(7)).
    Unix,
    /// vsock (vsock(7)).
    Vsock,
}

/// A text that names no [`Family`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no family of sockets: expected tcp, unix or vsock")]
pub struct InvalidFamily {
    given: String,
}

impl Family {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Vsock => "vsock",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Family {
    type Err = InvalidFamily;

    fn from_str(text: &str) -> Result<Self, InvalidFamily> {
        let named = [Self::Tcp, Self::Unix, Self::Vsock].into_iter().find(|family| family.as_str() == text);
        named.ok_or_else(|| InvalidFamily { given: shorten(text) })
    }
}
