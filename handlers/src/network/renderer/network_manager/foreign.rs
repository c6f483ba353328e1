//! Profiles that are not ours, in each format that NetworkManager reads.

use std::collections::BTreeSet;

use super::main_config::MainConfig;
use super::profile::{self, PRIORITY};
use super::{EXTENSION, FOLDER};
use crate::network::document::address::MacAddress;
use crate::network::document::device::Device;
use crate::network::machine::orphan_link::{OrphanLink, untold};
use crate::network::machine::reading::{text, unreadable};
use crate::{Refusal, System};

/// Where profiles are that go with the boot.
const IN_MEMORY: &str = "/run/NetworkManager/system-connections";

/// Folders of profiles; in the first, names need no extension.
const FOLDERS: [&str; 3] = [FOLDER, IN_MEMORY, "/usr/lib/NetworkManager/system-connections"];

/// Where initscripts keep theirs.
const IFCFG_FOLDER: &str = "/etc/sysconfig/network-scripts";

/// Where ifupdown keeps its own.
const INTERFACES: &str = "/etc/network/interfaces";

/// True if NetworkManager made this profile by itself: of what others did to a link, or for a card that had none ("Wired
/// connection 1"). Nobody asked for it, and ours comes before it.
pub(crate) fn is_generated(path: &str, content: &str) -> bool {
    path.starts_with(IN_MEMORY) && has_line(content, "nm-generated=true")
}

/// The UUIDs of profiles that NetworkManager forgets as soon as another is brought up on their links: they say what others did
/// to these.
pub(crate) fn volatile(system: &dyn System) -> BTreeSet<String> {
    let names = system.list(IN_MEMORY).unwrap_or_default();
    let profiles = names.iter().filter_map(|name| text(system, &format!("{IN_MEMORY}/{name}")));
    let uuids = |content: String| -> Vec<String> {
        content.lines().filter_map(|line| line.trim().strip_prefix("uuid=")).map(str::to_owned).collect()
    };
    profiles.filter(|content| has_line(content, "volatile=true")).flat_map(uuids).collect()
}

fn has_line(content: &str, wanted: &str) -> bool {
    content.lines().any(|line| line.trim() == wanted)
}

/// A profile of somebody else's.
#[derive(Debug, Default)]
pub(super) struct ForeignProfile {
    pub(super) path: String,
    interface_name: Option<String>,
    address: Option<MacAddress>,
    /// As in `[connection]`, if it is told.
    kind: Option<String>,
    priority: i32,
    is_manual: bool,
}

impl ForeignProfile {
    /// Every profile on the machine but ours, and those that NetworkManager made by itself.
    pub(super) fn all(
        main: &MainConfig,
        ours: &BTreeSet<String>,
        system: &dyn System,
    ) -> Result<Vec<Self>, Refusal> {
        let list = |folder: &str| system.list(folder).map_err(|error| unreadable(&error));
        let mut found = Vec::new();
        for folder in FOLDERS {
            for name in list(folder)?.into_iter().filter(|name| is_read(name, folder == FOLDER)) {
                let path = format!("{folder}/{name}");
                if ours.contains(&path) {
                    continue;
                }
                let content = text(system, &path).unwrap_or_default();
                if !is_generated(&path, &content) {
                    found.push(Self::of_keyfile(path, &content));
                }
            }
        }
        let reads = |plugin: &str| {
            main.plugins.as_ref().is_some_and(|plugins| plugins.iter().any(|name| name == plugin))
        };
        if reads("ifcfg-rh") {
            for name in list(IFCFG_FOLDER)?.into_iter().filter(|name| name.starts_with("ifcfg-")) {
                let path = format!("{IFCFG_FOLDER}/{name}");
                let content = text(system, &path).unwrap_or_default();
                found.push(Self::of_ifcfg(path, &content));
            }
        }
        if reads("ifupdown") {
            let folder = format!("{INTERFACES}.d");
            let dropped = list(&folder)?.into_iter().map(|name| format!("{folder}/{name}"));
            for path in std::iter::once(INTERFACES.to_owned()).chain(dropped) {
                found.extend(Self::of_interfaces(&path, &text(system, &path).unwrap_or_default()));
            }
        }
        Ok(found)
    }

