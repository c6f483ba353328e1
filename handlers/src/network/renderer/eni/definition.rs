//! What ifupdown is told of each device: its names, its stanzas, and the order of all of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::stanza::{Family, Stanza};
use super::{addressing, layers, routing};
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind, Offload, Section};
use crate::network::document::name::{DeviceId, LinkName};
use crate::network::document::place::{Place, Reading};
use crate::network::machine::known_names::KnownNames;
use crate::network::machine::link::Links;

/// The stanzas of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) id: DeviceId,
    pub(crate) name: LinkName,
    pub(crate) stanzas: Vec<Stanza>,
}

/// The links that devices stand for, by the names that the file has for them.
#[derive(Debug)]
pub(crate) struct Names(BTreeMap<DeviceId, Vec<LinkName>>);

impl Names {
    /// Names every device as cloud-init does: by `set-name`, else by what the link is called now, else by the id.
    pub(crate) fn of(config: &NetworkConfig, links: &Links) -> Self {
        Self(config.devices().map(|(id, device)| (id.clone(), names(id, device, config, links))).collect())
    }

    /// The same, with the names that cards had when a file was written.
    fn or_rather(mut self, known: &KnownNames) -> Self {
        for (id, names) in &mut self.0 {
            if let Some(known) = known.of(id) {
                *names = known.iter().filter_map(|name| read(name)).collect();
            }
        }
        self
    }

    /// Every link of a device.
    pub(crate) fn all(&self, id: &DeviceId) -> &[LinkName] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }

    /// The link of a device that stands for one.
    pub(crate) fn one(&self, id: &DeviceId) -> Option<LinkName> {
        match self.all(id) {
            [name] => Some(name.clone()),
            _ => None,
        }
    }
}

fn names(id: &DeviceId, device: &Device, config: &NetworkConfig, links: &Links) -> Vec<LinkName> {
    if let Some(name) = &device.link_name {
        return vec![name.clone()];
    }
    let present: Vec<LinkName> =
        links.of(id, device, config).into_iter().filter_map(|link| read(&link.name)).collect();
    if !present.is_empty() {
        return present;
    }
    let plain = device.matching().and_then(|matching| matching.name.as_ref()).filter(|name| name.is_plain());
    read(plain.map_or(id.as_str(), |name| name.as_str())).into_iter().collect()
}

fn read(name: &str) -> Option<LinkName> {
    LinkName::parse(&Value::from(name), &Place::top("", Reading::Whole)).ok()
}

/// Every device's stanzas, in the order in which ifupdown has to bring them up: what others are made of first, but a
/// bond or bridge before the cards that are its members, which join it. Cards whose names are `known` are called by these.
pub(crate) fn definitions(config: &NetworkConfig, links: &Links, known: &KnownNames) -> Vec<Definition> {
    let names = Names::of(config, links).or_rather(known);
    let mut ordered: Vec<(Rank, Definition)> = Vec::new();
    for (id, device) in config.devices() {
        let rank = rank(id, device, config);
        for name in names.all(id) {
            let stanzas = stanzas(id, device, name, config, &names);
            ordered.push((rank, Definition { id: id.clone(), name: name.clone(), stanzas }));
        }
    }
    ordered.sort_by(|(rank, one), (other, two)| (rank, &one.name).cmp(&(other, &two.name)));
    ordered.into_iter().map(|(_, definition)| definition).collect()
}

/// Group, height above the cards, section.
type Rank = (u8, usize, Section);

fn rank(id: &DeviceId, device: &Device, config: &NetworkConfig) -> Rank {
    let group = match (device.as_ethernet(), config.master(id)) {
        (Some(_), None) => 0,
        (None, _) => 1,
        (Some(_), Some(_)) => 2,
    };
    (group, height(device, config, config.devices().len()), device.section())
}

/// A config has no circles, so this ends; the bound says so to whoever reads it.
fn height(device: &Device, config: &NetworkConfig, bound: usize) -> usize {
    let parts = device.parts();
    let below = parts.iter().filter_map(|(part, _)| config.device(part)).filter(|_| bound > 0);
    below.map(|part| 1 + height(part, config, bound - 1)).max().unwrap_or_default()
}

