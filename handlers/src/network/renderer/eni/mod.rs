//! The renderer for Debian's ifupdown: one file of interfaces(5), under the name that cloud-init uses, with the udev
//! rules that name cards.

mod addressing;
mod definition;
mod layers;
mod loss;
mod orphan;
mod present;
mod routing;
mod stanza;

use std::collections::BTreeSet;

use super::Renderer;
use super::kind::RendererKind;
use super::rendered_file::RenderedFile;
use super::udev_rule::{UdevRule, are_cloud_inits};
use crate::network::activation::{self, Activator};
use crate::network::document::config::NetworkConfig;
use crate::network::document::desired::Desired;
use crate::network::document::device::Device;
use crate::network::document::name::{DeviceId, LinkName};
use crate::network::machine::known_names::KnownNames;
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::OrphanLink;
use crate::network::machine::reading::{text, unreadable};
use crate::{FileState, Refusal, System};
use definition::Names;
use present::{Present, TOP};
use stanza::{Family, InterfacesFile};

pub(crate) use definition::{Definition, definitions};
pub(crate) use stanza::Stanza;

/// The udev rules that cloud-init writes.
const RULES: &str = "/etc/udev/rules.d/70-persistent-net.rules";

/// Programs that act on `dns-nameservers`.
const RESOLVERS: [&str; 4] =
    ["/sbin/resolvconf", "/usr/sbin/resolvconf", "/usr/bin/resolvectl", "/bin/resolvectl"];

/// Renders for ifupdown.
#[derive(Debug)]
pub(crate) struct Eni;

impl Renderer for Eni {
    fn kind(&self) -> RendererKind {
        RendererKind::Eni
    }

    /// Rules that are not all of cloud-init's kind are somebody else's.
    fn files_of_origin(&self, system: &dyn System) -> Result<BTreeSet<String>, Refusal> {
        let mut files = BTreeSet::from([file(system).to_owned()]);
        let rules = read(RULES, system)?;
        if rules.is_some_and(|rules| are_cloud_inits(&rules)) {
            files.insert(RULES.to_owned());
        }
        Ok(files)
    }

    fn orphan_links(
        &self,
        path: &str,
        content: &str,
        _system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal> {
        if self.is_naming(path) { Ok(Vec::new()) } else { orphan::links(path, content) }
    }

    fn check_conflicts(
        &self,
        devices: &BTreeSet<DeviceId>,
        desired: &Desired,
        ours: &BTreeSet<String>,
        links: &Links,
        system: &dyn System,
    ) -> Result<Vec<String>, Refusal> {
        let file = file(system);
        let present = Present::read(file, system)?;
        if !present.reads_ours {
            return Err(Refusal::at("network", format!("a `{TOP}` that has ifupdown read `{file}`"))
                .hint(format!("add the line `source /etc/network/interfaces.d/*` to `{TOP}`")));
        }
        let names = Names::of(&desired.config, links);
        let mut warnings: Vec<String> = (present.unfollowed.iter())
            .map(|(word, path)| format!("`{path}` sources `{word}`, which was not looked into for conflicts"))
            .collect();
        let inherited = self.inherited(system)?.and_then(|document| NetworkConfig::whole(&document, "").ok());
        check_owner(file, ours, &present)?;
        check_rules(&desired.config, ours, system)?;
        for (id, device) in devices.iter().filter_map(|id| Some((id, desired.config.device(id)?))) {
            let before = inherited.as_ref().and_then(|config| {
                let names = Names::of(config, links);
                Some(loss::Losses::of(id, config.device(id)?, config, &names))
            });
            let losses = loss::Losses::of(id, device, &desired.config, &names);
            warnings.extend(losses.judge(before.as_ref())?);
            for name in names.all(id) {
                check_device(id, device, name, file, &present)?;
                warnings.extend(rivals(id, name, file, &present));
            }
            let has_resolver = RESOLVERS.iter().any(|program| system.has_program(program));
            if !device.settings.nameservers.addresses.is_empty() && !has_resolver {
                warnings.push(format!("the nameservers of `{id}` take effect once resolvconf is installed"));
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
        let mut stanzas = vec![loopback()];
        let definitions = definitions(&desired.config, links, &KnownNames::default());
        let mut names: Vec<&LinkName> = definitions.iter().map(|definition| &definition.name).collect();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Refusal::at("network", "a link of its own for every device")
                .given(pair[0].as_str())
                .hint("two devices stand for this link"));
        }
        stanzas.extend(definitions.into_iter().flat_map(|definition| definition.stanzas));
        let rendered = |path: &str, content: String| RenderedFile {
            path: path.to_owned(),
            file: FileState::of_root(content, 0o644),
        };
        let mut files = vec![rendered(file(system), InterfacesFile { stanzas }.to_string())];
        let rules = rules(&desired.config);
        if !rules.is_empty() {
            files.push(rendered(RULES, rules.iter().map(ToString::to_string).collect()));
        }
        Ok(files)
    }

    /// A stanza goes by the name.
    fn needs_name(&self, device: &Device) -> bool {
        device.as_ethernet().is_some_and(|card| card.set_name.is_some())
    }

    fn goes_by_names(&self) -> bool {
        true
    }

    fn activator(&self, _system: &dyn System) -> Box<dyn Activator> {
        Box::new(activation::Ifupdown)
    }
}

/// Our file, which is cloud-init's: Ubuntu's has an ending.
fn file(system: &dyn System) -> &'static str {
    let release = text(system, "/etc/os-release").or_else(|| text(system, "/usr/lib/os-release"));
    let is_ubuntu = release.is_some_and(|release| {
        release
            .lines()
            .any(|line| line.strip_prefix("ID=").is_some_and(|id| id.trim_matches('"') == "ubuntu"))
    });
    if is_ubuntu {
        "/etc/network/interfaces.d/50-cloud-init.cfg"
    } else {
        "/etc/network/interfaces.d/50-cloud-init"
    }
}

