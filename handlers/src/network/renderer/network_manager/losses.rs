//! What a profile loses of a device.

use crate::Refusal;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;

/// What is lost of one device.
#[derive(Debug)]
pub(super) struct Losses {
    path: String,
    /// What would be lost, or break the profile.
    pub(super) refusals: Vec<Refusal>,
    /// What is lost, and harmless.
    pub(super) warnings: Vec<String>,
}

impl Losses {
    /// Nothing is lost, so far.
    pub(super) fn none(id: &DeviceId, device: &Device) -> Self {
        let path = format!("network.{}.{id}", device.section().key());
        Self { path, refusals: Vec::new(), warnings: Vec::new() }
    }

    /// Notes what would be lost.
    pub(super) fn refuse(&mut self, key: &str, given: &str, expected: &str, hint: &str) {
        let refusal = Refusal::at(format!("{}.{key}", self.path), expected);
        let refusal = if given.is_empty() { refusal } else { refusal.given(given) };
        self.refusals.push(if hint.is_empty() { refusal } else { refusal.hint(hint) });
    }

    /// Notes what is lost, and harmless.
    pub(super) fn warn(&mut self, key: &str, what: &str) {
        self.warnings.push(format!("`{}.{key}`: {what}", self.path));
    }
}
