//! The programs behind sysconfig files: NetworkManager, network-scripts, wicked.
//!
//! ```text
//! NetworkManager  files ─▶ rename ─▶ nmcli connection load / reload ─▶ nmcli connection up, per link ─▶ verify
//! network-scripts ifdown, per link ─▶ files ─▶ rename ─▶ ifup, per link ─▶ verify
//! wicked          files ─▶ rename ─▶ wicked ifreload, the links ─▶ verify
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::super::scene::Scene;
use super::network_manager::await_network_manager;
use super::rename;
use super::transient::run_outside;
use super::{Activation, Activator, Names, command, raised};
use crate::network::document::address::Cidr;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Kind, Section};
use crate::network::document::name::DeviceId;
use crate::network::machine::orphan_link::OrphanName;
use crate::network::machine::reading::text;
use crate::network::renderer::sysconfig::{Interfaces, NO_DNS, Stack, is_cloud_inits, nmcli};
use crate::{FileChange, Refusal, Step, Subject, System, UndoCommand};

/// Brings changes up with whatever reads sysconfig files here.
#[derive(Debug)]
pub(in super::super) struct Sysconfig;

/// The links of a change, by the names they have and will have.
struct Change {
    /// Configured before, and there: one line for each, lower links first; with what brings it up again.
    down: Vec<(String, Subject)>,
    /// Wanted, and there or to be made: in the order in which they come up.
    up: Vec<Wanted>,
    /// Configured before, and no more.
    gone: Vec<String>,
}

/// A link that is to be brought up.
struct Wanted {
    name: String,
    /// What it is called until it is renamed.
    before: String,
    /// What brings it up.
    subject: Subject,
    /// True if files defined it before, under the same name.
    was_configured: bool,
    /// False for one that waits to be brought up by hand.
    automatic: bool,
}

impl Activator for Sysconfig {
    fn plan(&self, scene: &Scene<'_>) -> Result<Activation, Refusal> {
        let stack = Stack::of(scene.system)?;
        let mut plan = Activation::default();
        let change = Change::of(scene, stack, &mut plan)?;
        match stack {
            // It gives MAC addresses back by itself when it lets go of a link.
            Stack::NetworkManager => network_manager(&mut plan, &change, stack, scene)?,
            Stack::NetworkScripts => network_scripts(&mut plan, &change, scene)?,
            Stack::Wicked => wicked(&mut plan, &change, scene)?,
        }
        if stack != Stack::NetworkManager {
            plan.before.splice(..0, std::mem::take(&mut plan.at_undo));
        }
        Ok(plan)
    }
}

impl Change {
    fn of(scene: &Scene<'_>, stack: Stack, plan: &mut Activation) -> Result<Self, Refusal> {
        let old = Interfaces::of(scene.old, &scene.links).or_rather(scene.known);
        let new = Interfaces::of(scene.new, &scene.links);
        // What stands on a link that network-scripts take down has to come up again with it.
        let with_upper = stack == Stack::NetworkScripts;
        let concerned =
            if with_upper { with_vlans(scene.affected, scene.new) } else { scene.affected.clone() };
        let mut up = Vec::new();
        for id in in_order(&concerned, scene.new) {
            let Some(device) = scene.new.device(id) else { continue };
            let names = if scene.affected.contains(id) {
                plan.add_device(id, device, scene)?
            } else {
                new.names(id).iter().map(|name| (name.clone(), name.clone())).collect()
            };
            let is_made = device.as_ethernet().is_none() && !scene.links.is_late(id, scene.new);
            let made = is_made.then(|| (id.to_string(), id.to_string()));
            for (before, name) in Names::from_iter(names.into_iter().chain(made)) {
                let is_ours = new.names(id).contains(&name);
                if is_ours || device.as_ethernet().is_none() {
                    let was_configured = is_named(&old, scene.old, &name);
                    let automatic = device.settings.activation_mode.is_none();
                    let subject = raised(&name, id, scene.new, &scene.links);
                    up.push(Wanted { name, before, subject, was_configured, automatic });
                }
            }
        }
        let mut down: Vec<(String, Subject)> = Vec::new();
        for id in in_order(&concerned, scene.old) {
            let names = old.names(id).iter().filter(|name| scene.links.named(name).is_some());
            down.extend(names.map(|name| (name.clone(), raised(name, id, scene.old, &scene.links))));
        }
        down.reverse();
        let kept = |name: &String| up.iter().any(|wanted| wanted.name == *name || wanted.before == *name);
        let gone = down.iter().map(|(name, _)| name).filter(|name| !kept(name)).cloned().collect();
        Ok(Self { down, up, gone })
    }
}

/// True if a config has a device of this name.
fn is_named(interfaces: &Interfaces, config: &NetworkConfig, name: &str) -> bool {
    config.devices().any(|(id, _)| interfaces.names(id).iter().any(|other| other == name))
}

