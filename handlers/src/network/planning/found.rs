//! The files that a change finds, as long as we have written none: cloud-init's own, or no files at all. A rollback of that
//! change gives them back byte for byte, where a rendering of the same config would be another text.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::replaced::MOST_BYTES;
use crate::network::document::config::NetworkConfig;
use crate::network::document::desired::Desired;
use crate::network::machine::known_names::names;
use crate::network::machine::link::Links;
use crate::network::renderer::Renderer;
use crate::network::renderer::rendered_file::{RenderedFile, digest};
use crate::{FileState, Refusal, System};

/// Files that were there before the first of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    /// Each file as it was; they may hold what is secret.
    files: BTreeMap<String, FileState>,
    /// The SHA-256 of the document that they came of, in hex.
    document: String,
    /// What the links of each device were called, since files may go by names.
    names: BTreeMap<String, BTreeSet<String>>,
    /// True if that document is one of the files; else it is known to say more than they do in places.
    is_literal: bool,
}

impl Found {
    /// Keeps what a change is about to replace. `document` is what the files came of, and `old` what it means. None, if they are
    /// too large to be kept.
    pub(super) fn keep(
        files: BTreeMap<String, FileState>,
        document: &Value,
        old: &NetworkConfig,
        links: &Links,
        renderer: &dyn Renderer,
        system: &dyn System,
    ) -> Result<Option<Self>, Refusal> {
        if files.values().map(|file| file.content.len()).sum::<usize>() > MOST_BYTES {
            return Ok(None);
        }
        let is_literal = renderer.origin(system)?.is_some_and(|origin| files.contains_key(&origin.source));
        Ok(Some(Self { document: digest_of(document), names: card_names(old, links), is_literal, files }))
    }

    /// The files, if they are still what this config comes to: no card has got a name since that they do not know, and
    /// nothing can be done that they do not say.
    pub(super) fn files_for(&self, now: &Desired, links: &Links) -> Option<Vec<RenderedFile>> {
        let known = |(id, now): (String, BTreeSet<String>)| {
            let before = self.names.get(&id);
            now.is_empty() || before.is_some_and(|before| now.is_subset(before))
        };
        let is_so = self.document == digest_of(&now.document)
            && card_names(&now.config, links).into_iter().all(known);
        is_so.then(|| RenderedFile::all(&self.files))
    }

    /// True if the links must become all that the document says.
    pub(super) const fn is_literal(&self) -> bool {
        self.is_literal
    }
}

fn digest_of(document: &Value) -> String {
    digest(document.to_string().as_bytes())
}

/// What each card is called that is there.
fn card_names(config: &NetworkConfig, links: &Links) -> BTreeMap<String, BTreeSet<String>> {
    let cards = config.devices().filter(|(_, device)| device.as_ethernet().is_some());
    cards.map(|(id, device)| (id.to_string(), names(id, device, config, links))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::network::planning;
    use crate::system::{KernelLink, KernelNetwork, MemorySystem};
    use crate::{Held, Plan, Step, Verification};

    const CARD: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];

    fn machine(renderer: &str) -> MemorySystem {
        let link = KernelLink {
            index: 2,
            name: "eth0".into(),
            address: Some(CARD),
            up: true,
            ..KernelLink::default()
        };
        let network = KernelNetwork { links: vec![link], ..KernelNetwork::default() };
        MemorySystem::new()
            .with_file(
                "/etc/cloud/cloud.cfg",
                format!("system_info: {{network: {{renderers: [{renderer}]}}}}\n"),
            )
            .with_program("/usr/sbin/netplan")
            .with_program("/usr/sbin/ip")
            .with_program("/usr/bin/systemctl")
            .with_program("/usr/bin/networkctl")
            .with_network(network)
    }

    /// True if the one link must have all that the config says. It must be up in any case.
    fn is_in_full(plan: &Plan) -> bool {
        let Some(Step::Verify(Verification::Network(expectation))) = plan.steps.last() else {
            panic!("{plan:?}")
        };
        let [link] = &expectation.links[..] else { panic!("{expectation:?}") };
        assert_ne!(link.clone().outline().untouched(), link.clone().outline(), "it is brought up");
        link.clone().outline() != *link
    }

    #[test]
    fn what_cloud_inits_files_may_not_say_is_not_demanded_of_them() {
        let card = json!({"match": {"macaddress": "52:54:00:00:00:01"}, "set-name": "eth0", "addresses": ["192.0.2.5/24"],
            "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.1", "table": 7}]});
        let config = json!({"version": 2, "ethernets": {"eth0": card}});
        let netplan = json!({ "network": config }).to_string();
        let networkd = machine("networkd")
            .with_file("/run/cloud-init/network-config.json", config.to_string())
            .with_file("/etc/systemd/network/10-cloud-init-eth0.network", "[Match]\nName=eth0\n");
        let netplan = machine("netplan").with_file("/etc/netplan/50-cloud-init.yaml", netplan);
        for (system, in_full) in [(networkd, false), (netplan, true)] {
            let push = json!({"ethernets": {"eth0": {"optional": true}}});
            let plan = planning::plan(&Held::nothing(), &push, &system).unwrap();
            assert!(is_in_full(&plan));
            for file in plan.file_changes() {
                system.write(&file.path, file.after.as_ref().unwrap()).unwrap();
            }
            let back = planning::revert(&plan.held, &system).unwrap();
            assert_eq!(is_in_full(&back), in_full);
            let before: Vec<_> = plan.file_changes().map(|file| (&file.path, &file.before)).collect();
            let after: Vec<_> = back.file_changes().map(|file| (&file.path, &file.after)).collect();
            assert!(before.iter().all(|file| after.contains(file)), "{before:?} {after:?}");
        }
    }
}
