//! What is expected of one link: what the config says of it, less what depends on something else.

use super::super::scene::Scene;
use super::route::{self, ExpectedRoute};
use crate::network::document::address::{Cidr, MacAddress};
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::DeviceId;

/// What must be true of one link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct ExpectedLink {
    pub(super) name: String,
    /// True if it may not be there at all: it is brought up by hand, and some stacks make it only then.
    pub(super) may_be_absent: bool,
    /// The hardware address that the config finds it by.
    pub(super) identity: Option<MacAddress>,
    /// The hardware address that the config gives it.
    pub(super) address: Option<MacAddress>,
    pub(super) mtu: Option<u32>,
    /// The kernel's word for what it is.
    pub(super) kind: Option<&'static str>,
    /// A VLAN's id.
    pub(super) vlan_id: Option<u32>,
    /// Names of what a VLAN is on: the one it has, and the one it is to have. Empty if that cannot be told.
    pub(super) parents: Vec<String>,
    /// The bond or bridge that it is a member of.
    pub(super) master: Option<String>,
    /// True if it is brought up.
    pub(super) up: bool,
    pub(super) addresses: Vec<Cidr>,
    pub(super) routes: Vec<ExpectedRoute>,
}

impl ExpectedLink {
    /// What is expected of a device of the new config, under the name that it will have. Its link is there, or is made.
    pub(in super::super) fn of(name: &str, id: &DeviceId, scene: &Scene<'_>) -> Self {
        let Some(device) = scene.new.device(id) else {
            return Self { name: name.to_owned(), ..Self::default() };
        };
        let mut expected = Self {
            name: name.to_owned(),
            // The address that it is given is not the one that it is found by.
            identity: device.identity().filter(|_| device.settings.macaddress.is_none()),
            kind: kind(device),
            ..Self::default()
        };
        expected.read_vlan(id, device, scene);
        if is_by_hand(id, device, scene.new) {
            return Self { may_be_absent: device.as_ethernet().is_none(), ..expected };
        }
        expected.up = true;
        let settings = &device.settings;
        match scene.new.master(id) {
            // A member's address is its bond's business, and so is its MTU.
            Some((master, by)) => {
                expected.identity = None;
                expected.master = (!is_by_hand(master, by, scene.new)).then(|| master.to_string());
            }
            None => {
                expected.address = settings.macaddress;
                expected.mtu = settings.mtu;
                expected.addresses = settings.addresses.iter().map(|address| address.address).collect();
                expected.routes = route::of(device, scene.new);
            }
        }
        expected
    }

    /// The same of a link that nothing is done to: it is what it was, but what it has may have been changed by hand.
    pub(in super::super) fn untouched(self) -> Self {
        let Self { name, may_be_absent, identity, kind, vlan_id, parents, .. } = self;
        Self { name, may_be_absent, identity, kind, vlan_id, parents, ..Self::default() }
    }

    /// The same, where the files are known to say less than the config: that the link is there and up, and where it belongs.
    pub(in super::super) fn outline(self) -> Self {
        Self { address: None, mtu: None, addresses: Vec::new(), routes: Vec::new(), ..self }
    }

    fn read_vlan(&mut self, id: &DeviceId, device: &Device, scene: &Scene<'_>) {
        let Kind::Vlan(vlan) = &device.kind else { return };
        // One that stands keeps the parameters that it was made with, in most stacks.
        let stands = !scene.links.of(id, device, scene.new).is_empty();
        if stands && scene.old.device(id).is_some_and(|before| !device.is_made_like(before)) {
            return;
        }
        self.vlan_id = Some(vlan.id);
        if let Some(below) = scene.new.device(&vlan.link) {
            self.parents.extend(below.link_name.as_ref().map(ToString::to_string));
            let now = scene.links.of(&vlan.link, below, scene.new);
            self.parents.extend(now.into_iter().map(|link| link.name.clone()));
        }
    }
}

const fn kind(device: &Device) -> Option<&'static str> {
    match device.kind {
        Kind::Ethernet(_) => None,
        Kind::Bond(_) => Some("bond"),
        Kind::Bridge(_) => Some("bridge"),
        Kind::Vlan(_) => Some("vlan"),
    }
}

/// True if somebody brings it up by hand, or what it is on.
fn is_by_hand(id: &DeviceId, device: &Device, config: &NetworkConfig) -> bool {
    let mut below = Some((id, device));
    // A config has no circles, so this ends; the bound says so to whoever reads it.
    for _ in 0..=config.devices().len() {
        let Some((_, device)) = below else { return false };
        if device.settings.activation_mode.is_some() {
            return true;
        }
        below = match &device.kind {
            Kind::Vlan(vlan) => config.device(&vlan.link).map(|device| (&vlan.link, device)),
            _ => None,
        };
    }
    false
}
