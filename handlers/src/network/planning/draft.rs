//! What becomes of the files of the network, and what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};

use super::found::Found;
use super::memory::Memory;
use super::survey::Survey;
use super::take_over;
use super::wanted::has_devices;
use crate::network::document::hidden::has_hidden;
use crate::network::machine::known_names::KnownNames;
use crate::network::machine::reading::unreadable;
use crate::network::renderer::rendered_file::{RenderedFile, digests};
use crate::{FileChange, FileState, Refusal, System};

/// What the files are to be.
pub(super) struct Draft {
    /// Files that differ from what is there.
    pub(super) files: Vec<FileChange>,
    /// The SHA-256 of each file that is to be there, in hex.
    pub(super) digests: BTreeMap<String, String>,
    /// What is held once they are in place.
    pub(super) memory: Memory,
    /// True if the files say all of the config.
    pub(super) is_literal: bool,
}

impl Draft {
    /// Renders a change, if the files that are there are not kept, and those that it found do not come back.
    pub(super) fn of(survey: &Survey, system: &dyn System) -> Result<Self, Refusal> {
        let Survey { renderer, links, base, change, .. } = survey;
        let now = &change.deferral.now;
        let (kept, is_literal) = match found(survey) {
            Some((files, is_literal)) => (Some(files), is_literal),
            None if survey.replaced.is_none() && change.is_none() => (kept_files(survey, system)?, true),
            None => (None, true),
        };
        let is_kept = kept.is_some();
        let mut rendered = match kept {
            Some(kept) => kept,
            None => renderer.render(now, links, system)?,
        };
        rendered.extend(take_over::file(&change.desired.document));
        // Beside what comes back no config is written that says nothing.
        let restored = &survey.restored.files;
        let is_bare = !restored.is_empty() && !has_devices(&now.document);
        rendered.retain(|file| !is_bare && !restored.contains_key(&file.path));
        let mut memory = Memory::of(&change.desired.document, &change.deferral, &rendered);
        if renderer.goes_by_names() && !is_kept {
            memory.names = KnownNames::now(&now.config, links);
        }
        memory.mtus = survey.mtus().after(&change.old, &now.config, links);
        // What comes back is not ours, and is what it was.
        let returned = RenderedFile::all(restored);
        let mut all = memory.files.clone();
        all.extend(digests(&returned));
        rendered.extend(returned);
        if survey.replaced.is_none() && base.is_found && !is_kept {
            let rendered = rendered.iter().map(|file| &file.path);
            let places: BTreeSet<&String> = base.ours.iter().chain(rendered).collect();
            let files = present(places, system)?;
            memory.found = Found::keep(files, &base.applied, &change.old, links, &**renderer, system)?;
        }
        remember_the_way_back(survey, &mut memory);
        memory.untouched = is_kept;
        let files = file_changes(&rendered, &base.ours, has_hidden(&base.document), system)?;
        Ok(Self { files, digests: all, memory, is_literal })
    }

    /// True if nothing is left to do for the machine. Files may be in place already, of a try that was interrupted before they
    /// were acted on.
    pub(super) fn is_active(&self, held: Option<&Memory>) -> bool {
        let is_held = || held.is_some_and(|held| held.files == self.memory.files);
        self.files.is_empty() && (self.memory.untouched || is_held())
    }
}

/// The files that a revert gives back as they were found, if they will still do; true if they say all of the config.
fn found(survey: &Survey) -> Option<(Vec<RenderedFile>, bool)> {
    let memory = survey.memory.as_ref().filter(|_| survey.change.is_revert)?;
    let found = memory.found.as_ref()?;
    Some((found.files_for(&survey.change.deferral.now, &survey.links)?, found.is_literal()))
}

/// Sets what a revert goes back to. What was put off and is done later is part of the change that brought it.
fn remember_the_way_back(survey: &Survey, next: &mut Memory) {
    let Survey { memory, base, replaced, .. } = survey;
    if let Some(memory) = memory.as_ref().filter(|_| replaced.is_none() && base.document == next.config) {
        next.previous.clone_from(&memory.previous);
        next.previous_applied.clone_from(&memory.previous_applied);
        next.replaced.clone_from(&memory.replaced);
        next.found = memory.found.clone().or_else(|| next.found.take());
        return;
    }
    let is_same = memory.is_none() && base.document == next.config;
    next.previous = (!is_same).then(|| base.document.clone());
    next.previous_applied = Some(&base.applied).filter(|applied| **applied != base.document).cloned();
    next.replaced = replaced.clone().unwrap_or_default();
}

/// The files of the network that are there, as long as we have written none: what changes no device leaves them alone.
fn kept_files(survey: &Survey, system: &dyn System) -> Result<Option<Vec<RenderedFile>>, Refusal> {
    let Survey { memory, base, .. } = survey;
    let kept = RenderedFile::all(&present(&base.ours, system)?);
    let held = |memory: &Memory| {
        let mut files = memory.files.clone();
        files.remove(take_over::FILE);
        files
    };
    let is_untouched =
        memory.as_ref().is_none_or(|memory| memory.untouched && held(memory) == digests(&kept));
    // What is configured by no file of its own has to get one.
    let has_files = !kept.is_empty() || !has_devices(&base.applied);
    Ok((is_untouched && has_files).then_some(kept))
}

/// The files of the network that are in these places.
fn present<'a>(
    places: impl IntoIterator<Item = &'a String>,
    system: &dyn System,
) -> Result<BTreeMap<String, FileState>, Refusal> {
    let mut files = BTreeMap::new();
    for path in places.into_iter().filter(|path| *path != take_over::FILE) {
        let file = system.read(path).map_err(|error| unreadable(&error))?;
        files.extend(file.map(|file| (path.clone(), file)));
    }
    Ok(files)
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
