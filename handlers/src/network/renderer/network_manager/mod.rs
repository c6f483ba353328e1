//! The NetworkManager renderer: a keyfile for each device, under the names and UUIDs that cloud-init uses, with a
//! `.link` file for a card that has to be named.

mod foreign;
mod ip;
mod keyfile;
mod limits;
mod losses;
mod main_config;
mod profile;
mod span;
mod stacked;
mod stacked_limits;
mod uuid;

use std::collections::BTreeSet;

pub(crate) use foreign::{is_generated, volatile};
pub(crate) use uuid::ProfileUuid;

use super::Renderer;
use super::instance_config;
use super::kind::RendererKind;
use super::networkd::naming_file;
use super::rendered_file::RenderedFile;
use crate::network::activation::{self, Activator};
use crate::network::document::config::NetworkConfig;
use crate::network::document::desired::Desired;
use crate::network::document::device::{Device, Ethernet};
use crate::network::document::name::DeviceId;
use crate::network::document::settings::Settings;
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::OrphanLink;
use crate::network::machine::reading::unreadable;
use crate::{FileState, Refusal, System};
use foreign::ForeignProfile;
use losses::Losses;
use main_config::MainConfig;

/// Where profiles are that survive a boot.
const FOLDER: &str = "/etc/NetworkManager/system-connections";

/// How names of our files begin and end, which are cloud-init's.
const PREFIX: &str = "cloud-init-";
const EXTENSION: &str = ".nmconnection";

/// Sections that NetworkManager changes on a link without taking it down.
const ADDRESSES: [&str; 3] = ["ipv4", "ipv6", "user"];

/// Renders for NetworkManager.
#[derive(Debug)]
pub(crate) struct NetworkManager;

/// How far two profiles of one device are from one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// They are the same.
    None,
    /// Addresses, routes, names and a card's MTU differ, no more.
    Addresses,
    /// What the link is differs.
    Link,
}

/// True if cloud-init would choose this renderer.
pub(crate) fn is_available(system: &dyn System) -> bool {
    let has_nmcli = ["/usr/bin/nmcli", "/bin/nmcli"].iter().any(|program| system.has_program(program));
    has_nmcli && matches!(system.read(main_config::FILE), Ok(Some(_))) && is_enabled(system)
}

/// cloud-init asks `systemctl is-enabled`, which looks for this link. Where there are no units at all, NetworkManager is
/// started by something else.
fn is_enabled(system: &dyn System) -> bool {
    const UNITS: [&str; 2] = ["/etc/systemd/system", "/usr/lib/systemd/system"];
    let names = |folder: &str| system.list(folder).unwrap_or_default();
    let wants = |folder: &&str| {
        let links = names(&format!("{folder}/multi-user.target.wants"));
        links.iter().any(|name| name == "NetworkManager.service")
    };
    UNITS.iter().any(wants) || UNITS.iter().all(|folder| names(folder).is_empty())
}

/// Where the profile of a device is.
pub(crate) fn profile_path(id: &DeviceId) -> String {
    format!("{FOLDER}/{PREFIX}{id}{EXTENSION}")
}

/// True if this is a path of a profile.
pub(crate) fn is_profile(path: &str) -> bool {
    path.starts_with(FOLDER)
}

/// How far a device's profile would change.
pub(crate) fn difference(id: &DeviceId, old: &NetworkConfig, new: &NetworkConfig) -> Difference {
    let Some((before, after)) = old.device(id).zip(new.device(id)) else { return Difference::Link };
    let [was, is] =
        [(before, old), (after, new)].map(|(device, config)| profile::keyfile(id, device, config));
    if was == is {
        return Difference::None;
    }
    // The MTU of a card changes with the addresses, if there is one to change to.
    let resized = after.as_ethernet().is_some() && after.settings.mtu.is_some();
    let mtu = if resized { after.settings.mtu } else { before.settings.mtu };
    let settings = Settings { mtu, ..before.settings.clone() };
    let was = profile::keyfile(id, &Device { settings, ..before.clone() }, old);
    if was.is_same_but_for(&is, &ADDRESSES) { Difference::Addresses } else { Difference::Link }
}

