//! From a push to a plan: merge, render, compare, and say what is left to do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::activation::{Activation, Scene};
use super::backend;
use super::base::{Base, Memory, digest};
use super::config::NetworkConfig;
use super::contradiction;
use super::device::Section;
use super::expectation::Expectation;
use super::hidden::has_hidden;
use super::link::{Links, unreadable};
use super::merge::{changed_devices, devices, merge};
use super::name::DeviceId;
use super::place::{Place, Reading};
use super::push::Push;
use super::renderer::{Desired, RenderedFile, Renderer, choose};
use crate::{FileChange, FileState, Held, Plan, Refusal, Step, System, Verification};

/// Plans a push.
pub(super) fn plan(held: &Held, payload: &Value, system: &dyn System) -> Result<Plan, Refusal> {
    let push = Push::read(payload)?;
    let renderer = choose(system)?;
    let memory = Memory::recall(held)?;
    // What is held may be out of date; the push is judged on what it is merged into in the end.
    let held_config = memory.as_ref().map(|memory| push.onto(&memory.config));
    let on_held = held_config.and_then(Result::ok).map_or_else(|| json!({}), |settled| settled.document);
    let base = Base::find(memory.as_ref(), &on_held, &*renderer, system)?;
    let push = push.onto(&base.document)?;
    let change = Change::new(&base, &push.document, push.path).map_err(|refusal| push.tell(refusal))?;
    backend::check(&change.desired.document, push.path, &*renderer)?;
    let rivals = renderer
        .check_conflicts(&change.pushed, &change.desired, &base.ours, system)
        .map_err(|refusal| push.tell(refusal))?;
    let rendered = renderer.render(&change.desired, system)?;
    let next = Memory::of(&change.desired.document, &rendered);
    let secret = has_hidden(&base.document);
    let files = file_changes(&rendered, &base.ours, secret, system)?;

    let mut plan = Plan::nothing(held.clone());
    plan.deferred = late_devices(&change, system)?;
    if !system.is_sandbox() {
        let late = |id: &String| format!("`{id}` is not there yet; its part takes effect when it appears");
        plan.warnings.extend(plan.deferred.iter().map(late));
    }
    if files.is_empty() && memory.as_ref() == Some(&next) {
        return Ok(plan);
    }
    plan.warnings.extend(base.warning.into_iter().chain(rivals).chain(push.warnings));
    let Desired { config, .. } = &change.desired;
    plan.warnings.extend(contradiction::warnings(config, &change.pushed, push.path));
    // Files may be in place already, of a try that was interrupted before they were acted on.
    let is_active = files.is_empty() && memory.is_some_and(|memory| memory.files == next.files);
    plan.held = next.into_held();
    if !is_active {
        add_steps(&mut plan, files, &rendered, &change, &*renderer, system)?;
    }
    Ok(plan)
}

/// The config before and after, and who is concerned.
struct Change {
    old: NetworkConfig,
    desired: Desired,
    /// Devices that the push speaks of.
    pushed: BTreeSet<DeviceId>,
    /// Devices whose links have to be looked at again.
    affected: BTreeSet<DeviceId>,
}

impl Change {
    fn new(base: &Base, push: &Value, path: &str) -> Result<Self, Refusal> {
        let place = Place::top(path, Reading::Whole);
        let mut document = merge(&base.document, push);
        let Some(map) = document.as_object_mut() else { return Err(place.lacks("a map")) };
        if !map.contains_key("version") {
            let knows_version = base.document.get("version").is_some() || !ids_of(&base.document).is_empty();
            if !knows_version {
                return Err(place.key("version").lacks("2, the version of network-config that is applied"));
            }
            map.insert("version".to_owned(), 2.into());
        }
        let document = super::merge::canonical(&document);
        let config = NetworkConfig::whole(&document, path)?;
        // What is replaced need not be right any more; nothing is done for devices that cannot be told.
        let old = NetworkConfig::whole(&base.document, path).unwrap_or_default();
        let pushed: BTreeSet<DeviceId> = pushed_ids(push, &base.document, &place)?;
        let mut affected = BTreeSet::new();
        for id in changed_devices(&base.document, &document) {
            affected.insert(DeviceId::from_key(&id, &place)?);
        }
        affected.extend(relatives(&affected, &old, &config));
        contradiction::check(&config, &pushed, path)?;
        Ok(Self { old, desired: Desired { document, config }, pushed, affected })
    }
}

