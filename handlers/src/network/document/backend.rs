//! What sets links up, in netplan's words.

use serde_json::Value;

use super::place::Place;
use super::value::keyword;
use crate::Refusal;

/// The key of it.
pub(super) const KEY: &str = "renderer";

/// What sets links up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Networkd,
    NetworkManager,
}

impl Backend {
    /// Its name in a document. Whatever is not NetworkManager goes by the word of netplan's usual one.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Networkd => "networkd",
            Self::NetworkManager => "NetworkManager",
        }
    }
}

/// One of the stacks there are; whether it is the machine's is not for the document to know.
pub(super) fn backend(value: &Value, place: &Place) -> Result<(), Refusal> {
    const WORDS: &[&str] = &[Backend::Networkd.word(), Backend::NetworkManager.word()];
    keyword(WORDS)(value, place).map(drop)
}
