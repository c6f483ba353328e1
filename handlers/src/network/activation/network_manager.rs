//! NetworkManager, by way of `nmcli`.
//!
//! ```text
//! files ─▶ rename ─▶ connection load / reload ─▶ device reapply, or connection up ─▶ verify
//! ```
//!
//! `device reapply` changes addresses, routes, names and a card's MTU of a link that has its profile already, and takes
//! nothing down; NetworkManager refuses it for everything else. For that there is `connection up`, which sets the link up anew. Which of
//! the two is known beforehand: NetworkManager keeps the profile that each link has in `/run`.
//!
//! Nobody waits for a DHCP server, a router or a bond's carrier: NetworkManager goes on by itself, and what has to be true
//! is verified. It is NetworkManager, too, that takes down what a profile that went away had set up, and that brings up
//! the best of the profiles that are left.

use std::collections::BTreeSet;

use super::super::expectation::ExpectedLink;
use super::super::scene::Scene;
use super::{Activation, Activator, Names, await_dbus, command, same_name};
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::DeviceId;
use crate::network::machine::link::{Link, attribute};
use crate::network::machine::orphan_link::OrphanName;
use crate::network::machine::reading::text;
use crate::network::renderer::network_manager::{
    Difference, ProfileUuid, difference, is_profile, profile_path, volatile,
};
use crate::{Invocation, Refusal, Step, Subject, System, UndoCommand};

/// Where NetworkManager keeps what it knows of each link, by index. It makes the folder as it starts, a moment before it can be
/// spoken to.
const DEVICES: &str = "/run/NetworkManager/devices";

/// Seconds that `nmcli` waits for a link with static addresses: it has them at once, or something is wrong.
const WAIT: &str = "20";

/// Brings changes up by way of `nmcli`.
#[derive(Debug)]
pub(in super::super) struct NetworkManager;

impl Activator for NetworkManager {
    fn plan(&self, scene: &Scene<'_>) -> Result<Activation, Refusal> {
        let nmcli = nmcli(scene.system)?;
        let mut plan = Activation::default();
        plan.steps.extend(await_network_manager(scene.system));
        let volatile = volatile(scene.system);
        let mut ups = Vec::new();
        let mut silent = Vec::new();
        for (id, device) in in_order(scene) {
            let (seen, kept) = (plan.links.len(), plan.at_undo.len());
            let names = add_device(&mut plan, id, device, scene)?;
            let steps = steps(id, device, &names, &volatile, scene, nmcli);
            if steps.is_empty() {
                let untouched: Vec<_> = plan.links.drain(seen..).map(ExpectedLink::untouched).collect();
                plan.links.extend(untouched);
                // Nor is a link that nothing is done to given back what it has.
                plan.at_undo.truncate(kept);
            }
            if steps.is_empty() && difference(id, scene.old, scene.new) != Difference::None {
                silent.push(ProfileUuid::of(id).to_string());
            }
            ups.extend(steps);
        }
        plan.steps.extend(load_step(scene, nmcli));
        plan.steps.append(&mut plan.at_undo);
        plan.steps.extend(by_hand_at_undo(scene, nmcli));
        plan.steps.extend(known_step(&silent, nmcli));
        plan.steps.extend(ups);
        plan.add_orphans(&volatile, scene, nmcli);
        plan.warnings.extend(left_standing(scene));
        Ok(plan)
    }
}

impl Activation {
    /// Links that files alone configured, or do again. Their profiles may have the UUIDs of ours: then NetworkManager reads
    /// them, and goes on with what it has set up.
    fn add_orphans(&mut self, volatile: &BTreeSet<String>, scene: &Scene<'_>, nmcli: &'static str) {
        let again = |link: &OrphanName| {
            let uuid = profile_of(&link.name, scene.system).filter(|uuid| !volatile.contains(uuid))?;
            Some(up_profile(&uuid, "0", Some(&link.name), nmcli))
        };
        for before in scene.orphans.lowered.iter().filter_map(again) {
            let is_same = |step: &Step| matches!(step, Step::Run { undo: Some(undo), .. } if *undo == before);
            if !self.steps.iter().any(is_same) {
                self.steps.push(Step::AtUndo(UndoCommand::Run(before)));
            }
        }
        for link in &scene.orphans.raised {
            let card = (!link.is_made).then(|| Subject::spoken_of(&link.name));
            let up = command(nmcli, ["--wait", "0", "connection", "up", "filename", &link.path]);
            let command = up.with_subjects(card.into_iter().collect());
            self.steps.push(Step::Run { command, undo: again(link) });
        }
    }
}

