//! network-config version 1 as a document of version 2: from there on there is one format.
//!
//! Version 1 is a list of commands; what they mean is in cloud-init's "Networking config version 1" and in its
//! `network_state.py`. A device of the list is known by its card (`mac_address`), else by its name; each of its keys is
//! merged as keys of version 2 are, and `subnets`, which is a list, replaces all that subnets decide.

mod device;
mod draft;
mod known;
mod nameserver;
mod netmask;
mod parameters;
mod route;
mod scalar;
mod subnet;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::device::Section;
use super::object::Object;
use super::place::{Place, Reading};
use super::value::keyword;
use crate::Refusal;
use draft::{Draft, add_new};
pub(crate) use known::Known;
use nameserver::Nameserver;
use route::RouteAt;
pub(crate) use trace::Trace;

/// Entries that a document may have: as many devices as version 2 may, and their name servers and routes.
const MOST_ENTRIES: usize = 2048;

/// Name servers, and domains, that may be for all devices: each of them is written for every device.
const MOST_FOR_ALL: usize = 32;

const TYPES: &[&str] =
    &["physical", "bond", "bridge", "vlan", "loopback", "nameserver", "route", "infiniband"];

/// A document of version 2 that was one of version 1.
#[derive(Debug, Default)]
pub(crate) struct Converted {
    /// The document.
    pub(crate) document: Value,
    /// Where its keys came from.
    pub(crate) trace: Trace,
    /// What was left out and harms nobody.
    pub(crate) warnings: Vec<String>,
}

/// True if a document is of version 1, or of no version and looks like it.
pub(crate) fn is_version_1(document: &Value) -> bool {
    match document.get("version") {
        Some(Value::Number(version)) => version.as_u64() == Some(1),
        Some(Value::String(version)) => version == "1",
        Some(_) => false,
        None => document.get("config").is_some(),
    }
}

/// Converts the document at a place. `known` are the devices that it is merged into, if that is known already.
pub(crate) fn convert(document: &Value, place: &Place, known: Option<&Known>) -> Result<Converted, Refusal> {
    let mut object = Object::open(document, place)?;
    if object.read("version", |_, _| Ok(()))?.is_none() {
        return Err(place.key("version").lacks("1, which is the version that has `config`, or 2"));
    }
    let commands = object.read("config", Commands::read)?;
    object.finish()?;
    let Some(mut commands) = commands else {
        return Err(place.key("config").lacks("a list of devices, name servers and routes"));
    };
    let nobody = Known::default();
    commands.name_devices(known.unwrap_or(&nobody))?;
    commands.share_routes()?;
    let mut warnings = commands.share_nameservers(place.reading())?;
    commands.add_to_known_devices(known)?;
    warnings.extend(commands.devices.iter_mut().flat_map(|draft| std::mem::take(&mut draft.warnings)));
    let mut converted = commands.into_document(known.unwrap_or(&nobody));
    converted.warnings = warnings;
    Ok(converted)
}

/// The list, sorted by what its entries are.
#[derive(Debug, Default)]
struct Commands {
    devices: Vec<Draft>,
    nameservers: Vec<Nameserver>,
    routes: Vec<RouteAt>,
}