impl Renderer for NetworkManager {
    fn kind(&self) -> RendererKind {
        RendererKind::NetworkManager
    }

    fn files_of_origin(&self, system: &dyn System) -> Result<BTreeSet<String>, Refusal> {
        let names = system.list(FOLDER).map_err(|error| unreadable(&error))?;
        let ours = names.into_iter().filter(|name| name.starts_with(PREFIX) && name.ends_with(EXTENSION));
        Ok(ours.map(|name| format!("{FOLDER}/{name}")).collect())
    }

    fn orphan_links(
        &self,
        path: &str,
        content: &str,
        _system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal> {
        ForeignProfile::orphan_link(path, content).map(|link| vec![link])
    }

    /// Beside other definitions: devices that NetworkManager leaves alone, and what a profile cannot say. What cloud-init
    /// has lost already is a warning, and so is what is lost of a device that the push does not speak of.
    fn check_conflicts(
        &self,
        devices: &BTreeSet<DeviceId>,
        desired: &Desired,
        ours: &BTreeSet<String>,
        _links: &Links,
        system: &dyn System,
    ) -> Result<Vec<String>, Refusal> {
        let main = MainConfig::read(system)?;
        let profiles = ForeignProfile::all(&main, ours, system)?;
        let inherited = self.inherited(system)?.and_then(|document| NetworkConfig::whole(&document, "").ok());
        let mut warnings = Vec::new();
        for (id, device) in desired.config.devices() {
            let losses = Losses::of(id, device, &desired.config);
            if !devices.contains(id) {
                warnings.extend(losses.refusals.iter().map(|refusal| format!("not applied: {refusal}")));
                continue;
            }
            let lost_before = inherited
                .as_ref()
                .and_then(|config| Some(Losses::of(id, config.device(id)?, config).refusals))
                .unwrap_or_default();
            for refusal in losses.refusals {
                if !lost_before.contains(&refusal) {
                    return Err(refusal);
                }
                warnings.push(format!("not applied: {refusal}"));
            }
            warnings.extend(losses.warnings);
            if let Some(path) = main.leaves_alone(device) {
                return Err(unmanaged(id, device, path));
            }
            for other in &profiles {
                if other.defines(device) {
                    let is_cloud_inits = other.path.starts_with(&format!("{FOLDER}/{PREFIX}"));
                    return Err(instance_config::conflict(id, device, &other.path, is_cloud_inits));
                }
                if other.comes_first(device) {
                    warnings.push(format!(
                        "`{}` is for any card, with an autoconnect-priority that is not below the one of `{id}`, {}",
                        other.path,
                        profile::PRIORITY
                    ));
                }
            }
        }
        Ok(warnings)
    }

    fn render(
        &self,
        desired: &Desired,
        _links: &Links,
        _system: &dyn System,
    ) -> Result<Vec<RenderedFile>, Refusal> {
        let mut files = Vec::new();
        for (id, device) in desired.config.devices() {
            // NetworkManager reads no profile that others than root may read.
            let content = profile::keyfile(id, device, &desired.config).to_string();
            files.push(RenderedFile { path: profile_path(id), file: FileState::of_root(content, 0o600) });
            files.extend(device.as_ethernet().and_then(|card| naming_file(id, device, &naming(card))));
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(files)
    }

    fn needs_name(&self, device: &Device) -> bool {
        device.identity().is_none()
    }

    fn activator(&self, _system: &dyn System) -> Box<dyn Activator> {
        Box::new(activation::NetworkManager)
    }
}

/// What udev does to a card: it names it. The rest is the profile's.
fn naming(card: &Ethernet) -> Ethernet {
    Ethernet { wakeonlan: None, offloads: Vec::new(), ..card.clone() }
}

fn unmanaged(id: &DeviceId, device: &Device, path: &str) -> Refusal {
    let path_in_document = format!("network.{}.{id}", device.section().key());
    Refusal::at(path_in_document, "a device that NetworkManager manages")
        .given(path)
        .hint(format!("`{path}` tells NetworkManager to leave it alone (`unmanaged-devices`, or `managed`)"))
}
