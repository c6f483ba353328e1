//! The whole network config, typed. It knows no renderer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::address::MacAddress;
use super::backend;
use super::device::{Device, Kind, Section};
use super::name::{DeviceId, LinkName};
use super::object::{Object, unknown_key};
use super::place::{Place, Reading};
use super::value::boolean;
use crate::Refusal;

/// The key by which a document takes the network over from cloud-init.
pub(crate) const TAKE_OVER: &str = "take-over";

/// Devices that a config may have: as many as a large host has VLANs, and few enough to render at once.
const MOST_DEVICES: usize = 1024;

/// netplan's sections that are not served, and why.
const UNSERVED: &[(&str, &str)] = &[
    ("wifis", "wireless networks need secrets that would stand in the network config"),
    ("modems", "modems are not supported; a file of your own may configure them"),
    ("tunnels", "tunnels are not supported; a file of your own may configure them"),
    ("vrfs", "VRFs are not supported; `routing-policy` and a `table` of routes may do"),
    ("dummy-devices", "dummy devices are not supported; a bridge without `interfaces` may do"),
    ("virtual-ethernets", "virtual pairs are not supported; a file of your own may configure them"),
    ("nm-devices", "what is passed through to NetworkManager cannot be checked"),
    ("openvswitch", "Open vSwitch is set up by its own daemon, which is not driven"),
];

/// Every device that is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkConfig {
    devices: BTreeMap<DeviceId, Device>,
    /// Of each member, its bond or bridge.
    masters: BTreeMap<DeviceId, DeviceId>,
    /// Ids in sections that we do not know: a bridge may have a wireless card in it.
    elsewhere: BTreeSet<String>,
}

impl NetworkConfig {
    /// Parses a whole document; `path` is how faults name its top.
    pub(crate) fn whole(document: &Value, path: &str) -> Result<Self, Refusal> {
        let place = Place::top(path, Reading::Whole);
        let mut config = Self { elsewhere: ids_elsewhere(document), ..Self::default() };
        let mut found = Vec::new();
        for Found { id, device, place } in read_document(document, &place)? {
            found.push((id.clone(), place));
            config.devices.insert(id, device);
        }
        let found: Vec<Defined<'_>> = found
            .iter()
            .filter_map(|(id, place)| Some(Defined { id, device: config.devices.get(id)?, place }))
            .collect();
        for device in &found {
            config.check_parts(device)?;
        }
        let masters = masters(&found)?;
        check_identities(&found)?;
        for device in &found {
            config.check_no_circle(device)?;
        }
        config.masters = masters;
        Ok(config)
    }

    /// Checks a push: everything in it must be right, but it may leave things out.
    pub(crate) fn check_push(document: &Value, path: &str) -> Result<(), Refusal> {
        read_document(document, &Place::top(path, Reading::Push)).map(drop)
    }

    /// The devices, in order of their ids.
    pub(crate) fn devices(&self) -> impl ExactSizeIterator<Item = (&DeviceId, &Device)> {
        self.devices.iter()
    }

    /// True if a bond, bridge or VLAN of it has this name: its link is its id.
    pub(crate) fn makes(&self, link: &str) -> bool {
        self.devices.get(link).is_some_and(|device| device.as_ethernet().is_none())
    }

    /// One device.
    pub(crate) fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// The bond or bridge that a device is a member of.
    pub(crate) fn master(&self, id: &DeviceId) -> Option<(&DeviceId, &Device)> {
        let master = self.masters.get(id)?;
        Some((master, self.device(master)?))
    }

    /// The VLANs on top of a device.
    pub(crate) fn vlans_of<'a>(&'a self, id: &'a DeviceId) -> impl Iterator<Item = &'a DeviceId> {
        self.devices().filter_map(move |(vlan, device)| match &device.kind {
            Kind::Vlan(tag) if tag.link == *id => Some(vlan),
            _ => None,
        })
    }

    fn check_parts(&self, found: &Defined<'_>) -> Result<(), Refusal> {
        for (index, (part, key)) in found.device.parts().into_iter().enumerate() {
            let place = found.place.key(key);
            let place = if key == "interfaces" { place.index(index) } else { place };
            if part == found.id {
                return Err(place.refuse_text(part.as_str(), "another device than this one itself"));
            }
            if !self.devices.contains_key(part) && !self.elsewhere.contains(part.as_str()) {
                let known: Vec<&str> = self.devices.keys().map(DeviceId::as_str).collect();
                let refusal = place.refuse_text(part.as_str(), "the id of a device of this config");
                return Err(match crate::nearest::nearest(part.as_str(), &known) {
                    Some(near) => refusal.hint(format!("did you mean `{near}`?")),
                    None => refusal.hint("define the device, an empty map will do"),
                });
            }
        }
        Ok(())
    }

    /// Walks up from a device; to come back to it means that nothing could ever be created.
    fn check_no_circle(&self, found: &Defined<'_>) -> Result<(), Refusal> {
        let mut below: Vec<&DeviceId> = found.device.parts().into_iter().map(|(part, _)| part).collect();
        let mut seen: BTreeSet<&DeviceId> = BTreeSet::new();
        while let Some(id) = below.pop() {
            if id == found.id {
                return Err(found.place.lacks("devices that are not made of one another in a circle"));
            }
            if seen.insert(id) {
                let parts = self.device(id).map(Device::parts).unwrap_or_default();
                below.extend(parts.into_iter().map(|(part, _)| part));
            }
        }
        Ok(())
    }
}

