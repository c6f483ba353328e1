//! The devices that a push meets: version 1 speaks of them by card and by name, version 2 by id.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::address::MacAddress;
use super::super::device::Section;
use super::super::merge::devices;

/// Devices of the document that a push is merged into.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_card: BTreeMap<MacAddress, String>,
    /// By the link's name: section and id.
    by_name: BTreeMap<String, (Section, String)>,
    ids: BTreeSet<String>,
}

impl Known {
    /// The devices of a document of version 2.
    pub(crate) fn of(document: &Value) -> Self {
        let mut known = Self::default();
        // Also those of sections that we do not know: a bridge may have a wireless card in it.
        let sections = document.as_object().into_iter().flat_map(|map| map.values());
        known.ids = sections.filter_map(Value::as_object).flat_map(|map| map.keys().cloned()).collect();
        for section in Section::ALL {
            for (id, device) in devices(document, section.key()).into_iter().flatten() {
                let card = device.pointer("/match/macaddress").and_then(Value::as_str);
                if let Some(card) = card.and_then(MacAddress::from_text) {
                    known.by_card.entry(card).or_insert_with(|| id.clone());
                }
                let name = device.get("set-name").and_then(Value::as_str).unwrap_or(id);
                known.by_name.insert(name.to_owned(), (section, id.clone()));
            }
        }
        known
    }

    /// The id of a card.
    pub(crate) fn card(&self, address: MacAddress) -> Option<&str> {
        self.by_card.get(&address).map(String::as_str)
    }

    /// True if there is a device of this id, in whichever section.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Section and id of the device whose link has a name.
    pub(crate) fn named(&self, name: &str) -> Option<(Section, &str)> {
        self.by_name.get(name).map(|(section, id)| (*section, id.as_str()))
    }
}
