//! Addresses as network configs spell them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::place::Place;
use super::value::text;
use crate::Refusal;

/// An Ethernet hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct MacAddress([u8; 6]);

impl MacAddress {
    /// Reads six pairs of hex digits with colons between.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut octets = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            let pair = pairs.next()?;
            if pair.len() != 2 || !pair.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            *octet = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(octets))
    }

    pub(crate) const fn from_octets(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// False for a group's address (the lowest bit of the first octet, IEEE 802) and for no address at all.
    fn is_of_one_card(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// Parses an address that cards are found by. No card has a group's address, and yet examples have such ones: they
    /// are taken, and find nothing.
    pub(crate) fn parse_match(value: &Value, place: &Place) -> Result<Self, Refusal> {
        match value.as_str().and_then(Self::from_text) {
            Some(address) if !address.is_of_none() => Ok(address),
            _ => Self::parse(value, place),
        }
    }

    /// True if it is the address of a group of cards.
    pub(crate) const fn is_of_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// True for the broadcast address and for no address at all.
    fn is_of_none(self) -> bool {
        self.0 == [0xff; 6] || self.0 == [0; 6]
    }

    /// Parses the address at a place. Hyphens are refused, because netplan refuses them.
    pub(crate) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let expected = "a MAC address: six pairs of hex digits with colons, as in `00:11:22:33:44:55`";
        let Value::String(given) = value else { return Err(place.refuse(value, expected)) };
        if let Some(address) = Self::from_text(given) {
            let one = "the MAC address of one card: neither a group's, as the broadcast is, nor all zeros";
            return if address.is_of_one_card() { Ok(address) } else { Err(place.refuse(value, one)) };
        }
        let refusal = place.refuse(value, expected);
        Err(match Self::from_text(&given.replace('-', ":")) {
            Some(colons) => refusal.hint(format!("write `{colons}`")),
            None => refusal,
        })
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An address with the length of its network's prefix: `192.0.2.5/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    /// The address.
    pub(crate) address: IpAddr,
    /// Bits of the prefix.
    pub(crate) prefix: u8,
}

impl Cidr {
    /// Reads `address/prefix`.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let canonical = !prefix.starts_with('+') && (prefix == "0" || !prefix.starts_with('0'));
        let prefix: u8 = prefix.parse().ok().filter(|_| canonical)?;
        (prefix <= longest_prefix(address)).then_some(Self { address, prefix })
    }

    /// Parses the address at a place.
    pub(crate) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        Self::parse_text(text(value, place)?, place)
    }

    /// Parses a text that stands at a place.
    pub(crate) fn parse_text(given: &str, place: &Place) -> Result<Self, Refusal> {
        if let Some(cidr) = Self::from_text(given) {
            return Ok(cidr);
        }
        let refusal = place.refuse_text(
            given,
            "an address with its prefix length (0 to 32, IPv6: to 128), as in `192.0.2.5/24`",
        );
        Err(match given.parse::<IpAddr>() {
            Ok(address) => {
                refusal.hint(format!("add the prefix length: `{given}/{}`", usual_prefix(address)))
            }
            Err(_) => refusal,
        })
    }

    /// The network alone: bits beyond the prefix are zeros.
    pub(crate) fn network(self) -> Self {
        let beyond = |longest: u8| u32::from(longest.saturating_sub(self.prefix));
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(beyond(32)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(beyond(128)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
            }
        };
        Self { address, prefix: self.prefix }
    }

    /// True if an address is of the same network.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let of_family = address.is_ipv4() == self.address.is_ipv4();
        of_family && Self { address, prefix: self.prefix }.network() == self.network()
    }

    /// A single host as a network of its own.
    pub(crate) const fn host(address: IpAddr) -> Self {
        Self { address, prefix: longest_prefix(address) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

const fn longest_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

const fn usual_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

/// Parses an address of either family, without a prefix.
pub(crate) fn ip(value: &Value, place: &Place) -> Result<IpAddr, Refusal> {
    text(value, place)?.parse().map_err(|_| place.refuse(value, "an IPv4 or IPv6 address, without a prefix"))
}

/// Parses an IPv4 address.
pub(crate) fn ipv4(value: &Value, place: &Place) -> Result<Ipv4Addr, Refusal> {
    text(value, place)?.parse().map_err(|_| place.refuse(value, "an IPv4 address, as in `192.0.2.1`"))
}

/// Parses an IPv6 address.
pub(crate) fn ipv6(value: &Value, place: &Place) -> Result<Ipv6Addr, Refusal> {
    text(value, place)?.parse().map_err(|_| place.refuse(value, "an IPv6 address, as in `2001:db8::1`"))
}
