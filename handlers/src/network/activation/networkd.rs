//! systemd-networkd, behind netplan or alone.
//!
//! ```text
//! files ─▶ netplan generate ─▶ rename, tune ─▶ networkctl reload ─▶ networkctl delete / reconfigure ─▶ verify
//! ```

use super::super::scene::Scene;
use super::{Activation, Activator, Names, await_dbus, command, same_name};
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;
use crate::{Invocation, Refusal, Step, Subject, System, UndoCommand};

/// Where netplan's generator puts what networkd reads.
const GENERATED: &str = "/run/systemd/network";

/// Brings changes up by way of `networkctl`.
#[derive(Debug)]
pub(in super::super) struct Networkd {
    /// The command that makes networkd's files of the renderer's own, if it has others.
    pub(in super::super) generate: Option<Invocation>,
}

impl Activator for Networkd {
    fn plan(&self, scene: &Scene<'_>) -> Result<Activation, Refusal> {
        let networkctl = networkctl(scene.system)?;
        let mut plan = Activation::default();
        if let Some(command) = self.generate.clone() {
            plan.steps.push(Step::Regenerate { command, folder: GENERATED });
        }
        plan.steps.extend(await_dbus(scene.system));
        let mut reconfigure = Names::new();
        for id in scene.affected {
            match scene.new.device(id) {
                Some(device) => {
                    let names = plan.add_device(id, device, scene)?;
                    if is_tuned(device) || scene.old.device(id).is_some_and(is_tuned) {
                        plan.steps.extend(names.iter().filter_map(|names| tune_step(names, scene.system)));
                    }
                    reconfigure.extend(names);
                }
                // The card may be another device's now, and have a new name from there.
                None => left_alone(id, scene).into_iter().for_each(|(from, to)| {
                    reconfigure.entry(from).or_insert(to);
                }),
            }
        }
        let reload = command(networkctl, ["reload"]);
        // Its undo comes first, so that networkd makes nothing any more when what it has made is removed.
        plan.steps.push(Step::AtUndo(UndoCommand::Run(reload.clone())));
        plan.steps.extend(made(scene).into_iter().map(|link| remove_at_undo(networkctl, &link)));
        plan.steps.append(&mut plan.at_undo);
        plan.steps.push(Step::Run { command: reload, undo: None });
        for link in removed(scene) {
            // Undone by a reload, which makes the device again.
            let undo = Some(command(networkctl, ["reload"]));
            let delete = command(networkctl, ["delete"]).with_subjects(vec![Subject::link(&link)]);
            plan.steps.push(Step::Run { command: delete, undo });
        }
        if !reconfigure.is_empty() {
            plan.steps.push(reconfigure_step(networkctl, &reconfigure));
        }
        Ok(plan)
    }
}

/// True if udev does something to the card: what `.link` files say beside the name.
fn is_tuned(device: &Device) -> bool {
    device.as_ethernet().is_some_and(|card| card.wakeonlan.is_some() || !card.offloads.is_empty())
}

/// Lets udev apply its part to a card that is there: it does so by itself only when a card appears.
fn tune_step((old, new): (&String, &String), system: &dyn System) -> Option<Step> {
    let program = ["/usr/bin/udevadm", "/bin/udevadm"].into_iter().find(|path| system.has_program(path))?;
    let tune = |link: &str| {
        let path = format!("/sys/class/net/{link}");
        command(program, ["test-builtin", "net_setup_link", &path])
            .with_subjects(vec![Subject::spoken_of(link)])
    };
    Some(Step::Run { command: tune(new), undo: Some(tune(old)) })
}

/// Cards that are configured no more: networkd lets go of them.
fn left_alone(id: &DeviceId, scene: &Scene<'_>) -> Names {
    let card = scene.old.device(id).filter(|device| device.as_ethernet().is_some());
    let links = card.map(|device| scene.links.of(id, device, scene.old)).unwrap_or_default();
    links.into_iter().map(same_name).collect()
}

/// Created links that nothing defines any more: networkd leaves them standing. A VLAN goes with what it is on, and could not
/// be removed after that: what stands on others comes first.
fn removed(scene: &Scene<'_>) -> Vec<String> {
    let gone = scene.affected.iter().filter(|id| scene.new.device(id).is_none());
    let mut gone: Vec<&DeviceId> = gone
        .filter(|id| scene.old.device(id).is_some_and(|device| device.as_ethernet().is_none()))
        .filter(|id| scene.links.named(id.as_str()).is_some())
        .collect();
    gone.sort_by_key(|id| std::cmp::Reverse(height(id, scene.old)));
    gone.into_iter().map(ToString::to_string).collect()
}

/// How many devices stand on one another below this one, itself included.
fn height(id: &DeviceId, config: &NetworkConfig) -> usize {
    let Some(device) = config.device(id) else { return 0 };
    let below = device.parts().into_iter().map(|(part, _)| height(part, config));
    1 + below.max().unwrap_or_default()
}

/// Links that will be made.
fn made(scene: &Scene<'_>) -> Vec<String> {
    let is_made = |id: &&DeviceId| scene.new.device(id).is_some_and(|device| device.as_ethernet().is_none());
    let wanted = scene.affected.iter().filter(is_made);
    wanted.filter(|id| scene.links.named(id.as_str()).is_none()).map(ToString::to_string).collect()
}

/// networkd leaves standing what it has made, members and all, once no file defines it.
fn remove_at_undo(networkctl: &'static str, link: &str) -> Step {
    Step::AtUndo(UndoCommand::RunIf {
        path: format!("/sys/class/net/{link}"),
        command: command(networkctl, ["delete", link]),
    })
}

/// Reconfigures links under their new names; the undo finds them under the old ones.
fn reconfigure_step(networkctl: &'static str, links: &Names) -> Step {
    let with = |names: Vec<&String>| {
        let subjects = names.into_iter().map(|name| Subject::link(name)).collect();
        command(networkctl, ["reconfigure"]).with_subjects(subjects)
    };
    Step::Run { command: with(links.values().collect()), undo: Some(with(links.keys().collect())) }
}

fn networkctl(system: &dyn System) -> Result<&'static str, Refusal> {
    let found = ["/usr/bin/networkctl", "/bin/networkctl"].into_iter().find(|path| system.has_program(path));
    let expected = "a machine with `networkctl`, to bring a change up";
    found.ok_or_else(|| Refusal::at("network", expected).hint("install systemd"))
}
