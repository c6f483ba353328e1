//! What a push is merged into: what the module holds, or what cloud-init left.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::deferral::Deferral;
use super::memory::Memory;
use super::take_over;
use crate::network::document::config::TAKE_OVER;
use crate::network::document::desired::Desired;
use crate::network::document::device::Section;
use crate::network::document::merge::{canonical, devices};
use crate::network::machine::known_names::KnownNames;
use crate::network::machine::link::Links;
use crate::network::machine::reading::unreadable;
use crate::network::renderer::Renderer;
use crate::network::renderer::rendered_file::{digest, digests};
use crate::{Refusal, System};

/// What a push is merged into.
#[derive(Debug)]
pub(super) struct Base {
    /// The document, in canonical order: all that is wanted.
    pub(super) document: Value,
    /// What of it the machine has been told: what waits is missing, or as it was before.
    pub(super) applied: Value,
    /// Files that are ours to replace and to remove.
    pub(super) ours: BTreeSet<String>,
    /// True if these are as they were found: we have written none of them.
    pub(super) is_found: bool,
    /// What cards were called when these were written.
    pub(super) names: KnownNames,
    /// What the sender should know of it.
    pub(super) warning: Option<String>,
}

impl Base {
    /// Finds what this push is to be merged into. `next` is what it leads to on what is held.
    ///
    /// A file that is not as we left it was rewritten by cloud-init (a new instance, its own hotplug): then
    /// that is what the machine has, and the push merges into it. A file that is as this very push would make
    /// it is our own work of a try that was interrupted.
    pub(super) fn find(
        memory: Option<&Memory>,
        next: impl FnOnce() -> Option<Value>,
        renderer: &dyn Renderer,
        links: &Links,
        system: &dyn System,
    ) -> Result<Self, Refusal> {
        let Some(memory) = memory else {
            return Self::import(renderer, system).map(Option::unwrap_or_default);
        };
        let held = Self {
            document: memory.config.clone(),
            applied: memory.applied().clone(),
            ours: memory.files.keys().cloned().collect(),
            is_found: memory.untouched,
            names: memory.names.clone(),
            warning: None,
        };
        let Some(path) = rewritten(memory, next, renderer, links, system)? else { return Ok(held) };
        let warn =
            |what: &str| Some(format!("`{path}` was changed by someone else since it was written; {what}"));
        match Self::import(renderer, system)? {
            Some(mut import) => {
                import.ours.extend(held.ours);
                keep_waiting(&mut import.document, memory);
                let warning = warn("the push was merged into what is there now");
                Ok(Self { warning: warning.into_iter().chain(import.warning).reduce(joined), ..import })
            }
            None => Ok(Self {
                is_found: false,
                warning: warn("it was replaced by what was pushed before"),
                ..held
            }),
        }
    }

    /// Reads what cloud-init left. What cannot be understood is refused, never overwritten.
    fn import(renderer: &dyn Renderer, system: &dyn System) -> Result<Option<Self>, Refusal> {
        let is_taken_over = take_over::is_done(system)?;
        let Some(origin) = renderer.origin(system)? else { return Ok(None) };
        let (document, warnings) = origin.settled().map_err(|refusal| {
            refusal.hint(format!(
                "the fault is in `{}`, which a push must merge into; mend the file",
                origin.source
            ))
        })?;
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        let (mut document, mut ours) = (document, renderer.files_of_origin(system)?);
        if let Some(map) = document.as_object_mut().filter(|_| is_taken_over) {
            map.insert(TAKE_OVER.to_owned(), true.into());
            ours.insert(take_over::FILE.to_owned());
        }
        let document = canonical(&document);
        let names = KnownNames::default();
        Ok(Some(Self { applied: document.clone(), document, ours, is_found: true, names, warning }))
    }
}

impl Default for Base {
    fn default() -> Self {
        let nothing = Value::Object(Map::new());
        Self {
            document: nothing.clone(),
            applied: nothing,
            ours: BTreeSet::new(),
            is_found: true,
            names: KnownNames::default(),
            warning: None,
        }
    }
}

/// What waits was never in a file that somebody could have rewritten, so it is wanted still.
fn keep_waiting(document: &mut Value, memory: &Memory) {
    let Some(top) = document.as_object_mut() else { return };
    for section in Section::ALL.map(Section::key) {
        for (id, device) in devices(&memory.config, section).into_iter().flatten() {
            let section = top.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Some(section) = section.as_object_mut().filter(|_| memory.waiting.contains_key(id)) {
                section.insert(id.clone(), device.clone());
            }
        }
    }
    *document = canonical(document);
}

fn joined(one: String, two: String) -> String {
    format!("{one}; {two}")
}

/// The first of our files that holds neither what we wrote last nor what this push leads to. One that is gone
/// is simply written again.
fn rewritten(
    memory: &Memory,
    next: impl FnOnce() -> Option<Value>,
    renderer: &dyn Renderer,
    links: &Links,
    system: &dyn System,
) -> Result<Option<String>, Refusal> {
    let mut changed = Vec::new();
    for (path, known) in memory.files.iter().filter(|(path, _)| *path != take_over::FILE) {
        let Some(file) = system.read(path).map_err(|error| unreadable(&error))? else { continue };
        let there = digest(&file.content);
        if there != *known {
            changed.push((path, there));
        }
    }
    if changed.is_empty() {
        return Ok(None);
    }
    // What is there may have what the push needs; it is judged once it is merged.
    let next = match Desired::read(next().unwrap_or_else(|| memory.config.clone()), "") {
        Ok(desired) => renderer.render(&Deferral::of(desired, memory.applied(), links).now, links, system)?,
        Err(_) => Vec::new(),
    };
    let next = digests(&next);
    let foreign = changed.into_iter().find(|(path, there)| next.get(*path) != Some(there));
    Ok(foreign.map(|(path, _)| path.clone()))
}
