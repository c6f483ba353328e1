//! The devices that were told of, and what follows for them from a uevent or a scan. Nothing in here reads anything.
//!
//! What is told and what is remembered go together as a [`Fact`], so that both are recorded at once.

use std::collections::{BTreeMap, BTreeSet};

use super::device::{Device, HardwareEvent};
use super::devpath;
use super::ignore::NameGlob;
use super::matching::{Since, is_same_appearance, matches};
use super::uevent::{Action, Uevent};
use crate::journal::DeviceChange;

/// Devices that are remembered, as many as the journal keeps: beyond it they are told of when they come and go, and
/// a scan passes them over.
pub(super) const MOST: usize = crate::journal::MAX_DEVICES;

/// An event to be published, and what is to be remembered once it is.
#[derive(Debug)]
pub(crate) struct Fact {
    /// None if it is only to be remembered.
    pub(crate) event: Option<HardwareEvent>,
    pub(crate) changes: Vec<DeviceChange>,
}

/// The devices, each under a number of ours, which a new name does not change.
#[derive(Debug)]
pub(super) struct Inventory {
    known: BTreeMap<u64, Device>,
    /// Those of them that a machine that is being started has not found yet. Their numbers are of another boot.
    missing: BTreeSet<u64>,
    ignore: Vec<NameGlob>,
    most: usize,
    is_over: bool,
}

impl Inventory {
    pub(super) fn new(known: Vec<(u64, Device)>, ignore: Vec<NameGlob>) -> Self {
        Self {
            known: known.into_iter().collect(),
            missing: BTreeSet::new(),
            ignore,
            most: MOST,
            is_over: false,
        }
    }

    /// The very first look at a machine: all that is there is known, and nothing of it is news.
    pub(super) fn learn(&mut self, there: Vec<Device>) -> Fact {
        let mut changes = Vec::new();
        for device in there {
            if !self.is_ignored(&device) {
                changes.extend(self.keep(device));
            }
        }
        Fact { event: None, changes }
    }

    /// What the kernel has said of a device, and what was to be seen of it then; nothing if it is no news.
    pub(super) fn hear(&mut self, uevent: &Uevent, seen: Option<Device>) -> Option<Fact> {
        let said = Device::of_uevent(uevent);
        let is_it = |(slot, known): &(&u64, &Device)| {
            !self.missing.contains(*slot) && is_same_appearance(known, &said)
        };
        let known = self.known.iter().find(is_it).map(|(slot, device)| (*slot, device.clone()));
        match (uevent.action, known) {
            (Action::Remove, Some((slot, device))) => Some(self.gone(slot, &device)),
            (Action::Remove, None) => self.gone_unknown(&said),
            // What we do not know of a device it may have become: it has another name now.
            (Action::Add | Action::Move, None) => self
                .come(Device { devpath: said.devpath, ..seen.filter(|seen| seen.ifindex == said.ifindex)? }),
            // Said again, at somebody's wish (`udevadm trigger`), or seen by a scan already.
            (Action::Add, Some(_)) | (Action::Change, None) => None,
            (Action::Move, Some((slot, device))) => {
                let now = Device { devpath: said.devpath, ..seen.unwrap_or_else(|| device.clone()) };
                self.news(slot, &device, device.seen_again(now))
            }
            (Action::Change, Some((slot, device))) => {
                let now = device.seen_again(Device { devpath: said.devpath, ..seen? });
                if uevent.media && now.size == device.size {
                    return Some(Fact { event: Some(now.event(Action::Change)), changes: Vec::new() });
                }
                self.news(slot, &device, now)
            }
        }
    }