fn stanzas(
    id: &DeviceId,
    device: &Device,
    name: &LinkName,
    config: &NetworkConfig,
    names: &Names,
) -> Vec<Stanza> {
    let settings = &device.settings;
    let mut stanzas = addressing::stanzas(name, settings);
    let needs_link = settings.mtu.is_some() || settings.macaddress.is_some();
    let takes_link =
        stanzas.first().is_some_and(|first| first.family() == Family::Inet && first.method() == "static");
    // A stanza for DHCP passes `mtu` over in silence.
    if stanzas.is_empty() || (needs_link && !takes_link) {
        stanzas.insert(0, Stanza::new(name, Family::Inet, "manual"));
    }
    if let Some(first) = stanzas.first_mut() {
        classes(first, id, device, name, config, names);
        first.set_some("hwaddress", settings.macaddress);
        first.set_some("mtu", settings.mtu);
        layer(first, id, device, name, config, names);
        addressing::add_link_commands(first, device);
    }
    let resolver = stanzas.iter().position(|stanza| stanza.method() == "static").unwrap_or_default();
    if let Some(stanza) = stanzas.get_mut(resolver) {
        stanza.set_list("dns-nameservers", &settings.nameservers.addresses);
        stanza.set_list("dns-search", &settings.nameservers.search);
    }
    let has = |family| stanzas.iter().any(|stanza| stanza.family() == family && stanza.method() == "static");
    let gateways = [
        settings.gateway4.filter(|_| !has(Family::Inet)).map(Into::into),
        settings.gateway6.filter(|_| !has(Family::Inet6)).map(Into::into),
    ];
    if let Some(last) = stanzas.last_mut() {
        gateways.into_iter().flatten().for_each(|gateway| routing::add_gateway(last, gateway));
        routing::add(last, &settings.routes, &settings.rules);
    }
    stanzas
}

/// When it is brought up: at boot, when its card is plugged in, or with its bond.
fn classes(
    stanza: &mut Stanza,
    id: &DeviceId,
    device: &Device,
    name: &LinkName,
    config: &NetworkConfig,
    names: &Names,
) {
    if device.settings.activation_mode.is_some() || name.as_str() == "lo" {
        return;
    }
    let is_card = device.as_ethernet().is_some();
    match config.master(id) {
        Some((bond, Device { kind: Kind::Bond(_), .. })) if is_card => {
            if let Some(bond) = names.one(bond) {
                stanza.class(format!("allow-{bond}"));
            }
        }
        _ if is_card && device.settings.optional => {}
        _ => stanza.class("auto"),
    }
    if is_card || comes_with_its_card(device, name, names) {
        stanza.class("allow-hotplug");
    }
    if device.settings.critical {
        stanza.class("no-auto-down");
    }
}

/// True for a VLAN that ifupdown brings up when the card below it is plugged in: it goes by the name.
fn comes_with_its_card(device: &Device, name: &LinkName, names: &Names) -> bool {
    let Kind::Vlan(vlan) = &device.kind else { return false };
    names.one(&vlan.link).is_some_and(|below| layers::is_made_by_name(name, vlan, &below))
}

/// What it is made of, and what it is a member of.
fn layer(
    stanza: &mut Stanza,
    id: &DeviceId,
    device: &Device,
    name: &LinkName,
    config: &NetworkConfig,
    names: &Names,
) {
    let name_of = |id: &DeviceId| names.one(id);
    match &device.kind {
        Kind::Ethernet(card) => {
            stanza.set_some("ethernet-wol", card.wakeonlan.map(|on| if on { "g" } else { "d" }));
            for (offload, on) in &card.offloads {
                let key = offload_key(*offload);
                if let Some(key) = key {
                    stanza.set(key, if *on { "on" } else { "off" });
                }
            }
        }
        Kind::Bond(bond) => layers::bond(stanza, bond, &name_of),
        Kind::Bridge(bridge) => {
            layers::bridge(stanza, bridge, &name_of);
            let made =
                |part: &&DeviceId| config.device(part).is_some_and(|part| part.as_ethernet().is_none());
            for part in bridge.interfaces.iter().filter(made) {
                if let Some(name) = names.one(part) {
                    layers::made_port(stanza, part, bridge, &name);
                }
            }
        }
        Kind::Vlan(vlan) => {
            if let Some(below) = names.one(&vlan.link) {
                layers::vlan(stanza, name, vlan, &below);
            }
        }
    }
    match config.master(id) {
        Some((master, Device { kind: Kind::Bond(_), .. })) => {
            stanza.set_some("bond-master", names.one(master));
        }
        Some((master, Device { kind: Kind::Bridge(bridge), .. })) if device.as_ethernet().is_some() => {
            if let Some(master) = names.one(master) {
                layers::port(stanza, id, bridge, &master);
            }
        }
        _ => {}
    }
}

/// ethtool's word for an offload; it has none for that of IPv6 alone.
pub(crate) const fn offload_key(offload: Offload) -> Option<&'static str> {
    match offload {
        Offload::ReceiveChecksum => Some("offload-rx"),
        Offload::TransmitChecksum => Some("offload-tx"),
        Offload::TcpSegmentation => Some("offload-tso"),
        Offload::GenericSegmentation => Some("offload-gso"),
        Offload::GenericReceive => Some("offload-gro"),
        Offload::LargeReceive => Some("offload-lro"),
        Offload::Tcp6Segmentation => None,
    }
}
