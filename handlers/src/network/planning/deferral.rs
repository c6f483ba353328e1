//! What of a config can be done now, and what waits for a card that is not there.
//!
//! A part of a config waits as a whole: a bridge is not made before its last member is there, and a card that is there
//! keeps what it has until the bridge that takes it can be made. Everything else goes on. What waits and was applied
//! before, in another form, stays in that form.
//!
//! A card that was applied and then pulled out makes nobody wait but itself: its bond works without it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::network::document::config::NetworkConfig;
use crate::network::document::desired::Desired;
use crate::network::document::device::{Device, Kind, Section};
use crate::network::document::merge::{canonical, changed_devices};
use crate::network::document::name::DeviceId;
use crate::network::machine::link::Links;

/// The devices that wait, and the cards that each waits for.
pub(super) type Waiting = BTreeMap<DeviceId, BTreeSet<DeviceId>>;

/// A config in two parts.
#[derive(Debug)]
pub(super) struct Deferral {
    /// What can be done now; all of it, if nothing waits.
    pub(super) now: Rc<Desired>,
    /// What cannot.
    pub(super) waiting: Waiting,
}

impl Deferral {
    /// Divides a config. `applied` is what the machine has been told so far.
    pub(super) fn of(desired: impl Into<Rc<Desired>>, applied: &Value, links: &Links) -> Self {
        let config = NetworkConfig::whole(applied, "").ok();
        Self::between(desired.into(), applied, config.as_ref(), links)
    }

    /// As [`Self::of`], with what `applied` means; `None` if it cannot be understood.
    pub(super) fn between(
        desired: Rc<Desired>,
        applied: &Value,
        config: Option<&NetworkConfig>,
        links: &Links,
    ) -> Self {
        match config {
            Some(config) if desired.document != *applied => Self::against(desired, applied, config, links),
            // What cannot be understood cannot be kept either.
            _ => Self { now: desired, waiting: Waiting::new() },
        }
    }

    fn against(desired: Rc<Desired>, applied: &Value, config: &NetworkConfig, links: &Links) -> Self {
        let changed = changed_devices(applied, &desired.document);
        let both = [&desired.config, config];
        let ids = both.into_iter().flat_map(|config| config.devices().map(|(id, _)| id));
        let changed: BTreeSet<&DeviceId> = ids.filter(|id| changed.contains(id.as_str())).collect();
        let mut search = Search {
            desired: Side::of(&desired.config),
            applied: Side::of(config),
            links,
            waiting: Waiting::new(),
        };
        // Each pass finds more or is the last; there are no more than there are devices.
        while search.pass(&changed) {}
        let waiting = search.waiting;
        if waiting.is_empty() {
            return Self { now: desired, waiting };
        }
        if let Ok(now) = Desired::read(put_off(&desired.document, applied, &waiting), "") {
            return Self { now: Rc::new(now), waiting };
        }
        // The two halves do not fit together: nothing is done before everything can be.
        let cards: BTreeSet<DeviceId> = waiting.into_values().flatten().collect();
        let waiting = changed.into_iter().map(|id| (id.clone(), cards.clone())).collect();
        let now = Desired { document: applied.clone(), config: config.clone() };
        Self { now: Rc::new(now), waiting }
    }
}

/// The document as it can be now: of what waits, the definitions that were applied, if there are any.
fn put_off(desired: &Value, applied: &Value, waiting: &Waiting) -> Value {
    let mut document = desired.clone();
    let Some(top) = document.as_object_mut() else { return document };
    for section in Section::ALL.map(Section::key) {
        let kept = applied.get(section).and_then(Value::as_object);
        let now = top.entry(section).or_insert_with(|| Value::Object(Map::new()));
        let Some(now) = now.as_object_mut() else { continue };
        for id in waiting.keys().map(DeviceId::as_str) {
            match kept.and_then(|kept| kept.get(id)) {
                Some(before) => now.insert(id.to_owned(), before.clone()),
                None => now.remove(id),
            };
        }
    }
    canonical(&document)
}