/// The devices that a push speaks of. A section that it removes stands for all that is in it.
fn pushed_ids(push: &Value, base: &Value, place: &Place) -> Result<BTreeSet<DeviceId>, Refusal> {
    let mut ids = BTreeSet::new();
    for section in Section::ALL.map(Section::key) {
        let removed = push.get(section).is_some_and(Value::is_null);
        let map = devices(if removed { base } else { push }, section);
        for key in map.into_iter().flat_map(serde_json::Map::keys) {
            ids.insert(DeviceId::from_key(key, place)?);
        }
    }
    Ok(ids)
}

fn ids_of(document: &Value) -> Vec<&String> {
    let sections =
        Section::ALL.map(Section::key).into_iter().filter_map(|section| devices(document, section));
    sections.flat_map(serde_json::Map::keys).collect()
}

/// A card's own file names its bond, bridge and VLANs: whoever joins or leaves is concerned as well.
fn relatives(changed: &BTreeSet<DeviceId>, old: &NetworkConfig, new: &NetworkConfig) -> BTreeSet<DeviceId> {
    let mut relatives = BTreeSet::new();
    for id in changed {
        for device in [old.device(id), new.device(id)].into_iter().flatten() {
            relatives.extend(device.parts().into_iter().map(|(part, _)| part.clone()));
        }
    }
    relatives
}

/// Files that differ from what is there. An owner that is not as we would have it is left alone: the file may
/// have been given to someone on purpose, and an unprivileged sandbox cannot give it away.
fn file_changes(
    rendered: &[RenderedFile],
    ours: &BTreeSet<String>,
    secret: bool,
    system: &dyn System,
) -> Result<Vec<FileChange>, Refusal> {
    let read = |path: &str| system.read(path).map_err(|error| unreadable(&error));
    let mut changes = Vec::new();
    for RenderedFile { path, file } in rendered {
        let before = read(path)?;
        let owner = before.as_ref().map_or((file.uid, file.gid), |before| (before.uid, before.gid));
        let after = FileState { uid: owner.0, gid: owner.1, ..file.clone() };
        if before.as_ref().is_none_or(|before| !before.says_the_same(&after)) {
            changes.push(FileChange { path: path.clone(), before, after: Some(after), secret });
        }
    }
    for path in ours.iter().filter(|path| !rendered.iter().any(|file| file.path == **path)) {
        if let Some(before) = read(path)? {
            changes.push(FileChange { path: path.clone(), before: Some(before), after: None, secret });
        }
    }
    Ok(changes)
}

/// Devices of the push, and those below them, that have no link yet.
fn late_devices(change: &Change, system: &dyn System) -> Result<Vec<String>, Refusal> {
    let links = Links::look(system)?;
    let config = &change.desired.config;
    let mut concerned = BTreeSet::new();
    let mut open: Vec<&DeviceId> = change.pushed.iter().collect();
    while let Some(id) = open.pop() {
        if let Some(device) = config.device(id).filter(|_| !concerned.contains(id)) {
            concerned.insert(id);
            open.extend(device.parts().into_iter().map(|(part, _)| part));
        }
    }
    Ok(concerned.into_iter().filter(|id| links.is_late(id, config)).map(ToString::to_string).collect())
}

fn add_steps(
    plan: &mut Plan,
    files: Vec<FileChange>,
    rendered: &[RenderedFile],
    change: &Change,
    renderer: &dyn Renderer,
    system: &dyn System,
) -> Result<(), Refusal> {
    let mut expected: Vec<(String, Option<String>)> =
        rendered.iter().map(|file| (file.path.clone(), Some(digest(&file.file.content)))).collect();
    expected.extend(
        files.iter().filter(|change| change.after.is_none()).map(|change| (change.path.clone(), None)),
    );
    let mut expectation = Expectation { files: expected, links: Vec::new() };
    let mut activation = Activation::default();
    if !system.is_sandbox() {
        let scene = Scene {
            old: &change.old,
            new: &change.desired.config,
            affected: &change.affected,
            files: &files,
            links: Links::look(system)?,
            renderer,
            system,
        };
        activation = renderer.activator(system).plan(&scene)?;
    }
    plan.steps.extend(activation.before);
    plan.steps.extend(files.into_iter().map(Step::File));
    plan.steps.extend(activation.steps);
    plan.warnings.extend(activation.warnings);
    plan.is_trial = !system.is_sandbox();
    expectation.links = activation.links;
    plan.steps.push(Step::Verify(Verification::Network(expectation)));
    Ok(())
}
