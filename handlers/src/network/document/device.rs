//! One device of a network config.

use serde_json::Value;

use super::address::MacAddress;
use super::name::{DeviceId, LinkName, Pattern};
use super::object::Object;
use super::place::{Place, Reading};
use super::settings::Settings;
use super::value::{boolean, text};
use super::virtual_device::{Bond, Bridge, Vlan};
use crate::Refusal;

/// The part of a document that a device is defined in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Ethernets,
    Bonds,
    Bridges,
    Vlans,
}

impl Section {
    /// Every section, in the order in which documents are written.
    pub(crate) const ALL: [Self; 4] = [Self::Ethernets, Self::Bonds, Self::Bridges, Self::Vlans];

    /// The key in the document.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Ethernets => "ethernets",
            Self::Bonds => "bonds",
            Self::Bridges => "bridges",
            Self::Vlans => "vlans",
        }
    }
}

/// A device: what it is, and what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) kind: Kind,
    pub(crate) settings: Settings,
    /// What its link is called once everything is applied; `None` if that is whatever matches.
    pub(crate) link_name: Option<LinkName>,
}

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Ethernet(Box<Ethernet>),
    Bond(Box<Bond>),
    Bridge(Box<Bridge>),
    Vlan(Vlan),
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ethernet {
    /// How the card is found; by its id if there is none.
    pub(crate) matching: Option<Match>,
    pub(crate) set_name: Option<LinkName>,
    pub(crate) wakeonlan: Option<bool>,
    pub(crate) offloads: Vec<(Offload, bool)>,
}

/// What a card must have, all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) macaddress: Option<MacAddress>,
    pub(crate) name: Option<Pattern>,
    /// Any one of these drivers.
    pub(crate) drivers: Vec<Pattern>,
}

/// Work that a card can do in the kernel's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offload {
    ReceiveChecksum,
    TransmitChecksum,
    TcpSegmentation,
    Tcp6Segmentation,
    GenericSegmentation,
    GenericReceive,
    LargeReceive,
}

const OFFLOADS: [(&str, Offload); 7] = [
    ("receive-checksum-offload", Offload::ReceiveChecksum),
    ("transmit-checksum-offload", Offload::TransmitChecksum),
    ("tcp-segmentation-offload", Offload::TcpSegmentation),
    ("tcp6-segmentation-offload", Offload::Tcp6Segmentation),
    ("generic-segmentation-offload", Offload::GenericSegmentation),
    ("generic-receive-offload", Offload::GenericReceive),
    ("large-receive-offload", Offload::LargeReceive),
];

/// netplan's keys of cards that are not served, and why.
const UNSERVED: &[(&str, &str)] = &[
    ("link", "virtual functions (SR-IOV) are not created; a card that is there is found by `match`"),
    ("virtual-function-count", "virtual functions (SR-IOV) are not created"),
    ("embedded-switch-mode", "the switch inside of a card (SR-IOV) is not driven"),
    ("delay-virtual-functions-rebind", "virtual functions (SR-IOV) are not created"),
    ("infiniband-mode", "IP over InfiniBand is not supported: its addresses have 20 bytes"),
    ("auth", "802.1X needs secrets that would stand in the network config"),
];

impl Device {
    /// Parses a device of a section. `None`: a push that leaves out what the machine may hold already.
    pub(crate) fn parse(
        section: Section,
        id: &DeviceId,
        value: &Value,
        place: &Place,
    ) -> Result<Option<Self>, Refusal> {
        let mut object = Object::open(value, place)?;
        let kind = match section {
            Section::Ethernets => Some(Kind::Ethernet(Box::new(Ethernet::read(&mut object)?))),
            Section::Bonds => Some(Kind::Bond(Box::new(Bond::read(&mut object)?))),
            Section::Bridges => Some(Kind::Bridge(Box::new(Bridge::read(&mut object)?))),
            Section::Vlans => Vlan::read(&mut object)?.map(Kind::Vlan),
        };
        let settings = Settings::read(&mut object)?;
        object.finish()?;
        let link_name = match &kind {
            Some(Kind::Ethernet(ethernet)) => ethernet.link_name(id, place)?,
            _ => Some(id.as_link_name(place)?),
        };
        // In a file that was there before us it has never worked, and stays.
        let is_taken = |name: &LinkName| {
            let made = !matches!(kind, Some(Kind::Ethernet(_)));
            name.is_loopback() && (made || id.as_str() != name.as_str())
        };
        if place.reading() == Reading::Push
            && let Some(name) = link_name.as_ref().filter(|name| is_taken(name))
        {
            let place = if section == Section::Ethernets { place.key("set-name") } else { place.clone() };
            return Err(place.refuse_text(name.as_str(), "a name that is not the loopback's"));
        }
        Ok(kind.map(|kind| Self { kind, settings, link_name }))
    }

