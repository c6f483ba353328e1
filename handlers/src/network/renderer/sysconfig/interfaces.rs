//! Which links the devices of a config stand for, by name: ifcfg files go by names, so a device needs one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stack::Stack;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::name::{DeviceId, LinkName};
use crate::network::document::place::{Place, Reading};
use crate::network::machine::known_names::KnownNames;
use crate::network::machine::link::Links;

/// One link of a device, with all that its files say of it and of what is around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interface<'a> {
    pub(crate) id: &'a DeviceId,
    pub(crate) device: &'a Device,
    /// What the link is called.
    pub(crate) name: &'a str,
    pub(crate) config: &'a NetworkConfig,
    pub(crate) interfaces: &'a Interfaces,
    pub(crate) stack: Stack,
}

impl<'a> Interface<'a> {
    /// The bond or bridge that it is a member of.
    pub(crate) fn master(&self) -> Option<(&'a DeviceId, &'a Device)> {
        self.config.master(self.id)
    }
}

/// Each device with the names that its links have, or get.
#[derive(Debug)]
pub(crate) struct Interfaces {
    names: BTreeMap<DeviceId, Vec<String>>,
    /// Those whose names came of what links are there.
    looked_up: BTreeSet<DeviceId>,
}

impl Interfaces {
    /// Names every device of a config. A pattern stands for the cards that match now and are nobody else's.
    pub(crate) fn of(config: &NetworkConfig, links: &Links) -> Self {
        let mut names = BTreeMap::new();
        let mut looked_up = BTreeSet::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for (id, device) in config.devices().filter(|(_, device)| !is_pattern(device)) {
            let own = own_names(id, device, config, links);
            taken.extend(own.iter().cloned());
            taken.extend(links.of(id, device, config).into_iter().map(|link| link.name.clone()));
            names.insert(id.clone(), own);
        }
        for (id, device) in config.devices().filter(|(_, device)| is_pattern(device)) {
            let present = links.of(id, device, config).into_iter().map(|link| link.name.clone());
            let mut own: Vec<String> = present.filter(|name| !taken.contains(name)).collect();
            match plain_name(device).filter(|name| !taken.contains(name)) {
                Some(name) if own.is_empty() => own.push(name),
                Some(_) => {}
                None => looked_up.extend((!own.is_empty()).then(|| id.clone())),
            }
            names.insert(id.clone(), own);
        }
        Self { names, looked_up }
    }

    /// The same, with the names that cards had when files were written.
    pub(crate) fn or_rather(mut self, known: &KnownNames) -> Self {
        for (id, names) in &mut self.names {
            if let Some(known) = known.of(id) {
                *names = known.iter().cloned().collect();
            }
        }
        self
    }

    /// False if other links would have given the device other names.
    pub(crate) fn is_told(&self, id: &DeviceId) -> bool {
        !self.looked_up.contains(id)
    }

    /// The names of a device's links; none if no card is there that it could stand for.
    pub(crate) fn names(&self, id: &DeviceId) -> &[String] {
        self.names.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of several devices' links.
    pub(crate) fn names_of<'a>(&self, ids: impl IntoIterator<Item = &'a DeviceId>) -> Vec<String> {
        ids.into_iter().flat_map(|id| self.names(id).to_vec()).collect()
    }
}

/// True if a card is found by what several cards may have, and keeps its name.
pub(crate) fn is_pattern(device: &Device) -> bool {
    device.link_name.is_none() && device.matching().is_some_and(|matching| matching.macaddress.is_none())
}

/// As cloud-init has it: `set-name`, the name that the card has now, or the id, which a udev rule will give it.
fn own_names(id: &DeviceId, device: &Device, config: &NetworkConfig, links: &Links) -> Vec<String> {
    if let Some(name) = &device.link_name {
        return vec![name.to_string()];
    }
    let present: Vec<String> =
        links.of(id, device, config).into_iter().map(|link| link.name.clone()).collect();
    let place = Place::top("", Reading::Whole);
    let free = |name: &LinkName| links.named(name.as_str()).is_none();
    match id.as_link_name(&place) {
        Ok(name) if present.is_empty() && free(&name) => vec![name.to_string()],
        _ => present,
    }
}

/// The name that `match.name` says, if it is one and no pattern.
fn plain_name(device: &Device) -> Option<String> {
    let pattern = device.matching()?.name.as_ref().filter(|pattern| pattern.is_plain())?;
    let name = LinkName::parse(&Value::from(pattern.as_str()), &Place::top("", Reading::Whole));
    name.ok().map(|name| name.to_string())
}
