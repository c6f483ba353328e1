//! What a message of rtnetlink is made of: a head of fixed size, then attributes.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_core::{NLA_HEADER_SIZE, NlasIterator, parse_ip, parse_u32};

/// Why a message cannot be understood, for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Takes the head off.
pub(super) fn head<const N: usize>(message: &[u8]) -> Result<(&[u8; N], &[u8]), Malformed> {
    message.split_first_chunk().ok_or(Malformed("it is shorter than its head"))
}

/// Each attribute's number and value.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    NlasIterator::new(bytes).map(|attribute| {
        let attribute = attribute.map_err(|_| Malformed("an attribute has a length that cannot be"))?;
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        Ok((kind, &attribute.into_inner()[NLA_HEADER_SIZE..length]))
    })
}

/// A number of four bytes.
pub(super) fn number(value: &[u8]) -> Result<u32, Malformed> {
    parse_u32(value).map_err(|_| Malformed("a number has not four bytes"))
}

/// A link's index, or 0 for none.
pub(super) fn index(value: &[u8]) -> Result<Option<u32>, Malformed> {
    number(value).map(|index| (index != 0).then_some(index))
}

/// A name, up to the NUL that ends it. The kernel lets names be any bytes; nothing that we look for has such a one.
pub(super) fn name(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// An address of either family, told by its length.
pub(super) fn ip(value: &[u8]) -> Result<IpAddr, Malformed> {
    parse_ip(value).map_err(|_| Malformed("an address has neither 4 nor 16 bytes"))
}

/// The families whose addresses, routes and rules are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// The family of `AF_INET` or `AF_INET6`.
    pub(super) const fn from_number(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::Ipv4),
            10 => Some(Self::Ipv6),
            _ => None,
        }
    }

    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Ipv4 => 2,
            Self::Ipv6 => 10,
        }
    }

    /// The address of all zeros.
    pub(super) fn unspecified(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::from([0; 4]),
            Self::Ipv6 => IpAddr::from([0; 16]),
        }
    }

    /// An address that must be of this family.
    pub(super) fn ip(self, value: &[u8]) -> Result<IpAddr, Malformed> {
        let right = |address: &IpAddr| address.is_ipv4() == (self == Self::Ipv4);
        ip(value).ok().filter(right).ok_or(Malformed("an address is not of its family"))
    }

    /// The length of a prefix.
    pub(super) fn prefix(self, length: u8) -> Result<u8, Malformed> {
        let longest = if self == Self::Ipv4 { 32 } else { 128 };
        if length <= longest { Ok(length) } else { Err(Malformed("a prefix is longer than an address")) }
    }
}
