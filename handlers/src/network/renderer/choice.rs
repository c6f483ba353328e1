//! Which renderer a machine has: the one that cloud-init would choose.

use serde_json::Value;

use super::Renderer;
use super::eni::Eni;
use super::kind::RendererKind;
use super::netplan::Netplan;
use super::network_manager::{self, NetworkManager};
use super::networkd::Networkd;
use super::sysconfig::{Stack, Sysconfig};
use crate::network::machine::reading::{self, unreadable};
use crate::{Refusal, System};

/// Folders of programs, as cloud-init searches them.
const PROGRAM_FOLDERS: &[&str] = &["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Chooses the renderer as cloud-init does on this machine.
pub(crate) fn choose(system: &dyn System) -> Result<Box<dyn Renderer>, Refusal> {
    Ok(match choice(system)? {
        RendererKind::Eni => Box::new(Eni),
        RendererKind::Sysconfig => Box::new(Sysconfig),
        RendererKind::Netplan => Box::new(Netplan),
        RendererKind::NetworkManager => Box::new(NetworkManager),
        RendererKind::Networkd => Box::new(Networkd),
    })
}

fn choice(system: &dyn System) -> Result<RendererKind, Refusal> {
    let configured = configured_order(system)?;
    let order = configured.as_ref().map_or_else(
        || RendererKind::ALL.to_vec(),
        |names| names.iter().filter_map(|name| RendererKind::of_name(name)).collect(),
    );
    if let Some(kind) = order.iter().find(|kind| is_available(**kind, system)) {
        return Ok(*kind);
    }
    let listed = |path: &str| system.list(path).map_err(|error| unreadable(&error));
    if system.is_sandbox() && listed("/usr")?.is_empty() {
        // A folder without programs is no machine image; the wish of its cloud.cfg counts, else netplan. eni needs an
        // interfaces file beside it, which such a folder has not.
        let is_served = |kind: &RendererKind| match kind {
            RendererKind::Eni => false,
            RendererKind::Sysconfig => configured.is_some(),
            RendererKind::Netplan | RendererKind::NetworkManager | RendererKind::Networkd => true,
        };
        return Ok(order.into_iter().find(is_served).unwrap_or(RendererKind::Netplan));
    }
    let looked_for =
        configured.unwrap_or_else(|| RendererKind::ALL.map(|kind| kind.name().to_owned()).to_vec());
    Err(Refusal::at("network", "a machine that has netplan, networkd, eni, network-manager or sysconfig")
        .given(format!("none of {}", looked_for.join(", ")))
        .hint("install netplan.io, or name another in system_info.network.renderers"))
}

/// `system_info.network.renderers`, whatever names stand there: the last file that has it wins.
fn configured_order(system: &dyn System) -> Result<Option<Vec<String>>, Refusal> {
    const FOLDER: &str = "/etc/cloud/cloud.cfg.d";
    let names = system.list(FOLDER).map_err(|error| unreadable(&error))?;
    let drop_ins = names.iter().filter(|name| name.ends_with(".cfg")).map(|name| format!("{FOLDER}/{name}"));
    let mut found = None;
    for path in std::iter::once("/etc/cloud/cloud.cfg".to_owned()).chain(drop_ins) {
        // cloud-init skips what it cannot parse and goes on; so do we, or it and we would choose differently.
        let Ok(Some(config)) = reading::document(&path, system)? else { continue };
        let renderers = config.pointer("/system_info/network/renderers").and_then(Value::as_array);
        if let Some(renderers) = renderers {
            found = Some(renderers.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        }
    }
    Ok(found)
}

/// True if cloud-init would find what a renderer needs on this machine.
fn is_available(kind: RendererKind, system: &dyn System) -> bool {
    let has = |program: &str| {
        PROGRAM_FOLDERS.iter().any(|folder| system.has_program(&format!("{folder}/{program}")))
    };
    match kind {
        RendererKind::Eni => {
            let has_file = |path: &str| matches!(system.read(path), Ok(Some(_)));
            has("ifquery") && has("ifup") && has("ifdown") && has_file("/etc/network/interfaces")
        }
        RendererKind::Sysconfig => Stack::is_available(system),
        RendererKind::Netplan => has("netplan"),
        RendererKind::NetworkManager => network_manager::is_available(system),
        RendererKind::Networkd => {
            (has("ip") && has("systemctl")) || system.has_program("/usr/lib/systemd/systemd-networkd")
        }
    }
}
