//! What is wanted of the whole network: what there is with a push merged in, or what was wanted before.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::memory::Memory;
use super::take_over;
use crate::Refusal;
use crate::network::document::device::Section;
use crate::network::document::merge::{changed_devices, devices, merge};
use crate::network::document::name::DeviceId;
use crate::network::document::place::{Place, Reading};
use crate::network::document::push::{Push, Settled};

/// What is to be planned.
#[derive(Debug)]
pub(super) enum Task<'a> {
    /// A push, merged into what there is.
    Push(&'a Value),
    /// What waits, as far as it need not any more.
    Resume,
    /// What was wanted before the last change.
    Revert,
}

/// A task that is understood.
#[derive(Debug)]
pub(super) enum Wish {
    Push(Push),
    Resume,
    /// All that was wanted, and what of it was in the files.
    Revert(Value, Value),
}

/// All that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// In canonical order.
    pub(super) document: Value,
    /// The devices that the task speaks of; `None`: of those that can be done.
    pub(super) devices: Option<BTreeSet<DeviceId>>,
    /// What the files said when this was wanted before: a revert goes back to that, and not on from what there is.
    pub(super) applied: Option<Value>,
    settled: Option<Settled>,
}

impl Wish {
    pub(super) fn read(task: &Task<'_>, memory: Option<&Memory>) -> Result<Self, Refusal> {
        match task {
            Task::Push(payload) => Push::read(payload).map(Self::Push),
            Task::Resume => Ok(Self::Resume),
            Task::Revert => {
                let previous = memory.and_then(|memory| {
                    let previous = memory.previous.clone()?;
                    let applied = memory.previous_applied.clone().unwrap_or_else(|| previous.clone());
                    Some(Self::Revert(previous, applied))
                });
                previous.ok_or_else(|| Refusal::at("network", "a change that was made before").given("none"))
            }
        }
    }

    /// What is wanted, seen from what there is.
    pub(super) fn onto(&self, base: &Value) -> Result<Wanted, Refusal> {
        match self {
            Self::Push(push) => {
                let settled = push.onto(base)?;
                let document = merged(base, &settled)?;
                let devices = pushed_ids(&settled, base)?;
                Ok(Wanted { document, devices: Some(devices), applied: None, settled: Some(settled) })
            }
            Self::Resume => {
                Ok(Wanted { document: base.clone(), devices: None, applied: None, settled: None })
            }
            Self::Revert(previous, applied) => {
                let place = Place::top("network", Reading::Whole);
                let changed = changed_devices(base, previous);
                let devices = changed.iter().map(|id| DeviceId::from_key(id, &place));
                let devices = Some(devices.collect::<Result<_, _>>()?);
                Ok(Wanted {
                    document: previous.clone(),
                    devices,
                    applied: Some(applied.clone()),
                    settled: None,
                })
            }
        }
    }
}

impl Wanted {
    /// True if the task is to take the network over: the push says so, or goes back to where it was.
    pub(super) fn takes_over(&self, before: &Value, after: &Value) -> bool {
        let is_said = self.settled.as_ref().is_some_and(|settled| take_over::is_wanted(&settled.document));
        is_said || (take_over::is_wanted(after) && !take_over::is_wanted(before))
    }

    /// What faults call the top of the document.
    pub(super) fn path(&self) -> &'static str {
        self.settled.as_ref().map_or("network", |settled| settled.path)
    }

    /// What the sender should know of what was sent.
    pub(super) fn warnings(&self) -> &[String] {
        self.settled.as_ref().map_or(&[], |settled| &settled.warnings)
    }

    /// A fault of the document, told where the sender wrote it.
    pub(super) fn tell(&self, refusal: Refusal) -> Refusal {
        match &self.settled {
            Some(settled) => settled.tell(refusal),
            None => refusal,
        }
    }
}

fn merged(base: &Value, settled: &Settled) -> Result<Value, Refusal> {
    let place = Place::top(settled.path, Reading::Whole);
    let mut document = merge(base, &settled.document);
    let Some(map) = document.as_object_mut() else { return Err(place.lacks("a map")) };
    // Nothing needs no version.
    if !map.is_empty() && !map.contains_key("version") {
        let knows_version = base.get("version").is_some() || has_devices(base);
        if !knows_version {
            return Err(place.key("version").lacks("2, the version of network-config that is applied"));
        }
        map.insert("version".to_owned(), json!(2));
        map.sort_keys();
    }
    Ok(document)
}

/// True if a document has any.
pub(super) fn has_devices(document: &Value) -> bool {
    let maps = Section::ALL.map(Section::key).into_iter().filter_map(|section| devices(document, section));
    maps.into_iter().any(|map| !map.is_empty())
}

/// The devices that a push speaks of. A section that it removes stands for all that is in it.
fn pushed_ids(settled: &Settled, base: &Value) -> Result<BTreeSet<DeviceId>, Refusal> {
    let place = Place::top(settled.path, Reading::Whole);
    let mut ids = BTreeSet::new();
    for section in Section::ALL.map(Section::key) {
        let removed = settled.document.get(section).is_some_and(Value::is_null);
        let map = devices(if removed { base } else { &settled.document }, section);
        for key in map.into_iter().flat_map(serde_json::Map::keys) {
            ids.insert(DeviceId::from_key(key, &place)?);
        }
    }
    Ok(ids)
}
