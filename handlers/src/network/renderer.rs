//! Renderers: what turns the typed config into the files of one network stack.

use std::collections::BTreeSet;

use serde_json::Value;

use super::activation::Activator;
use super::backend;
use super::config::NetworkConfig;
use super::device::Device;
use super::eni::Eni;
use super::instance_config;
use super::link::{Links, unreadable};
use super::merge::canonical;
use super::name::DeviceId;
use super::netplan::Netplan;
use super::network_manager::{self, NetworkManager};
use super::networkd::Networkd;
use super::orphans::OrphanLink;
use super::place::{Place, Reading};
use super::sysconfig::{Stack, Sysconfig};
use super::v1;
use super::yaml;
use crate::{FileState, Refusal, System};

/// What is wanted, in both forms: the document as it was pushed, and its meaning.
#[derive(Debug, Clone)]
pub(super) struct Desired {
    pub(super) document: Value,
    pub(super) config: NetworkConfig,
}

impl Desired {
    /// Reads a whole document; `path` is how faults name its top.
    pub(super) fn read(document: Value, path: &str) -> Result<Self, Refusal> {
        let config = NetworkConfig::whole(&document, path)?;
        Ok(Self { document, config })
    }
}

/// A file as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RenderedFile {
    pub(super) path: String,
    pub(super) file: FileState,
}

/// What cloud-init left for us to merge into.
#[derive(Debug)]
pub(super) struct Origin {
    /// The document.
    pub(super) document: Value,
    /// The file it was read from.
    pub(super) source: String,
}

impl Origin {
    /// The document in canonical order, of version 2 whatever it was, and what was left out.
    pub(super) fn settled(&self) -> Result<(Value, Vec<String>), Refusal> {
        let top = format!("{}:network", self.source);
        if !v1::is_version_1(&self.document) {
            let document = backend::spread(&self.document, &Place::top(&top, Reading::Whole))?;
            let document = canonical(&document);
            NetworkConfig::whole(&document, &top)?;
            return Ok((document, Vec::new()));
        }
        let converted = v1::convert(&self.document, &Place::top(&top, Reading::Whole), None)?;
        let document = canonical(&converted.document);
        NetworkConfig::whole(&document, &top).map_err(|refusal| converted.trace.tell(refusal, &top))?;
        Ok((document, converted.warnings))
    }
}

/// A network stack: its files, and the commands that make it read them.
pub(super) trait Renderer {
    /// The name that cloud-init has for it.
    fn name(&self) -> &'static str;

    /// What cloud-init configured, if that can still be told: in most formats not by the files themselves.
    fn origin(&self, system: &dyn System) -> Result<Option<Origin>, Refusal> {
        instance_config::origin(system)
    }

    /// The document of [`Self::origin`]; none too if it cannot be understood, which is told where a push is merged into it.
    fn inherited(&self, system: &dyn System) -> Result<Option<Value>, Refusal> {
        let settled = self.origin(system)?.and_then(|origin| origin.settled().ok());
        Ok(settled.map(|(document, _)| document))
    }

    /// The files that came of `origin`, and that a new rendering replaces as a whole.
    fn files_of_origin(&self, system: &dyn System) -> Result<BTreeSet<String>, Refusal>;

    /// The links that a file of [`Self::files_of_origin`] configures, read from the file itself: for a machine where nothing
    /// else tells. None, if it configures none by itself.
    fn orphan_links(
        &self,
        path: &str,
        content: &str,
        system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal>;

    /// True if a file does no more than to give cards their names.
    fn is_naming(&self, path: &str) -> bool {
        path.ends_with(".link") || path.ends_with(".rules")
    }

    /// Refuses if a file that is not ours defines one of these devices. `ours` are the paths that are. Gives back
    /// warnings of files that only may get in the way.
    fn check_conflicts(
        &self,
        devices: &BTreeSet<DeviceId>,
        desired: &Desired,
        ours: &BTreeSet<String>,
        links: &Links,
        system: &dyn System,
    ) -> Result<Vec<String>, Refusal>;

    /// Every file of the config, in order of path. Formats that go by names take them from the links that are there.
    fn render(
        &self,
        desired: &Desired,
        links: &Links,
        system: &dyn System,
    ) -> Result<Vec<RenderedFile>, Refusal>;

    /// True if what is rendered finds this card only once it has its `set-name`.
    fn needs_name(&self, device: &Device) -> bool;

    /// True if what is rendered says what cards are called now that have no name of the config's.
    fn goes_by_names(&self) -> bool {
        false
    }

    /// What makes the machine act on what is rendered.
    fn activator(&self, system: &dyn System) -> Box<dyn Activator>;
}

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
pub(super) fn choose(system: &dyn System) -> Result<Box<dyn Renderer>, Refusal> {
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
        let Ok(Some(config)) = yaml::read(&path, system)? else { continue };
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
