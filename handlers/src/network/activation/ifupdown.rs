//! Debian's ifupdown: what changes is taken down with the old file and brought up with the new one.
//!
//! ```text
//! ifdown ─▶ rename ─▶ files ─▶ (ifdown of what an interrupted try left) ─▶ ifup ─▶ verify
//! undo:  files back ─▶ ifdown by the new stanzas ─▶ rename back ─▶ ifup
//! ```
//!
//! What an undo needs stands at the front of the plan: the order above holds wherever the plan fails.

use std::collections::BTreeSet;

use super::super::expectation::ExpectedLink;
use super::super::scene::Scene;
use super::transient::run_outside;
use super::{Activation, Activator, command, raised};
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::DeviceId;
use crate::network::machine::known_names::KnownNames;
use crate::network::machine::orphan_link::OrphanName;
use crate::network::machine::reading::text;
use crate::network::renderer::eni::{Definition, definitions, text_of};
use crate::{FileChange, Invocation, Refusal, Secret, Step, Subject, System, UndoCommand};

/// Where ifupdown remembers what it has brought up: `name=logical name`, one a line.
const STATE: &str = "/run/network/ifstate";

/// How long ifupdown may take: a DHCP client tries for a minute before it goes on in the background, and a bridge with a
/// spanning tree waits for half of one.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

/// DHCP clients that ifupdown knows.
const DHCP_CLIENTS: [&str; 6] = [
    "/sbin/dhclient",
    "/usr/sbin/dhclient",
    "/sbin/udhcpc",
    "/usr/bin/udhcpc",
    "/sbin/dhcpcd",
    "/usr/sbin/dhcpcd",
];

/// Brings changes up by way of `ifdown` and `ifup`.
#[derive(Debug)]
pub(in super::super) struct Ifupdown;

impl Activator for Ifupdown {
    fn plan(&self, scene: &Scene<'_>) -> Result<Activation, Refusal> {
        let ifup = program(["/usr/sbin/ifup", "/sbin/ifup"], scene.system)?;
        let ifdown = program(["/usr/sbin/ifdown", "/sbin/ifdown"], scene.system)?;
        let state = text(scene.system, STATE).unwrap_or_default();
        let is_in_state = |name: &str| state.lines().any(|line| line.split('=').next() == Some(name));
        let is_up = |name: &str| scene.links.named(name).is_some_and(|link| link.up);

        let old = definitions(scene.old, &scene.links, scene.known);
        let new = definitions(scene.new, &scene.links, &KnownNames::default());
        let redone = redone(&old, &new, scene);
        let of = |all: Vec<Definition>| -> Vec<Definition> {
            all.into_iter().filter(|definition| redone.contains(&definition.id)).collect()
        };
        let (old, new) = (of(old), of(new));

        let mut plan = Activation::default();
        let mut up = names_to_raise(&new, scene, &mut plan)?;
        up.extend(scene.orphans.raised.iter().map(OrphanName::raised));
        check_programs(&new, scene)?;
        let lowered = scene.orphans.lowered.iter().rev().map(|link| link.name.as_str());
        let down: Vec<&str> = (old.iter().rev())
            .map(|definition| definition.name.as_str())
            .chain(lowered)
            .filter(|name| is_in_state(name) || is_up(name))
            .collect();
        let orphans = scene.orphans.lowered.iter().filter(|link| down.contains(&link.name.as_str()));
        let raised_before: Vec<Subject> = (old.iter())
            .filter(|definition| was_raised(definition, scene))
            .map(|definition| raised(definition.name.as_str(), &definition.id, scene.old, &scene.links))
            .chain(orphans.map(OrphanName::raised))
            .collect();

        let link_steps = std::mem::take(&mut plan.steps);
        if !up.is_empty() {
            plan.before.push(at_undo(lower_as_written(ifdown, &new, scene)));
        }
        plan.before.extend(link_steps.iter().filter_map(undo_of));
        let ports = plan.give_ports_back(scene)?;
        plan.before.append(&mut plan.at_undo);
        if !raised_before.is_empty() {
            plan.before.push(at_undo(long(command(ifup, []).with_subjects(raised_before))));
        }
        if !down.is_empty() {
            // What the kernel has lost already does not hinder; what ifupdown does not know to be up is made known.
            let force = down.iter().any(|name| !is_in_state(name)).then_some("--force");
            let lower = command(ifdown, force.into_iter().chain(["--ignore-errors"]));
            plan.before.push(run(long(lower.with_subjects(links(down)))));
        }
        plan.before.extend(ports);
        plan.before.extend(link_steps.into_iter().filter_map(rename_of));

        let is_raised = |definition: &&Definition| {
            up.iter().any(|subject| subject.argument() == Some(definition.name.as_str()))
        };
        let left: Vec<&str> = (new.iter().rev())
            .filter(is_raised)
            .filter(|definition| is_left_over(definition, &old, is_in_state(definition.name.as_str()), scene))
            .map(|definition| definition.name.as_str())
            .collect();
        if !left.is_empty() {
            let lower = command(ifdown, ["--force", "--ignore-errors"]);
            plan.steps.push(run(long(lower.with_subjects(links(left)))));
        }
        if !up.is_empty() {
            plan.steps.push(run(long(command(ifup, []).with_subjects(up))));
        }
        run_outside(&mut plan, &[ifup, ifdown], scene.system);
        Ok(plan)
    }
}