    /// The link of a profile of cloud-init's, if it is of a kind that a push can define.
    pub(super) fn orphan_link(path: &str, content: &str) -> Result<OrphanLink, Refusal> {
        let Self { interface_name, address, kind, .. } = Self::of_keyfile(path.to_owned(), content);
        let is_made = match kind.as_deref() {
            Some("ethernet" | "802-3-ethernet") => false,
            Some("bond" | "bridge" | "vlan") => true,
            _ => return Err(untold(path)),
        };
        Ok(OrphanLink { path: path.to_owned(), name: interface_name, address, is_made })
    }

    /// True if the profile is of this very device. With both a name and an address in it, both have to be the
    /// device's, where these are known.
    pub(super) fn defines(&self, device: &Device) -> bool {
        let same_kind = self.kind.as_deref().is_none_or(|kind| {
            kind == profile::kind(device) || (kind == "802-3-ethernet" && device.as_ethernet().is_some())
        });
        let name = self.interface_name.as_ref().zip(device.link_name.as_ref());
        let name = name.map(|(one, two)| one == two.as_str());
        let address = self.address.zip(device.identity()).map(|(one, two)| one == two);
        let same = match (name, address) {
            (Some(name), Some(address)) => name && address,
            (None, None) => false,
            (one, two) => one.or(two).unwrap_or_default(),
        };
        same && same_kind
    }

    /// True if the profile is of any card, and NetworkManager would take it before ours.
    pub(super) fn comes_first(&self, device: &Device) -> bool {
        let any = self.interface_name.is_none() && self.address.is_none();
        let of_cards = matches!(self.kind.as_deref(), Some("ethernet" | "802-3-ethernet"));
        any && of_cards && device.as_ethernet().is_some() && !self.is_manual && self.priority >= PRIORITY
    }

    fn of_keyfile(path: String, content: &str) -> Self {
        let mut found = Self { path, ..Self::default() };
        let mut section = "";
        for line in content.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match (section, key.trim()) {
                ("[connection]", "interface-name") => found.interface_name = Some(value.to_owned()),
                ("[connection]", "type") => found.kind = Some(value.to_owned()),
                ("[connection]", "autoconnect") => found.is_manual = value == "false",
                ("[connection]", "autoconnect-priority") => {
                    found.priority = value.parse().unwrap_or_default();
                }
                ("[ethernet]" | "[802-3-ethernet]", "mac-address") => {
                    found.address = MacAddress::from_text(value);
                }
                _ => {}
            }
        }
        found
    }

    fn of_ifcfg(path: String, content: &str) -> Self {
        let value = |key: &str| {
            let lines = content.lines().filter_map(|line| line.trim().split_once('='));
            let mut values = lines.filter(|(name, _)| *name == key).map(|(_, value)| value);
            values.next().map(|value| value.trim_matches(['"', '\'']).to_owned())
        };
        Self {
            path,
            interface_name: value("DEVICE"),
            address: value("HWADDR").and_then(|text| MacAddress::from_text(&text)),
            ..Self::default()
        }
    }

    /// Stanzas: `iface NAME inet …`.
    fn of_interfaces(path: &str, content: &str) -> Vec<Self> {
        let stanzas = content.lines().filter_map(|line| line.trim().strip_prefix("iface "));
        let names = stanzas.filter_map(|rest| rest.split_whitespace().next());
        names
            .map(|name| Self {
                path: path.to_owned(),
                interface_name: Some(name.to_owned()),
                ..Self::default()
            })
            .collect()
    }
}

/// Hidden files and backups are no profiles.
fn is_read(name: &str, without_extension: bool) -> bool {
    let is_hidden = name.starts_with('.') || name.ends_with('~');
    !is_hidden && (without_extension || name.ends_with(EXTENSION))
}
