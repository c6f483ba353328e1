//! Which renderers there are.

use crate::network::document::backend::Backend;

/// A renderer of cloud-init's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RendererKind {
    /// Debian's ifupdown.
    Eni,
    /// The `ifcfg` files of Red Hat and SUSE.
    Sysconfig,
    Netplan,
    NetworkManager,
    Networkd,
}

impl RendererKind {
    /// All of them, in the order in which cloud-init tries them when nothing is configured.
    pub(super) const ALL: [Self; 5] =
        [Self::Eni, Self::Sysconfig, Self::Netplan, Self::NetworkManager, Self::Networkd];

    /// What cloud-init calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Eni => "eni",
            Self::Sysconfig => "sysconfig",
            Self::Netplan => "netplan",
            Self::NetworkManager => "network-manager",
            Self::Networkd => "networkd",
        }
    }

    /// The one of a name, if we serve it.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What sets the links up, in the words of a document.
    pub(crate) const fn backend(self) -> Backend {
        match self {
            Self::NetworkManager => Backend::NetworkManager,
            Self::Eni | Self::Sysconfig | Self::Netplan | Self::Networkd => Backend::Networkd,
        }
    }
}