/// The devices that ifupdown has to do again: those that it is told something else of, and those that go with them.
fn redone(old: &[Definition], new: &[Definition], scene: &Scene<'_>) -> BTreeSet<DeviceId> {
    let all = scene.old.devices().chain(scene.new.devices()).map(|(id, _)| id);
    let of = |id: &DeviceId, definitions: &[Definition]| -> Vec<Definition> {
        definitions.iter().filter(|definition| definition.id == *id).cloned().collect()
    };
    let changed = |id: &&DeviceId| {
        let master = |config: &NetworkConfig| config.master(id).map(|(master, _)| master.clone());
        of(id, old) != of(id, new) || master(scene.old) != master(scene.new)
    };
    let mut redone: BTreeSet<DeviceId> = all.filter(changed).cloned().collect();
    loop {
        let before = redone.len();
        for config in [scene.old, scene.new] {
            for (id, device) in config.devices() {
                extend(&mut redone, id, device, config);
            }
        }
        if redone.len() == before {
            return redone;
        }
    }
}

/// Members go with their bond or bridge, a VLAN with what it is on, a bridge with a member that is made anew.
fn extend(redone: &mut BTreeSet<DeviceId>, id: &DeviceId, device: &Device, config: &NetworkConfig) {
    let is_made = |part: &DeviceId| config.device(part).is_some_and(|part| part.as_ethernet().is_none());
    let parts = device.parts();
    let mut parts = parts.iter().map(|(part, _)| *part);
    let goes_along = match &device.kind {
        Kind::Ethernet(_) | Kind::Bond(_) => false,
        Kind::Bridge(_) => parts.clone().any(|part| redone.contains(part) && is_made(part)),
        Kind::Vlan(vlan) => redone.contains(&vlan.link),
    };
    if goes_along {
        redone.insert(id.clone());
    }
    if redone.contains(id) && !matches!(device.kind, Kind::Vlan(_)) {
        redone.extend(parts.by_ref().cloned());
    }
}

/// The links to bring up, in order, by the names that they have then. Cards may have to be renamed first.
fn names_to_raise(
    new: &[Definition],
    scene: &Scene<'_>,
    plan: &mut Activation,
) -> Result<Vec<Subject>, Refusal> {
    let mut up = Vec::new();
    let mut seen = BTreeSet::new();
    for definition in new {
        let Some(device) = scene.new.device(&definition.id) else { continue };
        let is_wanted = device.settings.activation_mode.is_none();
        let name = definition.name.as_str();
        if device.as_ethernet().is_none() {
            let is_late = scene.links.is_late(&definition.id, scene.new);
            if is_late && !name.contains('.') {
                plan.warnings.push(format!(
                    "`{name}` has no name that says what it is on: once that is plugged in, `ifup {name}` or a boot brings it up"
                ));
            }
            if is_wanted && !is_late {
                plan.links.push(ExpectedLink::of(name, &definition.id, scene));
                up.push(raised(name, &definition.id, scene.new, &scene.links));
            }
            continue;
        }
        if seen.insert(&definition.id) {
            let names = plan.add_card(&definition.id, device, scene)?;
            up.extend(names.values().filter(|_| is_wanted).map(|name| Subject::link(name)));
        }
    }
    Ok(up)
}

/// True if ifupdown had it up, or would have at the next boot.
fn was_raised(definition: &Definition, scene: &Scene<'_>) -> bool {
    let Some(device) = scene.old.device(&definition.id) else { return false };
    let is_there = match device.as_ethernet() {
        Some(_) => scene.links.named(definition.name.as_str()).is_some(),
        None => !scene.links.is_late(&definition.id, scene.old),
    };
    device.settings.activation_mode.is_none() && is_there
}

/// True if it has what by the old file it cannot have, since ifupdown knows it, or it was made, or a DHCP client runs, as after
/// an interrupted try; or it has an address of its config's, as a card that was renamed. To `ifup`, that is a fault.
fn is_left_over(definition: &Definition, old: &[Definition], is_in_state: bool, scene: &Scene<'_>) -> bool {
    let name = definition.name.as_str();
    let before = old.iter().find(|old| old.name == definition.name);
    let is_made = scene.new.device(&definition.id).is_some_and(|device| device.as_ethernet().is_none());
    let stands = is_in_state || (is_made && scene.links.named(name).is_some());
    let is_stray = before.is_none_or(|old| !has_dhcp(old)) && has_client(name, scene.system);
    (before.is_none() && (stands || has_its_address(definition, scene))) || is_stray
}

