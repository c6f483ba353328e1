//! A link that a file of cloud-init's configures, and nothing else tells of.

use serde::{Deserialize, Serialize};

use super::link::{Link, Links};
use crate::network::document::address::MacAddress;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::name::{DeviceId, LinkName};
use crate::network::document::place::{Place, Reading};
use crate::{Refusal, Subject};

/// A link that a file configures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrphanLink {
    /// The file.
    pub(crate) path: String,
    pub(crate) name: Option<String>,
    pub(crate) address: Option<MacAddress>,
    /// True for a bond, bridge or VLAN, which the file has made.
    pub(crate) is_made: bool,
}

impl OrphanLink {
    /// What people call it.
    pub(crate) fn label(&self) -> String {
        let address = || self.address.map(|address| address.to_string());
        self.name.clone().or_else(address).unwrap_or_else(|| self.path.clone())
    }

    /// What the link is called now; the name in the file if it is not there.
    pub(crate) fn present_name(&self, links: &Links) -> Option<String> {
        let present = links.iter().find(|link| self.is(link)).map(|link| link.name.clone());
        present.or_else(|| self.name.clone())
    }

    pub(crate) fn is(&self, link: &Link) -> bool {
        match (&self.address, &self.name) {
            (Some(address), _) if !self.is_made => link.has_address(*address) && !link.is_stacked(),
            (_, Some(name)) => link.name == *name,
            _ => false,
        }
    }

    /// True if a device of a config is this link. Two hardware addresses decide by themselves; without them the links do
    /// that are there, and without these the names.
    pub(crate) fn is_of(
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
    pub(crate) fn is_told(&self) -> bool {
        let is_name =
            |name: &String| LinkName::parse(&name.as_str().into(), &Place::top("", Reading::Whole)).is_ok();
        self.name.as_ref().map_or_else(|| self.address.is_some(), is_name)
    }
}

/// What such a link is called now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrphanName {
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: String,
    pub(crate) is_made: bool,
}

impl OrphanName {
    /// The subject of a command that brings it up.
    pub(crate) fn raised(&self) -> Subject {
        if self.is_made { Subject::made(&self.name, None) } else { Subject::link(&self.name) }
    }
}

/// What a change does to links that files alone configure.
#[derive(Debug, Default)]
pub(crate) struct OrphanChange {
    /// Their files are replaced.
    pub(crate) lowered: Vec<OrphanName>,
    /// Their files come back.
    pub(crate) raised: Vec<OrphanName>,
}

/// The refusal of a file of which nobody can tell what it configures.
pub(crate) fn untold(path: &str) -> Refusal {
    Refusal::at("network", "files of cloud-init's that tell which links they configure")
        .given(path)
        .hint(format!("there is no network-config.json either: remove `{path}`, and push what is wanted"))
}
