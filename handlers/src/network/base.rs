//! What a push is merged into: what the module holds, or what cloud-init left.

use std::collections::{BTreeMap, BTreeSet};

use cloud_channel_protocol::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::config::NetworkConfig;
use super::link::unreadable;
use super::merge::merge;
use super::renderer::{Desired, RenderedFile, Renderer};
use crate::{Held, Refusal, System};

/// What the module remembers between pushes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The merged document.
    pub(super) config: Value,
    /// Each file that was written last, with the SHA-256 of its content in hex.
    pub(super) files: BTreeMap<String, String>,
}

impl Memory {
    /// What is held; `None` if there was no push yet.
    pub(super) fn recall(held: &Held) -> Result<Option<Self>, Refusal> {
        let Some(document) = held.as_document() else { return Ok(None) };
        serde_json::from_value(document.clone()).map(Some).map_err(|error| {
            Refusal::at("network", "a memory of earlier pushes that this version can read")
                .given(error.to_string())
                .hint("it was written by another version of cloud-channel")
        })
    }

    /// What will be held once these files are in place.
    pub(super) fn of(document: &Value, files: &[RenderedFile]) -> Self {
        let files = files.iter().map(|file| (file.path.clone(), digest(&file.file.content))).collect();
        Self { config: document.clone(), files }
    }

    /// Wraps it for the broker.
    pub(super) fn into_held(self) -> Held {
        Held::document(serde_json::json!({ "config": self.config, "files": self.files }))
    }
}

/// What a push is merged into.
#[derive(Debug)]
pub(super) struct Base {
    /// The document, in canonical order.
    pub(super) document: Value,
    /// Files that are ours to replace and to remove.
    pub(super) ours: BTreeSet<String>,
    /// What the sender should know of it.
    pub(super) warning: Option<String>,
}

impl Base {
    /// Finds what this push is to be merged into.
    ///
    /// A file that is not as we left it was rewritten by cloud-init (a new instance, its own hotplug): then
    /// that is what the machine has, and the push merges into it. A file that is as this very push would make
    /// it is our own work of a try that was interrupted.
    pub(super) fn find(
        memory: Option<&Memory>,
        push: &Value,
        renderer: &dyn Renderer,
        system: &dyn System,
    ) -> Result<Self, Refusal> {
        let Some(memory) = memory else {
            return Self::import(renderer, system).map(Option::unwrap_or_default);
        };
        let held = Self {
            document: memory.config.clone(),
            ours: memory.files.keys().cloned().collect(),
            warning: None,
        };
        let Some(path) = rewritten(memory, push, renderer, system)? else { return Ok(held) };
        let warn =
            |what: &str| Some(format!("`{path}` was changed by someone else since it was written; {what}"));
        match Self::import(renderer, system)? {
            Some(mut import) => {
                import.ours.extend(held.ours);
                let warning = warn("the push was merged into what is there now");
                Ok(Self { warning: warning.into_iter().chain(import.warning).reduce(joined), ..import })
            }
            None => Ok(Self { warning: warn("it was replaced by what was pushed before"), ..held }),
        }
    }

    /// Reads what cloud-init left. What cannot be understood is refused, never overwritten.
    fn import(renderer: &dyn Renderer, system: &dyn System) -> Result<Option<Self>, Refusal> {
        let Some(origin) = renderer.origin(system)? else { return Ok(None) };
        let (document, warnings) = origin.settled().map_err(|refusal| {
            refusal.hint(format!(
                "the fault is in `{}`, which a push must merge into; mend the file",
                origin.source
            ))
        })?;
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok(Some(Self { document, ours: renderer.files_of_origin(system)?, warning }))
    }
}

impl Default for Base {
    fn default() -> Self {
        Self { document: Value::Object(Map::new()), ours: BTreeSet::new(), warning: None }
    }
}

fn joined(one: String, two: String) -> String {
    format!("{one}; {two}")
}

/// The first of our files that holds neither what we wrote last nor what this push leads to. One that is gone
/// is simply written again.
fn rewritten(
    memory: &Memory,
    push: &Value,
    renderer: &dyn Renderer,
    system: &dyn System,
) -> Result<Option<String>, Refusal> {
    let document = merge(&memory.config, push);
    let next = match NetworkConfig::whole(&document, "") {
        Ok(config) => renderer.render(&Desired { document: document.clone(), config }, system)?,
        // What is there may have what the push needs; it is judged once it is merged.
        Err(_) => Vec::new(),
    };
    let next = Memory::of(&document, &next);
    for (path, known) in &memory.files {
        let Some(file) = system.read(path).map_err(|error| unreadable(&error))? else { continue };
        let there = digest(&file.content);
        if there != *known && next.files.get(path) != Some(&there) {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

/// SHA-256 in hex.
pub(super) fn digest(content: &[u8]) -> String {
    hex::write(&Sha256::digest(content))
}
