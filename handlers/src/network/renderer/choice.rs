//! Which renderer a machine has: the one that cloud-init would choose.

use serde_json::Value;

use super::Renderer;
use super::eni::Eni;
use super::netplan::Netplan;
use super::network_manager::{self, NetworkManager};
use super::networkd::Networkd;
use super::sysconfig::{Stack, Sysconfig};
use crate::network::machine::reading::{self, unreadable};
use crate::{Refusal, System};

/// Why a renderer was chosen: for the refusal of one that cannot be served.
struct Choice {
    name: String,
    why: String,
}

const SUPPORTED: &str = "netplan, networkd, eni, network-manager or sysconfig";

/// The order in which cloud-init tries renderers when nothing is configured.
const DEFAULT_ORDER: &[&str] = &["eni", "sysconfig", "netplan", "network-manager", "networkd"];

/// Folders of programs, as cloud-init searches them.
const PROGRAM_FOLDERS: &[&str] = &["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Chooses the renderer as cloud-init does on this machine.
pub(crate) fn choose(system: &dyn System) -> Result<Box<dyn Renderer>, Refusal> {
    let choice = choice(system)?;
    match choice.name.as_str() {
        "netplan" => Ok(Box::new(Netplan)),
        "networkd" => Ok(Box::new(Networkd)),
        "eni" => Ok(Box::new(Eni)),
        "network-manager" => Ok(Box::new(NetworkManager)),
        "sysconfig" => Ok(Box::new(Sysconfig)),
        other => Err(Refusal::at("network", format!("a machine configured by {SUPPORTED}"))
            .given(other)
            .hint(format!("chosen because {}; name another in system_info.network.renderers", choice.why))),
    }
}

fn choice(system: &dyn System) -> Result<Choice, Refusal> {
    let configured = configured_order(system)?;
    let is_configured = configured.is_some();
    let (order, why): (Vec<String>, String) = match configured {
        Some((order, file)) => (order, format!("`{file}` lists it and the machine has it")),
        None => (
            DEFAULT_ORDER.iter().map(|name| (*name).to_owned()).collect(),
            "it is the first of cloud-init's order that the machine has".to_owned(),
        ),
    };
    if let Some(name) = order.iter().find(|name| is_available(name, system)) {
        return Ok(Choice { name: name.clone(), why });
    }
    let listed = |path: &str| system.list(path).map_err(|error| unreadable(&error));
    if system.is_sandbox() && listed("/usr")?.is_empty() {
        // A folder without programs is no machine image; the wish of its cloud.cfg counts, else netplan. eni needs an
        // interfaces file beside it, which such a folder has not.
        let served = |name: &&String| match name.as_str() {
            "netplan" | "networkd" | "network-manager" => true,
            "sysconfig" => is_configured,
            _ => false,
        };
        let name = order.iter().find(served);
        let name = name.map_or("netplan", String::as_str).to_owned();
        return Ok(Choice { name, why });
    }
    Err(Refusal::at("network", format!("a machine that has {SUPPORTED}"))
        .given(format!("none of {}", order.join(", ")))
        .hint("install netplan.io, or name another in system_info.network.renderers"))
}

/// `system_info.network.renderers` and the file that says so: the last one that has it wins.
fn configured_order(system: &dyn System) -> Result<Option<(Vec<String>, String)>, Refusal> {
    const FOLDER: &str = "/etc/cloud/cloud.cfg.d";
    let names = system.list(FOLDER).map_err(|error| unreadable(&error))?;
    let drop_ins = names.iter().filter(|name| name.ends_with(".cfg")).map(|name| format!("{FOLDER}/{name}"));
    let mut found = None;
    for path in std::iter::once("/etc/cloud/cloud.cfg".to_owned()).chain(drop_ins) {
        // cloud-init skips what it cannot parse and goes on; so do we, or it and we would choose differently.
        let Ok(Some(config)) = reading::document(&path, system)? else { continue };
        let renderers = config.pointer("/system_info/network/renderers").and_then(Value::as_array);
        if let Some(renderers) = renderers {
            let order = renderers.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            found = Some((order, path));
        }
    }
    Ok(found)
}

fn is_available(renderer: &str, system: &dyn System) -> bool {
    let has = |program: &str| program_path(program, system).is_some();
    let has_file = |path: &str| matches!(system.read(path), Ok(Some(_)));
    match renderer {
        "netplan" => has("netplan"),
        "eni" => has("ifquery") && has("ifup") && has("ifdown") && has_file("/etc/network/interfaces"),
        "sysconfig" => Stack::is_available(system),
        "network-manager" => network_manager::is_available(system),
        "networkd" => {
            (has("ip") && has("systemctl")) || system.has_program("/usr/lib/systemd/systemd-networkd")
        }
        _ => false,
    }
}

/// Where a program is.
fn program_path(program: &str, system: &dyn System) -> Option<String> {
    PROGRAM_FOLDERS.iter().map(|folder| format!("{folder}/{program}")).find(|path| system.has_program(path))
}
