//! What cloud-init configured, where a renderer's own files do not tell: the config that cloud-init keeps beside them.

use serde_json::Value;

use super::origin::Origin;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;
use crate::network::machine::reading;
use crate::{Refusal, System};

/// Where cloud-init (23.4 and later) keeps the config that it rendered.
const ORIGINS: [&str; 2] =
    ["/var/lib/cloud/instance/network-config.json", "/run/cloud-init/network-config.json"];

/// The config that cloud-init rendered, of version 1 or 2.
pub(super) fn origin(system: &dyn System) -> Result<Option<Origin>, Refusal> {
    for path in ORIGINS {
        let content = reading::document(path, system)?.map_err(|error| {
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

/// The refusal of a device that a file of somebody else's defines; `is_cloud_inits`: of cloud-init's, of which we
/// know no more than that.
pub(super) fn conflict(id: &DeviceId, device: &Device, path: &str, is_cloud_inits: bool) -> Refusal {
    let hint = if is_cloud_inits {
        format!(
            "cloud-init wrote `{path}` and left no network-config.json to merge into: \
             remove the file"
        )
    } else {
        format!("remove it from `{path}`, or leave it to that file")
    };
    Refusal::at(format!("network.{}.{id}", device.section().key()), "a device that no other file defines")
        .given(path)
        .because_of(path)
        .hint(hint)
}
