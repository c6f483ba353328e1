//! Renderers: what turns the typed config into the files of one network stack.

pub(crate) mod choice;
pub(crate) mod eni;
mod instance_config;
pub(crate) mod kind;
mod netplan;
pub(crate) mod network_manager;
mod networkd;
pub(crate) mod origin;
pub(crate) mod rendered_file;
pub(crate) mod sysconfig;
pub(crate) mod udev_rule;

use std::collections::BTreeSet;

use serde_json::Value;

use super::activation::Activator;
use super::document::desired::Desired;
use super::document::device::Device;
use super::document::name::DeviceId;
use super::machine::link::Links;
use super::machine::orphan_link::OrphanLink;
use crate::{Refusal, System};
use kind::RendererKind;
use origin::Origin;
use rendered_file::RenderedFile;

/// A network stack: its files, and the commands that make it read them.
pub(crate) trait Renderer {
    /// Which one it is.
    fn kind(&self) -> RendererKind;

    /// What cloud-init configured, if that can still be told: in most formats not by the files themselves.
    fn origin(&self, system: &dyn System) -> Result<Option<Origin>, Refusal> {
        instance_config::origin(system)
    }

    /// The document of [`Self::origin`]; none too if it cannot be understood, which is told where a push is merged into it.
    fn inherited(&self, system: &dyn System) -> Result<Option<Value>, Refusal> {
        let settled = self.origin(system)?.and_then(|origin| origin.settled().ok());
        Ok(settled.map(|(document, _)| document))
    }

    /// The files that came of `origin`, and that a new rendering replaces as a whole.
    fn files_of_origin(&self, system: &dyn System) -> Result<BTreeSet<String>, Refusal>;

    /// The links that a file of [`Self::files_of_origin`] configures, read from the file itself: for a machine where nothing
    /// else tells. None, if it configures none by itself.
    fn orphan_links(
        &self,
        path: &str,
        content: &str,
        system: &dyn System,
    ) -> Result<Vec<OrphanLink>, Refusal>;

    /// True if a file does no more than to give cards their names.
    fn is_naming(&self, path: &str) -> bool {
        path.ends_with(".link") || path.ends_with(".rules")
    }

    /// Refuses if a file that is not ours defines one of these devices. `ours` are the paths that are. Gives back
    /// warnings of files that only may get in the way.
    fn check_conflicts(
        &self,
        devices: &BTreeSet<DeviceId>,
        desired: &Desired,
        ours: &BTreeSet<String>,
        links: &Links,
        system: &dyn System,
    ) -> Result<Vec<String>, Refusal>;

    /// Every file of the config, in order of path. Formats that go by names take them from the links that are there.
    fn render(
        &self,
        desired: &Desired,
        links: &Links,
        system: &dyn System,
    ) -> Result<Vec<RenderedFile>, Refusal>;

    /// True if what is rendered finds this card only once it has its `set-name`.
    fn needs_name(&self, device: &Device) -> bool;

    /// True if what is rendered says what cards are called now that have no name of the config's.
    fn goes_by_names(&self) -> bool {
        false
    }

    /// What makes the machine act on what is rendered.
    fn activator(&self, system: &dyn System) -> Box<dyn Activator>;
}