/// A device with where it stands.
struct Found {
    id: DeviceId,
    device: Device,
    place: Place,
}

/// A device of a whole document with where it stands.
struct Defined<'a> {
    id: &'a DeviceId,
    device: &'a Device,
    place: &'a Place,
}

/// Of each member its master. A link has one at most.
fn masters(devices: &[Defined<'_>]) -> Result<BTreeMap<DeviceId, DeviceId>, Refusal> {
    let mut masters: BTreeMap<DeviceId, DeviceId> = BTreeMap::new();
    for Defined { id, device, place } in devices {
        if matches!(device.kind, Kind::Vlan(_)) {
            continue;
        }
        for (index, (part, key)) in device.parts().into_iter().enumerate() {
            if let Some(other) = masters.insert(part.clone(), (*id).clone()) {
                let expected = "a device that is a member of no other bond or bridge, once";
                let refusal = place.key(key).index(index).refuse_text(part.as_str(), expected);
                return Err(refusal.hint(format!("it is a member of `{other}`")));
            }
        }
    }
    Ok(masters)
}

/// A card has one definition, and a name is one link's.
fn check_identities(devices: &[Defined<'_>]) -> Result<(), Refusal> {
    let mut cards: BTreeMap<MacAddress, Vec<&Defined<'_>>> = BTreeMap::new();
    let mut names: BTreeMap<&LinkName, &DeviceId> = BTreeMap::new();
    for found in devices {
        let Defined { device, place, .. } = found;
        if let Some(address) = device.identity() {
            let earlier = cards.entry(address).or_default();
            if let Some(other) = earlier.iter().find(|other| device.is_same_card(other.device)) {
                let expected = "a hardware address that no other device is found by";
                let refusal =
                    place.key("match").key("macaddress").refuse_text(&address.to_string(), expected);
                let hint = format!(
                    "push to `{0}`, which has it, or remove `{0}` (`null`) in the same push",
                    other.id
                );
                return Err(refusal.hint(hint));
            }
            earlier.push(found);
        }
        let Some(name) = &device.link_name else { continue };
        if let Some(other) = names.insert(name, found.id) {
            let refusal = place.refuse_text(name.as_str(), "a link name of its own");
            return Err(refusal.hint(format!("`{other}` has that name")));
        }
    }
    Ok(())
}

/// Reads every section. Devices of which a push says too little to stand alone are checked and left out.
fn read_document(document: &Value, place: &Place) -> Result<Vec<Found>, Refusal> {
    let mut object = Object::open(document, place)?;
    object.read("version", version)?;
    object.read(backend::KEY, backend::backend)?;
    object.read(TAKE_OVER, boolean)?;
    object.refuse_unserved(UNSERVED)?;
    let mut found: Vec<Found> = Vec::new();
    let mut homes: BTreeMap<DeviceId, Section> = BTreeMap::new();
    for section in Section::ALL {
        object.read(section.key(), |value, place| {
            let map =
                value.as_object().ok_or_else(|| place.refuse(value, "a map of device ids to devices"))?;
            if map.len() > MOST_DEVICES - found.len().min(MOST_DEVICES) {
                let given = format!("{} devices", found.len() + map.len());
                return Err(place.refuse_text(&given, format!("at most {MOST_DEVICES} devices")));
            }
            for (key, value) in map {
                let place = place.key(key);
                let id = DeviceId::from_key(key, &place)?;
                if value.is_null() {
                    continue;
                }
                if let Some(home) = homes.insert(id.clone(), section) {
                    let expected = format!("an id of its own: `{id}` is defined in `{}`", home.key());
                    return Err(place.refuse_text(key, expected));
                }
                if let Some(device) = Device::parse(section, &id, value, &place)? {
                    found.push(Found { id, device, place });
                }
            }
            Ok(())
        })?;
    }
    object.finish()?;
    Ok(found)
}

fn ids_elsewhere(document: &Value) -> BTreeSet<String> {
    let sections = document.as_object().into_iter().flatten();
    let unknown =
        sections.filter(|(key, _)| Section::ALL.iter().all(|section| section.key() != key.as_str()));
    unknown
        .filter_map(|(_, section)| section.as_object())
        .flat_map(|section| section.keys().cloned())
        .collect()
}

fn version(value: &Value, place: &Place) -> Result<(), Refusal> {
    let as_text = value.as_str().filter(|_| place.reading() == Reading::Whole);
    if value.as_u64() == Some(2) || as_text == Some("2") {
        return Ok(());
    }
    Err(place.refuse(value, "2, or 1 with `config`: the versions of network-config"))
}

/// The document inside a payload, and what faults call its top: `{"network": {…}}`, or the inside alone.
pub(crate) fn unwrap_envelope(payload: &Value) -> Result<(&Value, &'static str), Refusal> {
    let whole = Place::top("network", Reading::Push);
    let Some(map) = payload.as_object() else {
        return Err(whole.refuse(payload, "a map with `version` and devices"));
    };
    let Some(document) = map.get("network") else { return Ok((payload, "")) };
    if let Some(unknown) = map.keys().find(|key| *key != "network") {
        return Err(unknown_key(&Place::top("", Reading::Push), unknown, &["network"]));
    }
    if document.is_null() {
        return Err(whole.refuse(document, "a map with `version` and devices"));
    }
    Ok((document, "network"))
}
