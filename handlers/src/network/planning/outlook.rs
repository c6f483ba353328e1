//! What waits, and what of it need not any more; and what is written of cards that have other names by now.

use std::collections::{BTreeMap, BTreeSet};

use super::deferral::Deferral;
use super::memory::Memory;
use super::take_over;
use crate::network::document::desired::Desired;
use crate::network::document::merge::changed_devices;
use crate::network::machine::link::{Link, Links};
use crate::network::renderer::choice;
use crate::network::renderer::rendered_file::digests;
use crate::{Held, Outlook, Refusal, System};

/// Compares what waits with the links that are there now.
pub(crate) fn outlook(held: &Held, system: &dyn System) -> Result<Outlook, Refusal> {
    let is_open = |memory: &Memory| !memory.waiting.is_empty() || !memory.names.is_empty();
    let Some(memory) = Memory::recall(held)?.filter(is_open) else { return Ok(Outlook::default()) };
    let links = Links::look(system)?;
    let desired = Desired::read(memory.config.clone(), "network")?;
    let Deferral { now, waiting } = Deferral::of(desired, memory.applied(), &links);
    let mut changed = changed_devices(memory.applied(), &now.document);
    changed.extend(misnamed(&memory, &now, &links, system)?);
    let ready = now.config.devices().filter(|(id, _)| changed.contains(id.as_str()));
    let mut ready: BTreeMap<String, String> = ready
        .map(|(id, device)| {
            let links: Vec<String> = links.of(id, device, &now.config).into_iter().map(told).collect();
            (id.to_string(), links.join(", "))
        })
        .collect();
    // What is to go.
    let gone = |id: &&String| now.config.devices().all(|(other, _)| other.as_str() != id.as_str());
    ready.extend(changed.iter().filter(gone).map(|id| (id.clone(), String::new())));
    let text = |ids: BTreeSet<_>| ids.iter().map(ToString::to_string).collect();
    let waiting = waiting.into_iter().map(|(id, cards)| (id.to_string(), text(cards))).collect();
    Ok(Outlook { waiting, ready })
}

/// Devices with a link whose name the files do not have. They are rendered only if there is a name that was not known.
fn misnamed(
    memory: &Memory,
    now: &Desired,
    links: &Links,
    system: &dyn System,
) -> Result<BTreeSet<String>, Refusal> {
    let moved = memory.names.moved(&now.config, links);
    if moved.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut rendered = choice::choose(system)?.render(now, links, system)?;
    rendered.extend(take_over::file(&now.document));
    let is_written = digests(&rendered) == memory.files;
    Ok(moved.iter().filter(|_| !is_written).map(ToString::to_string).collect())
}

fn told(link: &Link) -> String {
    let address = link.address.map(|address| address.to_string()).unwrap_or_default();
    format!("{} {address}", link.name)
}
