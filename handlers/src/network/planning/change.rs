//! A change of the config: what there was, what is wanted, what of it can be done now, and who is concerned.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::base::Base;
use super::deferral::Deferral;
use super::take_over;
use super::wanted::Wanted;
use crate::network::document::config::NetworkConfig;
use crate::network::document::contradiction;
use crate::network::document::desired::Desired;
use crate::network::document::merge::changed_devices;
use crate::network::document::name::DeviceId;
use crate::network::document::place::{Place, Reading};
use crate::network::machine::known_names::with_upper;
use crate::network::machine::link::Links;
use crate::{Plan, Refusal};

/// The config before and after, and who is concerned.
#[derive(Debug)]
pub(super) struct Change {
    /// What the machine has been told so far.
    pub(super) old: NetworkConfig,
    /// All that is wanted.
    pub(super) desired: Rc<Desired>,
    /// What of it can be done, and what cannot.
    pub(super) deferral: Deferral,
    /// Devices that the task speaks of.
    pub(super) pushed: BTreeSet<DeviceId>,
    /// Devices whose links have to be looked at again.
    pub(super) affected: BTreeSet<DeviceId>,
    /// True if it goes back to what was wanted before.
    pub(super) is_revert: bool,
    is_same: bool,
}

impl Change {
    /// `document` is what is wanted as a whole.
    pub(super) fn new(base: &Base, document: Value, wanted: &Wanted, links: &Links) -> Result<Self, Refusal> {
        let path = wanted.path();
        let desired = Rc::new(Desired::read(document, path)?);
        let old = NetworkConfig::whole(&base.applied, path).ok();
        let deferral = match &wanted.applied {
            Some(applied) => Deferral::of(Rc::clone(&desired), applied, links),
            None => Deferral::between(Rc::clone(&desired), &base.applied, old.as_ref(), links),
        };
        // What is replaced need not be right any more; nothing is done for devices that cannot be told.
        let old = old.unwrap_or_default();
        let place = Place::top(path, Reading::Whole);
        let now = &deferral.now;
        let mut affected = BTreeSet::new();
        for id in changed_devices(&base.applied, &now.document) {
            affected.insert(DeviceId::from_key(&id, &place)?);
        }
        let moved = with_upper(base.names.moved(&now.config, links), &now.config);
        let is_same = moved.is_empty() && take_over::is_same_aside(&base.applied, &now.document);
        affected.extend(moved);
        let pushed = wanted.devices.clone().unwrap_or_else(|| affected.clone());
        contradiction::check(&desired.config, &pushed, path)?;
        affected.extend(relatives(&affected, &old, &now.config));
        let is_revert = wanted.applied.is_some();
        Ok(Self { old, desired, deferral, pushed, affected, is_same, is_revert })
    }

    /// True if nothing is done for any device: no other is spoken of than those that wait, or waited and are wanted no more.
    /// Whoever speaks of a device that is as it should be, by its file, wants it brought up like that; a revert speaks of those
    /// that were spoken of.
    pub(super) fn is_none(&self) -> bool {
        let Deferral { now, waiting } = &self.deferral;
        let is_nothing = |id| waiting.contains_key(id) || now.config.device(id).is_none();
        self.is_same && (self.is_revert || self.pushed.iter().all(is_nothing))
    }

    /// Says in the plan what the task speaks of, and is not done by it.
    pub(super) fn tell_what_waits(&self, plan: &mut Plan, links: &Links) {
        let below = self.below();
        let waiting = &self.deferral.waiting;
        for (id, cards) in waiting {
            if below.contains(id) || cards.iter().any(|card| below.contains(card)) {
                plan.deferred.push(id.to_string());
                plan.warnings.push(waits(id, cards));
            }
        }
        // What was applied, and was pulled out since.
        let config = &self.desired.config;
        for id in below.into_iter().filter(|id| !waiting.contains_key(*id) && links.is_late(id, config)) {
            plan.deferred.push(id.to_string());
            plan.warnings.push(format!("`{id}` is not there; its part takes effect when it is back"));
        }
    }

    /// The devices that the task speaks of, and those below them.
    fn below(&self) -> BTreeSet<&DeviceId> {
        let mut concerned = BTreeSet::new();
        let mut open: Vec<&DeviceId> = self.pushed.iter().collect();
        while let Some(id) = open.pop() {
            if let Some(device) = self.desired.config.device(id).filter(|_| !concerned.contains(id)) {
                concerned.insert(id);
                open.extend(device.parts().into_iter().map(|(part, _)| part));
            } else if self.deferral.waiting.contains_key(id) {
                // It is to go, and stays for now.
                concerned.insert(id);
            }
        }
        concerned
    }
}

fn waits(id: &DeviceId, cards: &BTreeSet<DeviceId>) -> String {
    let names: Vec<String> = cards.iter().map(|card| format!("`{card}`")).collect();
    match cards.first() {
        Some(card) if cards.len() == 1 && card == id => format!("`{id}` waits until it is there"),
        _ if cards.len() == 1 => format!("`{id}` waits until {} is there", names[0]),
        _ => format!("`{id}` waits until {} are there", names.join(", ")),
    }
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
