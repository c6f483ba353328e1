//! The commands that make the machine act on written files, on the links that the change affects and no
//! others.
//!
//! ```text
//! before ─▶ files ─▶ steps ─▶ verify
//! ```
//!
//! A network stack has a file here that orders its own commands; what all of them need is in this one: which link a
//! device stands for, its name, and what is looked for afterwards. Each command's undo is right once the old files are
//! back; for most it is the same command again.

mod ifupdown;
mod network_manager;
mod networkd;
mod port;
pub(super) mod rename;
mod sysconfig;
mod transient;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use ifupdown::Ifupdown;
pub(super) use network_manager::NetworkManager;
pub(super) use networkd::Networkd;
pub(super) use sysconfig::Sysconfig;

use super::document::config::NetworkConfig;
use super::document::device::{Device, Kind, Match};
use super::document::name::DeviceId;
use super::expectation::ExpectedLink;
use super::machine::link::{Link, Links};
use super::scene::Scene;
use crate::{Invocation, Refusal, Step, Subject, System};

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where D-Bus listens, on machines that have it.
const DBUS_SOCKET: &str = "/run/dbus/system_bus_socket";

/// What listens there.
const DBUS_PROGRAMS: [&str; 2] = ["/usr/bin/dbus-daemon", "/usr/bin/dbus-broker-launch"];

/// What it takes to bring a change up.
#[derive(Debug, Default)]
pub(super) struct Activation {
    /// Commands for which the files must still be as they were.
    pub(super) before: Vec<Step>,
    /// Commands, in order, once the files are in place.
    pub(super) steps: Vec<Step>,
    /// For the undo alone: what gives links back what a stack does not. Each stack has a place for it in its steps, once it
    /// has forgotten the new files and before it brings up what was there.
    at_undo: Vec<Step>,
    /// What to look for afterwards.
    pub(super) links: Vec<ExpectedLink>,
    /// What has to wait for the next boot, and why.
    pub(super) warnings: Vec<String>,
}

/// Makes a network stack act on its files.
pub(super) trait Activator {
    /// Plans the commands for the affected devices.
    fn plan(&self, scene: &Scene<'_>) -> Result<Activation, Refusal>;
}

/// Links by the names they have now, with those they will have.
type Names = BTreeMap<String, String>;

/// True if the stack gives the link another MTU, or brings it up: it would not take that back.
fn is_to_change(link: &Link, device: &Device) -> bool {
    !link.up || device.settings.mtu.is_some_and(|mtu| link.mtu != Some(mtu))
}

impl Activation {
    /// Plans one device that is wanted; gives back its links.
    fn add_device(&mut self, id: &DeviceId, device: &Device, scene: &Scene<'_>) -> Result<Names, Refusal> {
        if device.as_ethernet().is_some() {
            return self.add_card(id, device, scene);
        }
        let before = scene.old.device(id);
        let present = scene.links.of(id, device, scene.new);
        if !present.is_empty() && before.is_some_and(|before| !device.is_made_like(before)) {
            self.warnings.push(format!(
                "`{id}` gets its parameters at the next boot: it is there already, and they are for a new one"
            ));
        }
        if !scene.links.is_late(id, scene.new) {
            self.links.push(ExpectedLink::of(id.as_str(), id, scene));
        }
        self.keep_addresses(id, device, &present, scene)?;
        Ok(present.into_iter().map(same_name).collect())
    }

    fn add_card(&mut self, id: &DeviceId, device: &Device, scene: &Scene<'_>) -> Result<Names, Refusal> {
        let present = scene.links.of(id, device, scene.new);
        self.keep_addresses(id, device, &present, scene)?;
        let Some(name) = device.link_name.as_ref() else {
            self.add_unnamed(id, device, &present, scene)?;
            return Ok(present.into_iter().map(same_name).collect());
        };
        let link = match present.as_slice() {
            [] => return Ok(Names::new()),
            [link] => *link,
            many => return Err(many_links(id, many)),
        };
        let mut to = name.as_str();
        if link.name == to {
            if is_to_change(link, device) {
                self.steps.push(rename::keep_step(link, scene.system)?);
            }
        } else {
            let was_configured = is_configured(link, scene);
            match rename::obstacle(link, name, was_configured, &scene.links, scene.system) {
                None => self.steps.push(rename::step(link, to, scene.system)?),
                Some(why) if (scene.needs_name)(device) => return Err(rename::refuse(id, link, &why)),
                Some(why) => {
                    self.warnings.push(format!("`{id}` gets its name at the next boot: {why}"));
                    to = &link.name;
                }
            }
        }
        self.links.push(ExpectedLink::of(to, id, scene));
        Ok(Names::from([(link.name.clone(), to.to_owned())]))
    }

