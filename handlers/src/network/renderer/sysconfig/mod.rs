//! The sysconfig renderer: `ifcfg-*` files for Red Hat's network-scripts, NetworkManager's ifcfg-rh plugin and SUSE's
//! wicked, under the names that cloud-init uses, with files of routes and rules beside them, and udev rules for the
//! names of cards.

mod assignments;
mod bond_options;
mod control_file;
mod foreign;
mod interfaces;
mod losses;
mod red_hat;
mod routes;
mod stack;
mod udev_rules;
mod wicked;

use std::collections::BTreeSet;

use serde_json::Value;

use super::Renderer;
use super::kind::RendererKind;
use super::rendered_file::RenderedFile;
use crate::network::activation::{self, Activator};
use crate::network::document::desired::Desired;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::OrphanLink;
use crate::network::machine::reading::{text, unreadable};
use crate::{FileState, Refusal, System};
use interfaces::Interface;
use losses::{Loss, losses};
use udev_rules::UdevRules;

pub(crate) use interfaces::Interfaces;
pub(crate) use stack::{Stack, nmcli};

/// The first line of our files.
const HEADER: &str = "# Written by cloud-channel.\n";

/// With this cloud-init keeps NetworkManager from writing resolv.conf, which it has written itself.
pub(crate) const NO_DNS: &str = "/etc/NetworkManager/conf.d/99-cloud-init.conf";

/// Kinds of files in the folder of `ifcfg-*`.
const KINDS: [&str; 8] =
    ["ifcfg-", "route-", "route6-", "rule-", "rule6-", "ifroute-", "ifrule-", "ifsysctl-"];

/// Renders sysconfig files.
#[derive(Debug)]
pub(crate) struct Sysconfig;

impl Renderer for Sysconfig {
    fn kind(&self) -> RendererKind {
        RendererKind::Sysconfig
    }

    /// cloud-init's files say so in their first line; an empty file of udev rules is its as well.
    fn files_of_origin(&self, system: &dyn System) -> Result<BTreeSet<String>, Refusal> {
        let stack = Stack::of(system)?;
        let names = system.list(stack.folder()).map_err(|error| unreadable(&error))?;
        let is_cloud_inits =
            |path: &String| text(system, path).is_some_and(|content| is_cloud_inits(&content));
        let ours = names.into_iter().filter(|name| KINDS.iter().any(|kind| name.starts_with(kind)));
        let mut files: BTreeSet<String> =
            ours.map(|name| format!("{}/{name}", stack.folder())).filter(is_cloud_inits).collect();
        files.extend(Some(NO_DNS.to_owned()).filter(is_cloud_inits));
        files.extend(control_file::is_cloud_inits(system).then(|| control_file::FILE.to_owned()));
        files.insert(stack.udev_rules().to_owned());
        Ok(files)
    }

