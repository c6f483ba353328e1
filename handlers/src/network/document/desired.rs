//! What is wanted of the network as a whole.

use serde_json::Value;

use super::config::NetworkConfig;
use crate::Refusal;

/// What is wanted, in both forms: the document as it was pushed, and its meaning.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    pub(crate) document: Value,
    pub(crate) config: NetworkConfig,
}

impl Desired {
    /// Reads a whole document; `path` is how faults name its top.
    pub(crate) fn read(document: Value, path: &str) -> Result<Self, Refusal> {
        let config = NetworkConfig::whole(&document, path)?;
        Ok(Self { document, config })
    }
}
