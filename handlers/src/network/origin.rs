//! What cloud-init configured, as a document.

use serde_json::Value;

use super::backend;
use super::config::NetworkConfig;
use super::merge::canonical;
use super::place::{Place, Reading};
use super::v1;
use crate::Refusal;

/// What cloud-init left for us to merge into.
#[derive(Debug)]
pub(super) struct Origin {
    /// The document.
    pub(super) document: Value,
    /// The file it was read from.
    pub(super) source: String,
}

impl Origin {
    /// The document in canonical order, of version 2 whatever it was, and what was left out.
    pub(super) fn settled(&self) -> Result<(Value, Vec<String>), Refusal> {
        let top = format!("{}:network", self.source);
        if !v1::is_version_1(&self.document) {
            let document = backend::spread(&self.document, &Place::top(&top, Reading::Whole))?;
            let document = canonical(&document);
            NetworkConfig::whole(&document, &top)?;
            return Ok((document, Vec::new()));
        }
        let converted = v1::convert(&self.document, &Place::top(&top, Reading::Whole), None)?;
        let document = canonical(&converted.document);
        NetworkConfig::whole(&document, &top).map_err(|refusal| converted.trace.tell(refusal, &top))?;
        Ok((document, converted.warnings))
    }
}