    fn orphan_links(
        &self,
        path: &str,
        content: &str,
        system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal> {
        let stack = Stack::of(system)?;
        Ok(foreign::orphan_link(path, content, stack)?.into_iter().collect())
    }

    fn check_conflicts(
        &self,
        devices: &BTreeSet<DeviceId>,
        desired: &Desired,
        ours: &BTreeSet<String>,
        links: &Links,
        system: &dyn System,
    ) -> Result<Vec<String>, Refusal> {
        let stack = Stack::of(system)?;
        let interfaces = Interfaces::of(&desired.config, links);
        for (id, device) in devices.iter().filter_map(|id| Some((id, desired.config.device(id)?))) {
            let names = interfaces.names(id);
            foreign::check_name(id, device, names)?;
            if names.is_empty() && !links.is_late(id, &desired.config) {
                let expected =
                    "a card that is there, or that `macaddress` or `set-name` tells: the files go by names";
                return Err(Refusal::at(format!("network.ethernets.{id}.match"), expected));
            }
        }
        let ours = &foreign::check_paths(&self.render(desired, links, system)?, ours, system)?;
        foreign::check_ifcfg(devices, desired, &interfaces, ours, (stack, system))?;
        let mut warnings = self.check_losses(devices, desired, &interfaces, (stack, system))?;
        if stack == Stack::NetworkManager {
            warnings.extend(foreign::keyfiles(devices, desired, &interfaces, system)?);
            let has_dns = |id| {
                desired
                    .config
                    .device(id)
                    .is_some_and(|device| !device.settings.nameservers.addresses.is_empty())
            };
            if devices.iter().any(has_dns) && !ours.contains(NO_DNS) && text(system, NO_DNS).is_some() {
                warnings.push(format!(
                    "`{NO_DNS}` keeps NetworkManager from writing name servers to resolv.conf"
                ));
            }
        }
        Ok(warnings)
    }

    fn render(
        &self,
        desired: &Desired,
        links: &Links,
        system: &dyn System,
    ) -> Result<Vec<RenderedFile>, Refusal> {
        let stack = Stack::of(system)?;
        let interfaces = Interfaces::of(&desired.config, links);
        let mut files = Vec::new();
        for (id, device) in desired.config.devices() {
            for name in interfaces.names(id) {
                let interface =
                    Interface { id, device, name, config: &desired.config, interfaces: &interfaces, stack };
                files.extend(interface_files(&interface));
            }
        }
        let rules = UdevRules::of(&desired.config, &interfaces);
        if !rules.is_empty() {
            files.push(rendered(stack.udev_rules().to_owned(), rules.to_string()));
        }
        if stack != Stack::Wicked {
            files.extend(control_file::render(has_ipv6(desired), system)?);
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        match files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            None => Ok(files),
            Some(pair) => Err(Refusal::at("network", "a name of its own for every device")
                .given(&pair[0].path)
                .hint("two devices stand for the same link")),
        }
    }

    /// `DEVICE` and the names of files are names.
    fn needs_name(&self, _device: &Device) -> bool {
        true
    }

    fn goes_by_names(&self) -> bool {
        true
    }

    fn activator(&self, _system: &dyn System) -> Box<dyn Activator> {
        Box::new(activation::Sysconfig)
    }
}

impl Sysconfig {
    /// Refuses what the push asks for and the files cannot say. What was so before the first push stays so, with a
    /// warning.
    fn check_losses(
        &self,
        pushed: &BTreeSet<DeviceId>,
        desired: &Desired,
        interfaces: &Interfaces,
        (stack, system): (Stack, &dyn System),
    ) -> Result<Vec<String>, Refusal> {
        let before = self.inherited(system)?.unwrap_or_default();
        let mut warnings = Vec::new();
        for (id, device) in desired.config.devices() {
            let section = device.section().key();
            let value = |document: &Value, key: &str| {
                document.get(section).and_then(|devices| devices.get(id.as_str())?.get(key).cloned())
            };
            let name = interfaces.names(id).first().map_or(id.as_str(), String::as_str);
            let interface = Interface { id, device, name, config: &desired.config, interfaces, stack };
            for Loss { key, path, expected, is_harmless } in losses(&interface) {
                let place = format!("network.{section}.{id}.{path}");
                let is_asked = pushed.contains(id);
                let was_there =
                    value(&before, key).is_some_and(|was| value(&desired.document, key) == Some(was));
                match (is_harmless, is_asked && !was_there) {
                    (false, true) => return Err(Refusal::at(place, expected)),
                    (true, false) => {}
                    _ => warnings.push(format!("`{place}` is not what the files say; expected {expected}")),
                }
            }
        }
        Ok(warnings)
    }
}

/// True if cloud-init wrote a file that begins like this.
pub(crate) fn is_cloud_inits(content: &str) -> bool {
    content.starts_with("# Created by cloud-init")
}

fn has_ipv6(desired: &Desired) -> bool {
    desired.config.devices().any(|(_, device)| {
        let settings = &device.settings;
        settings.dhcp6 || settings.addresses.iter().any(|address| address.address.address.is_ipv6())
    })
}

/// The files of one link.
fn interface_files(interface: &Interface<'_>) -> Vec<RenderedFile> {
    let &Interface { device, name, stack, .. } = interface;
    let settings = &device.settings;
    let mut files = Vec::new();
    let mut add = |kind: &str, content: String| {
        files.push(rendered(format!("{}/{kind}-{name}", stack.folder()), content));
    };
    if stack == Stack::Wicked {
        add("ifcfg", wicked::ifcfg(interface).to_string());
        let lists = [
            ("ifroute", routes::wicked_routes(settings, name)),
            ("ifrule", routes::rules(settings, None, stack)),
        ];
        for (kind, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            add(kind, lines.to_string());
        }
        let sysctls = wicked::Sysctls::of(interface);
        if !sysctls.is_empty() {
            add("ifsysctl", sysctls.to_string());
        }
        return files;
    }
    add("ifcfg", red_hat::ifcfg(interface).to_string());
    let lists = [
        ("route", routes::red_hat_routes(settings, name, true)),
        ("route6", routes::red_hat_routes(settings, name, false)),
        ("rule", routes::rules(settings, Some(true), stack)),
        ("rule6", routes::rules(settings, Some(false), stack)),
    ];
    for (kind, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        add(kind, lines.to_string());
    }
    files
}

fn rendered(path: String, content: String) -> RenderedFile {
    RenderedFile { path, file: FileState::of_root(content, 0o644) }
}