/// Waits for NetworkManager. Early in a boot D-Bus is there before it, and `nmcli` does not wait.
pub(super) fn await_network_manager(system: &dyn System) -> Option<Step> {
    await_dbus(system).map(|_| Step::Await { path: DEVICES, what: "NetworkManager" })
}

/// Devices that are wanted: what has ports before its ports, and what VLANs are on before the VLANs.
fn in_order<'a>(scene: &Scene<'a>) -> Vec<(&'a DeviceId, &'a Device)> {
    let wanted = scene.affected.iter().filter_map(|id| Some((id, scene.new.device(id)?)));
    let mut devices: Vec<(&DeviceId, &Device)> = wanted.collect();
    devices.sort_by_key(|(_, device)| match device.kind {
        Kind::Bridge(_) => 0,
        Kind::Bond(_) => 1,
        Kind::Ethernet(_) => 2,
        Kind::Vlan(_) => 3,
    });
    devices
}

/// Plans names and what is looked for afterwards. Unlike networkd, NetworkManager sets the options of a bond or bridge that
/// is there already.
fn add_device(
    plan: &mut Activation,
    id: &DeviceId,
    device: &Device,
    scene: &Scene<'_>,
) -> Result<Names, Refusal> {
    if !matches!(device.kind, Kind::Bond(_) | Kind::Bridge(_)) {
        return plan.add_device(id, device, scene);
    }
    plan.links.push(ExpectedLink::of(id.as_str(), id, scene));
    let present = scene.links.of(id, device, scene.new);
    plan.keep_addresses(id, device, &present, scene)?;
    Ok(present.into_iter().map(same_name).collect())
}

/// The commands for the links of a device. A profile that is `volatile` is gone by the time of an undo.
fn steps(
    id: &DeviceId,
    device: &Device,
    names: &Names,
    volatile: &BTreeSet<String>,
    scene: &Scene<'_>,
    nmcli: &'static str,
) -> Vec<Step> {
    // Brought up by hand.
    let by_hand = device.settings.activation_mode.is_some();
    if names.is_empty() {
        let is_made = device.as_ethernet().is_none() && !scene.links.is_late(id, scene.new) && !by_hand;
        let made = || Step::Run { command: up(id, device, None, scene.new, nmcli), undo: None };
        return if is_made { vec![made()] } else { Vec::new() };
    }
    let difference = difference(id, scene.old, scene.new);
    let own = ProfileUuid::of(id).to_string();
    let is_static = [scene.old, scene.new].iter().all(|config| config.device(id).is_some_and(is_static));
    let step = |(old, new): (&String, &String)| {
        let present = profile_of(old, scene.system);
        let has_own = present.as_ref() == Some(&own);
        let again = scene.old.device(id).map(|device| up(id, device, Some(old), scene.old, nmcli));
        match difference {
            Difference::None if has_own => None,
            Difference::Addresses if has_own => {
                Some(Step::Run { command: reapply(new, nmcli), undo: Some(reapply(old, nmcli)) })
            }
            _ if by_hand => None,
            // With static addresses alone, a card that is unplugged keeps its profile as it was brought up.
            _ if waits_for_carrier(device, old, scene.system) && !(has_own && is_static) => None,
            _ => {
                let before = present.filter(|uuid| !has_own && !volatile.contains(uuid));
                let before = before.map(|uuid| up_profile(&uuid, "0", Some(old), nmcli));
                let command = up(id, device, Some(new), scene.new, nmcli);
                Some(Step::Run { command, undo: before.or(again) })
            }
        }
    };
    names.iter().filter_map(step).collect()
}

