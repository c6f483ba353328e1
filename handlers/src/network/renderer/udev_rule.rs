//! The udev rules that give cards their names, as cloud-init writes them.

use std::fmt;

use crate::network::document::device::Device;

/// How each rule of cloud-init's begins. `DRIVERS` is asked for at least: bridges and VLANs borrow the hardware address of a
/// card, but have no driver.
const BEGINNING: &str = "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==";

/// One rule: a card that has all of it gets the name when it appears.
#[derive(Debug)]
pub(super) struct UdevRule {
    drivers: String,
    conditions: Vec<(&'static str, String)>,
    name: String,
}

impl UdevRule {
    /// The rule of a card, by its driver and its hardware address as far as it is found by them.
    pub(super) fn of(device: &Device, name: &str) -> Self {
        let drivers: Vec<&str> = (device.matching().into_iter())
            .flat_map(|matching| matching.drivers.iter().map(|driver| driver.as_str()))
            .collect();
        let drivers = if drivers.is_empty() { "?*".to_owned() } else { drivers.join("|") };
        let address = device.identity().map(|address| ("ATTR{address}", address.to_string()));
        Self { drivers, conditions: address.into_iter().collect(), name: name.to_owned() }
    }

    /// The same for a card that is found by the kernel's name for it as well.
    pub(super) fn with_kernel_name(mut self, device: &Device) -> Self {
        let pattern = device.matching().and_then(|matching| matching.name.as_ref());
        self.conditions.extend(pattern.map(|pattern| ("KERNEL", pattern.as_str().to_owned())));
        self
    }
}

impl fmt::Display for UdevRule {
    /// No value has a quote in it: names and patterns are parsed, the rest is ours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { drivers, conditions, name } = self;
        write!(f, "{BEGINNING}\"{drivers}\", ")?;
        for (key, value) in conditions {
            write!(f, "{key}==\"{value}\", ")?;
        }
        writeln!(f, "NAME=\"{name}\"")
    }
}

/// True if a file has no other rules than such.
pub(crate) fn are_cloud_inits(rules: &str) -> bool {
    rules.lines().all(|line| line.is_empty() || line.starts_with(BEGINNING))
}
