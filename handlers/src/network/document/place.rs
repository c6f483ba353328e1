//! Where in a document we are, and how strictly it is read there.

use serde_json::Value;

use crate::Refusal;

/// Which document is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A push: it may leave out what the machine holds already, and may hold `null`s, but no unknown key.
    Push,
    /// A whole document: what is required must be there. Keys that we do not know came from a file that was
    /// there before us, and stay.
    Whole,
}

/// A place in a document: `network.ethernets.ens0.addresses[0]`.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: String,
    reading: Reading,
}

impl Place {
    /// The top of a document; `path` is how the sender would name it, empty if it has no name.
    pub(crate) fn top(path: &str, reading: Reading) -> Self {
        Self { path: path.to_owned(), reading }
    }

    /// The place of a key in the map that is here.
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut path = String::with_capacity(self.path.len() + 1 + key.len());
        path.push_str(&self.path);
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        Self { path, reading: self.reading }
    }

    /// The place of an element of the list that is here.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), reading: self.reading }
    }

    /// The path, as the sender would write it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// How strictly the document is read.
    pub(crate) const fn reading(&self) -> Reading {
        self.reading
    }

    /// A fault here, with nothing given.
    pub(crate) fn lacks(&self, expected: impl Into<String>) -> Refusal {
        Refusal::at(self.path.as_str(), expected)
    }

    /// A fault here: this was given, that was expected.
    pub(crate) fn refuse(&self, given: &Value, expected: impl Into<String>) -> Refusal {
        self.refuse_text(&brief(given), expected)
    }

    /// A fault here: this text was given, that was expected.
    pub(crate) fn refuse_text(&self, given: &str, expected: impl Into<String>) -> Refusal {
        Refusal::at(self.path.as_str(), expected).given(given)
    }
}

/// A value as a person would name it. Maps and lists are not quoted: they are long, and what is wrong with
/// them is their kind.
fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
