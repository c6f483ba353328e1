//! What cloud-init configured, as a document.

use serde_json::Value;

use crate::Refusal;
use crate::network::document::config::NetworkConfig;
use crate::network::document::merge::canonical;
use crate::network::document::place::{Place, Reading};
use crate::network::document::renderer_key;
use crate::network::document::v1;

/// What cloud-init left for us to merge into.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The document.
    pub(crate) document: Value,
    /// The file it was read from.
    pub(crate) source: String,
}

impl Origin {
    /// The document in canonical order, of version 2 whatever it was, and what was left out.
    pub(crate) fn settled(&self) -> Result<(Value, Vec<String>), Refusal> {
        let top = format!("{}:network", self.source);
        if !v1::is_version_1(&self.document) {
            let document = renderer_key::spread(&self.document, &Place::top(&top, Reading::Whole))?;
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
