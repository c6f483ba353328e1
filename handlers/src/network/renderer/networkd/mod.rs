//! The systemd-networkd renderer: a `.network` file for each device, under the names that cloud-init uses,
//! with a `.netdev` file for what has to be created and a `.link` file for what udev does.

mod device_files;
mod network_file;
mod orphan;
mod unit;

use std::collections::BTreeSet;

use super::Renderer;
use super::instance_config;
use super::kind::RendererKind;
use super::rendered_file::RenderedFile;
use crate::network::activation::{self, Activator};
use crate::network::document::address::MacAddress;
use crate::network::document::desired::Desired;
use crate::network::document::device::{Device, Ethernet};
use crate::network::document::name::{DeviceId, Pattern};
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::OrphanLink;
use crate::network::machine::reading::{text, unreadable};
use crate::{FileState, Refusal, System};

const FOLDER: &str = "/etc/systemd/network";

/// How names of our files begin, which are cloud-init's.
const PREFIX: &str = "10-cloud-init-";

/// Renders for systemd-networkd.
#[derive(Debug)]
pub(super) struct Networkd;

impl Renderer for Networkd {
    fn kind(&self) -> RendererKind {
        RendererKind::Networkd
    }

    fn files_of_origin(&self, system: &dyn System) -> Result<BTreeSet<String>, Refusal> {
        let names = files(system)?;
        Ok(names
            .into_iter()
            .filter(|name| name.starts_with(PREFIX))
            .map(|name| format!("{FOLDER}/{name}"))
            .collect())
    }

    fn orphan_links(
        &self,
        path: &str,
        content: &str,
        _system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal> {
        Ok(orphan::link(path, content)?.into_iter().collect())
    }

    fn check_conflicts(
        &self,
        devices: &BTreeSet<DeviceId>,
        desired: &Desired,
        ours: &BTreeSet<String>,
        _links: &Links,
        system: &dyn System,
    ) -> Result<Vec<String>, Refusal> {
        for name in files(system)?.into_iter().filter(|name| name.ends_with(".network")) {
            let path = format!("{FOLDER}/{name}");
            if ours.contains(&path) {
                continue;
            }
            let content = text(system, &path).unwrap_or_default();
            let matching = ForeignMatch::read(&content);
            for (id, device) in devices.iter().filter_map(|id| Some((id, desired.config.device(id)?))) {
                let stem = stem(id, device);
                // networkd takes the first file that matches: one behind ours matters only if it means this
                // very device.
                let is_first = name < format!("{PREFIX}{stem}.network");
                if matching.defines(device, &stem, is_first) {
                    return Err(instance_config::conflict(id, device, &path, name.starts_with(PREFIX)));
                }
            }
        }
        Ok(Vec::new())
    }

    fn render(
        &self,
        desired: &Desired,
        _links: &Links,
        system: &dyn System,
    ) -> Result<Vec<RenderedFile>, Refusal> {
        let (uid, gid) = owner(system);
        let mut files = Vec::new();
        for (id, device) in desired.config.devices() {
            let stem = stem(id, device);
            let mut add = |extension: &str, content: String| {
                let path = format!("{FOLDER}/{PREFIX}{stem}.{extension}");
                files.push(RenderedFile {
                    path,
                    file: FileState { content: content.into_bytes(), mode: 0o644, uid, gid },
                });
            };
            add("network", network_file::network_file(id, device, &desired.config).to_string());
            if let Some(file) = device_files::netdev_file(id, device) {
                add("netdev", file.to_string());
            }
            if let Some(file) = device.as_ethernet().and_then(|card| device_files::link_file(id, card)) {
                add("link", file.to_string());
            }
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        match files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            None => Ok(files),
            Some(pair) => Err(Refusal::at("network", "a name of its own for every device")
                .given(&pair[0].path)
                .hint("two devices have the same `set-name` or id")),
        }
    }

    fn needs_name(&self, device: &Device) -> bool {
        device.identity().is_none()
    }

    fn activator(&self, _system: &dyn System) -> Box<dyn Activator> {
        Box::new(activation::Networkd { generate: None })
    }
}

/// The `.link` file of a card, by which udev names and tunes it. udev reads it whoever sets the card up afterwards.
pub(super) fn naming_file(id: &DeviceId, device: &Device, card: &Ethernet) -> Option<RenderedFile> {
    let content = device_files::link_file(id, card)?.to_string();
    let path = format!("{FOLDER}/{PREFIX}{}.link", stem(id, device));
    Some(RenderedFile { path, file: FileState::of_root(content, 0o644) })
}

/// What file names call a device: its link's name where that is known, as cloud-init has it.
fn stem(id: &DeviceId, device: &Device) -> String {
    device.link_name.as_ref().map_or_else(|| id.to_string(), ToString::to_string)
}

fn files(system: &dyn System) -> Result<Vec<String>, Refusal> {
    system.list(FOLDER).map_err(|error| unreadable(&error))
}

/// Files belong to networkd's user, as cloud-init has it; to root where there is none.
fn owner(system: &dyn System) -> (u32, u32) {
    let passwd = text(system, "/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.starts_with("systemd-network:"));
    let mut ids = line.into_iter().flat_map(|line| line.split(':').skip(2)).map(|field| field.parse().ok());
    let uid = ids.next().flatten();
    uid.zip(ids.next().flatten()).unwrap_or((0, 0))
}

/// The `[Match]` section of somebody else's file.
#[derive(Debug, Default)]
struct ForeignMatch {
    names: Vec<Pattern>,
    addresses: Vec<MacAddress>,
}

impl ForeignMatch {
    fn read(content: &str) -> Self {
        let mut found = Self::default();
        let mut section = "";
        for line in content.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| section == "[Match]") else { continue };
            match key.trim() {
                "Name" => found.names.extend(value.split_whitespace().map(Pattern::from_file)),
                "MACAddress" | "PermanentMACAddress" => {
                    let colons = value.replace('-', ":");
                    found.addresses.extend(colons.split_whitespace().filter_map(MacAddress::from_text));
                }
                _ => {}
            }
        }
        found
    }

    /// True if the file would configure the device in our place, or says the same of it as ours.
    fn defines(&self, device: &Device, name: &str, is_first: bool) -> bool {
        let by_address = device.identity().is_some_and(|address| self.addresses.contains(&address));
        let by_name =
            self.names.iter().any(|pattern| pattern.matches(name) && (pattern.is_plain() || is_first));
        // With both conditions in the file, both have to hold.
        match (self.names.is_empty(), self.addresses.is_empty()) {
            (false, false) if device.identity().is_some() => by_address && by_name,
            _ => by_address || by_name,
        }
    }
}
