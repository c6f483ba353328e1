//! The udev rules that give cards their names, in the file that cloud-init has for them.

use std::fmt;

use super::interfaces::Interfaces;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;

/// Rules in order of device.
#[derive(Debug, Default)]
pub(super) struct UdevRules {
    rules: Vec<Rule>,
}

/// One rule: a card that has all of it gets the name.
#[derive(Debug)]
struct Rule {
    conditions: Vec<(&'static str, String)>,
    name: String,
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
                rules.push(Rule { conditions: conditions(device), name: name.clone() });
            }
        }
        Self { rules }
    }

    /// True if there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// `DRIVERS` is any at least: bridges and VLANs borrow the hardware address of a card, but have no driver.
fn conditions(device: &Device) -> Vec<(&'static str, String)> {
    let matching = device.matching();
    let drivers: Vec<&str> = matching
        .into_iter()
        .flat_map(|matching| matching.drivers.iter().map(|driver| driver.as_str()))
        .collect();
    let drivers = if drivers.is_empty() { "?*".to_owned() } else { drivers.join("|") };
    let mut conditions =
        vec![("SUBSYSTEM", "net".to_owned()), ("ACTION", "add".to_owned()), ("DRIVERS", drivers)];
    if let Some(address) = device.identity() {
        conditions.push(("ATTR{address}", address.to_string()));
    }
    if let Some(pattern) = matching.and_then(|matching| matching.name.as_ref()) {
        conditions.push(("KERNEL", pattern.as_str().to_owned()));
    }
    conditions
}

impl fmt::Display for UdevRules {
    /// No value has a quote in it: names and patterns are parsed, the rest is ours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::HEADER)?;
        for rule in &self.rules {
            for (key, value) in &rule.conditions {
                write!(f, "{key}==\"{value}\", ")?;
            }
            writeln!(f, "NAME=\"{}\"", rule.name)?;
        }
        Ok(())
    }
}