/// True if the link has an address that it is to get.
fn has_its_address(definition: &Definition, scene: &Scene<'_>) -> bool {
    let Some(network) = scene.links.network() else { return false };
    let Some(device) = scene.new.device(&definition.id) else { return false };
    let link = network.link_named(definition.name.as_str());
    link.is_some_and(|link| {
        let wanted =
            |address| device.settings.addresses.iter().any(|wanted| wanted.address.address == address);
        network.addresses_of(link.index).any(|address| wanted(address.address))
    })
}

/// Takes down what the new file brought up, once the old one is back: ifupdown gets the new stanzas by hand.
fn lower_as_written(ifdown: &'static str, new: &[Definition], scene: &Scene<'_>) -> Invocation {
    let options = ["--force", "--ignore-errors", "--interfaces", "/dev/stdin"];
    let back = &scene.orphans.raised;
    let names = back.iter().rev().map(|link| link.name.as_str());
    let names = names.chain(new.iter().rev().map(|definition| definition.name.as_str())).collect();
    // The stanzas of links that come back stand in their file.
    let is_theirs = |file: &&FileChange| back.iter().any(|link| link.path == file.path);
    let files = scene.files.iter().filter(is_theirs).filter_map(|file| file.after.as_ref());
    let stanzas = files.map(|file| String::from_utf8_lossy(&file.content).into_owned());
    let stdin = Some(Secret::new(stanzas.chain([text_of(new)]).collect::<Vec<_>>().join("\n")));
    Invocation { stdin, ..long(command(ifdown, options).with_subjects(links(names))) }
}

/// What a step on a card has for its undo, to come at the front.
fn undo_of(step: &Step) -> Option<Step> {
    let Step::Run { undo, .. } = step else { return None };
    undo.clone().map(at_undo)
}

/// A step on a card without its undo; `None` if it was there for that alone.
fn rename_of(step: Step) -> Option<Step> {
    match step {
        Step::Run { command, undo } => (undo.as_ref() != Some(&command)).then_some(run(command)),
        other => Some(other),
    }
}

const fn at_undo(command: Invocation) -> Step {
    Step::AtUndo(UndoCommand::Run(command))
}

const fn run(command: Invocation) -> Step {
    Step::Run { command, undo: None }
}

/// What is to be taken down, and may have gone by itself.
fn links(names: Vec<&str>) -> Vec<Subject> {
    names.into_iter().map(Subject::link).collect()
}

fn long(command: Invocation) -> Invocation {
    Invocation { deadline: DEADLINE, ..command }
}

fn has_dhcp(definition: &Definition) -> bool {
    definition.stanzas.iter().any(crate::network::renderer::eni::Stanza::is_dhcp)
}

/// True if a DHCP client runs, by the files in which ifupdown has clients write their number.
fn has_client(name: &str, system: &dyn System) -> bool {
    let files = [
        format!("/run/dhclient.{name}.pid"),
        format!("/run/dhclient6.{name}.pid"),
        format!("/run/udhcpc.{name}.pid"),
    ];
    files.iter().any(|path| text(system, path).is_some())
}

/// What the new stanzas need, beside ifupdown itself.
fn check_programs(new: &[Definition], scene: &Scene<'_>) -> Result<(), Refusal> {
    let has_hook = |folder: &str, name: &str| {
        scene
            .system
            .list(&format!("/etc/network/{folder}"))
            .is_ok_and(|names| names.iter().any(|n| n == name))
    };
    let lacks = |id: &DeviceId, device: &Device, what: &str, package: &str| {
        let path = format!("network.{}.{id}", device.section().key());
        Err(Refusal::at(path, format!("a machine that has {what}")).hint(format!("install {package}")))
    };
    for definition in new {
        let id = &definition.id;
        let Some(device) = scene.new.device(id) else { continue };
        match &device.kind {
            Kind::Bond(_) if !has_hook("if-pre-up.d", "ifenslave") => {
                return lacks(id, device, "ifupdown's hook for bonds", "ifenslave");
            }
            Kind::Bridge(_) if !has_hook("if-pre-up.d", "bridge") => {
                return lacks(id, device, "ifupdown's hook for bridges", "bridge-utils");
            }
            Kind::Ethernet(card)
                if (card.wakeonlan.is_some() || !card.offloads.is_empty())
                    && !has_hook("if-up.d", "ethtool")
                    && !has_hook("if-pre-up.d", "ethtool") =>
            {
                return lacks(id, device, "ifupdown's hook for `wakeonlan` and offloads", "ethtool");
            }
            _ => {}
        }
        let clients = if device.settings.dhcp6 { &DHCP_CLIENTS[..2] } else { &DHCP_CLIENTS[..] };
        if has_dhcp(definition) && !clients.iter().any(|program| scene.system.has_program(program)) {
            return lacks(id, device, "a DHCP client", "isc-dhcp-client");
        }
    }
    Ok(())
}

fn program(paths: [&'static str; 2], system: &dyn System) -> Result<&'static str, Refusal> {
    let found = paths.into_iter().find(|path| system.has_program(path));
    found.ok_or_else(|| {
        let expected = format!("a machine with `{}`, to bring a change up", paths[0]);
        Refusal::at("network", expected).hint("install ifupdown")
    })
}
