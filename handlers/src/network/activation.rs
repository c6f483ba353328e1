//! The commands that make the machine act on written files, on the links that the change affects and no
//! others.
//!
//! ```text
//! files ─▶ netplan generate ─▶ rename, tune ─▶ networkctl reload ─▶ networkctl delete / reconfigure ─▶ verify
//! ```
//!
//! Each command's undo is right once the old files are back; for most it is the same command again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::config::NetworkConfig;
use super::device::Device;
use super::expectation::ExpectedLink;
use super::link::{Link, Links};
use super::name::DeviceId;
use super::rename;
use super::renderer::Renderer;
use crate::{Invocation, Refusal, Step, System};

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where netplan's generator puts what networkd reads.
const GENERATED: &str = "/run/systemd/network";

/// Where D-Bus listens, on machines that have it.
const DBUS_SOCKET: &str = "/run/dbus/system_bus_socket";

/// What listens there.
const DBUS_PROGRAMS: [&str; 2] = ["/usr/bin/dbus-daemon", "/usr/bin/dbus-broker-launch"];

/// What it takes to bring a change up.
#[derive(Debug, Default)]
pub(super) struct Activation {
    /// Commands, in order.
    pub(super) steps: Vec<Step>,
    /// What to look for afterwards.
    pub(super) links: Vec<ExpectedLink>,
    /// What has to wait for the next boot, and why.
    pub(super) warnings: Vec<String>,
}

/// What is planned for.
struct Scene<'a> {
    old: &'a NetworkConfig,
    new: &'a NetworkConfig,
    links: Links,
    renderer: &'a dyn Renderer,
    system: &'a dyn System,
}

/// Links by the names they have now, with those they will have.
type Names = BTreeMap<String, String>;

impl Activation {
    /// Plans the commands for the affected devices. `old` is the config before.
    pub(super) fn plan(
        affected: &BTreeSet<DeviceId>,
        old: &NetworkConfig,
        new: &NetworkConfig,
        renderer: &dyn Renderer,
        system: &dyn System,
    ) -> Result<Self, Refusal> {
        let networkctl = networkctl(system)?;
        let scene = Scene { old, new, links: Links::look(system)?, renderer, system };
        let mut plan = Self::default();
        if let Some(command) = renderer.check_command(system) {
            plan.steps.push(Step::Regenerate { command, folder: GENERATED });
        }
        // Early in a boot there is none yet, and `networkctl` speaks to networkd over it.
        if DBUS_PROGRAMS.iter().any(|program| system.has_program(program)) {
            plan.steps.push(Step::Await { path: DBUS_SOCKET, what: "D-Bus" });
        }
        let mut reconfigure = Names::new();
        for id in affected {
            match new.device(id) {
                Some(device) => reconfigure.extend(plan.add_device(id, device, &scene)?),
                // The card may be another device's now, and have a new name from there.
                None => left_alone(id, &scene).into_iter().for_each(|(from, to)| {
                    reconfigure.entry(from).or_insert(to);
                }),
            }
        }
        plan.run_both_ways(command(networkctl, ["reload"]));
        for link in removed(affected, &scene) {
            // Undone by a reload, which makes the device again.
            let undo = Some(command(networkctl, ["reload"]));
            plan.steps.push(Step::Run { command: command(networkctl, ["delete", &link]), undo });
        }
        if !reconfigure.is_empty() {
            plan.steps.push(reconfigure_step(networkctl, &reconfigure));
        }
        Ok(plan)
    }

    /// Plans one device that is wanted; gives back its links.
    fn add_device(&mut self, id: &DeviceId, device: &Device, scene: &Scene<'_>) -> Result<Names, Refusal> {
        let before = scene.old.device(id);
        if device.as_ethernet().is_some() {
            let names = self.add_card(id, device, scene)?;
            if is_tuned(device) || before.is_some_and(is_tuned) {
                self.steps.extend(names.iter().filter_map(|names| tune_step(names, scene.system)));
            }
            return Ok(names);
        }
        let present = scene.links.of(id, device, scene.new);
        if !present.is_empty() && before.is_some_and(|before| !device.is_made_like(before)) {
            self.warnings.push(format!(
                "`{id}` gets its parameters at the next boot: it is there already, and they are for a new one"
            ));
        }
        if !scene.links.is_late(id, scene.new) {
            self.links.push(expected(id.as_str(), id, scene.new));
        }
        Ok(present.into_iter().map(same_name).collect())
    }