    /// What is there against what was known: whatever differs has happened meanwhile.
    pub(super) fn compare(&mut self, there: Vec<Device>, since: Since) -> Vec<Fact> {
        let known = self.known.iter().filter(|(slot, _)| !self.missing.contains(*slot));
        let known: Vec<(u64, Device)> = known.map(|(slot, device)| (*slot, device.clone())).collect();
        let devices: Vec<&Device> = known.iter().map(|(_, device)| device).collect();
        let found = matches(&devices, &there, since);
        let mut facts = Vec::new();
        for (at, (slot, device)) in known.iter().enumerate() {
            if found.contains(&Some(at)) {
                continue;
            }
            if since == Since::Boot {
                self.missing.insert(*slot);
            } else {
                facts.push(self.gone(*slot, device));
            }
        }
        for (found, seen) in found.into_iter().zip(there) {
            match found.map(|at| &known[at]) {
                Some((slot, device)) => facts.extend(self.news(*slot, device, device.seen_again(seen))),
                None if self.known.len() < self.most => facts.extend(self.come(seen)),
                None => self.tell_of_bound(),
            }
        }
        facts
    }

    /// True while a device is awaited that was there before the machine was started.
    pub(super) fn is_waiting(&self) -> bool {
        !self.missing.is_empty()
    }

    /// The machine has found all it has: what is still missing has gone.
    pub(super) fn wait_no_more(&mut self) -> Vec<Fact> {
        let missing = std::mem::take(&mut self.missing);
        let gone = |slot: u64| Some((slot, self.known.get(&slot)?.clone()));
        let gone: Vec<(u64, Device)> = missing.into_iter().filter_map(gone).collect();
        gone.iter().map(|(slot, device)| self.gone(*slot, device)).collect()
    }

    fn come(&mut self, device: Device) -> Option<Fact> {
        if let Some((slot, was)) = self.awaited(&device) {
            self.missing.remove(&slot);
            return self.news(slot, &was, was.seen_again(device));
        }
        if self.is_ignored(&device) {
            return None;
        }
        let event = Some(device.event(Action::Add));
        Some(Fact { event, changes: self.keep(device).into_iter().collect() })
    }

    /// The missing one that a device is.
    fn awaited(&self, device: &Device) -> Option<(u64, Device)> {
        let missing: Vec<(u64, &Device)> =
            self.missing.iter().filter_map(|slot| Some((*slot, self.known.get(slot)?))).collect();
        let devices: Vec<&Device> = missing.iter().map(|(_, device)| *device).collect();
        let found = matches(&devices, std::slice::from_ref(device), Since::Boot);
        let (slot, was) = missing[found.first().copied().flatten()?];
        Some((slot, was.clone()))
    }

    fn gone(&mut self, slot: u64, device: &Device) -> Fact {
        self.known.remove(&slot);
        Fact { event: Some(device.event(Action::Remove)), changes: vec![DeviceChange::Forget(slot)] }
    }

    /// Of what was never told nothing is told, unless it may have been told without room to remember it.
    fn gone_unknown(&self, device: &Device) -> Option<Fact> {
        let may_be_told = self.known.len() >= self.most && !devpath::is_virtual_net(&device.devpath);
        (may_be_told && !self.is_ignored(device))
            .then(|| Fact { event: Some(device.event(Action::Remove)), changes: Vec::new() })
    }

    /// A known device, as it is now.
    fn news(&mut self, slot: u64, was: &Device, now: Device) -> Option<Fact> {
        if *was == now {
            return None;
        }
        let event = if was.name() != now.name() {
            Some(now.renamed_from(was.name()))
        } else if was.size != now.size {
            Some(now.event(Action::Change))
        } else {
            None
        };
        self.known.insert(slot, now.clone());
        Some(Fact { event, changes: vec![DeviceChange::Keep(slot, now)] })
    }

    fn keep(&mut self, device: Device) -> Option<DeviceChange> {
        if self.known.len() >= self.most {
            self.tell_of_bound();
            return None;
        }
        let slot = self.known.last_key_value().map_or(0, |(slot, _)| slot + 1);
        self.known.insert(slot, device.clone());
        Some(DeviceChange::Keep(slot, device))
    }

    fn is_ignored(&self, device: &Device) -> bool {
        self.ignore.iter().any(|glob| glob.matches(device.name()))
    }

    fn tell_of_bound(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            tracing::warn!(
                most = self.most,
                "more devices than are remembered: a restart tells nothing of the others"
            );
        }
    }
}