/// A config, and who is a member of what in it.
struct Side<'a> {
    config: &'a NetworkConfig,
    masters: BTreeMap<&'a DeviceId, &'a DeviceId>,
}

impl<'a> Side<'a> {
    fn of(config: &'a NetworkConfig) -> Self {
        let of_one = |(id, device): (&'a DeviceId, &'a Device)| {
            let members = if is_vlan(device) { Vec::new() } else { device.parts() };
            members.into_iter().map(move |(member, _)| (member, id))
        };
        Self { config, masters: config.devices().flat_map(of_one).collect() }
    }

    fn parts(&self, id: &DeviceId) -> impl Iterator<Item = &'a DeviceId> + use<'a> {
        self.config.device(id).into_iter().flat_map(|device| device.parts().into_iter().map(|(part, _)| part))
    }
}

fn is_vlan(device: &Device) -> bool {
    matches!(device.kind, Kind::Vlan(_))
}

/// The search for what waits.
struct Search<'a> {
    desired: Side<'a>,
    applied: Side<'a>,
    links: &'a Links,
    waiting: Waiting,
}

impl<'a> Search<'a> {
    /// Looks at every changed device once; true if one more has to wait, or for one more.
    fn pass(&mut self, changed: &BTreeSet<&'a DeviceId>) -> bool {
        let before = self.size();
        for id in changed {
            let cards = match self.desired.config.device(id) {
                Some(device) => self.wanted(id, device),
                None => self.removed(id),
            };
            if !cards.is_empty() {
                self.waiting.entry((*id).clone()).or_default().extend(cards);
            }
        }
        self.size() > before
    }