    fn add_card(&mut self, id: &DeviceId, device: &Device, scene: &Scene<'_>) -> Result<Names, Refusal> {
        let present = scene.links.of(id, device, scene.new);
        let Some(name) = device.link_name.as_ref() else {
            return Ok(present.into_iter().map(same_name).collect());
        };
        let link = match present.as_slice() {
            [] => return Ok(Names::new()),
            [link] => *link,
            many => return Err(many_links(id, many)),
        };
        let mut to = name.as_str();
        if link.name == to {
            let mtu = device.settings.mtu.filter(|mtu| link.mtu != Some(*mtu));
            if mtu.is_some() || !link.up {
                self.steps.push(rename::keep_step(link, scene.system)?);
            }
        } else {
            let was_configured = is_configured(link, scene);
            match rename::obstacle(link, name, was_configured, &scene.links, scene.system) {
                None => self.steps.push(rename::step(link, to, scene.system)?),
                Some(why) if scene.renderer.needs_name(device) => return Err(rename::refuse(id, link, &why)),
                Some(why) => {
                    self.warnings.push(format!("`{id}` gets its name at the next boot: {why}"));
                    to = &link.name;
                }
            }
        }
        self.links.push(expected(to, id, scene.new));
        Ok(Names::from([(link.name.clone(), to.to_owned())]))
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

/// True if the config before had a device for this link.
fn is_configured(link: &Link, scene: &Scene<'_>) -> bool {
    scene.old.devices().any(|(id, device)| scene.links.of(id, device, scene.old).contains(&link))
}

fn expected(name: &str, id: &DeviceId, config: &NetworkConfig) -> ExpectedLink {
    let settings = config.device(id).map(|device| (&device.settings, device.identity()));
    let (settings, identity) = settings.unzip();
    // A member's address is its bond's business, and so is its MTU.
    let is_member = config.master(id).is_some();
    ExpectedLink {
        name: name.to_owned(),
        address: settings
            .and_then(|settings| settings.macaddress)
            .or_else(|| identity.flatten())
            .filter(|_| !is_member),
        mtu: settings.and_then(|settings| settings.mtu).filter(|_| !is_member),
        addresses: settings
            .filter(|settings| !is_member && settings.activation_mode.is_none())
            .map(|settings| settings.addresses.iter().map(|address| address.address).collect())
            .unwrap_or_default(),
    }
}

fn same_name(link: &Link) -> (String, String) {
    (link.name.clone(), link.name.clone())
}

/// True if udev does something to the card: what `.link` files say beside the name.
fn is_tuned(device: &Device) -> bool {
    device.as_ethernet().is_some_and(|card| card.wakeonlan.is_some() || !card.offloads.is_empty())
}

/// Lets udev apply its part to a card that is there: it does so by itself only when a card appears.
fn tune_step((old, new): (&String, &String), system: &dyn System) -> Option<Step> {
    let program = ["/usr/bin/udevadm", "/bin/udevadm"].into_iter().find(|path| system.has_program(path))?;
    let tune =
        |link: &str| command(program, ["test-builtin", "net_setup_link", &format!("/sys/class/net/{link}")]);
    Some(Step::Run { command: tune(new), undo: Some(tune(old)) })
}

/// Cards that are configured no more: networkd lets go of them.
fn left_alone(id: &DeviceId, scene: &Scene<'_>) -> Names {
    let card = scene.old.device(id).filter(|device| device.as_ethernet().is_some());
    let links = card.map(|device| scene.links.of(id, device, scene.old)).unwrap_or_default();
    links.into_iter().map(same_name).collect()
}

/// Created links that nothing defines any more: networkd leaves them standing.
fn removed(affected: &BTreeSet<DeviceId>, scene: &Scene<'_>) -> Vec<String> {
    let gone = affected.iter().filter(|id| scene.new.device(id).is_none());
    gone.filter(|id| scene.old.device(id).is_some_and(|device| device.as_ethernet().is_none()))
        .filter_map(|id| scene.links.named(id.as_str()))
        .map(|link| link.name.clone())
        .collect()
}

/// Reconfigures links under their new names; the undo finds them under the old ones.
fn reconfigure_step(networkctl: &'static str, links: &Names) -> Step {
    let with = |names: Vec<&str>| command(networkctl, std::iter::once("reconfigure").chain(names));
    Step::Run {
        command: with(links.values().map(String::as_str).collect()),
        undo: Some(with(links.keys().map(String::as_str).collect())),
    }
}

fn command<'a>(program: &'static str, args: impl IntoIterator<Item = &'a str>) -> Invocation {
    let args = args.into_iter().map(str::to_owned).collect();
    Invocation { program, args, stdin: None, deadline: DEADLINE }
}

fn networkctl(system: &dyn System) -> Result<&'static str, Refusal> {
    let found = ["/usr/bin/networkctl", "/bin/networkctl"].into_iter().find(|path| system.has_program(path));
    let expected = "a machine with `networkctl`, to bring a change up";
    found.ok_or_else(|| Refusal::at("network", expected).hint("install systemd"))
}
