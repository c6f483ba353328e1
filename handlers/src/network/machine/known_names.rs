//! What cards were called when files were written that go by names: of cards that are found by a `match` and keep the name
//! they have. A card that is plugged in elsewhere, or renamed, is another one to such files.
//!
//! A name that has gone changes nothing: the card may come back under it. One that is new is to be written.

use std::collections::{BTreeMap, BTreeSet};

use super::link::Links;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;

/// The names of each device's links.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct KnownNames(BTreeMap<String, BTreeSet<String>>);

impl KnownNames {
    /// What cards are called now.
    pub(crate) fn now(config: &NetworkConfig, links: &Links) -> Self {
        let named = config.devices().filter(|(_, device)| goes_by_its_name(device));
        Self(named.map(|(id, device)| (id.to_string(), names(id, device, config, links))).collect())
    }

    /// True if there is no such card in the config.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the links of a device were called, if they were any.
    pub(crate) fn of(&self, id: &DeviceId) -> Option<&BTreeSet<String>> {
        self.0.get(id.as_str()).filter(|names| !names.is_empty())
    }

    /// The devices that have a link under a name that is not known.
    pub(crate) fn moved(&self, config: &NetworkConfig, links: &Links) -> BTreeSet<DeviceId> {
        let is_moved = |(id, device): &(&DeviceId, &Device)| {
            let known = self.0.get(id.as_str()).filter(|_| goes_by_its_name(device));
            known.is_some_and(|known| !names(id, device, config, links).is_subset(known))
        };
        config.devices().filter(is_moved).map(|(id, _)| id.clone()).collect()
    }
}

/// What the links of devices were called that have moved; of the others, what they are called now is right.
pub(crate) fn before_the_move(known: &KnownNames, config: &NetworkConfig, links: &Links) -> KnownNames {
    let moved = known.moved(config, links);
    let names = known.0.iter().filter(|(id, _)| moved.iter().any(|moved| moved.as_str() == id.as_str()));
    KnownNames(names.map(|(id, names)| (id.clone(), names.clone())).collect())
}

fn goes_by_its_name(device: &Device) -> bool {
    device.matching().is_some() && device.link_name.is_none()
}

/// What the links of a device are called now.
pub(crate) fn names(
    id: &DeviceId,
    device: &Device,
    config: &NetworkConfig,
    links: &Links,
) -> BTreeSet<String> {
    links.of(id, device, config).into_iter().map(|link| link.name.clone()).collect()
}

/// Devices with all that stands on them or has them as members: their files may say the name too.
pub(crate) fn with_upper(ids: BTreeSet<DeviceId>, config: &NetworkConfig) -> BTreeSet<DeviceId> {
    let mut all = ids;
    loop {
        let stands = |(id, device): &(&DeviceId, &Device)| {
            !all.contains(*id) && device.parts().iter().any(|(part, _)| all.contains(*part))
        };
        let more: Vec<DeviceId> = config.devices().filter(stands).map(|(id, _)| id.clone()).collect();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::system::MemorySystem;

    fn links(cards: &[(&str, u8)]) -> Links {
        let machine = cards.iter().fold(MemorySystem::new(), |machine, (name, last)| {
            machine.with_file(&format!("/sys/class/net/{name}/address"), format!("02:00:00:00:00:0{last}\n"))
        });
        Links::look(&machine).unwrap()
    }

    #[test]
    fn a_card_under_a_new_name_has_moved_and_one_that_is_gone_has_not() {
        let config = NetworkConfig::whole(
            &json!({"version": 2, "ethernets": {
                "a": {"match": {"macaddress": "02:00:00:00:00:01"}},
                "b": {"match": {"name": "en*"}},
                "c": {"match": {"macaddress": "02:00:00:00:00:03"}, "set-name": "lan"},
                "eth9": {},
            }, "vlans": {"v": {"id": 7, "link": "a"}}, "bridges": {"br0": {"interfaces": ["v"]}}}),
            "",
        )
        .unwrap();
        let known = KnownNames::now(&config, &links(&[("eth1", 1), ("en0", 2), ("en1", 4), ("eth3", 3)]));
        let moved = |cards: &[(&str, u8)]| {
            let moved = known.moved(&config, &links(cards));
            moved.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(known.0.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(moved(&[("eth1", 1), ("en0", 2), ("en1", 4), ("veth7", 9)]), "");
        assert_eq!(moved(&[("en1", 4)]), "", "what is gone may come back");
        assert_eq!(moved(&[("eth5", 1), ("en0", 2), ("eth8", 3)]), "a");
        assert_eq!(moved(&[("eth1", 1), ("en2", 2)]), "b");
        let now = links(&[("eth5", 1), ("en0", 2)]);
        let before = before_the_move(&known, &config, &now);
        assert_eq!(before.0, BTreeMap::from([("a".to_owned(), BTreeSet::from(["eth1".to_owned()]))]));
        assert_eq!(KnownNames::default().moved(&config, &links(&[("eth5", 1)])), BTreeSet::new());
        let a = config.devices().map(|(id, _)| id.clone()).filter(|id| id.as_str() == "a").collect();
        let upper: Vec<String> = with_upper(a, &config).iter().map(ToString::to_string).collect();
        assert_eq!(upper, ["a", "br0", "v"]);
    }
}
