//! From a push to a plan: merge, render, compare, and say what is left to do.

mod base;
mod change;
mod deferral;
mod description;
mod former_mtu;
mod found;
mod kept_address;
mod memory;
mod orphans;
mod outlook;
mod replaced;
mod take_over;
mod wanted;

pub(super) use description::describe;
pub(super) use outlook::outlook;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::activation::Activation;
use super::document::contradiction;
use super::document::hidden::has_hidden;
use super::document::renderer_key;
use super::expectation::{Expectation, ExpectedLink};
use super::machine::known_names::{KnownNames, before_the_move};
use super::machine::link::Links;
use super::machine::orphan_link::OrphanChange;
use super::machine::reading::unreadable;
use super::renderer::Renderer;
use super::renderer::choice::choose;
use super::renderer::rendered_file::RenderedFile;
use super::renderer::rendered_file::{digest, digests};
use super::scene::Scene;
use crate::{FileChange, FileState, Held, Plan, Refusal, Step, System, Verification};
use base::Base;
use change::Change;
use former_mtu::FormerMtus;
use found::Found;
use memory::Memory;
use orphans::Orphans;
use replaced::Replaced;
use wanted::{Task, Wanted, Wish, has_devices};

/// Plans a push.
pub(super) fn plan(held: &Held, payload: &Value, system: &dyn System) -> Result<Plan, Refusal> {
    plan_task(held, &Task::Push(payload), system)
}

/// Plans what waits and can be done now.
pub(super) fn resume(held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
    plan_task(held, &Task::Resume, system)
}

/// Plans the way back to what was wanted before the last change.
pub(super) fn revert(held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
    plan_task(held, &Task::Revert, system)
}

fn plan_task(held: &Held, task: &Task<'_>, system: &dyn System) -> Result<Plan, Refusal> {
    let renderer = choose(system)?;
    let links = Links::look(system)?;
    let memory = Memory::recall(held)?;
    let wish = Wish::read(task, memory.as_ref())?;
    // What is held may be out of date; the push is judged on what it is merged into in the end.
    let on_held = || Some(wish.onto(&memory.as_ref()?.config).ok()?.document);
    let mut base = Base::find(memory.as_ref(), on_held, &*renderer, &links, system)?;
    if let (Task::Revert, Some(warning)) = (task, &base.warning) {
        let expected = "files that are as they were written";
        return Err(Refusal::at("network", expected).given(warning).hint("push what is wanted"));
    }
    let mut wanted = wish.onto(&base.document)?;
    let document = std::mem::take(&mut wanted.document);
    let change = Change::new(&base, document, &wanted, &links).map_err(|refusal| wanted.tell(refusal))?;
    let kind = renderer.kind();
    renderer_key::check(&change.desired.document, wanted.path(), kind.backend(), kind.name())?;
    let (rivals, replaced) = check_conflicts(&mut base, &wanted, &change, &links, &*renderer, system)?;
    let restored = match (task, memory.as_ref()) {
        (Task::Revert, Some(memory)) => memory.replaced.clone(),
        _ => Replaced::default(),
    };
    restored.check_names(&links)?;
    let found = match (task, &memory) {
        (Task::Revert, Some(Memory { found: Some(found), .. })) => {
            found.files_for(&change.deferral.now, &links).map(|files| (files, found.is_literal()))
        }
        _ => None,
    };
    let is_literal = found.as_ref().is_none_or(|(_, is_literal)| *is_literal);
    let kept = match found {
        Some((files, _)) => Some(files),
        None if replaced.is_none() && change.is_none() => kept_files(memory.as_ref(), &base, system)?,
        None => None,
    };
    let is_kept = kept.is_some();
    let Draft { rendered, digests, memory: mut next } =
        draft(&change, kept, &restored, &links, &*renderer, system)?;
    let orphans = OrphanChange {
        lowered: replaced.as_ref().map(|replaced| replaced.names(&links)).unwrap_or_default(),
        raised: restored.names(&links),
    };
    if renderer.goes_by_names() && !is_kept {
        next.names = KnownNames::now(&change.deferral.now.config, &links);
    }
    let mtus = memory.as_ref().map(|memory| memory.mtus.clone()).unwrap_or_default();
    next.mtus = mtus.after(&change.old, &change.deferral.now.config, &links);
    let secret = has_hidden(&base.document);
    let files = file_changes(&rendered, &base.ours, secret, system)?;

    let mut plan = Plan::nothing(Held::nothing());
    change.tell_what_waits(&mut plan, &links);
    if replaced.is_none() && base.is_found && !is_kept {
        next.found = Found::look(&base, &change.old, &rendered, &links, &*renderer, system)?;
    }
    remember_the_way_back(memory.as_ref(), &base, &mut next, replaced);
    next.untouched = is_kept;
    if files.is_empty() && memory.as_ref() == Some(&next) {
        return Ok(Plan { held: held.clone(), ..plan });
    }
    plan.warnings.extend(base.warning.iter().chain(wanted.warnings()).cloned());
    plan.conflicts = rivals;
    plan.warnings.extend(contradiction::warnings(&change.desired.config, &change.pushed, wanted.path()));
    // Files may be in place already, of a try that was interrupted before they were acted on.
    let as_held = || memory.as_ref().is_some_and(|memory| memory.files == next.files);
    let is_active = files.is_empty() && (is_kept || as_held());
    if !is_active {
        let known = &before_the_move(&base.names, &change.deferral.now.config, &links);
        let orphans = &orphans;
        let machine =
            Machine { links, known, mtus: &mtus, orphans, is_literal, renderer: &*renderer, system };
        add_steps(&mut plan, files, &digests, &change, machine)?;
    }
    plan.held = next.into_held();
    Ok(plan)
}

