//! The whole network config, typed. It knows no renderer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::device::{Device, Kind, Section};
use super::name::DeviceId;
use super::object::{Object, unknown_key};
use super::place::{Place, Reading};
use super::settings::renderer;
use super::take_over;
use super::value::boolean;
use crate::Refusal;

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
pub(super) struct NetworkConfig {
    devices: BTreeMap<DeviceId, Device>,
    /// Ids in sections that we do not know: a bridge may have a wireless card in it.
    elsewhere: BTreeSet<String>,
}

impl NetworkConfig {
    /// Parses a whole document; `path` is how faults name its top.
    pub(super) fn whole(document: &Value, path: &str) -> Result<Self, Refusal> {
        let place = Place::top(path, Reading::Whole);
        let devices = read_document(document, &place)?;
        let config = Self {
            devices: devices.iter().map(|found| (found.id.clone(), found.device.clone())).collect(),
            elsewhere: ids_elsewhere(document),
        };
        for found in &devices {
            config.check_parts(found)?;
        }
        config.check_masters(&devices)?;
        Self::check_identities(&devices)?;
        for found in &devices {
            config.check_no_circle(found)?;
        }
        Ok(config)
    }

    /// Checks a push: everything in it must be right, but it may leave things out.
    pub(super) fn check_push(document: &Value, path: &str) -> Result<(), Refusal> {
        read_document(document, &Place::top(path, Reading::Push)).map(drop)
    }

    /// The devices, in order of their ids.
    pub(super) fn devices(&self) -> impl Iterator<Item = (&DeviceId, &Device)> {
        self.devices.iter()
    }

    /// One device.
    pub(super) fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// The bond or bridge that a device is a member of.
    pub(super) fn master(&self, id: &DeviceId) -> Option<(&DeviceId, &Device)> {
        self.devices().find(|(_, device)| {
            !matches!(device.kind, Kind::Vlan(_)) && device.parts().iter().any(|(part, _)| *part == id)
        })
    }

    /// The VLANs on top of a device.
    pub(super) fn vlans_of<'a>(&'a self, id: &'a DeviceId) -> impl Iterator<Item = &'a DeviceId> {
        self.devices().filter_map(move |(vlan, device)| match &device.kind {
            Kind::Vlan(tag) if tag.link == *id => Some(vlan),
            _ => None,
        })
    }

    fn check_parts(&self, found: &Found) -> Result<(), Refusal> {
        for (index, (part, key)) in found.device.parts().into_iter().enumerate() {
            let place = found.place.key(key);
            let place = if key == "interfaces" { place.index(index) } else { place };
            if *part == found.id {
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

    /// A link has one master at most.
    fn check_masters(&self, devices: &[Found]) -> Result<(), Refusal> {
        let mut masters: BTreeMap<&DeviceId, &DeviceId> = BTreeMap::new();
        for found in devices.iter().filter(|found| !matches!(found.device.kind, Kind::Vlan(_))) {
            let Some(device) = self.device(&found.id) else { continue };
            for (index, (part, key)) in device.parts().into_iter().enumerate() {
                if let Some(other) = masters.insert(part, &found.id) {
                    let expected = "a device that is a member of no other bond or bridge, once";
                    let refusal = found.place.key(key).index(index).refuse_text(part.as_str(), expected);
                    return Err(refusal.hint(format!("it is a member of `{other}`")));
                }
            }
        }
        Ok(())
    }

    /// A card has one definition, and a name is one link's.
    fn check_identities(devices: &[Found]) -> Result<(), Refusal> {
        for (index, found) in devices.iter().enumerate() {
            let earlier = || devices[..index].iter();
            if let Some(other) = earlier().find(|other| found.device.is_same_card(&other.device)) {
                let place = found.place.key("match").key("macaddress");
                let given = found.device.identity().map(|address| address.to_string()).unwrap_or_default();
                let refusal =
                    place.refuse_text(&given, "a hardware address that no other device is found by");
                let hint = format!(
                    "push to `{0}`, which has it, or remove `{0}` (`null`) in the same push",
                    other.id
                );
                return Err(refusal.hint(hint));
            }
            let Some(name) = &found.device.link_name else { continue };
            if let Some(other) = earlier().find(|other| other.device.link_name.as_ref() == Some(name)) {
                let refusal = found.place.refuse_text(name.as_str(), "a link name of its own");
                return Err(refusal.hint(format!("`{}` has that name", other.id)));
            }
        }
        Ok(())
    }

    /// Walks up from a device; to come back to it means that nothing could ever be created.
    fn check_no_circle(&self, found: &Found) -> Result<(), Refusal> {
        let mut below: Vec<&DeviceId> = found.device.parts().into_iter().map(|(part, _)| part).collect();
        let mut seen: BTreeSet<&DeviceId> = BTreeSet::new();
        while let Some(id) = below.pop() {
            if *id == found.id {
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

/// Reads every section. Devices of which a push says too little to stand alone are checked and left out.
fn read_document(document: &Value, place: &Place) -> Result<Vec<Found>, Refusal> {
    let mut object = Object::open(document, place)?;
    object.read("version", version)?;
    object.read("renderer", renderer)?;
    object.read(take_over::KEY, boolean)?;
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
pub(super) fn unwrap_envelope(payload: &Value) -> Result<(&Value, &'static str), Refusal> {
    let Some(map) = payload.as_object() else {
        return Err(Refusal::at("network", "a map with `version` and devices").given("no map"));
    };
    let Some(document) = map.get("network") else { return Ok((payload, "")) };
    if let Some(unknown) = map.keys().find(|key| *key != "network") {
        return Err(unknown_key(&Place::top("", Reading::Push), unknown, &["network"]));
    }
    if document.is_null() {
        return Err(Refusal::at("network", "a map with `version` and devices").given("null"));
    }
    Ok((document, "network"))
}