/// Brings a profile up, on a link or on the one that it makes.
fn up(
    id: &DeviceId,
    device: &Device,
    link: Option<&str>,
    config: &NetworkConfig,
    nmcli: &'static str,
) -> Invocation {
    let is_alone = device.as_ethernet().is_some() && config.master(id).is_none();
    let wait = if is_static(device) && is_alone { WAIT } else { "0" };
    up_profile(&ProfileUuid::of(id).to_string(), wait, link, nmcli)
}

/// True if the device has addresses, and nobody has to be asked for one.
fn is_static(device: &Device) -> bool {
    let settings = &device.settings;
    let asks = settings.dhcp4 || settings.dhcp6 || settings.accept_ra == Some(true);
    !asks && !settings.addresses.is_empty()
}

fn up_profile(uuid: &str, wait: &str, link: Option<&str>, nmcli: &'static str) -> Invocation {
    let ifname = link.map(|_| "ifname");
    let up = command(nmcli, ["--wait", wait, "connection", "up", "uuid", uuid].into_iter().chain(ifname));
    up.with_subjects(link.map(Subject::link).into_iter().collect())
}

fn reapply(link: &str, nmcli: &'static str) -> Invocation {
    command(nmcli, ["device", "reapply"]).with_subjects(vec![Subject::link(link)])
}

/// Makes NetworkManager read what was written. Where a file went away, that is every file: there is no command for one
/// that is not there.
fn load_step(scene: &Scene<'_>, nmcli: &'static str) -> Option<Step> {
    let written = scene.files.iter().filter(|change| is_profile(&change.path));
    let mut paths = BTreeSet::new();
    let mut is_gone = false;
    for change in written {
        is_gone |= change.after.is_none();
        paths.insert(change.path.clone());
    }
    for id in scene.affected {
        // Of a try that was interrupted, files may be in place that NetworkManager has not read.
        is_gone |= scene.new.device(id).is_none();
        paths.insert(profile_path(id));
    }
    let reload = || command(nmcli, ["connection", "reload"]);
    let load = ["connection", "load"].into_iter().chain(paths.iter().map(String::as_str));
    let load = if is_gone { reload() } else { command(nmcli, load) };
    // What was not there before the change is gone again when this is undone.
    (!paths.is_empty()).then(|| Step::Run { command: load, undo: Some(reload()) })
}

/// Asks for profiles that no command brings up: `connection load` succeeds, whatever NetworkManager thinks of a file.
fn known_step(uuids: &[String], nmcli: &'static str) -> Option<Step> {
    let names = uuids.iter().flat_map(|uuid| ["uuid", uuid]);
    let show = ["--get-values", "connection.uuid", "connection", "show"];
    (!uuids.is_empty())
        .then(|| Step::Run { command: command(nmcli, show.into_iter().chain(names)), undo: None })
}

/// What goes away was brought up by hand, if it is not for NetworkManager to do: the undo gives its profile back, and has to
/// bring it up, too.
fn by_hand_at_undo(scene: &Scene<'_>, nmcli: &'static str) -> Vec<Step> {
    let gone = scene.affected.iter().filter(|id| scene.new.device(id).is_none());
    let gone = gone.filter_map(|id| Some((id, scene.old.device(id)?)));
    let by_hand = gone.filter(|(_, device)| device.settings.activation_mode.is_some());
    by_hand.flat_map(|(id, device)| ups_at_undo(id, device, scene, nmcli)).collect()
}

fn ups_at_undo(id: &DeviceId, device: &Device, scene: &Scene<'_>, nmcli: &'static str) -> Vec<Step> {
    let own = ProfileUuid::of(id).to_string();
    let links = scene.links.of(id, device, scene.old).into_iter();
    let raised = links.filter(|link| profile_of(&link.name, scene.system).as_ref() == Some(&own));
    // What NetworkManager makes is not there then.
    let name = |link: &Link| device.as_ethernet().map(|_| link.name.clone());
    let ups = raised.map(|link| up(id, device, name(link).as_deref(), scene.old, nmcli));
    ups.map(|up| Step::AtUndo(UndoCommand::Run(up))).collect()
}

