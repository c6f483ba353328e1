//! What the module remembers between pushes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::deferral::Deferral;
use super::former_mtu::FormerMtus;
use super::found::Found;
use super::replaced::Replaced;
use crate::network::document::name::DeviceId;
use crate::network::machine::known_names::KnownNames;
use crate::network::renderer::rendered_file::{RenderedFile, digests};
use crate::{Held, Refusal};

/// What is held, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The merged document: all that is wanted.
    pub(super) config: Value,
    /// What of it is in the files, if that is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) applied: Option<Value>,
    /// The devices that wait, each with the cards that it waits for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) waiting: BTreeMap<String, BTreeSet<String>>,
    /// What was wanted before the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<Value>,
    /// What of that was in the files, if that was not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous_applied: Option<Value>,
    /// The files of cloud-init's that the last change replaced, if nothing else told what they say.
    #[serde(default, skip_serializing_if = "Replaced::is_empty")]
    pub(super) replaced: Replaced,
    /// The files that the last change found, if they were not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<Found>,
    /// True if the files of the network are as they were found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) untouched: bool,
    /// What the cards were called that files go by, if the renderer's files go by names.
    #[serde(default, skip_serializing_if = "KnownNames::is_empty")]
    pub(super) names: KnownNames,
    /// What MTU cards had before the config said one.
    #[serde(default, skip_serializing_if = "FormerMtus::is_empty")]
    pub(super) mtus: FormerMtus,
    /// Each file that was written last, with the SHA-256 of its content in hex.
    pub(super) files: BTreeMap<String, String>,
}

impl Memory {
    /// What is held; `None` if there was no push yet.
    pub(super) fn recall(held: &Held) -> Result<Option<Self>, Refusal> {
        let Some(document) = held.as_document() else { return Ok(None) };
        Self::deserialize(document).map(Some).map_err(|error| {
            Refusal::at("network", "a memory of earlier pushes that this version can read")
                .given(error.to_string())
                .hint("it was written by another version of cloud-channel")
        })
    }

    /// What will be held once these files are in place. `config` is all that is wanted.
    pub(super) fn of(config: &Value, deferral: &Deferral, files: &[RenderedFile]) -> Self {
        let text = |(id, cards): (&DeviceId, &BTreeSet<DeviceId>)| {
            (id.to_string(), cards.iter().map(ToString::to_string).collect())
        };
        Self {
            config: config.clone(),
            applied: Some(&deferral.now.document).filter(|now| *now != config).cloned(),
            waiting: deferral.waiting.iter().map(text).collect(),
            previous: None,
            previous_applied: None,
            replaced: Replaced::default(),
            found: None,
            untouched: false,
            names: KnownNames::default(),
            mtus: FormerMtus::default(),
            files: digests(files),
        }
    }

    /// What the files say.
    pub(super) fn applied(&self) -> &Value {
        self.applied.as_ref().unwrap_or(&self.config)
    }

    /// Wraps it for the broker.
    pub(super) fn into_held(self) -> Held {
        Held::document(serde_json::to_value(self).expect("texts and JSON values serialise"))
    }
}
