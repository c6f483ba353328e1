//! What a module remembers between pushes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A module's own memory: a JSON document that the broker keeps durably and never looks into.
///
/// It may hold digests of secrets, so its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Held(Option<Value>);

impl Held {
    /// A module that has not been pushed to yet.
    #[must_use]
    pub const fn nothing() -> Self {
        Self(None)
    }

    /// Wraps a document.
    #[must_use]
    pub const fn document(document: Value) -> Self {
        Self(Some(document))
    }

    /// The document, if there is one.
    #[must_use]
    pub const fn as_document(&self) -> Option<&Value> {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Held(…)" } else { "Held(nothing)" })
    }
}
