//! What a change is made on, for those who plan its commands and for those who judge what came of it.

use std::collections::BTreeSet;

use super::config::NetworkConfig;
use super::device::Device;
use super::known_names::KnownNames;
use super::link::Links;
use super::name::DeviceId;
use super::orphan_link::OrphanChange;
use crate::{FileChange, System};

/// What is planned for: the config before and after, and the machine.
pub(super) struct Scene<'a> {
    pub(super) old: &'a NetworkConfig,
    pub(super) new: &'a NetworkConfig,
    /// Devices whose links have to be looked at again.
    pub(super) affected: &'a BTreeSet<DeviceId>,
    /// Files that differ from what is there.
    pub(super) files: &'a [FileChange],
    /// What cards were called in the files before.
    pub(super) known: &'a KnownNames,
    /// Links that only files configured, or will.
    pub(super) orphans: &'a OrphanChange,
    pub(super) links: Links,
    /// True if what is rendered finds a card only once it has its `set-name`.
    pub(super) needs_name: &'a dyn Fn(&Device) -> bool,
    pub(super) system: &'a dyn System,
}
