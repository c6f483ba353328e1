//! The udev rules that give cards their names, in the file that cloud-init has for them.

use std::fmt;

use super::super::udev_rule::UdevRule;
use super::interfaces::Interfaces;
use crate::network::document::config::NetworkConfig;

/// Rules in order of device.
#[derive(Debug, Default)]
pub(super) struct UdevRules {
    rules: Vec<UdevRule>,
}

impl UdevRules {
    /// A rule for each card that is found by its hardware address, or gets a name. Without one the kernel's choice
    /// stands.
    pub(super) fn of(config: &NetworkConfig, interfaces: &Interfaces) -> Self {
        let mut rules = Vec::new();
        for (id, device) in config.devices() {
            let named = device.identity().is_some()
                || device.as_ethernet().is_some_and(|card| card.set_name.is_some());
            if let ([name], true) = (interfaces.names(id), named) {
                rules.push(UdevRule::of(device, name).with_kernel_name(device));
            }
        }
        Self { rules }
    }

    /// True if there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl fmt::Display for UdevRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::HEADER)?;
        self.rules.iter().try_for_each(|rule| rule.fmt(f))
    }
}
