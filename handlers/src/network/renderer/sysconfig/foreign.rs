//! Files of somebody else that define a device too.

use std::collections::BTreeSet;

use super::super::network_manager::is_generated;
use super::super::rendered_file::RenderedFile;
use super::control_file;
use super::interfaces::Interfaces;
use super::is_cloud_inits;
use super::stack::Stack;
use crate::network::document::address::MacAddress;
use crate::network::document::desired::Desired;
use crate::network::document::device::Device;
use crate::network::document::name::{DeviceId, LinkName};
use crate::network::document::place::{Place, Reading};
use crate::network::machine::orphan_link::{OrphanLink, untold};
use crate::network::machine::reading::{text, unreadable};
use crate::{Refusal, System};

/// Where NetworkManager's own files are.
const KEYFILES: [&str; 3] = [
    "/etc/NetworkManager/system-connections",
    "/run/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
];

/// Ends of file names that no program reads.
const IGNORED: [&str; 9] =
    ["~", ".bak", ".old", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".scpmbackup", "-range"];

/// True if programs would not read a file `ifcfg-<name>`, or take it for another device's.
pub(super) fn is_ignored(name: &str) -> bool {
    name == "lo" || IGNORED.iter().any(|end| name.ends_with(end))
}

/// Refuses if a file of ours would replace somebody else's; gives back the paths that are ours, of which those are some
/// that say what we would write: an interrupted try left them.
pub(super) fn check_paths(
    files: &[RenderedFile],
    ours: &BTreeSet<String>,
    system: &dyn System,
) -> Result<BTreeSet<String>, Refusal> {
    let mut all = ours.clone();
    for RenderedFile { path, file } in files.iter().filter(|file| !ours.contains(&file.path)) {
        let Some(present) = system.read(path).map_err(|error| unreadable(&error))? else { continue };
        let content = String::from_utf8_lossy(&present.content);
        // cloud-init makes its file of udev rules even if it has none.
        let is_free = path == control_file::FILE || present.content.trim_ascii().is_empty();
        let hint = if is_free || present.content == file.content {
            all.insert(path.clone());
            continue;
        } else if is_cloud_inits(&content) {
            format!(
                "cloud-init wrote `{path}` and left no network-config.json to merge into: \
                 remove the file"
            )
        } else {
            format!("move what `{path}` says to a file of another name, or leave its device out")
        };
        return Err(Refusal::at("network", "no file of somebody else in the place of ours")
            .given(path)
            .because_of(path)
            .hint(hint));
    }
    Ok(all)
}

/// The link of a file of cloud-init's; none of a file that goes with another, or is for no link.
pub(super) fn orphan_link(path: &str, content: &str, stack: Stack) -> Result<Option<OrphanLink>, Refusal> {
    let stem = path.strip_prefix(stack.folder()).and_then(|file| file.strip_prefix("/ifcfg-"));
    let Some(stem) = stem.filter(|stem| !is_ignored(stem)) else { return Ok(None) };
    let value = |key: &str| {
        let lines = content.lines().filter_map(|line| line.trim().split_once('='));
        let mut values = lines.filter(|(name, _)| *name == key).map(|(_, value)| value);
        values.next_back().map(|value| value.trim_matches(['"', '\'']).to_lowercase())
    };
    let is_yes = |key: &str| value(key).is_some_and(|value| value == "yes");
    let kind = value("TYPE");
    let is_made = match kind.as_deref() {
        None | Some("ethernet") => {
            ["VLAN", "BONDING_MASTER", "BRIDGE"].into_iter().any(is_yes) || value("ETHERDEVICE").is_some()
        }
        Some("bond" | "bridge" | "vlan") => true,
        Some(_) => return Err(untold(path)),
    };
    let Identity { name, address } = Identity::of_ifcfg(content, stem, stack);
    let name = name.map(|name| name.split(':').next().unwrap_or_default().to_owned());
    Ok(Some(OrphanLink { path: path.to_owned(), name, address, is_made }))
}

/// Refuses if an `ifcfg` file that is not ours defines one of these devices.
pub(super) fn check_ifcfg(
    devices: &BTreeSet<DeviceId>,
    desired: &Desired,
    interfaces: &Interfaces,
    ours: &BTreeSet<String>,
    (stack, system): (Stack, &dyn System),
) -> Result<(), Refusal> {
    let folder = stack.folder();
    for file in system.list(folder).map_err(|error| unreadable(&error))? {
        let path = format!("{folder}/{file}");
        let Some(stem) = file.strip_prefix("ifcfg-").filter(|stem| !is_ignored(stem)) else { continue };
        if ours.contains(&path) {
            continue;
        }
        let found = Identity::of_ifcfg(&text(system, &path).unwrap_or_default(), stem, stack);
        for (id, device) in devices.iter().filter_map(|id| Some((id, desired.config.device(id)?))) {
            if found.is(device, interfaces.names(id)) {
                let place = format!("network.{}.{id}", device.section().key());
                return Err(Refusal::at(place, "a device that no other file defines")
                    .given(&path)
                    .because_of(&path)
                    .hint(format!("remove `{path}`, or leave the device to that file")));
            }
        }
    }
    Ok(())
}

