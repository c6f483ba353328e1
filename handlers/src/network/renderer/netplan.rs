//! The netplan renderer: one YAML file, under the name that cloud-init uses, so that there is one definition
//! of each device and not two that netplan would add up.
//!
//! The document is written as it is: netplan's format is the format of the push. What a file that was there
//! before us says in sections that we do not know (`wifis`, `tunnels`) stays.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Renderer;
use super::kind::RendererKind;
use super::origin::Origin;
use super::rendered_file::RenderedFile;
use crate::network::activation::{self, Activator};
use crate::network::document::address::MacAddress;
use crate::network::document::config::TAKE_OVER;
use crate::network::document::desired::Desired;
use crate::network::document::device::{Device, Section};
use crate::network::document::merge::devices;
use crate::network::document::name::{DeviceId, Pattern};
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::OrphanLink;
use crate::network::machine::reading;
use crate::network::machine::reading::unreadable;
use crate::{FileState, Invocation, Refusal, System};

/// Our file, which is cloud-init's.
const FILE: &str = "/etc/netplan/50-cloud-init.yaml";

/// The last part of [`FILE`].
const FILE_NAME: &str = "50-cloud-init.yaml";

/// Folders of netplan's files; of two files of one name the first hides the other.
const FOLDERS: [&str; 3] = ["/run/netplan", "/etc/netplan", "/usr/lib/netplan"];

const HEADER: &str = "\
# Written by cloud-channel: what cloud-init configured here, with what was pushed since merged in.
# Your own settings are safe in another file of this folder, for devices that this file does not name.
";

/// How long netplan may take. Its Python start-up alone is a third of a second on a small guest, and half a minute was seen
/// on an emulated processor of a busy host.
const DEADLINE: Duration = Duration::from_secs(120);

/// Renders for netplan.
#[derive(Debug)]
pub(super) struct Netplan;

impl Renderer for Netplan {
    fn kind(&self) -> RendererKind {
        RendererKind::Netplan
    }

    fn origin(&self, system: &dyn System) -> Result<Option<Origin>, Refusal> {
        let Some(content) = parsed(FILE, system)? else { return Ok(None) };
        let understood = content.is_null()
            || content.as_object().is_some_and(|map| map.is_empty() || map.contains_key("network"));
        if !understood {
            let expected = format!("`{FILE}` to hold a netplan config, with `network` at its top");
            return Err(Refusal::at("network", expected)
                .hint("a push would have to merge into it; mend the file or move it away"));
        }
        let document = content.get("network").cloned().unwrap_or(Value::Null);
        let document = if document.is_null() { Value::Object(Map::new()) } else { document };
        Ok(Some(Origin { document, source: FILE.to_owned() }))
    }

    fn files_of_origin(&self, _system: &dyn System) -> Result<BTreeSet<String>, Refusal> {
        Ok(BTreeSet::from([FILE.to_owned()]))
    }

    fn orphan_links(
        &self,
        _path: &str,
        _content: &str,
        _system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal> {
        // Its file is its own origin.
        Ok(Vec::new())
    }

    fn check_conflicts(
        &self,
        devices: &BTreeSet<DeviceId>,
        desired: &Desired,
        _ours: &BTreeSet<String>,
        _links: &Links,
        system: &dyn System,
    ) -> Result<Vec<String>, Refusal> {
        for id in devices {
            check_overrides(id, desired)?;
        }
        let mut backend = None;
        let mut rivals = Vec::new();
        for (name, path) in netplan_files(system)? {
            let content =
                if path == FILE { Some(envelope(&desired.document)) } else { parsed(&path, system)? };
            let network = content.as_ref().and_then(|content| content.get("network"));
            let Some(network) = network.and_then(Value::as_object) else { continue };
            backend = network
                .get("renderer")
                .and_then(Value::as_str)
                .map(|b| (b.to_owned(), path.clone()))
                .or(backend);
            if path == FILE {
                continue;
            }
            for id in devices {
                check_file(id, network, desired, &path)?;
                rivals.extend(rival(id, network, desired, &path));
            }
            if name == FILE_NAME {
                return Err(Refusal::at("network", format!("no file that hides `{FILE}`"))
                    .given(&path)
                    .hint(format!("remove `{path}`: netplan reads it instead")));
            }
        }
        match backend.filter(|(backend, _)| backend != "networkd") {
            None => Ok(rivals),
            Some((backend, path)) => Err(Refusal::at(
                "network.renderer",
                format!("networkd as netplan's renderer, as `{path}` decides"),
            )
            .given(backend)
            .hint("only networkd is driven behind netplan")),
        }
    }

    fn render(
        &self,
        desired: &Desired,
        _links: &Links,
        _system: &dyn System,
    ) -> Result<Vec<RenderedFile>, Refusal> {
        let text = crate::yaml::write(&envelope(&desired.document));
        // 0600, because such a file may hold keys of wireless networks.
        let file = FileState::of_root(format!("{HEADER}{text}"), 0o600);
        Ok(vec![RenderedFile { path: FILE.to_owned(), file }])
    }

    /// netplan's generator writes the name beside the hardware address.
    fn needs_name(&self, device: &Device) -> bool {
        device.as_ethernet().is_some_and(|card| card.set_name.is_some())
    }

    fn activator(&self, system: &dyn System) -> Box<dyn Activator> {
        let program = ["/usr/sbin/netplan", "/sbin/netplan", "/usr/bin/netplan"];
        let program = program.into_iter().find(|program| system.has_program(program));
        let generate = program.map(|program| Invocation {
            program: program.into(),
            args: vec!["generate".to_owned()],
            stdin: None,
            deadline: DEADLINE,
            subjects: Vec::new(),
        });
        Box::new(activation::Networkd { generate })
    }
}

/// The document as netplan's file has it: version first, then devices before those that are made of them. What we
/// do not know comes early, because netplan 0.106 reads `wifis` that a bridge named before them as defined twice.
fn envelope(document: &Value) -> Value {
    let mut ordered = Map::new();
    let is_unknown =
        |key: &&str| *key != TAKE_OVER && Section::ALL.iter().all(|section| section.key() != *key);
    let first = ["version", "renderer", Section::Ethernets.key()];
    let unknown = document.as_object().into_iter().flat_map(Map::keys).map(String::as_str).filter(is_unknown);
    for key in first.into_iter().chain(unknown).chain(made_of_others(document)) {
        if let Some(value) = document.get(key) {
            ordered.entry(key).or_insert_with(|| value.clone());
        }
    }
    serde_json::json!({ "network": ordered })
}

/// The sections of devices that are made of others, each after those that it is made of: netplan reads a device again of
/// which it did not know a part yet, and then it has name servers and rules twice.
fn made_of_others(document: &Value) -> Vec<&'static str> {
    let mut left = vec![Section::Bonds, Section::Bridges, Section::Vlans];
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let is_next = |one: &Section| left.iter().all(|other| other == one || !needs(document, *one, *other));
        // Where two sections need each other, no order is right.
        let next = left.iter().position(is_next).unwrap_or_default();
        ordered.push(left.remove(next).key());
    }
    ordered
}

