//! What a change is made on, for those who plan its commands and for those who judge what came of it.

use std::collections::BTreeSet;

use super::document::config::NetworkConfig;
use super::document::device::Device;
use super::document::name::DeviceId;
use super::machine::known_names::KnownNames;
use super::machine::link::Links;
use super::machine::orphan_link::OrphanChange;
use crate::{FileChange, System};

/// What is planned for: the config before and after, and the machine.
pub(crate) struct Scene<'a> {
    pub(crate) old: &'a NetworkConfig,
    pub(crate) new: &'a NetworkConfig,
    /// Devices whose links have to be looked at again.
    pub(crate) affected: &'a BTreeSet<DeviceId>,
    /// Files that differ from what is there.
    pub(crate) files: &'a [FileChange],
    /// What cards were called in the files before.
    pub(crate) known: &'a KnownNames,
    /// Links that only files configured, or will.
    pub(crate) orphans: &'a OrphanChange,
    pub(crate) links: Links,
    /// True if what is rendered finds a card only once it has its `set-name`.
    pub(crate) needs_name: &'a dyn Fn(&Device) -> bool,
    pub(crate) system: &'a dyn System,
}