/// Warnings of NetworkManager's own files for one of these devices: it has to choose between two connections.
pub(super) fn keyfiles(
    devices: &BTreeSet<DeviceId>,
    desired: &Desired,
    interfaces: &Interfaces,
    system: &dyn System,
) -> Result<Vec<String>, Refusal> {
    let mut warnings = Vec::new();
    for folder in KEYFILES {
        for file in system.list(folder).map_err(|error| unreadable(&error))? {
            let path = format!("{folder}/{file}");
            let content = text(system, &path).unwrap_or_default();
            if is_generated(&path, &content) {
                continue;
            }
            let found = Identity::of_keyfile(&content);
            for (id, device) in devices.iter().filter_map(|id| Some((id, desired.config.device(id)?))) {
                if found.is(device, interfaces.names(id)) {
                    warnings.push(format!(
                        "`{path}` defines `{id}` too: NetworkManager brings up one of the two, maybe not this one"
                    ));
                }
            }
        }
    }
    Ok(warnings)
}

/// Which link a file is for.
#[derive(Debug, Default)]
struct Identity {
    name: Option<String>,
    address: Option<MacAddress>,
}

impl Identity {
    /// wicked goes by the file's name, the others by what stands in it.
    fn of_ifcfg(content: &str, stem: &str, stack: Stack) -> Self {
        let value = |key: &str| {
            let line =
                content.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
            line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
        };
        let address = value("HWADDR").and_then(|address| MacAddress::from_text(&address));
        match stack {
            Stack::Wicked => Self { name: Some(stem.to_owned()), address: None },
            Stack::NetworkScripts | Stack::NetworkManager => {
                let name = value("DEVICE").or_else(|| address.is_none().then(|| stem.to_owned()));
                Self { name, address }
            }
        }
    }

    fn of_keyfile(content: &str) -> Self {
        let mut found = Self::default();
        for line in content.lines() {
            match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("interface-name", name)) => found.name = Some(name.to_owned()),
                Some(("mac-address", address)) => found.address = MacAddress::from_text(address),
                _ => {}
            }
        }
        found
    }

    /// True if the file would configure the device. With both conditions in it, both have to hold.
    fn is(&self, device: &Device, names: &[String]) -> bool {
        let by_name = self.name.as_ref().map(|name| names.contains(name));
        let by_address = self.address.zip(device.identity()).map(|(one, other)| one == other);
        match (by_name, by_address) {
            (Some(name), Some(address)) => name && address,
            (one, other) => one.or(other).unwrap_or_default(),
        }
    }
}

/// Refuses a name of which the files would not be read.
pub(super) fn check_name(id: &DeviceId, device: &Device, names: &[String]) -> Result<(), Refusal> {
    let place = Place::top(&format!("network.{}.{id}", device.section().key()), Reading::Whole);
    for name in names {
        LinkName::parse(&serde_json::Value::from(name.as_str()), &place)?;
        if is_ignored(name) {
            let expected = "a name with which `ifcfg-<name>` is read as a network card's";
            return Err(place.refuse_text(name, expected));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ifcfg_file_is_for_a_name_an_address_or_both() {
        let read = |content: &str, stack| {
            let found = Identity::of_ifcfg(content, "eth0", stack);
            (found.name, found.address.map(|address| address.to_string()))
        };
        let mac = || Some("52:54:00:00:00:01".to_owned());
        let eth = |name: &str| Some(name.to_owned());
        assert_eq!(read("", Stack::NetworkScripts), (eth("eth0"), None));
        assert_eq!(read("DEVICE=\"eth1\"\n", Stack::NetworkManager), (eth("eth1"), None));
        assert_eq!(read("HWADDR=52:54:00:00:00:01\n", Stack::NetworkManager), (None, mac()));
        let both = "DEVICE='x'\nHWADDR=\"52:54:00:00:00:01\"\nDEVICE=y # no\nDEVICE=z\n";
        assert_eq!(read(both, Stack::NetworkScripts), (eth("z"), mac()));
        assert_eq!(read("DEVICE=eth1\n", Stack::Wicked), (eth("eth0"), None));
    }
}