    fn size(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    /// The cards that a changed device has to wait for.
    fn wanted(&self, id: &'a DeviceId, device: &Device) -> BTreeSet<DeviceId> {
        let mut cards = BTreeSet::new();
        if device.as_ethernet().is_some() && self.links.is_late(id, self.desired.config) {
            cards.insert(id.clone());
        }
        let had: BTreeSet<&DeviceId> = self.applied.parts(id).collect();
        for part in self.desired.parts(id) {
            // It has been working without it. A VLAN has nothing else to be on.
            if had.contains(part) && !is_vlan(device) {
                continue;
            }
            cards.extend(self.cards_of(part));
            if self.links.is_late(part, self.desired.config) && !self.waiting.contains_key(part) {
                cards.insert(self.card_below(part).clone());
            }
            // Another lets go of it only when it can.
            let other = self.applied.masters.get(part).filter(|other| **other != id);
            cards.extend(other.into_iter().flat_map(|other| self.cards_of(other)));
        }
        // Who is to become a member stays as it is until then.
        let joins =
            self.desired.masters.get(id).filter(|master| self.applied.masters.get(id) != Some(master));
        cards.extend(joins.into_iter().flat_map(|master| self.cards_of(master)));
        cards
    }

    /// The cards whose coming lets a device go that is wanted no more: what waits still stands on it, or takes what it is
    /// made of.
    fn removed(&self, id: &'a DeviceId) -> BTreeSet<DeviceId> {
        let stands_on = |other: &DeviceId| self.applied.parts(other).any(|part| part == id);
        let parts: BTreeSet<&DeviceId> = self.applied.parts(id).collect();
        let takes = |other: &DeviceId| self.desired.parts(other).any(|part| parts.contains(part));
        let waiting = self.waiting.iter().filter(|(other, _)| stands_on(other) || takes(other));
        waiting.flat_map(|(_, cards)| cards.clone()).collect()
    }

    fn cards_of(&self, id: &DeviceId) -> impl Iterator<Item = DeviceId> {
        self.waiting.get(id).into_iter().flatten().cloned()
    }

    /// The card that a late device is late for.
    fn card_below(&self, id: &'a DeviceId) -> &'a DeviceId {
        let mut card = id;
        // A config has no circles.
        while let Some(below) = self.desired.parts(card).next() {
            card = below;
        }
        card
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::FileState;
    use crate::System;
    use crate::system::MemorySystem;

    fn links(cards: &[&str]) -> Links {
        let machine = MemorySystem::sandbox();
        for card in cards.iter().chain(&["lo"]) {
            let path = format!("/sys/class/net/{card}/uevent");
            machine.write(&path, &FileState::of_root(format!("INTERFACE={card}\n"), 0o444)).unwrap();
        }
        Links::look(&machine).unwrap()
    }

    fn divide(applied: &Value, desired: &Value, cards: &[&str]) -> (Value, String) {
        let desired = Desired::read(canonical(desired), "").unwrap();
        let deferral = Deferral::of(desired, &canonical(applied), &links(cards));
        let told = |(id, cards): (&DeviceId, &BTreeSet<DeviceId>)| {
            let cards: Vec<&str> = cards.iter().map(DeviceId::as_str).collect();
            format!("{id}: {}", cards.join(" "))
        };
        let waiting: Vec<String> = deferral.waiting.iter().map(told).collect();
        (deferral.now.document.clone(), waiting.join(", "))
    }

    #[test]
    fn what_waits_and_for_whom() {
        let uplink = json!({"ethernets": {"e0": {"dhcp4": true}}});
        let bond = json!({"ethernets": {"e0": {}, "e1": {}}, "bonds": {"b0": {"interfaces": ["e0", "e1"]}}});
        let cases = [
            // A card, and beside it one that is there.
            (
                json!({}),
                json!({"ethernets": {"e0": {}, "e9": {}}}),
                json!({"ethernets": {"e0": {}}}),
                "e9: e9",
            ),
            // The uplink keeps its address until the bridge that takes it can be made.
            (
                uplink.clone(),
                json!({"ethernets": {"e0": {}, "e9": {}}, "bridges": {"br0": {"interfaces": ["e0", "e9"], "dhcp4": true}}}),
                uplink.clone(),
                "br0: e9, e0: e9, e9: e9",
            ),
            // What is on top waits too, however high; what is beside goes on.
            (
                uplink.clone(),
                json!({"ethernets": {"e0": {"dhcp4": true}, "e1": {}, "e9": {}},
                    "bonds": {"b0": {"interfaces": ["e9"]}},
                    "vlans": {"v1": {"id": 1, "link": "b0"}, "v2": {"id": 2, "link": "e1"}},
                    "bridges": {"br0": {"interfaces": ["v1"]}}}),
                json!({"ethernets": {"e0": {"dhcp4": true}, "e1": {}}, "vlans": {"v2": {"id": 2, "link": "e1"}}}),
                "b0: e9, br0: e9, e9: e9, v1: e9",
            ),
            // A bond that lost a member is told what is new of it.
            (
                json!({"ethernets": {"e0": {}, "e9": {}}, "bonds": {"b0": {"interfaces": ["e0", "e9"]}}}),
                json!({"ethernets": {"e0": {}, "e9": {}}, "bonds": {"b0": {"interfaces": ["e0", "e9"], "mtu": 1400}}}),
                json!({"ethernets": {"e0": {}, "e9": {}}, "bonds": {"b0": {"interfaces": ["e0", "e9"], "mtu": 1400}}}),
                "",
            ),
            // One that is to have another member has to wait, also if that card is configured already.
            (
                json!({"ethernets": {"e0": {}, "e9": {}}, "bonds": {"b0": {"interfaces": ["e0"]}}}),
                json!({"ethernets": {"e0": {}, "e9": {}}, "bonds": {"b0": {"interfaces": ["e0", "e9"]}}}),
                json!({"ethernets": {"e0": {}, "e9": {}}, "bonds": {"b0": {"interfaces": ["e0"]}}}),
                "b0: e9",
            ),
            // The bond that a bridge takes the members of is not taken away before.
            (
                bond.clone(),
                json!({"ethernets": {"e0": {}, "e1": {}, "e9": {}}, "bridges": {"br0": {"interfaces": ["e0", "e9"]}}}),
                bond.clone(),
                "b0: e9, br0: e9, e9: e9",
            ),
            // Who takes a member from one that waits, waits with it.
            (
                bond.clone(),
                json!({"ethernets": {"e0": {}, "e1": {}, "e9": {}}, "bonds": {"b0": {"interfaces": ["e0", "e9"]}},
                    "bridges": {"br0": {"interfaces": ["e1"]}}}),
                bond,
                "b0: e9, br0: e9, e9: e9",
            ),
            // What was applied and is changed waits in the form it had.
            (
                json!({"ethernets": {"e9": {"mtu": 1400}}}),
                json!({"ethernets": {"e9": {"mtu": 1500}}}),
                json!({"ethernets": {"e9": {"mtu": 1400}}}),
                "e9: e9",
            ),
            // A removal needs nobody.
            (json!({"ethernets": {"e9": {}}}), json!({}), json!({}), ""),
        ];
        for (applied, desired, now, waiting) in cases {
            let told = format!("{applied} -> {desired}");
            assert_eq!(
                divide(&applied, &desired, &["e0", "e1"]),
                (canonical(&now), waiting.to_owned()),
                "{told}"
            );
        }
    }

    const CARDS: [&str; 5] = ["e0", "e1", "e2", "e3", "e4"];

    /// A config in which each card is free, or a member of one of two; and VLANs on anything.
    fn config() -> impl Strategy<Value = Value> {
        let card = (any::<bool>(), 0_usize..5, 0_u16..3);
        (proptest::collection::vec(card, CARDS.len()), any::<bool>(), 0_usize..9).prop_map(
            |(cards, kind, vlan)| {
                let mut ethernets = Map::new();
                let mut members: [Vec<&str>; 2] = Default::default();
                for (name, (is_there, place, mtu)) in CARDS.into_iter().zip(cards) {
                    if is_there {
                        ethernets.insert(name.to_owned(), json!({"mtu": 1400 + mtu}));
                        if let Some(members) = members.get_mut(place) {
                            members.push(name);
                        }
                    }
                }
                let below = ["m0", "m1"].into_iter().chain(CARDS).nth(vlan);
                let [first, second] = members;
                let second_kind = if kind { "bonds" } else { "bridges" };
                let mut document = json!({"bonds": {"m0": {"interfaces": first}}, "ethernets": ethernets});
                document[second_kind]["m1"] = json!({"interfaces": second});
                let is_known = |id: &&str| id.starts_with('m') || document["ethernets"].get(*id).is_some();
                if let Some(below) = below.filter(is_known) {
                    document["vlans"] = json!({"v": {"id": 7, "link": below}});
                }
                document
            },
        )
    }

    proptest! {
        #[test]
        fn cards_may_come_in_any_order(
            applied in config(),
            desired in config(),
            order in Just(CARDS.to_vec()).prop_shuffle(),
            first in 0_usize..5,
        ) {
            let desired = Desired::read(canonical(&desired), "").unwrap();
            let mut now = canonical(&applied);
            for count in first..=CARDS.len() {
                let links = links(&order[..count]);
                let deferral = Deferral::of(desired.clone(), &now, &links);
                for id in changed_devices(&now, &deferral.now.document) {
                    let device = deferral.now.config.devices().find(|(other, _)| other.as_str() == id);
                    let late = device.is_some_and(|(id, _)| links.is_late(id, &deferral.now.config));
                    prop_assert!(!late, "{id} is done before its card is there");
                }
                for cards in deferral.waiting.values() {
                    prop_assert!(!cards.is_empty() && cards.iter().all(|card| links.named(card.as_str()).is_none()));
                }
                let again = Deferral::of(desired.clone(), &deferral.now.document, &links);
                prop_assert_eq!(&again.now.document, &deferral.now.document);
                now = deferral.now.document.clone();
            }
            prop_assert_eq!(now, desired.document);
        }
    }
}