/// True if a device of one section is made of one of the other.
fn needs(document: &Value, one: Section, other: Section) -> bool {
    let Some(others) = devices(document, other.key()) else { return false };
    let parts = |device: &Value| {
        let members = device.get("interfaces").and_then(Value::as_array);
        let parts: Vec<&str> =
            members.into_iter().flatten().chain(device.get("link")).filter_map(Value::as_str).collect();
        parts.into_iter().any(|part| others.contains_key(part))
    };
    devices(document, one.key()).is_some_and(|devices| devices.values().any(parts))
}

/// Every file that netplan reads, as name and path, in netplan's order; ours among them, there or not.
fn netplan_files(system: &dyn System) -> Result<Vec<(String, String)>, Refusal> {
    let mut files: Vec<(String, String)> = vec![(FILE_NAME.to_owned(), FILE.to_owned())];
    for folder in FOLDERS {
        for name in system.list(folder).map_err(|error| unreadable(&error))? {
            let path = format!("{folder}/{name}");
            let hidden = files.iter().any(|(other, _)| *other == name) && folder != FOLDERS[0];
            if name.ends_with(".yaml") && !hidden {
                files.push((name, path));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn parsed(path: &str, system: &dyn System) -> Result<Option<Value>, Refusal> {
    reading::document(path, system)?.map_err(|error| {
        Refusal::at("network", format!("a file `{path}` that can be read"))
            .given(error.to_string())
            .hint("mend the file: what it says of the device cannot be told, and nothing was overwritten")
    })
}

/// netplan's generator for networkd has one set of overrides for both families, and fails if they differ.
fn check_overrides(id: &DeviceId, desired: &Desired) -> Result<(), Refusal> {
    let Some(device) = desired.config.device(id) else { return Ok(()) };
    let settings = &device.settings;
    let both = settings.dhcp4 && settings.dhcp6;
    if !both || settings.dhcp4_overrides.in_full() == settings.dhcp6_overrides.in_full() {
        return Ok(());
    }
    let place = format!("network.{}.{id}.dhcp6-overrides", device.section().key());
    Err(Refusal::at(
        place,
        "the same as `dhcp4-overrides` where both are on, as netplan needs it for networkd",
    )
    .hint("say the same in both, or switch `dhcp4` or `dhcp6` off"))
}

fn check_file(
    id: &DeviceId,
    network: &Map<String, Value>,
    desired: &Desired,
    path: &str,
) -> Result<(), Refusal> {
    let Some(device) = desired.config.device(id) else { return Ok(()) };
    let conflict = |other: &str| {
        Refusal::at(format!("network.{}.{id}", device.section().key()), "a device that no other file defines")
            .given(format!("{other} in {path}"))
            .because_of(path)
            .hint(format!("remove it from `{path}`, or leave it to that file"))
    };
    for devices in network.values().filter_map(Value::as_object) {
        if devices.contains_key(id.as_str()) {
            return Err(conflict(id.as_str()));
        }
        let mac_of = |device: &Value| MacAddress::from_text(device.pointer("/match/macaddress")?.as_str()?);
        let same = |(_, other): &(&String, &Value)| {
            device.identity().is_some_and(|identity| mac_of(other) == Some(identity))
        };
        if let Some((other, _)) = devices.iter().find(same) {
            return Err(conflict(other));
        }
    }
    Ok(())
}

/// A warning of a pattern that catches the device's link before the device does: networkd takes the first of the
/// files that netplan generates, and these are sorted by id. Debian's cloud images have such a file.
fn rival(id: &DeviceId, network: &Map<String, Value>, desired: &Desired, path: &str) -> Option<String> {
    let name = desired.config.device(id)?.link_name.as_ref()?;
    let catches = |other: &Value| {
        let matching = other.get("match").and_then(Value::as_object)?;
        let alone = matching.len() == 1;
        Some(alone && Pattern::from_file(matching.get("name")?.as_str()?).matches(name.as_str()))
    };
    let cards = network.get(Section::Ethernets.key())?.as_object()?;
    let (other, _) = cards
        .iter()
        .find(|(other, device)| other.as_str() < id.as_str() && catches(device).unwrap_or_default())?;
    Some(format!(
        "`{other}` in `{path}` matches `{name}` too and comes first: what it says is what `{id}` gets"
    ))
}