/// What the files are to be.
struct Draft {
    rendered: Vec<RenderedFile>,
    /// Of all of them.
    digests: BTreeMap<String, String>,
    /// What is remembered of those that are ours.
    memory: Memory,
}

/// Renders a change, if the files that are there are not kept. What comes back is not ours, and is what it was; beside it
/// no config is written that says nothing.
fn draft(
    change: &Change,
    kept: Option<Vec<RenderedFile>>,
    restored: &Replaced,
    links: &Links,
    renderer: &dyn Renderer,
    system: &dyn System,
) -> Result<Draft, Refusal> {
    let mut rendered = match kept {
        Some(kept) => kept,
        None => renderer.render(&change.deferral.now, links, system)?,
    };
    rendered.extend(take_over::file(&change.desired.document));
    let is_bare = !restored.is_empty() && !has_devices(&change.deferral.now.document);
    rendered.retain(|file| !is_bare && !restored.files.contains_key(&file.path));
    let memory = Memory::of(&change.desired.document, &change.deferral, &rendered);
    let mut digests = memory.files.clone();
    for (path, file) in &restored.files {
        digests.insert(path.clone(), digest(&file.content));
        rendered.push(RenderedFile { path: path.clone(), file: file.clone() });
    }
    Ok(Draft { rendered, digests, memory })
}

/// Judges what else defines the devices. What cloud-init left is ours from now on if it is taken over.
fn check_conflicts(
    base: &mut Base,
    wanted: &Wanted,
    change: &Change,
    links: &Links,
    renderer: &dyn Renderer,
    system: &dyn System,
) -> Result<(Vec<String>, Option<Replaced>), Refusal> {
    let mut orphans = Orphans::find(renderer, &base.ours, system)?;
    let taken = orphans.take_if(|_| wanted.takes_over(&base.document, &change.desired.document));
    let replaced = taken.map(|orphans| orphans.replace(change, links, renderer, system)).transpose()?;
    base.ours.extend(replaced.iter().flat_map(|replaced| replaced.files.keys().cloned()));
    let rivals = renderer
        .check_conflicts(&change.pushed, &change.desired, &base.ours, links, system)
        .map_err(|refusal| wanted.tell(refusal))
        .map_err(|refusal| match &orphans {
            Some(orphans) => orphans.tell(refusal),
            None => refusal,
        })?;
    Ok((rivals, replaced))
}

