//! Files of cloud-init's without the config that they came of: cloud-init before 23.4 leaves none beside them, and most
//! formats do not tell by themselves what was configured.
//!
//! Nothing can be merged into them, and two definitions of one link would get in each other's way. They are replaced by a
//! push that takes the network over and has a config for every link that they configure; and are kept for a rollback.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::replaced::{MOST_BYTES, Replaced};
use crate::network::document::address::MacAddress;
use crate::network::document::config::NetworkConfig;
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::{OrphanLink, untold};
use crate::network::machine::reading::unreadable;
use crate::network::renderer::Renderer;
use crate::network::renderer::udev_rule::are_cloud_inits;
use crate::{FileState, Refusal, System};

/// Links that a refusal names.
const MOST_NAMES: usize = 32;

/// The files that there are, and what they configure.
#[derive(Debug)]
pub(super) struct Orphans {
    files: BTreeMap<String, FileState>,
    /// Or why that cannot be told.
    links: Result<Vec<OrphanLink>, Refusal>,
}

impl Orphans {
    /// The files of cloud-init's that are not `ours`, if there is no config that they came of.
    pub(super) fn find(
        renderer: &dyn Renderer,
        ours: &BTreeSet<String>,
        system: &dyn System,
    ) -> Result<Option<Self>, Refusal> {
        if renderer.origin(system)?.is_some() {
            return Ok(None);
        }
        let mut files = BTreeMap::new();
        for path in renderer.files_of_origin(system)?.into_iter().filter(|path| !ours.contains(path)) {
            let file = system.read(&path).map_err(|error| unreadable(&error))?;
            let is_its = |file: &FileState| !file.content.trim_ascii().is_empty() && !is_strange(&path, file);
            files.extend(file.filter(is_its).map(|file| (path.clone(), file)));
        }
        let links = Self::links_of(renderer, &files, system);
        let is_any = links.as_ref().map_or(true, |links| !links.is_empty());
        Ok(is_any.then_some(Self { files, links }))
    }

    fn links_of(
        renderer: &dyn Renderer,
        files: &BTreeMap<String, FileState>,
        system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal> {
        let mut links = Vec::new();
        for (path, file) in files {
            let content = String::from_utf8_lossy(&file.content);
            links.extend(renderer.orphan_links(path, &content, system)?);
        }
        match links.iter().find(|link| !link.is_told()) {
            None => Ok(links),
            Some(link) => Err(untold(&link.path)),
        }
    }

    /// A refusal because of one of these files, with the way out.
    pub(super) fn tell(&self, refusal: Refusal) -> Refusal {
        let of_file = refusal.file().and_then(|file| self.files.get_key_value(file));
        let Some((path, _)) = of_file else { return refusal };
        refusal.hint(match &self.links {
            Ok(links) => format!(
                "cloud-init wrote `{path}` and left no network-config.json to merge into: \
                 push the whole config of {} with `take-over: true`, or remove the file",
                labels(links.iter())
            ),
            Err(_) => {
                format!(
                    "cloud-init wrote `{path}` and left no network-config.json to merge into: remove the file"
                )
            }
        })
    }

    /// Judges whether a change has a config for every link of these files, and gives what it replaces.
    pub(super) fn replace(
        self,
        change: &Change,
        links: &Links,
        renderer: &dyn Renderer,
        system: &dyn System,
    ) -> Result<Replaced, Refusal> {
        let mut of_files = self.links?;
        let now = &change.deferral.now.config;
        let missing = |link: &&OrphanLink| !is_in(link, &change.desired.config, links);
        let waits = |link: &&OrphanLink| {
            let is_there = links.iter().any(|present| link.is(present));
            is_there && !is_in(link, now, links)
        };
        refuse_any(of_files.iter().filter(missing), "none of", "push the whole config of these too")?;
        let hint = "plug in what they wait for, or leave that out";
        refuse_any(of_files.iter().filter(waits), "what has to wait of", hint)?;
        let rendered = renderer.render(&change.deferral.now, links, system)?;
        let mut files = self.files;
        // What only gives names goes on to do so, unless our own takes its place.
        files.retain(|path, _| !renderer.is_naming(path) || rendered.iter().any(|file| file.path == *path));
        for file in rendered.iter().filter(|file| renderer.is_naming(&file.path)) {
            let Some(before) = files.get(&file.path) else { continue };
            let new = String::from_utf8_lossy(&file.file.content).to_lowercase();
            let named = addresses(&String::from_utf8_lossy(&before.content));
            let lost = named.into_iter().filter(|address| !new.contains(&address.to_string()));
            let lost: Vec<OrphanLink> =
                lost.map(|address| OrphanLink { address: Some(address), ..OrphanLink::default() }).collect();
            refuse_any(lost.iter(), "no name of", "push these with `match.macaddress` and `set-name`")?;
        }
        let bytes: usize = files.values().map(|file| file.content.len()).sum();
        if bytes > MOST_BYTES {
            let expected =
                format!("files of cloud-init's with at most {MOST_BYTES} bytes, to be kept for a rollback");
            return Err(Refusal::at("network", expected).given(bytes.to_string()).hint("remove the files"));
        }
        for link in of_files.iter_mut().filter(|link| !link.is_made && link.address.is_none()) {
            let present = links.iter().find(|present| link.is(present));
            link.address = present.and_then(|present| present.address);
        }
        Ok(Replaced { files, links: of_files })
    }
}

fn is_in(link: &OrphanLink, config: &NetworkConfig, links: &Links) -> bool {
    config.devices().any(|(id, device)| link.is_of(id, device, config, links))
}

/// Refuses if there are any of these links.
fn refuse_any<'a>(
    links: impl Iterator<Item = &'a OrphanLink> + Clone,
    what: &str,
    hint: &str,
) -> Result<(), Refusal> {
    if links.clone().next().is_none() {
        return Ok(());
    }
    let labels = labels(links);
    let expected = format!(
        "a config of every link that cloud-init's files configure, of which it left no network-config.json; \
         there is {what} {labels}"
    );
    Err(Refusal::at("network", expected).hint(format!("{hint}, with `take-over: true`")))
}

/// The names of links, each once.
fn labels<'a>(links: impl Iterator<Item = &'a OrphanLink>) -> String {
    let names: BTreeSet<String> = links.map(OrphanLink::label).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    let shown: Vec<String> = names.into_iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// True for udev rules that are somebody else's.
fn is_strange(path: &str, file: &FileState) -> bool {
    path.ends_with(".rules") && !are_cloud_inits(&String::from_utf8_lossy(&file.content))
}

/// Every hardware address in a text of udev rules.
fn addresses(rules: &str) -> Vec<MacAddress> {
    rules.split('"').filter_map(MacAddress::from_text).collect()
}