/// The profile that a link has now.
fn profile_of(link: &str, system: &dyn System) -> Option<String> {
    let index = text(system, &attribute(link, "ifindex"))?;
    let state = text(system, &format!("{DEVICES}/{index}"))?;
    let mut entries = state.lines().filter_map(|line| line.split_once('='));
    entries.find(|(key, _)| *key == "connection-uuid").map(|(_, uuid)| uuid.to_owned())
}

/// A card that nobody has plugged into anything gets its profile when somebody does.
fn waits_for_carrier(device: &Device, link: &str, system: &dyn System) -> bool {
    let carrier = text(system, &attribute(link, "carrier"));
    device.as_ethernet().is_some() && carrier.is_some_and(|carrier| carrier == "0")
}

/// Links that were made for a device that is no more, and not by NetworkManager.
fn left_standing(scene: &Scene<'_>) -> Vec<String> {
    let gone = scene.affected.iter().filter(|id| scene.new.device(id).is_none());
    let made = gone.filter(|id| scene.old.device(id).is_some_and(|device| device.as_ethernet().is_none()));
    let link = made.filter(|id| scene.links.named(id.as_str()).is_some());
    let others =
        link.filter(|id| profile_of(id.as_str(), scene.system) != Some(ProfileUuid::of(id).to_string()));
    others
        .map(|id| {
            format!("link `{id}` stays: it is not NetworkManager that made it of the profile that went away")
        })
        .collect()
}

fn nmcli(system: &dyn System) -> Result<&'static str, Refusal> {
    let found = ["/usr/bin/nmcli", "/bin/nmcli"].into_iter().find(|path| system.has_program(path));
    let expected = "a machine with `nmcli`, to bring a change up";
    found.ok_or_else(|| Refusal::at("network", expected).hint("install network-manager"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::network::machine::known_names::KnownNames;
    use crate::network::machine::link::Links;
    use crate::network::machine::orphan_link::OrphanChange;
    use crate::system::{KernelLink, KernelNetwork, MemorySystem};

    #[test]
    fn what_is_not_brought_up_again_is_not_judged_by_what_it_has() {
        let card = json!({"addresses": ["192.0.2.5/24"]});
        let vlan = json!({"id": 7, "link": "eth0", "addresses": ["198.51.100.5/24"]});
        let old = json!({"version": 2, "ethernets": {"eth0": card}});
        let new = json!({"version": 2, "ethernets": {"eth0": card}, "vlans": {"v7": vlan}});
        let [old, new] = [old, new].map(|document| NetworkConfig::whole(&document, "").unwrap());
        let ids: BTreeSet<DeviceId> = new.devices().map(|(id, _)| id.clone()).collect();
        let [eth0, v7] = ["eth0", "v7"].map(|name| ids.iter().find(|id| id.as_str() == name).unwrap());
        let link =
            KernelLink { index: 2, name: "eth0".into(), up: true, lower_up: true, ..KernelLink::default() };
        let state = format!("[device]\nconnection-uuid={}\n", ProfileUuid::of(eth0));
        let system = MemorySystem::new()
            .with_program("/usr/bin/nmcli")
            .with_program("/usr/sbin/netplan")
            .with_network(KernelNetwork { links: vec![link], ..KernelNetwork::default() })
            .with_file("/sys/class/net/eth0/ifindex", "2\n")
            .with_file("/run/NetworkManager/devices/2", state);
        let scene = Scene {
            old: &old,
            new: &new,
            affected: &ids,
            files: &[],
            known: &KnownNames::default(),
            orphans: &OrphanChange::default(),
            links: Links::look(&system).unwrap(),
            needs_name: &|_| false,
            system: &system,
        };
        let plan = NetworkManager.plan(&scene).unwrap();
        let card = ExpectedLink::of("eth0", eth0, &scene);
        assert_ne!(card.clone().untouched(), card);
        assert_eq!(plan.links, [card.untouched(), ExpectedLink::of("v7", v7, &scene)]);
    }
}