impl Commands {
    fn read(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let entries = value.as_array().ok_or_else(|| place.refuse(value, "a list"))?;
        if entries.len() > MOST_ENTRIES {
            let given = format!("{} entries", entries.len());
            return Err(place.refuse_text(&given, format!("at most {MOST_ENTRIES} entries")));
        }
        let mut commands = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            commands.read_entry(entry, &place.index(index))?;
        }
        Ok(commands)
    }

    fn read_entry(&mut self, entry: &Value, place: &Place) -> Result<(), Refusal> {
        // Only the type is looked at here; the keys that are not known yet are judged by who reads the rest.
        let kind = Object::open(entry, place)?.read("type", keyword(TYPES))?;
        match kind {
            None => Err(place.key("type").lacks(format!("one of {}", TYPES.join(", ")))),
            Some("nameserver") => {
                self.nameservers.push(Nameserver::parse(entry, place)?);
                Ok(())
            }
            Some("route") => {
                self.routes.push(RouteAt::parse(entry, place)?);
                Ok(())
            }
            Some("infiniband") => {
                let refusal = place.key("type").refuse_text("infiniband", "an Ethernet device");
                Err(refusal.hint("IP over InfiniBand is not supported: its addresses have 20 bytes"))
            }
            Some(kind) => {
                let draft = device::parse(kind, entry, place)?;
                match self.devices.iter().find(|other| other.name == draft.name) {
                    None => self.devices.push(draft),
                    Some(other) => {
                        let refusal = place.key("name").refuse_text(&draft.name, "a name of its own");
                        return Err(refusal.hint(format!("`{}` has that name", other.place.path())));
                    }
                }
                Ok(())
            }
        }
    }

    /// Gives each device the id of the known one that is the same card, or has the same name.
    fn name_devices(&mut self, known: &Known) -> Result<(), Refusal> {
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        let mut open = Vec::new();
        for draft in &mut self.devices {
            match draft.card.and_then(|card| known.card(card)) {
                Some(id) => {
                    id.clone_into(&mut draft.id);
                    if let Some(other) = taken.insert(draft.id.clone(), draft.place.path().to_owned()) {
                        let place = draft.place.key("mac_address");
                        let given = draft.card.map(|card| card.to_string()).unwrap_or_default();
                        let refusal = place.refuse_text(&given, "a card that no other device is");
                        return Err(refusal.hint(format!("`{other}` has it")));
                    }
                }
                None => open.push(draft),
            }
        }
        for draft in open {
            let same_name = known.named(&draft.name).filter(|(section, _)| *section == draft.section);
            let id = same_name.map_or(draft.name.as_str(), |(_, id)| id).to_owned();
            if let Some(other) = taken.insert(id.clone(), draft.place.path().to_owned()) {
                let refusal = draft.place.key("name").refuse_text(&draft.name, "a device of its own");
                let hint = format!(
                    "`{other}` is `{id}` of what the machine has; rename one at a time, or push version 2"
                );
                return Err(refusal.hint(hint));
            }
            draft.id = id;
        }
        Ok(())
    }

    /// Gives each route of the machine to the device that reaches its gateway.
    fn share_routes(&mut self) -> Result<(), Refusal> {
        for route in std::mem::take(&mut self.routes) {
            let via = route.route.via;
            let layers =
                || self.devices.iter().enumerate().filter_map(|(n, draft)| Some((n, draft.layer.as_ref()?)));
            let reaches = layers()
                .find(|(_, layer)| layer.addresses.iter().any(|(network, _)| route::contains(*network, via)));
            let mut with_addresses =
                layers().filter(|(_, layer)| layer.is_dynamic() || !layer.addresses.is_empty());
            let only = with_addresses.next().filter(|_| with_addresses.next().is_none());
            let Some((index, _)) = reaches.or(only) else {
                let place = route.place.key("gateway");
                let expected =
                    "an address in the network of one of these devices: version 2 has routes per device";
                let refusal = place.refuse_text(&via.to_string(), expected);
                return Err(refusal.hint("give the route in `routes` of a subnet"));
            };
            if let Some(layer) = &mut self.devices[index].layer {
                layer.add_route(route);
            }
        }
        Ok(())
    }

    /// Gives the name servers of the machine to the devices that have addresses and no DNS of their own, as
    /// cloud-init does; where none has a static address, to those with DHCP.
    fn share_nameservers(&mut self, reading: Reading) -> Result<Vec<String>, Refusal> {
        let (mut servers, mut search, mut first) = (Vec::new(), Vec::new(), None);
        for entry in self.nameservers.extract_if(.., |entry| entry.interface.is_none()) {
            add_new(&mut servers, entry.servers);
            add_new(&mut search, entry.search);
            if servers.len().max(search.len()) > MOST_FOR_ALL {
                let expected = format!("at most {MOST_FOR_ALL} name servers and domains for all devices");
                return Err(entry.place.lacks(expected).hint("name the `interface` that they are for"));
            }
            first.get_or_insert(entry.place);
        }
        // ifupdown's custom: what is said of the loopback device is for the machine.
        for draft in self.devices.iter_mut().filter(|draft| draft.name == "lo") {
            let Some(layer) = draft.layer.as_mut().filter(|layer| layer.has_dns()) else { continue };
            add_new(&mut servers, std::mem::take(&mut layer.servers));
            add_new(&mut search, std::mem::take(&mut layer.search));
            first.get_or_insert_with(|| draft.place.key("subnets"));
        }
        let Some(place) = first else { return Ok(Vec::new()) };
        let own: BTreeSet<String> =
            self.nameservers.iter().filter_map(|entry| Some(entry.interface.as_ref()?.0.clone())).collect();
        let with_addresses = self
            .devices
            .iter_mut()
            .filter(|draft| draft.name != "lo")
            .filter_map(|draft| Some((own.contains(&draft.name), draft.layer.as_mut()?)))
            .filter(|(_, layer)| !layer.addresses.is_empty() || layer.is_dynamic());
        let with_addresses: Vec<(bool, &mut draft::Layer)> = with_addresses.collect();
        let any = !with_addresses.is_empty();
        let lacking = with_addresses.into_iter().filter(|(has_own, layer)| !has_own && !layer.has_dns());
        let lacking: Vec<&mut draft::Layer> = lacking.map(|(_, layer)| layer).collect();
        let nobody = lacking.is_empty();
        let has_static = lacking.iter().any(|layer| !layer.addresses.is_empty());
        for layer in lacking.into_iter().filter(|layer| !has_static || !layer.addresses.is_empty()) {
            layer.servers.clone_from(&servers);
            layer.search.clone_from(&search);
        }
        if reading == Reading::Push && !any {
            let refusal = place.lacks("a device with addresses: version 2 has name servers per device");
            return Err(refusal.hint("name the `interface` that they are for"));
        }
        let warning = || {
            format!("`{}` is for devices without name servers; there is none, it was left out", place.path())
        };
        Ok(nobody.then(warning).into_iter().collect())
    }

    /// Gives each device the name servers that name it. It may be one that the machine has already.
    fn add_to_known_devices(&mut self, known: Option<&Known>) -> Result<(), Refusal> {
        for entry in std::mem::take(&mut self.nameservers) {
            let Some((name, at)) = &entry.interface else { continue };
            let found = self.devices.iter().position(|draft| draft.name == *name);
            let index = match (found, known) {
                (Some(index), _) => index,
                // What it is merged into is not known yet: it is judged when it is.
                (None, None) => continue,
                (None, Some(known)) => {
                    let Some((section, id)) = known.named(name) else {
                        return Err(at.refuse_text(name, "the name of a device of this config"));
                    };
                    let mut draft = Draft::new(section, name, &entry.place);
                    id.clone_into(&mut draft.id);
                    self.devices.push(draft);
                    self.devices.len() - 1
                }
            };
            self.devices[index].add_nameserver(entry)?;
        }
        Ok(())
    }

    fn into_document(self, known: &Known) -> Converted {
        let ids: BTreeMap<String, String> =
            self.devices.iter().map(|draft| (draft.name.clone(), draft.id.clone())).collect();
        let id_of = |name: &str| -> String {
            let id = ids.get(name).map(String::as_str);
            id.or_else(|| known.named(name).map(|(_, id)| id)).unwrap_or(name).to_owned()
        };
        let mut converted = Converted::default();
        let mut sections: BTreeMap<Section, Map<String, Value>> = BTreeMap::new();
        let mut members = Vec::new();
        for draft in self.devices {
            let (section, id, place) = (draft.section, draft.id.clone(), draft.place.clone());
            let is_idle_loopback =
                draft.name == "lo" && draft.layer.as_ref().is_none_or(draft::Layer::is_idle);
            let keys = draft.finish(&id_of, &mut converted.trace);
            members.extend(device::members_of(&keys).into_iter().map(|member| (member, place.clone())));
            // The system brings it up by itself.
            if !(is_idle_loopback && known.named("lo").is_none()) {
                sections.entry(section).or_default().insert(id, keys.into());
            }
        }
        let defined: BTreeSet<String> = sections.values().flat_map(Map::keys).cloned().collect();
        for (member, place) in members {
            if !defined.contains(&member) && known.named(&member).is_none() && !known.has(&member) {
                converted.trace.note(format!("{}.{member}", Section::Ethernets.key()), &place);
                let ethernets = sections.entry(Section::Ethernets).or_default();
                ethernets.entry(member).or_insert_with(|| Map::new().into());
            }
        }
        let mut document = Map::from_iter([("version".to_owned(), Value::from(2))]);
        document.extend(sections.into_iter().map(|(section, map)| (section.key().to_owned(), map.into())));
        converted.document = document.into();
        converted
    }
}
