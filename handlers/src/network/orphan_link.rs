//! A link that a file of cloud-init's configures, and nothing else tells of.

use serde::{Deserialize, Serialize};

use super::address::MacAddress;
use super::config::NetworkConfig;
use super::device::Device;
use super::link::{Link, Links};
use super::name::{DeviceId, LinkName};
use super::place::{Place, Reading};
use crate::{Refusal, Subject};

/// A link that a file configures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrphanLink {
    /// The file.
    pub(super) path: String,
    pub(super) name: Option<String>,
    pub(super) address: Option<MacAddress>,
    /// True for a bond, bridge or VLAN, which the file has made.
    pub(super) is_made: bool,
}

impl OrphanLink {
    /// What people call it.
    pub(super) fn label(&self) -> String {
        let address = || self.address.map(|address| address.to_string());
        self.name.clone().or_else(address).unwrap_or_else(|| self.path.clone())
    }

    /// What the link is called now; the name in the file if it is not there.
    pub(super) fn present_name(&self, links: &Links) -> Option<String> {
        let present = links.iter().find(|link| self.is(link)).map(|link| link.name.clone());
        present.or_else(|| self.name.clone())
    }

    pub(super) fn is(&self, link: &Link) -> bool {
        match (&self.address, &self.name) {
            (Some(address), _) if !self.is_made => link.has_address(*address) && !link.is_stacked(),
            (_, Some(name)) => link.name == *name,
            _ => false,
        }
    }

    /// True if a device of a config is this link. Two hardware addresses decide by themselves; without them the links do
    /// that are there, and without these the names.
    pub(super) fn is_of(
        &self,
        id: &DeviceId,
        device: &Device,
        config: &NetworkConfig,
        links: &Links,
    ) -> bool {
        if self.is_made && device.as_ethernet().is_some() {
            return false;
        }
        let address = self.address.filter(|_| !self.is_made);
        if let Some((one, two)) = address.zip(device.identity()) {
            return one == two;
        }
        if let Some(present) = links.iter().find(|link| self.is(link)) {
            return links.of(id, device, config).contains(&present);
        }
        let plain =
            device.matching().and_then(|matching| matching.name.as_ref()).filter(|name| name.is_plain());
        let name =
            device.link_name.as_ref().map(LinkName::as_str).or_else(|| plain.map(|name| name.as_str()));
        name.is_some() && name == self.name.as_deref()
    }

    /// True if the file says which link it is: names are the kernel's, and no patterns.
    pub(super) fn is_told(&self) -> bool {
        let is_name =
            |name: &String| LinkName::parse(&name.as_str().into(), &Place::top("", Reading::Whole)).is_ok();
        self.name.as_ref().map_or_else(|| self.address.is_some(), is_name)
    }
}

/// What such a link is called now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrphanName {
    pub(super) name: String,
    /// Its file.
    pub(super) path: String,
    pub(super) is_made: bool,
}

impl OrphanName {
    /// The subject of a command that brings it up.
    pub(super) fn raised(&self) -> Subject {
        if self.is_made { Subject::made(&self.name, None) } else { Subject::link(&self.name) }
    }
}

/// What a change does to links that files alone configure.
#[derive(Debug, Default)]
pub(super) struct OrphanChange {
    /// Their files are replaced.
    pub(super) lowered: Vec<OrphanName>,
    /// Their files come back.
    pub(super) raised: Vec<OrphanName>,
}

/// The refusal of a file of which nobody can tell what it configures.
pub(super) fn untold(path: &str) -> Refusal {
    Refusal::at("network", "files of cloud-init's that tell which links they configure")
        .given(path)
        .hint(format!("there is no network-config.json either: remove `{path}`, and push what is wanted"))
}
