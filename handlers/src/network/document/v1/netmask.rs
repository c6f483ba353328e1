//! How long a network's prefix is: version 1 says it behind the address, as a number, or as a mask.

use std::net::IpAddr;

use serde_json::Value;

use super::super::address::Cidr;
use super::super::object::Object;
use super::super::place::Place;
use super::scalar::number;
use crate::Refusal;

/// The length that was given, and where.
#[derive(Debug)]
pub(super) struct Lengths {
    prefix: Option<(u32, Place)>,
    mask: Option<(String, Place)>,
}

impl Lengths {
    /// Reads `prefix` and `netmask`.
    pub(super) fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            prefix: object
                .read("prefix", |value, place| Ok((number(0..=128)(value, place)?, place.clone())))?,
            mask: object.read("netmask", |value, place| match value {
                Value::String(mask) => Ok((mask.clone(), place.clone())),
                Value::Number(length) => Ok((length.to_string(), place.clone())),
                other => Err(place.refuse(other, EXPECTED)),
            })?,
        })
    }

    /// The address that was given at a place, with its prefix; `usual` is what counts if nobody says how long it is.
    pub(super) fn complete(
        &self,
        given: &str,
        place: &Place,
        usual: impl Fn(IpAddr) -> u8,
    ) -> Result<Cidr, Refusal> {
        let (address, behind) = given.split_once('/').map_or((given, None), |(a, b)| (a, Some(b)));
        let Ok(address) = address.trim().parse::<IpAddr>() else {
            let expected = "an IPv4 or IPv6 address, with its prefix length or without: `192.0.2.5/24`";
            return Err(place.refuse_text(given, expected));
        };
        let behind = match behind {
            None => None,
            Some(mask) => Some(length_of(mask, address).ok_or_else(|| place.refuse_text(given, EXPECTED))?),
        };
        let mask = match &self.mask {
            None => None,
            Some((mask, place)) => {
                let length = length_of(mask, address).ok_or_else(|| place.refuse_text(mask, EXPECTED))?;
                Some((length, place))
            }
        };
        let prefix = match &self.prefix {
            None => None,
            Some((length, place)) => {
                let fits = u8::try_from(*length).ok().filter(|length| *length <= longest(address));
                let length = fits.ok_or_else(|| {
                    place.refuse_text(&length.to_string(), "a prefix length of at most 32 (IPv6: 128)")
                })?;
                Some((length, place))
            }
        };
        let first = behind.or_else(|| prefix.or(mask).map(|(length, _)| length));
        let length = first.unwrap_or_else(|| usual(address));
        for (other, place) in prefix.into_iter().chain(mask) {
            if other != length {
                let expected = format!("one length of the prefix: beside this, {length} is given");
                return Err(place.refuse_text(&other.to_string(), expected));
            }
        }
        Ok(Cidr { address, prefix: length })
    }
}

const EXPECTED: &str = "a netmask such as `255.255.255.0`, or a prefix length";

/// 24 and 64, which is what cloud-init takes when nothing is said.
pub(super) const fn usual_of_address(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

/// As of an address; of the address that means everything, no bits.
pub(super) const fn usual_of_network(address: IpAddr) -> u8 {
    if address.is_unspecified() { 0 } else { usual_of_address(address) }
}

const fn longest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Bits of a mask, in digits or spelt like an address of the same family; `None` if it has holes.
fn length_of(mask: &str, address: IpAddr) -> Option<u8> {
    let mask = mask.trim();
    if !mask.is_empty() && mask.len() <= 3 && mask.bytes().all(|byte| byte.is_ascii_digit()) {
        return mask.parse().ok().filter(|length| *length <= longest(address));
    }
    let (ones, bits) = match (mask.parse().ok()?, address) {
        (IpAddr::V4(mask), IpAddr::V4(_)) => (u128::from(mask.to_bits()) << 96, 32_u32),
        (IpAddr::V6(mask), IpAddr::V6(_)) => (mask.to_bits(), 128),
        _ => return None,
    };
    let length = ones.leading_ones();
    let holes = length < bits && ones << length != 0;
    u8::try_from(length).ok().filter(|_| !holes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_a_length_or_are_none() {
        let v4 = IpAddr::from([192, 0, 2, 1]);
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for (mask, address, expected) in [
            ("255.255.255.0", v4, Some(24)),
            ("0.0.0.0", v4, Some(0)),
            ("255.255.255.255", v4, Some(32)),
            ("255.0.255.0", v4, None),
            ("24", v4, Some(24)),
            ("33", v4, None),
            ("ffff:ffff::", v4, None),
            ("ffff:ffff:ffff:ffff::", v6, Some(64)),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", v6, Some(128)),
            ("::", v6, Some(0)),
            ("ffff::ffff", v6, None),
            ("128", v6, Some(128)),
            ("129", v6, None),
            ("255.255.255.0", v6, None),
            ("", v4, None),
            ("+24", v4, None),
        ] {
            assert_eq!(length_of(mask, address), expected, "{mask} {address}");
        }
    }
}
