//! One address of a link, and how `RTM_NEWADDR` tells of it.

use std::net::IpAddr;

use super::attributes::{Family, Malformed, attributes, head, number};

/// Attributes of an address (`IFA_*`, linux/if_addr.h).
mod of_address {
    /// The other end's, if there is one; else the machine's own.
    pub(super) const ADDRESS: u16 = 1;
    /// The machine's own.
    pub(super) const LOCAL: u16 = 2;
    /// All flags; the head has room for eight of them.
    pub(super) const FLAGS: u16 = 8;
}

/// Flags of an address (`IFA_F_*`).
const DUPLICATE: u32 = 0x08;
const TENTATIVE: u32 = 0x40;
const PERMANENT: u32 = 0x80;

/// One address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelAddress {
    /// The index of its link.
    pub link: u32,
    /// The machine's own address, also where the other end has one of its own.
    pub address: IpAddr,
    /// Bits of its network's prefix.
    pub prefix: u8,
    /// How far it is valid.
    pub scope: KernelScope,
    /// True if it has no end: it did not come of DHCP or a router advertisement.
    pub permanent: bool,
    /// IPv6: nobody may use it yet, because it is being asked whether somebody else has it (RFC 4862, 5.4).
    pub tentative: bool,
    /// IPv6: somebody else has it, so that it stays unused.
    pub duplicate: bool,
}

/// How far an address or a route is valid (`rt_scope_t`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KernelScope {
    /// Everywhere.
    #[default]
    Global,
    /// Within the site.
    Site,
    /// On the link alone.
    Link,
    /// Within the machine alone.
    Host,
    /// Nowhere: there is no such destination.
    Nowhere,
    /// One that an administrator has made up.
    Other(u8),
}

impl KernelAddress {
    /// Reads the message: `struct ifaddrmsg`, then attributes. `None` for other families than IPv4 and IPv6.
    pub(super) fn parse(message: &[u8]) -> Result<Option<Self>, Malformed> {
        let (head, rest) = head::<8>(message)?;
        let [family, prefix, flags, scope, i0, i1, i2, i3] = *head;
        let Some(family) = Family::from_number(family) else { return Ok(None) };
        let (mut local, mut address, mut flags) = (None, None, u32::from(flags));
        for attribute in attributes(rest) {
            let (kind, value) = attribute?;
            match kind {
                of_address::ADDRESS => address = Some(family.ip(value)?),
                of_address::LOCAL => local = Some(family.ip(value)?),
                of_address::FLAGS => flags = number(value)?,
                _ => {}
            }
        }
        Ok(Some(Self {
            link: u32::from_ne_bytes([i0, i1, i2, i3]),
            address: local.or(address).ok_or(Malformed("an address is not told"))?,
            prefix: family.prefix(prefix)?,
            scope: KernelScope::from_number(scope),
            permanent: flags & PERMANENT != 0,
            tentative: flags & TENTATIVE != 0,
            duplicate: flags & DUPLICATE != 0,
        }))
    }
}

impl KernelScope {
    /// Reads `RT_SCOPE_*`.
    pub(super) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Global,
            200 => Self::Site,
            253 => Self::Link,
            254 => Self::Host,
            255 => Self::Nowhere,
            other => Self::Other(other),
        }
    }
}
