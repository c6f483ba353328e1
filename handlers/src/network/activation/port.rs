//! What bridge-utils does to the cards of a bridge and never takes back: `ip link set CARD addrgenmode none`, after which a
//! card has no link-local address, whoever brings it up; and the card is down when the bridge is gone.

use super::super::scene::Scene;
use super::rename;
use super::{Activation, is_configured};
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::DeviceId;
use crate::network::machine::link::Link;
use crate::network::machine::reading::text;
use crate::{Refusal, Step, UndoCommand};

/// Where the kernel tells how a link's addresses are generated.
const SETTINGS: &str = "/proc/sys/net/ipv6/conf";

impl Activation {
    /// Cards that become members of a bridge get back by the undo what they have now. For those that are members no more, gives
    /// the steps to what the kernel has for a new link, for when their bridge is gone.
    pub(super) fn give_ports_back(&mut self, scene: &Scene<'_>) -> Result<Vec<Step>, Refusal> {
        let mut steps = Vec::new();
        for id in scene.affected {
            let is_card = |device: &Device| device.as_ethernet().is_some();
            let config = if scene.new.device(id).is_some_and(is_card) { scene.new } else { scene.old };
            let Some(device) = config.device(id).filter(|device| is_card(device)) else { continue };
            let (was, is) = (is_port(id, scene.old), is_port(id, scene.new));
            for link in scene.links.of(id, device, config) {
                if is && !was {
                    self.at_undo.extend(back_at_undo(link, scene)?);
                } else if was && !is {
                    steps.extend(back(link, scene)?);
                }
            }
        }
        Ok(steps)
    }
}

fn is_port(id: &DeviceId, config: &NetworkConfig) -> bool {
    config.master(id).is_some_and(|(_, master)| matches!(master.kind, Kind::Bridge(_)))
}

/// What the link has, in the order in which it can be set: the kernel makes the address as the link comes up.
fn back_at_undo(link: &Link, scene: &Scene<'_>) -> Result<Option<Step>, Refusal> {
    let mode = mode(&link.name, scene).filter(|mode| *mode != NONE);
    // A card that ifupdown has configured is brought up by that.
    let state = (!is_configured(link, scene)).then(|| rename::state_line(link));
    let lines: String = mode.map(|mode| mode_line(link, mode)).into_iter().chain(state).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let command = rename::script(&link.name, lines, scene.system)?;
    Ok(Some(Step::AtUndo(UndoCommand::Run(command))))
}

/// Its bridge's undo takes it away again.
fn back(link: &Link, scene: &Scene<'_>) -> Result<Option<Step>, Refusal> {
    let usual =
        mode("default", scene).filter(|usual| mode(&link.name, scene) == Some(NONE) && *usual != NONE);
    let Some(usual) = usual else { return Ok(None) };
    let command = rename::script(&link.name, mode_line(link, usual), scene.system)?;
    Ok(Some(Step::Run { command, undo: None }))
}

/// What bridge-utils sets.
const NONE: &str = "none";

/// How a link generates its addresses, in `ip`'s word: ip-sysctl.rst, `addr_gen_mode`. `None` without IPv6.
fn mode(link: &str, scene: &Scene<'_>) -> Option<&'static str> {
    match text(scene.system, &format!("{SETTINGS}/{link}/addr_gen_mode"))?.as_str() {
        "0" => Some("eui64"),
        "1" => Some(NONE),
        // A new secret would be another address: a link that has one is left alone.
        "3" => Some("random"),
        _ => None,
    }
}

fn mode_line(link: &Link, mode: &str) -> String {
    format!("link set dev {} addrgenmode {mode}\n", link.name)
}