/// The devices, and the VLANs on them, and the VLANs on those.
fn with_vlans(ids: &BTreeSet<DeviceId>, config: &NetworkConfig) -> BTreeSet<DeviceId> {
    let mut all = ids.clone();
    let mut open: Vec<&DeviceId> = ids.iter().collect();
    while let Some(id) = open.pop() {
        for vlan in config.vlans_of(id) {
            if all.insert(vlan.clone()) {
                open.push(vlan);
            }
        }
    }
    all
}

/// Masters before their members, and VLANs last: each finds what it needs.
fn in_order<'a>(ids: &'a BTreeSet<DeviceId>, config: &NetworkConfig) -> Vec<&'a DeviceId> {
    let mut ordered: Vec<&DeviceId> = ids.iter().filter(|id| config.device(id).is_some()).collect();
    ordered.sort_by_key(|id| {
        match config.device(id).map(crate::network::document::device::Device::section) {
            Some(Section::Bridges) => 0,
            Some(Section::Bonds) => 1,
            Some(Section::Ethernets) | None => 2,
            Some(Section::Vlans) => 3,
        }
    });
    ordered
}

/// Only the profiles of these links are read and brought up; others stay as they are, active or not.
fn network_manager(
    plan: &mut Activation,
    change: &Change,
    stack: Stack,
    scene: &Scene<'_>,
) -> Result<(), Refusal> {
    let system = scene.system;
    let expected = "a machine with `nmcli`, to bring a change up";
    let nmcli =
        nmcli(system).ok_or_else(|| Refusal::at("network", expected).hint("install NetworkManager"))?;
    plan.steps.extend(await_network_manager(system));
    if text(system, NO_DNS).is_some_and(|content| is_cloud_inits(&content)) {
        plan.run_both_ways(command(nmcli, ["general", "reload", "conf"]));
    }
    let file = |name: &str| format!("{}/ifcfg-{name}", stack.folder());
    let reload = command(nmcli, ["connection", "reload"]);
    let orphans = scene.orphans;
    let back = orphans.raised.iter().map(|link| link.path.clone());
    let files: Vec<String> = change.up.iter().map(|wanted| file(&wanted.name)).chain(back).collect();
    // A file that is gone cannot be loaded. Its profile goes with it, and its link is let go of, if there is one.
    let is_gone = !change.gone.is_empty() || scene.files.iter().any(|file| is_profile(file, stack));
    let load = if !is_gone && !files.is_empty() {
        command(nmcli, ["connection", "load"].into_iter().chain(files.iter().map(String::as_str)))
    } else {
        reload.clone()
    };
    plan.steps.push(Step::Run { command: load, undo: Some(reload) });
    for wanted in change.up.iter().filter(|wanted| wanted.automatic) {
        // Not waited for: what comes up is looked at, and a DHCP server may take its time.
        let up = command(nmcli, ["--wait", "0", "connection", "up", "filename", &file(&wanted.name)]);
        let on = |name: &str| {
            let is_card = wanted.subject == Subject::link(&wanted.name);
            up.clone().with_subjects(is_card.then(|| Subject::spoken_of(name)).into_iter().collect())
        };
        let undo = wanted.was_configured.then(|| on(&wanted.before));
        plan.steps.push(Step::Run { command: on(&wanted.name), undo });
    }
    let up = |link: &OrphanName| {
        let up = command(nmcli, ["--wait", "0", "connection", "up", "filename", &link.path]);
        let card = (!link.is_made).then(|| Subject::spoken_of(&link.name));
        up.with_subjects(card.into_iter().collect())
    };
    plan.steps.extend(orphans.raised.iter().map(|link| Step::Run { command: up(link), undo: None }));
    plan.steps.extend(orphans.lowered.iter().map(|link| Step::AtUndo(UndoCommand::Run(up(link)))));
    Ok(())
}

/// True if a profile goes.
fn is_profile(change: &FileChange, stack: Stack) -> bool {
    let file = change.path.strip_prefix(stack.folder()).filter(|_| change.after.is_none());
    file.is_some_and(|file| file.starts_with("/ifcfg-"))
}

