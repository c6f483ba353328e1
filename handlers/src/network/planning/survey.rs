//! What a task meets: the machine, what is held of it, what is wanted of it, and who else speaks of it.

use super::base::Base;
use super::change::Change;
use super::former_mtu::FormerMtus;
use super::memory::Memory;
use super::orphans::Orphans;
use super::replaced::Replaced;
use super::wanted::{Task, Wanted, Wish};
use crate::network::document::renderer_key;
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::OrphanChange;
use crate::network::renderer::Renderer;
use crate::network::renderer::choice::choose;
use crate::{Held, Refusal, System};

/// A task that can be done, with all that it takes to draft what becomes of the machine.
pub(super) struct Survey {
    pub(super) renderer: Box<dyn Renderer>,
    pub(super) links: Links,
    pub(super) memory: Option<Memory>,
    pub(super) base: Base,
    pub(super) wanted: Wanted,
    pub(super) change: Change,
    /// What others say of the devices, and may go on saying.
    pub(super) rivals: Vec<String>,
    /// Files of cloud-init's that are taken over.
    pub(super) replaced: Option<Replaced>,
    /// Files of cloud-init's that come back.
    pub(super) restored: Replaced,
}

impl Survey {
    /// Looks at the machine, and judges the task by it.
    pub(super) fn take(held: &Held, task: &Task<'_>, system: &dyn System) -> Result<Self, Refusal> {
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
        Ok(Self { renderer, links, memory, base, wanted, change, rivals, replaced, restored })
    }

    /// What MTU cards had before the config said one.
    pub(super) fn mtus(&self) -> FormerMtus {
        self.memory.as_ref().map(|memory| memory.mtus.clone()).unwrap_or_default()
    }

    /// The links that only files of cloud-init's configured, or will.
    pub(super) fn orphans(&self) -> OrphanChange {
        let names = |replaced: &Replaced| replaced.names(&self.links);
        OrphanChange {
            lowered: self.replaced.as_ref().map(names).unwrap_or_default(),
            raised: names(&self.restored),
        }
    }
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
