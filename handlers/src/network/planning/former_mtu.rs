//! The MTU that cards had before a config gave them one. No network stack gives it back once the config says nothing of
//! it any more, so that a card would keep until the next boot what nobody wants.

use std::collections::BTreeMap;

use crate::network::activation::rename;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;
use crate::network::machine::link::{Link, Links};
use crate::{Refusal, Step, System};

/// What a card has of which nobody says anything: Ethernet's own.
const USUAL: u32 = 1500;

/// For each card whose MTU the config says, by its device, what it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct FormerMtus(BTreeMap<String, u32>);

impl FormerMtus {
    /// True if nothing is known of any card.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known once one config is in place of another.
    pub(super) fn after(&self, old: &NetworkConfig, new: &NetworkConfig, links: &Links) -> Self {
        let former = |(id, device): (&DeviceId, &Device)| {
            let mtu = if old.device(id).is_some_and(says_one) {
                self.0.get(id.as_str()).copied()
            } else {
                // One that it has already may be the work of a try that was interrupted.
                only_link(id, device, new, links)?.mtu.filter(|mtu| Some(*mtu) != device.settings.mtu)
            };
            Some((id.to_string(), mtu?))
        };
        Self(new.devices().filter(|(_, device)| says_one(device)).filter_map(former).collect())
    }

    /// Steps for the cards of which the config says it no more, and what the sender should know of the others.
    pub(super) fn give_back(
        &self,
        old: &NetworkConfig,
        new: &NetworkConfig,
        links: &Links,
        system: &dyn System,
    ) -> Result<(Vec<Step>, Vec<String>), Refusal> {
        let (mut steps, mut warnings) = (Vec::new(), Vec::new());
        let says_it_no_more =
            |(id, had): &(&DeviceId, &Device)| says_one(had) && !new.device(id).is_some_and(says_one);
        for (id, had) in old.devices().filter(says_it_no_more) {
            let Some(link) = only_link(id, had, old, links) else { continue };
            let (former, mtu) = (self.0.get(id.as_str()).copied(), link.mtu.unwrap_or(USUAL));
            if former.unwrap_or(USUAL) == mtu {
                continue;
            }
            let name = new.device(id).and_then(|device| device.link_name.as_ref());
            // A card that gets another name gets its MTU back by the undo of that.
            let keeps_name = name.is_none_or(|name| name.as_str() == link.name);
            let step = former.map(|former| rename::mtu_step(link, former, keeps_name, system));
            match step.transpose()?.flatten() {
                Some(step) => steps.push(step),
                None => warnings
                    .push(format!("`{id}` keeps the MTU {mtu} until the next boot, or until one is pushed")),
            }
        }
        Ok((steps, warnings))
    }
}

fn says_one(device: &Device) -> bool {
    device.as_ethernet().is_some() && device.settings.mtu.is_some()
}

fn only_link<'a>(
    id: &DeviceId,
    device: &Device,
    config: &NetworkConfig,
    links: &'a Links,
) -> Option<&'a Link> {
    match links.of(id, device, config).as_slice() {
        [link] => Some(*link),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::UndoCommand;
    use crate::system::MemorySystem;

    fn machine(mtu: u32) -> MemorySystem {
        let folder = "/sys/class/net/eth0";
        MemorySystem::new()
            .with_file(&format!("{folder}/address"), "00:11:22:33:44:55\n")
            .with_file(&format!("{folder}/mtu"), format!("{mtu}\n"))
            .with_program("/usr/sbin/ip")
    }

    fn config(card: &Value) -> NetworkConfig {
        NetworkConfig::whole(&json!({"version": 2, "ethernets": {"eth0": card}}), "").unwrap()
    }

    /// The scripts for `ip`, and those of their undo.
    fn given_back(former: &FormerMtus, old: &Value, new: &Value, mtu: u32) -> Vec<(String, String)> {
        let system = machine(mtu);
        let links = Links::look(&system).unwrap();
        let (steps, warnings) = former.give_back(&config(old), &config(new), &links, &system).unwrap();
        assert_eq!(warnings, [""; 0]);
        let script = |step: &Step| {
            let Step::Run { command, .. } = step else { panic!("{step:?}") };
            let undo = match UndoCommand::of(step) {
                Some(UndoCommand::Run(undo)) => undo.stdin.unwrap().expose().to_owned(),
                _ => String::new(),
            };
            (command.stdin.as_ref().unwrap().expose().to_owned(), undo)
        };
        steps.iter().map(script).collect()
    }

    #[test]
    fn a_card_gets_back_the_mtu_that_it_had_before_the_first_config_with_one() {
        let look = |mtu: u32| Links::look(&machine(mtu)).unwrap();
        let (plain, jumbo, small) = (json!({}), json!({"mtu": 9000}), json!({"mtu": 1400}));
        let first = FormerMtus::default().after(&config(&plain), &config(&jumbo), &look(1460));
        let second = first.after(&config(&jumbo), &config(&small), &look(9000));
        assert_eq!(second, first, "what a config set is not what was before");
        let back = ("link set dev eth0 mtu 1460\n".to_owned(), "link set dev eth0 mtu 1400\n".to_owned());
        assert_eq!(given_back(&second, &small, &plain, 1400), [back]);
        assert_eq!(given_back(&second, &small, &plain, 1460), []);
        assert_eq!(given_back(&second, &small, &jumbo, 1400), []);
        let renamed =
            given_back(&second, &small, &json!({"match": {"name": "eth0"}, "set-name": "lan"}), 1400);
        assert_eq!(renamed, [("link set dev eth0 mtu 1460\n".to_owned(), String::new())]);
        assert!(second.after(&config(&small), &config(&plain), &look(1400)).is_empty());
    }

    #[test]
    fn what_was_not_seen_is_not_made_up() {
        let (plain, small) = (json!({}), json!({"mtu": 1400}));
        let links = Links::look(&machine(1400)).unwrap();
        let unknown = FormerMtus::default().after(&config(&small), &config(&small), &links);
        let interrupted = FormerMtus::default().after(&config(&plain), &config(&small), &links);
        assert!(unknown.is_empty() && interrupted.is_empty());
        let told = |mtu: u32| {
            let system = machine(mtu);
            let links = Links::look(&system).unwrap();
            unknown.give_back(&config(&small), &config(&plain), &links, &system).unwrap()
        };
        let warning = "`eth0` keeps the MTU 1400 until the next boot, or until one is pushed";
        assert_eq!(told(1400), (Vec::new(), vec![warning.to_owned()]));
        assert_eq!(told(1500), (Vec::new(), Vec::new()));
    }
}