/// Sets what a revert goes back to. What was put off and is done later is part of the change that brought it.
fn remember_the_way_back(
    memory: Option<&Memory>,
    base: &Base,
    next: &mut Memory,
    replaced: Option<Replaced>,
) {
    if let Some(memory) = memory.filter(|_| replaced.is_none() && base.document == next.config) {
        next.previous.clone_from(&memory.previous);
        next.previous_applied.clone_from(&memory.previous_applied);
        next.replaced.clone_from(&memory.replaced);
        next.found = memory.found.clone().or_else(|| next.found.take());
        return;
    }
    let is_same = memory.is_none() && base.document == next.config;
    next.previous = (!is_same).then(|| base.document.clone());
    next.previous_applied = Some(&base.applied).filter(|applied| **applied != base.document).cloned();
    next.replaced = replaced.unwrap_or_default();
}

/// The files of the network that are there, as long as we have written none: what changes no device leaves them alone.
fn kept_files(
    memory: Option<&Memory>,
    base: &Base,
    system: &dyn System,
) -> Result<Option<Vec<RenderedFile>>, Refusal> {
    let mut kept = Vec::new();
    for path in base.ours.iter().filter(|path| *path != take_over::FILE) {
        let file = system.read(path).map_err(|error| unreadable(&error))?;
        kept.extend(file.map(|file| RenderedFile { path: path.clone(), file }));
    }
    let held = |memory: &Memory| {
        let mut files = memory.files.clone();
        files.remove(take_over::FILE);
        files
    };
    let is_untouched = memory.is_none_or(|memory| memory.untouched && held(memory) == digests(&kept));
    // What is configured by no file of its own has to get one.
    let has_files = !kept.is_empty() || !has_devices(&base.applied);
    Ok((is_untouched && has_files).then_some(kept))
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
    let stay: BTreeSet<&str> = rendered.iter().map(|file| file.path.as_str()).collect();
    for path in ours.iter().filter(|path| !stay.contains(path.as_str())) {
        if let Some(before) = read(path)? {
            changes.push(FileChange { path: path.clone(), before: Some(before), after: None, secret });
        }
    }
    Ok(changes)
}

/// What a change is made on.
struct Machine<'a> {
    links: Links,
    known: &'a KnownNames,
    mtus: &'a FormerMtus,
    orphans: &'a OrphanChange,
    /// True if the files say all of the config.
    is_literal: bool,
    renderer: &'a dyn Renderer,
    system: &'a dyn System,
}

/// Adds what is to be done. `wanted` has the digest of each file that is to be there.
fn add_steps(
    plan: &mut Plan,
    files: Vec<FileChange>,
    wanted: &BTreeMap<String, String>,
    change: &Change,
    machine: Machine<'_>,
) -> Result<(), Refusal> {
    let Machine { links, known, mtus, orphans, is_literal, renderer, system } = machine;
    let mut expected: Vec<(String, Option<String>)> =
        wanted.iter().map(|(path, digest)| (path.clone(), Some(digest.clone()))).collect();
    expected.extend(
        files.iter().filter(|change| change.after.is_none()).map(|change| (change.path.clone(), None)),
    );
    let mut expectation = Expectation { files: expected, links: Vec::new() };
    let mut activation = Activation::default();
    let (mut given_back, mut kept) = (Vec::new(), Vec::new());
    // What cloud-init is told is no change of the network.
    let is_network = files.is_empty() || files.iter().any(|change| change.path != take_over::FILE);
    if !system.is_sandbox() && is_network {
        (given_back, kept) = mtus.give_back(&change.old, &change.deferral.now.config, &links, system)?;
        kept.extend(kept_address::warnings(&change.old, &change.deferral.now.config, &links));
        let scene = Scene {
            old: &change.old,
            new: &change.deferral.now.config,
            affected: &change.affected,
            files: &files,
            known,
            orphans,
            links,
            needs_name: &|device| renderer.needs_name(device),
            system,
        };
        activation = renderer.activator(system).plan(&scene)?;
    }
    plan.steps.extend(activation.before);
    plan.steps.extend(files.into_iter().map(Step::File));
    plan.steps.extend(given_back);
    plan.steps.extend(activation.steps);
    plan.warnings.extend(kept.into_iter().chain(activation.warnings));
    plan.is_trial = !system.is_sandbox() && is_network;
    expectation.links = activation.links;
    if !is_literal {
        expectation.links = expectation.links.into_iter().map(ExpectedLink::outline).collect();
    }
    plan.steps.push(Step::Verify(Verification::Network(expectation)));
    Ok(())
}
