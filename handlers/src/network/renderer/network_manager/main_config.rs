//! NetworkManager.conf(5) and its drop-ins, as far as they say which devices NetworkManager leaves alone, and which
//! other formats of profiles it reads.

use std::collections::BTreeMap;

use super::profile;
use crate::network::document::address::MacAddress;
use crate::network::document::device::Device;
use crate::network::document::name::Pattern;
use crate::network::machine::reading::{text, unreadable};
use crate::{Refusal, System};

/// The main file.
pub(super) const FILE: &str = "/etc/NetworkManager/NetworkManager.conf";

/// Folders of drop-ins; of two of one name the first hides the other.
const FOLDERS: [&str; 3] = [ETC_FOLDER, "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d"];

/// Its drop-ins come after the main file, those of the others before it.
const ETC_FOLDER: &str = "/etc/NetworkManager/conf.d";

/// What the files say together.
#[derive(Debug, Default)]
pub(super) struct MainConfig {
    /// Formats of profiles, if they are named.
    pub(super) plugins: Option<Vec<String>>,
    /// `unmanaged-devices`: each with the file that says it.
    unmanaged: Vec<(String, String)>,
    /// `[device…]` sections with `managed`, the last file first: devices, whether, and the file.
    devices: Vec<(Vec<String>, bool, String)>,
}

/// One `[device…]` section while it is read.
#[derive(Debug, Default)]
struct DeviceSection {
    devices: Vec<String>,
    managed: Option<bool>,
}

impl MainConfig {
    /// Reads every file, in NetworkManager's order.
    pub(super) fn read(system: &dyn System) -> Result<Self, Refusal> {
        let mut config = Self::default();
        for path in files(system)? {
            config.read_file(&path, &text(system, &path).unwrap_or_default());
        }
        Ok(config)
    }

    /// The file by which NetworkManager leaves the device alone, if it does.
    pub(super) fn leaves_alone(&self, device: &Device) -> Option<&str> {
        let specs: Vec<&str> = self.unmanaged.iter().map(|(spec, _)| spec.as_str()).collect();
        if meets(&specs, device) {
            return self.unmanaged.last().map(|(_, path)| path.as_str());
        }
        let section = self.devices.iter().find(|(specs, _, _)| {
            specs.is_empty() || meets(&specs.iter().map(String::as_str).collect::<Vec<_>>(), device)
        });
        section.filter(|(_, managed, _)| !managed).map(|(_, _, path)| path.as_str())
    }

    fn read_file(&mut self, path: &str, content: &str) {
        let mut section = "";
        let mut device = DeviceSection::default();
        for line in content.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                self.close(std::mem::take(&mut device), path);
                section = line.trim_matches(['[', ']']);
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            match (section, key.trim()) {
                ("main", "plugins") => self.plugins = Some(specs(value)),
                ("keyfile", "unmanaged-devices") => {
                    self.unmanaged = specs(value).into_iter().map(|spec| (spec, path.to_owned())).collect();
                }
                // The first `=` is the one of `+=`.
                ("keyfile", "unmanaged-devices+") => {
                    self.unmanaged.extend(specs(value).into_iter().map(|spec| (spec, path.to_owned())));
                }
                ("keyfile", "unmanaged-devices-") => {
                    let removed = specs(value);
                    self.unmanaged.retain(|(spec, _)| !removed.contains(spec));
                }
                (section, "match-device") if section.starts_with("device") => device.devices = specs(value),
                (section, "managed") if section.starts_with("device") => {
                    device.managed = Some(is_true(value));
                }
                _ => {}
            }
        }
        self.close(device, path);
    }

    fn close(&mut self, section: DeviceSection, path: &str) {
        if let Some(managed) = section.managed {
            self.devices.insert(0, (section.devices, managed, path.to_owned()));
        }
    }
}

fn files(system: &dyn System) -> Result<Vec<String>, Refusal> {
    let mut found: BTreeMap<String, &str> = BTreeMap::new();
    for folder in FOLDERS {
        for name in system.list(folder).map_err(|error| unreadable(&error))? {
            if name.ends_with(".conf") {
                found.entry(name).or_insert(folder);
            }
        }
    }
    let of = |etc: bool| {
        let files = found.iter().filter(move |(_, folder)| (**folder == ETC_FOLDER) == etc);
        files.map(|(name, folder)| format!("{folder}/{name}"))
    };
    Ok(of(false).chain([FILE.to_owned()]).chain(of(true)).collect())
}

fn specs(value: &str) -> Vec<String> {
    let parts = value.split([',', ';']).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&value.trim().to_ascii_lowercase().as_str())
}

/// True if a device is one of a list: an `except:` that it meets decides, and a list of nothing else holds all others.
fn meets(specs: &[&str], device: &Device) -> bool {
    let (excepted, named): (Vec<&str>, Vec<&str>) =
        specs.iter().partition(|spec| spec.starts_with("except:"));
    let is_one = |spec: &&str| is_meant(spec.trim_start_matches("except:"), device);
    if excepted.iter().any(is_one) {
        return false;
    }
    named.iter().any(is_one) || (named.is_empty() && !excepted.is_empty())
}

/// One element of a list: NetworkManager.conf(5), "Device List Format".
fn is_meant(spec: &str, device: &Device) -> bool {
    let name = device.link_name.as_ref().map(ToString::to_string);
    let has_name = |matches: &dyn Fn(&str) -> bool| name.as_deref().is_some_and(matches);
    let has_address = |text: &str| {
        let address = MacAddress::from_text(text);
        address.is_some() && [device.identity(), device.settings.macaddress].contains(&address)
    };
    let drivers = || device.matching().into_iter().flat_map(|matching| &matching.drivers);
    match spec.split_once(':') {
        None if spec == "*" => true,
        None => has_name(&|name| name == spec),
        Some(("interface-name", pattern)) => match pattern.strip_prefix('=') {
            Some(exact) => has_name(&|name| name == exact),
            None => has_name(&|name| Pattern::from_file(pattern.trim_start_matches('~')).matches(name)),
        },
        Some(("mac", address)) => has_address(address),
        Some(("type", kind)) => kind == profile::kind(device),
        Some(("driver", pattern)) => {
            let pattern = Pattern::from_file(pattern.split('/').next().unwrap_or_default());
            drivers().any(|driver| pattern.matches(driver.as_str()))
        }
        Some(_) => has_address(spec),
    }
}
