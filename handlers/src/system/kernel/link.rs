//! One link, and how `RTM_NEWLINK` tells of it.

use super::attributes::{Malformed, attributes, head, index, name, number};

/// Attributes of a link (`IFLA_*`, linux/if_link.h).
mod of_link {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const LINK: u16 = 5;
    pub(super) const MASTER: u16 = 10;
    pub(super) const STATE: u16 = 16;
    pub(super) const INFO: u16 = 18;
    pub(super) const LINK_NAMESPACE: u16 = 37;
    pub(super) const PROPERTIES: u16 = 52;
    pub(super) const ALTERNATIVE_NAME: u16 = 53;
    pub(super) const PERMANENT_ADDRESS: u16 = 54;
}

/// Attributes within [`of_link::INFO`] (`IFLA_INFO_*`), and two of what is within these.
mod of_info {
    pub(super) const KIND: u16 = 1;
    pub(super) const DATA: u16 = 2;
    pub(super) const MEMBER_KIND: u16 = 4;
    pub(super) const MEMBER_DATA: u16 = 5;
    /// In the data of a `vlan` (`IFLA_VLAN_ID`).
    pub(super) const VLAN_ID: u16 = 1;
    /// In the data of a member of a `bond` (`IFLA_BOND_SLAVE_PERM_HWADDR`).
    pub(super) const ADDRESS_BEFORE_BOND: u16 = 4;
}

/// Flags of a link (`IFF_*`, linux/if.h).
const UP: u32 = 1;
const LOOPBACK: u32 = 1 << 3;
const LOWER_UP: u32 = 1 << 16;

/// One link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelLink {
    /// What addresses, routes and other links call it; never 0.
    pub index: u32,
    /// Its name, 1 to 15 bytes.
    pub name: String,
    /// More names that it can be called by, of up to 127 bytes each.
    pub alternative_names: Vec<String>,
    /// The driver's word for what it is: `bond`, `bridge`, `vlan`, `veth`. `None` for nearly every card.
    pub kind: Option<String>,
    /// The hardware address it has now, if it is an Ethernet's.
    pub address: Option<[u8; 6]>,
    /// The hardware address it was made with. Linux 5.6 or newer tells it, and of cards alone.
    pub permanent_address: Option<[u8; 6]>,
    /// The hardware address it had when it became a member of the bond it is in.
    pub address_before_bond: Option<[u8; 6]>,
    /// In bytes.
    pub mtu: u32,
    /// True if it was brought up, with a carrier or without.
    pub up: bool,
    /// True if it is up and has a carrier.
    pub lower_up: bool,
    /// True for the loopback.
    pub loopback: bool,
    /// Whether traffic can pass.
    pub state: OperationalState,
    /// The bond, bridge or VRF that it is a member of.
    pub master: Option<u32>,
    /// The link it is on, as a VLAN is, if that is in the same namespace.
    pub parent: Option<u32>,
    /// The id of a VLAN.
    pub vlan_id: Option<u16>,
}

/// Whether traffic can pass a link (RFC 2863, `ifOperStatus`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OperationalState {
    /// The driver does not say; the loopback and many virtual links are so for ever.
    #[default]
    Unknown,
    /// Its hardware is missing.
    NotPresent,
    /// No traffic passes.
    Down,
    /// What is below it is down.
    LowerLayerDown,
    /// It is being tested.
    Testing,
    /// It waits for something, an authentication for instance.
    Dormant,
    /// Traffic passes.
    Up,
}

impl KernelLink {
    /// True if it is up and has no carrier: nothing is plugged in, or nothing below it is up.
    #[must_use]
    pub const fn lacks_carrier(&self) -> bool {
        self.up && !self.lower_up
    }
}

impl KernelLink {
    /// Reads the message: `struct ifinfomsg`, then attributes.
    pub(super) fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let (head, rest) = head::<16>(message)?;
        let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *head;
        let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
        let mut link = Self {
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            up: flags & UP != 0,
            lower_up: flags & LOWER_UP != 0,
            loopback: flags & LOOPBACK != 0,
            ..Self::default()
        };
        let mut is_parent_elsewhere = false;
        for attribute in attributes(rest) {
            let (kind, value) = attribute?;
            match kind {
                of_link::ADDRESS => link.address = value.try_into().ok(),
                of_link::NAME => link.name = name(value),
                of_link::MTU => link.mtu = number(value)?,
                of_link::LINK => link.parent = index(value)?,
                of_link::MASTER => link.master = index(value)?,
                of_link::STATE => link.state = OperationalState::from_number(value)?,
                of_link::INFO => link.read_info(value)?,
                of_link::LINK_NAMESPACE => is_parent_elsewhere = true,
                of_link::PROPERTIES => link.alternative_names = alternative_names(value)?,
                of_link::PERMANENT_ADDRESS => link.permanent_address = value.try_into().ok(),
                _ => {}
            }
        }
        // There the index means another link, or none.
        if is_parent_elsewhere {
            link.parent = None;
        }
        if link.index == 0 || link.name.is_empty() {
            return Err(Malformed("a link has no index, or no name"));
        }
        Ok(link)
    }

    /// Reads what its driver says of it, and what its master's says.
    fn read_info(&mut self, info: &[u8]) -> Result<(), Malformed> {
        let (mut data, mut member_kind, mut member_data): (&[u8], _, &[u8]) = (&[], String::new(), &[]);
        for attribute in attributes(info) {
            let (kind, value) = attribute?;
            match kind {
                of_info::KIND => self.kind = Some(name(value)).filter(|kind| !kind.is_empty()),
                of_info::DATA => data = value,
                of_info::MEMBER_KIND => member_kind = name(value),
                of_info::MEMBER_DATA => member_data = value,
                _ => {}
            }
        }
        if self.kind.as_deref() == Some("vlan") {
            let id = find(data, of_info::VLAN_ID)?;
            let number = |id: &[u8]| id.try_into().map(u16::from_ne_bytes);
            self.vlan_id =
                id.map(number).transpose().map_err(|_| Malformed("a VLAN's id has not two bytes"))?;
        }
        if member_kind == "bond" {
            let address = find(member_data, of_info::ADDRESS_BEFORE_BOND)?;
            self.address_before_bond = address.and_then(|address| address.try_into().ok());
        }
        Ok(())
    }
}

impl OperationalState {
    /// Reads `IF_OPER_*`.
    const fn from_number(value: &[u8]) -> Result<Self, Malformed> {
        match value {
            [1] => Ok(Self::NotPresent),
            [2] => Ok(Self::Down),
            [3] => Ok(Self::LowerLayerDown),
            [4] => Ok(Self::Testing),
            [5] => Ok(Self::Dormant),
            [6] => Ok(Self::Up),
            [_] => Ok(Self::Unknown),
            _ => Err(Malformed("a link's state has not one byte")),
        }
    }
}

fn alternative_names(properties: &[u8]) -> Result<Vec<String>, Malformed> {
    let names = attributes(properties).filter_map(|attribute| match attribute {
        Ok((of_link::ALTERNATIVE_NAME, value)) => Some(Ok(name(value))),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    });
    names.collect()
}

/// The value of one attribute.
fn find(bytes: &[u8], kind: u16) -> Result<Option<&[u8]>, Malformed> {
    for attribute in attributes(bytes) {
        match attribute? {
            (found, value) if found == kind => return Ok(Some(value)),
            _ => {}
        }
    }
    Ok(None)
}
