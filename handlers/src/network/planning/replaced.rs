//! Files of cloud-init's that a take-over replaced, kept for a rollback.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::{OrphanLink, OrphanName};
use crate::{FileState, Refusal};

/// Bytes of all files that are kept for a rollback: far more than cloud-init writes, and little beside what a module may hold.
pub(super) const MOST_BYTES: usize = 64 * 1024;

/// Files that were replaced, with what they configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Replaced {
    /// Each file as it was; they may hold what is secret.
    pub(super) files: BTreeMap<String, FileState>,
    pub(super) links: Vec<OrphanLink>,
}

impl Replaced {
    /// The links by the names that they have now, in the order of the files.
    pub(super) fn names(&self, links: &Links) -> Vec<OrphanName> {
        let name = |link: &OrphanLink| {
            let OrphanLink { path, is_made, .. } = link.clone();
            link.present_name(links).map(|name| OrphanName { name, path, is_made })
        };
        self.links.iter().filter_map(name).collect()
    }

    /// True if there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Refuses to put files back that go by names if a card has another one by now.
    pub(super) fn check_names(&self, links: &Links) -> Result<(), Refusal> {
        let is_renamed = |link: &&OrphanLink| {
            let now = link.present_name(links);
            link.name.is_some() && now != link.name
        };
        match self.links.iter().find(is_renamed) {
            None => Ok(()),
            Some(link) => {
                let expected = "cards with the names that cloud-init's files have for them";
                Err(Refusal::at("network", expected)
                    .given(format!(
                        "{} in place of {}",
                        link.present_name(links).unwrap_or_default(),
                        link.label()
                    ))
                    .hint("push what is wanted, or give the card its name back first"))
            }
        }
    }
}
