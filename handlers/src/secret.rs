//! Text that must not be seen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A password, a password hash or a key. `Debug` shows nothing, there is no `Display`, and whoever needs the
/// text has to write [`Secret::expose`], which is easy to find in a review.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
