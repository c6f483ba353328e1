//! How a client behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::limits::Limits;

/// What a client offers, and its limits. `Debug` hides the handshake's `ext`: credentials travel there.
pub struct ClientConfig {
    /// What is read from a server at most, and how many subscriptions are remembered.
    pub limits: Limits,
    /// The handshake's `ext`, an object: who we are (`ext.cloudinit.instance`), credentials. `ack` and `replay` are added to it.
    pub handshake_ext: Option<Box<RawValue>>,
    /// Offer the ack extension: events come in batches that the application confirms.
    pub ack: bool,
    /// Offer the replay extension, see [`Client::subscribe_from`](super::Client::subscribe_from).
    pub replay: bool,
    /// How much later a reply may come than the server holds it back.
    pub network_delay: Duration,
    /// How many publishes may await their replies.
    pub max_in_flight: usize,
}

/// The handshake's `ext` is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the given handshake `ext`: expected a JSON object")]
pub struct InvalidExt;

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            handshake_ext: None,
            ack: false,
            replay: false,
            network_delay: Duration::from_secs(10),
            max_in_flight: 64,
        }
    }
}

impl ClientConfig {
    /// `handshake_ext` with the offers in it.
    pub(super) fn whole_ext(&self) -> Result<Option<Box<RawValue>>, InvalidExt> {
        let mut fields: BTreeMap<String, Box<RawValue>> = match &self.handshake_ext {
            Some(ext) => serde_json::from_str(ext.get()).map_err(|_| InvalidExt)?,
            None => BTreeMap::new(),
        };
        for (name, offered) in [("ack", self.ack), ("replay", self.replay)] {
            if offered {
                fields.insert(name.to_owned(), crate::ext::raw("true"));
            }
        }
        let whole = || serde_json::value::to_raw_value(&fields).expect("a map of JSON values serialises");
        Ok((!fields.is_empty()).then(whole))
    }
}

impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConfig")
            .field("ack", &self.ack)
            .field("replay", &self.replay)
            .field("network_delay", &self.network_delay)
            .field("max_in_flight", &self.max_in_flight)
            .finish_non_exhaustive()
    }
}