fn read(path: &str, system: &dyn System) -> Result<Option<String>, Refusal> {
    let file = system.read(path).map_err(|error| unreadable(&error))?;
    Ok(file.map(|file| String::from_utf8_lossy(&file.content).into_owned()))
}

/// The stanzas of these links alone, as a file.
pub(crate) fn text_of(definitions: &[Definition]) -> String {
    let stanzas = definitions.iter().flat_map(|definition| definition.stanzas.iter().cloned()).collect();
    InterfacesFile { stanzas }.to_string()
}

fn loopback() -> Stanza {
    let mut stanza = Stanza::new(&"lo", Family::Inet, "loopback");
    stanza.class("auto");
    stanza
}

/// The file is replaced as a whole, so all that it defines must be known.
fn check_owner(file: &str, ours: &BTreeSet<String>, present: &Present) -> Result<(), Refusal> {
    let defines = |(name, path): &&(String, String)| path == file && name != "lo";
    match present.interfaces.iter().find(defines).filter(|_| !ours.contains(file)) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Refusal::at("network", "a file whose devices are known from a network-config.json")
                .given(format!("{name} in {file}"))
                .because_of(file)
                .hint(format!(
                    "cloud-init wrote `{file}` and left no network-config.json to merge into: \
                 remove the file"
                )))
        }
    }
}

fn check_rules(config: &NetworkConfig, ours: &BTreeSet<String>, system: &dyn System) -> Result<(), Refusal> {
    let there = read(RULES, system)?.filter(|rules| !rules.trim().is_empty() && !ours.contains(RULES));
    if there.is_none() || rules(config).is_empty() {
        return Ok(());
    }
    Err(Refusal::at("network", format!("no other rules in `{RULES}`, which has to say `set-name`"))
        .because_of(RULES)
        .hint("move them into another file of that folder, or leave `set-name` out"))
}

fn check_device(
    id: &DeviceId,
    device: &Device,
    name: &LinkName,
    file: &str,
    present: &Present,
) -> Result<(), Refusal> {
    let defines = |(other, path): &&(String, String)| path != file && other == name.as_str();
    match present.interfaces.iter().find(defines).filter(|_| name.as_str() != "lo") {
        None => Ok(()),
        Some((_, path)) => {
            let expected = "a device that no other file defines";
            Err(Refusal::at(format!("network.{}.{id}", device.section().key()), expected)
                .given(format!("{name} in {path}"))
                .because_of(path)
                .hint(format!("remove it from `{path}`, or leave it to that file")))
        }
    }
}

/// Warnings of what may reach the link in another way.
fn rivals(id: &DeviceId, name: &LinkName, file: &str, present: &Present) -> Vec<String> {
    let patterns =
        present.patterns.iter().filter(|(pattern, path)| path != file && pattern.matches(name.as_str()));
    let aliases = present.interfaces.iter().filter(|(other, path)| {
        path != file && other.split_once(':').is_some_and(|(link, _)| link == name.as_str())
    });
    patterns
        .map(|(pattern, path)| format!("`{}` in `{path}` matches the link of `{id}` too", pattern.as_str()))
        .chain(
            aliases.map(|(alias, path)| {
                format!("`{alias}` in `{path}` gives the link of `{id}` another address")
            }),
        )
        .collect()
}

/// A rule for each card that gets a name and is found by its hardware address.
fn rules(config: &NetworkConfig) -> Vec<UdevRule> {
    config.devices().filter_map(|(_, device)| rule_of(device)).collect()
}

fn rule_of(device: &Device) -> Option<UdevRule> {
    let name = device.as_ethernet()?.set_name.as_ref()?;
    device.identity()?;
    Some(UdevRule::of(device, name.as_str()))
}