/// `ifdown` reads the file that it undoes, so it runs while that is still there.
fn network_scripts(plan: &mut Activation, change: &Change, scene: &Scene<'_>) -> Result<(), Refusal> {
    let (up, down) = (program("ifup", scene.system)?, program("ifdown", scene.system)?);
    let raise = |subject: &Subject| command(up, []).with_subjects(vec![subject.clone()]);
    let is_there = |link: &&OrphanName| scene.links.named(&link.name).is_some();
    for link in scene.orphans.raised.iter().filter(is_there).filter(|link| !link.is_made) {
        // What it gets has to go before what it had comes back.
        let flush = rename::script(&link.name, format!("address flush dev {}\n", link.name), scene.system)?;
        plan.before.push(Step::AtUndo(UndoCommand::Run(flush)));
    }
    for link in scene.orphans.lowered.iter().rev().filter(is_there) {
        let lower = command(down, []).with_subjects(vec![Subject::link(&link.name)]);
        plan.before.push(Step::Run { command: lower, undo: Some(raise(&link.raised())) });
    }
    let names: Vec<&str> = change.down.iter().map(|(name, _)| name.as_str()).collect();
    let (carried, down_first): (Vec<_>, Vec<_>) =
        change.down.iter().partition(|(name, _)| is_carried(name, &names, scene));
    for (name, subject) in down_first {
        let lower = command(down, []).with_subjects(vec![Subject::link(name)]);
        plan.before.push(Step::Run { command: lower, undo: Some(raise(subject)) });
    }
    for (_, subject) in carried {
        // Gone with the link below it, and back after that: the step is there for its undo.
        let undo = Some(raise(subject));
        let look = rename::batch(&["-batch", "-"], "link show dev lo\n".to_owned(), scene.system)?;
        plan.before.push(Step::Run { command: look, undo });
    }
    for wanted in change.up.iter().filter(|wanted| wanted.automatic) {
        // `ifup` only ever adds: once it has run with the old files again, what these do not have must go.
        let flush = added(wanted, scene)
            .iter()
            .map(|address| {
                format!("address flush dev {} to {}\n", wanted.before, Cidr::host(address.address))
            })
            .collect::<String>();
        let undo =
            if flush.is_empty() { None } else { Some(rename::script(&wanted.before, flush, scene.system)?) };
        plan.steps.push(Step::Run { command: raise(&wanted.subject), undo });
    }
    let back = scene.orphans.raised.iter();
    plan.steps.extend(back.map(|link| Step::Run { command: raise(&link.raised()), undo: None }));
    run_outside(plan, &[up, down], scene.system);
    Ok(())
}

/// True for a VLAN on a bond or bridge that is taken down: `ifdown` removes that, and the VLAN with it.
fn is_carried(name: &str, down: &[&str], scene: &Scene<'_>) -> bool {
    scene.old.devices().any(|(id, device)| {
        let is_virtual = |below: &DeviceId| {
            let device = scene.old.device(below);
            device.is_some_and(|device| device.as_ethernet().is_none()) && down.contains(&below.as_str())
        };
        id.as_str() == name && matches!(&device.kind, Kind::Vlan(vlan) if is_virtual(&vlan.link))
    })
}

/// Addresses of a link that it did not have before.
fn added(wanted: &Wanted, scene: &Scene<'_>) -> Vec<Cidr> {
    let addresses = |config: &NetworkConfig, interfaces: Interfaces| -> Vec<Cidr> {
        let is_it = |id: &DeviceId| {
            interfaces.names(id).iter().any(|name| [&wanted.name, &wanted.before].contains(&name))
        };
        let devices = config.devices().filter(|(id, _)| is_it(id));
        devices
            .flat_map(|(_, device)| device.settings.addresses.iter().map(|address| address.address))
            .collect()
    };
    let of = |config| Interfaces::of(config, &scene.links);
    let old = addresses(scene.old, of(scene.old).or_rather(scene.known));
    addresses(scene.new, of(scene.new)).into_iter().filter(|address| !old.contains(address)).collect()
}

/// `ifreload` compares by itself what is and what should be, and lets go of links without a file.
fn wicked(plan: &mut Activation, change: &Change, scene: &Scene<'_>) -> Result<(), Refusal> {
    let wicked = program("wicked", scene.system)?;
    let reload = |links: BTreeMap<&String, Subject>| {
        // Below our own deadline, so that it can say what it waits for.
        command(wicked, ["ifreload", "--timeout", "20"]).with_subjects(links.into_values().collect())
    };
    let orphans = || scene.orphans.lowered.iter().chain(&scene.orphans.raised);
    let gone = || {
        let gone = change.gone.iter().map(|name| (name, Subject::link(name)));
        orphans().map(|link| (&link.name, link.raised())).chain(gone)
    };
    let new: BTreeMap<&String, Subject> =
        gone().chain(change.up.iter().map(|wanted| (&wanted.name, wanted.subject.clone()))).collect();
    let before = |wanted: &Wanted| {
        let is_same = wanted.name == wanted.before;
        if is_same { wanted.subject.clone() } else { Subject::link(&wanted.before) }
    };
    let old = change.up.iter().map(|wanted| (&wanted.before, before(wanted))).chain(gone()).collect();
    if !new.is_empty() {
        plan.steps.push(Step::Run { command: reload(new), undo: Some(reload(old)) });
    }
    Ok(())
}

fn program(name: &'static str, system: &dyn System) -> Result<&'static str, Refusal> {
    let paths: &[&'static str] = match name {
        "ifup" => &["/usr/sbin/ifup", "/sbin/ifup"],
        "ifdown" => &["/usr/sbin/ifdown", "/sbin/ifdown"],
        _ => &["/usr/sbin/wicked", "/sbin/wicked", "/usr/bin/wicked"],
    };
    let expected = format!("a machine with `{name}`, to bring a change up");
    let hint = if name == "wicked" { "install wicked" } else { "install network-scripts, or NetworkManager" };
    let found = paths.iter().find(|path| system.has_program(path)).copied();
    found.ok_or_else(|| Refusal::at("network", expected).hint(hint))
}