    /// Links that get another MAC address get their own back by the undo.
    fn keep_addresses(
        &mut self,
        id: &DeviceId,
        device: &Device,
        links: &[&Link],
        scene: &Scene<'_>,
    ) -> Result<(), Refusal> {
        let before = scene.old.device(id).and_then(|before| before.settings.macaddress);
        let wanted = device.settings.macaddress.filter(|wanted| before != Some(*wanted));
        for link in links.iter().filter(|link| wanted.is_some() && link.address != wanted) {
            self.at_undo.extend(rename::address_at_undo(link, scene.system)?);
        }
        Ok(())
    }

    /// Plans the links of a card that keeps the name it has, or gets one that is not ours to say.
    fn add_unnamed(
        &mut self,
        id: &DeviceId,
        device: &Device,
        present: &[&Link],
        scene: &Scene<'_>,
    ) -> Result<(), Refusal> {
        // Which links a pattern stands for, only the stack can tell in the end.
        let is_one = present.len() == 1 && device.matching().is_some_and(Match::is_of_one);
        let is_new = |link: &Link| scene.known.of(id).is_some_and(|known| !known.contains(&link.name));
        for link in present.iter().filter(|link| is_one || is_new(link)) {
            if is_to_change(link, device) && rename::has_ip(scene.system) {
                self.steps.push(rename::keep_step(link, scene.system)?);
            }
            self.links.push(ExpectedLink::of(&link.name, id, scene));
        }
        Ok(())
    }

    fn run_both_ways(&mut self, command: Invocation) {
        self.steps.push(Step::Run { undo: Some(command.clone()), command });
    }
}

fn many_links(id: &DeviceId, links: &[&Link]) -> Refusal {
    let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    let expected = "conditions that one link alone meets, as `set-name` needs";
    let refusal = Refusal::at(format!("network.ethernets.{id}.match"), expected);
    refusal.given(names.join(", ")).hint("match by macaddress")
}

/// The subject of a command that brings a device's link up: a card has to be there, and so has the one that a VLAN is on.
fn raised(name: &str, id: &DeviceId, config: &NetworkConfig, links: &Links) -> Subject {
    let mut below = id;
    // A config has no circles; the bound says so to whoever reads it.
    for _ in 0..config.devices().count() {
        let Some(device) = config.device(below) else { break };
        match &device.kind {
            Kind::Ethernet(_) if below == id => return Subject::link(name),
            Kind::Ethernet(_) => {
                let present = || links.of(below, device, config).first().map(|link| link.name.clone());
                let card = device.link_name.as_ref().map(ToString::to_string).or_else(present);
                return Subject::made(name, card.as_deref());
            }
            Kind::Bond(_) | Kind::Bridge(_) => break,
            Kind::Vlan(vlan) => below = &vlan.link,
        }
    }
    Subject::made(name, None)
}

/// True if the config before had a device for this link.
fn is_configured(link: &Link, scene: &Scene<'_>) -> bool {
    scene.old.devices().any(|(id, device)| scene.links.of(id, device, scene.old).contains(&link))
}

fn same_name(link: &Link) -> (String, String) {
    (link.name.clone(), link.name.clone())
}

fn command<'a>(program: &'static str, args: impl IntoIterator<Item = &'a str>) -> Invocation {
    let args = args.into_iter().map(str::to_owned).collect();
    Invocation { program: program.into(), args, stdin: None, deadline: DEADLINE, subjects: Vec::new() }
}

/// Waits for D-Bus, over which a network stack is spoken to: early in a boot there is none yet.
fn await_dbus(system: &dyn System) -> Option<Step> {
    let has_dbus = DBUS_PROGRAMS.iter().any(|program| system.has_program(program));
    has_dbus.then_some(Step::Await { path: DBUS_SOCKET, what: "D-Bus" })
}
