//! The config that cloud-init keeps beside its rendered files, for renderers whose own format is not the document's.

use serde_json::Value;

use super::renderer::Origin;
use super::yaml;
use crate::{Refusal, System};

/// Where cloud-init (23.4 and later) keeps the config that it rendered.
const ORIGINS: [&str; 2] =
    ["/var/lib/cloud/instance/network-config.json", "/run/cloud-init/network-config.json"];

/// What cloud-init rendered, of version 1 or 2.
pub(super) fn network_config_json(system: &dyn System) -> Result<Option<Origin>, Refusal> {
    for path in ORIGINS {
        let content = yaml::read(path, system)?.map_err(|error| {
            Refusal::at("network", format!("a file `{path}` that can be read"))
                .given(error.to_string())
                .hint("it holds what cloud-init configured, and a push must merge into that")
        })?;
        let Some(content) = content else { continue };
        let document = content.get("network").cloned().unwrap_or(content);
        if matches!(document.get("version").and_then(Value::as_u64), Some(1 | 2)) {
            return Ok(Some(Origin { document, source: path.to_owned() }));
        }
    }
    Ok(None)
}