    /// The devices this one is made of, with where each is named.
    pub(crate) fn parts(&self) -> Vec<(&DeviceId, &'static str)> {
        match &self.kind {
            Kind::Ethernet(_) => Vec::new(),
            Kind::Bond(bond) => bond.interfaces.iter().map(|id| (id, "interfaces")).collect(),
            Kind::Bridge(bridge) => bridge.interfaces.iter().map(|id| (id, "interfaces")).collect(),
            Kind::Vlan(vlan) => vec![(&vlan.link, "link")],
        }
    }

    /// Where documents define such a device.
    pub(crate) const fn section(&self) -> Section {
        match self.kind {
            Kind::Ethernet(_) => Section::Ethernets,
            Kind::Bond(_) => Section::Bonds,
            Kind::Bridge(_) => Section::Bridges,
            Kind::Vlan(_) => Section::Vlans,
        }
    }

    /// True if the kernel's link would be made in the same way. What ports of a bridge are told can be
    /// changed later.
    pub(crate) fn is_made_like(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Bond(one), Kind::Bond(two)) => one.parameters == two.parameters,
            (Kind::Bridge(one), Kind::Bridge(two)) => one.is_made_like(two),
            (Kind::Vlan(one), Kind::Vlan(two)) => one == two,
            _ => true,
        }
    }

    /// The network card, if it is one.
    pub(crate) fn as_ethernet(&self) -> Option<&Ethernet> {
        match &self.kind {
            Kind::Ethernet(ethernet) => Some(ethernet),
            Kind::Bond(_) | Kind::Bridge(_) | Kind::Vlan(_) => None,
        }
    }

    /// True if both are found by one hardware address. A virtual function may share its address with the card that it
    /// speeds up; then their drivers tell them apart.
    pub(crate) fn is_same_card(&self, other: &Self) -> bool {
        let (Some(one), Some(two)) = (self.matching(), other.matching()) else { return false };
        let same_driver = one.drivers.is_empty() || two.drivers.is_empty() || one.drivers == two.drivers;
        one.macaddress.is_some() && one.macaddress == two.macaddress && same_driver
    }

    /// The hardware address it is found by.
    pub(crate) fn identity(&self) -> Option<MacAddress> {
        self.matching()?.macaddress
    }

    /// What it is found by, if it is a card that is not found by its id.
    pub(crate) fn matching(&self) -> Option<&Match> {
        self.as_ethernet()?.matching.as_ref()
    }
}

impl Ethernet {
    fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        object.refuse_unserved(UNSERVED)?;
        let matching = object.read("match", Match::parse)?;
        let set_name = object.read("set-name", LinkName::parse)?;
        let wakeonlan = object.read("wakeonlan", boolean)?;
        let mut offloads = Vec::new();
        for (key, offload) in OFFLOADS {
            offloads.extend(object.read(key, boolean)?.map(|on| (offload, on)));
        }
        if object.place().reading() == Reading::Whole && set_name.is_some() && matching.is_none() {
            let expected = "`match` beside it: without, nothing says which card to rename";
            return Err(object.place().key("set-name").lacks(expected));
        }
        Ok(Self { matching, set_name, wakeonlan, offloads })
    }

    /// A name that is given, or known: without `match`, the id is the link's name.
    fn link_name(&self, id: &DeviceId, place: &Place) -> Result<Option<LinkName>, Refusal> {
        match (&self.set_name, &self.matching) {
            (Some(name), _) => Ok(Some(name.clone())),
            (None, Some(_)) => Ok(None),
            (None, None) if place.reading() == Reading::Push => Ok(None),
            (None, None) => id.as_link_name(place).map(Some),
        }
    }
}

impl Match {
    /// True if it is meant for one card: it names its address, or a name that is no pattern.
    pub(crate) fn is_of_one(&self) -> bool {
        self.macaddress.is_some() || self.name.as_ref().is_some_and(Pattern::is_plain)
    }

    fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let mut object = Object::open(value, place)?;
        let matching = Self {
            macaddress: object.read("macaddress", MacAddress::parse_match)?,
            name: object.read("name", Pattern::parse)?,
            drivers: object.read("driver", drivers)?.unwrap_or_default(),
        };
        object.finish()?;
        if place.reading() == Reading::Whole && matching == Self::default() {
            let hint = "to find the card by its id, remove `match` as a whole (`null`)";
            return Err(place.lacks("at least one of macaddress, name, driver").hint(hint));
        }
        Ok(matching)
    }
}

fn drivers(value: &Value, place: &Place) -> Result<Vec<Pattern>, Refusal> {
    match value {
        Value::Array(_) => super::value::list(value, place, Pattern::parse),
        other => {
            text(other, place)?;
            Ok(vec![Pattern::parse(other, place)?])
        }
    }
}
