//! Devices that are made of others: bonds, bridges, VLANs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::address::ipv4;
use super::name::DeviceId;
use super::object::Object;
use super::place::{Place, Reading};
use super::value::{boolean, keyword, number};
use crate::Refusal;

/// A bond: its members act as one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bond {
    pub(crate) interfaces: Vec<DeviceId>,
    pub(crate) parameters: BondParameters,
}

/// How a bond chooses among its members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BondParameters {
    pub(crate) mode: Option<&'static str>,
    pub(crate) lacp_rate: Option<&'static str>,
    pub(crate) mii_monitor_interval: Option<Interval>,
    pub(crate) min_links: Option<u32>,
    pub(crate) transmit_hash_policy: Option<&'static str>,
    pub(crate) ad_select: Option<&'static str>,
    pub(crate) all_members_active: Option<bool>,
    pub(crate) arp_interval: Option<Interval>,
    pub(crate) arp_ip_targets: Vec<Ipv4Addr>,
    pub(crate) arp_validate: Option<&'static str>,
    pub(crate) arp_all_targets: Option<&'static str>,
    pub(crate) up_delay: Option<Interval>,
    pub(crate) down_delay: Option<Interval>,
    pub(crate) fail_over_mac_policy: Option<&'static str>,
    pub(crate) gratuitous_arp: Option<u32>,
    pub(crate) packets_per_member: Option<u32>,
    pub(crate) primary_reselect_policy: Option<&'static str>,
    pub(crate) resend_igmp: Option<u32>,
    pub(crate) learn_packet_interval: Option<Interval>,
    pub(crate) primary: Option<DeviceId>,
}

/// A bridge: its members share one network segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub(crate) interfaces: Vec<DeviceId>,
    /// `None` if no parameter was given: then the kernel's own choice stands.
    pub(crate) parameters: Option<BridgeParameters>,
}

/// How a bridge forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BridgeParameters {
    pub(crate) ageing_time: Option<Interval>,
    pub(crate) priority: Option<u32>,
    pub(crate) forward_delay: Option<Interval>,
    pub(crate) hello_time: Option<Interval>,
    pub(crate) max_age: Option<Interval>,
    /// The spanning tree protocol; on unless it is switched off.
    pub(crate) stp: bool,
    pub(crate) path_cost: BTreeMap<DeviceId, u32>,
    pub(crate) port_priority: BTreeMap<DeviceId, u32>,
}

/// A VLAN on top of another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vlan {
    pub(crate) id: u32,
    pub(crate) link: DeviceId,
}

/// A length of time as netplan writes it: digits, and a unit or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interval(String);

impl Interval {
    fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            other => return Err(place.refuse(other, "a time: a number, or `100ms`, `2s`")),
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let fits = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if fits && matches!(&text[digits.len()..], "" | "us" | "ms" | "s" | "m" | "h") {
            return Ok(Self(text));
        }
        Err(place.refuse(value, "a time: a number, or `100ms`, `2s`"))
    }

    /// The interval, in milliseconds where no unit was given.
    pub(crate) fn in_milliseconds(&self) -> String {
        let bare = self.0.bytes().all(|byte| byte.is_ascii_digit());
        if bare { format!("{}ms", self.0) } else { self.0.clone() }
    }

    /// The interval, in seconds where no unit was given.
    pub(crate) fn in_seconds(&self) -> String {
        self.0.clone()
    }

    /// How many milliseconds it is, whole ones; bare digits are milliseconds. `None` if some part would be lost.
    pub(crate) fn whole_milliseconds(&self) -> Option<u64> {
        self.whole(1_000, 1_000)
    }

    /// How many seconds it is, whole ones; bare digits are seconds. `None` if some part would be lost.
    pub(crate) fn whole_seconds(&self) -> Option<u64> {
        self.whole(1_000_000, 1_000_000)
    }

    /// How many units of so many microseconds; `bare` is the unit of digits alone.
    fn whole(&self, unit: u64, bare: u64) -> Option<u64> {
        let digits = self.0.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let factor = match &self.0[digits.len()..] {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => bare,
        };
        // At most nine digits, so the product fits.
        let microseconds = digits.parse::<u64>().ok()? * factor;
        microseconds.is_multiple_of(unit).then_some(microseconds / unit)
    }
}

impl Bond {
    /// Reads a bond.
    pub(crate) fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            interfaces: object.read_list("interfaces", DeviceId::parse)?,
            parameters: object.read_map("parameters", BondParameters::read)?,
        })
    }
}

impl BondParameters {
    fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        const MODES: &[&str] = &[
            "balance-rr",
            "active-backup",
            "balance-xor",
            "broadcast",
            "802.3ad",
            "balance-tlb",
            "balance-alb",
        ];
        const HASHES: &[&str] = &["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"];
        // netplan 1.0 renamed two keys; both spellings are in use.
        let all_members = object.read("all-members-active", boolean)?;
        let all_slaves = object.read("all-slaves-active", boolean)?;
        let per_member = object.read("packets-per-member", number(0..=65535))?;
        let per_slave = object.read("packets-per-slave", number(0..=65535))?;
        let gratuitous = object.read("gratuitous-arp", number(0..=255))?;
        // netplan's first spelling of it.
        let gratuitious = object.read("gratuitious-arp", number(0..=255))?;
        Ok(Self {
            mode: object.read("mode", |value, place| {
                let ovs = matches!(value.as_str(), Some("balance-tcp" | "balance-slb"));
                let hint = "this mode is Open vSwitch's, which is not driven";
                keyword(MODES)(value, place).map_err(|refusal| if ovs { refusal.hint(hint) } else { refusal })
            })?,
            lacp_rate: object.read("lacp-rate", keyword(&["slow", "fast"]))?,
            mii_monitor_interval: object.read("mii-monitor-interval", Interval::parse)?,
            min_links: object.read("min-links", number(0..=65535))?,
            transmit_hash_policy: object.read("transmit-hash-policy", keyword(HASHES))?,
            ad_select: object.read("ad-select", keyword(&["stable", "bandwidth", "count"]))?,
            all_members_active: all_members.or(all_slaves),
            arp_interval: object.read("arp-interval", Interval::parse)?,
            arp_ip_targets: object.read_list("arp-ip-targets", ipv4)?,
            arp_validate: object.read("arp-validate", keyword(&["none", "active", "backup", "all"]))?,
            arp_all_targets: object.read("arp-all-targets", keyword(&["any", "all"]))?,
            up_delay: object.read("up-delay", Interval::parse)?,
            down_delay: object.read("down-delay", Interval::parse)?,
            fail_over_mac_policy: object
                .read("fail-over-mac-policy", keyword(&["none", "active", "follow"]))?,
            gratuitous_arp: gratuitous.or(gratuitious),
            packets_per_member: per_member.or(per_slave),
            primary_reselect_policy: object
                .read("primary-reselect-policy", keyword(&["always", "better", "failure"]))?,
            resend_igmp: object.read("resend-igmp", number(0..=255))?,
            learn_packet_interval: object.read("learn-packet-interval", Interval::parse)?,
            primary: object.read("primary", DeviceId::parse)?,
        })
    }
}

impl Bridge {
    /// Reads a bridge.
    pub(crate) fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            interfaces: object.read_list("interfaces", DeviceId::parse)?,
            parameters: object.read_map("parameters", |object| BridgeParameters::read(object).map(Some))?,
        })
    }

    /// True if the bridge itself would be made in the same way, whatever its ports are told.
    pub(crate) fn is_made_like(&self, other: &Self) -> bool {
        let own = |bridge: &Self| {
            let ports = BTreeMap::new;
            let parameters = bridge.parameters.clone();
            parameters.map(|own| BridgeParameters { path_cost: ports(), port_priority: ports(), ..own })
        };
        own(self) == own(other)
    }
}

impl BridgeParameters {
    fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        let ageing = object.read("ageing-time", Interval::parse)?;
        let aging = object.read("aging-time", Interval::parse)?;
        Ok(Self {
            ageing_time: ageing.or(aging),
            priority: object.read("priority", number(0..=65535))?,
            forward_delay: object.read("forward-delay", Interval::parse)?,
            hello_time: object.read("hello-time", Interval::parse)?,
            max_age: object.read("max-age", Interval::parse)?,
            stp: object.read("stp", boolean)?.unwrap_or(true),
            path_cost: ports(object, "path-cost", u32::MAX)?,
            port_priority: ports(object, "port-priority", 63)?,
        })
    }
}

/// Reads a map of members to numbers. A `null` in a push removes the member's number.
fn ports(
    object: &mut Object<'_>,
    key: &'static str,
    highest: u32,
) -> Result<BTreeMap<DeviceId, u32>, Refusal> {
    let ports = object.read(key, |value, place| {
        let map = value.as_object().ok_or_else(|| place.refuse(value, "a map of members to numbers"))?;
        let given = map.iter().filter(|(_, number)| !number.is_null());
        given
            .map(|(id, value)| {
                let place = place.key(id);
                Ok((DeviceId::from_key(id, &place)?, number(0..=highest)(value, &place)?))
            })
            .collect()
    })?;
    Ok(ports.unwrap_or_default())
}

impl Vlan {
    /// Reads a VLAN. A push may leave out what the machine holds already; then there is none to speak of.
    pub(crate) fn read(object: &mut Object<'_>) -> Result<Option<Self>, Refusal> {
        let id = object.read("id", number(0..=4094))?;
        let link = object.read("link", DeviceId::parse)?;
        match (id, link) {
            (Some(id), Some(link)) => Ok(Some(Self { id, link })),
            _ if object.place().reading() == Reading::Push => Ok(None),
            (None, _) => Err(object.place().key("id").lacks("the VLAN's id, a whole number from 0 to 4094")),
            (_, None) => Err(object.place().key("link").lacks("the id of the device below the VLAN")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_whole_or_nothing() {
        for (text, milliseconds, seconds) in [
            ("100", Some(100), Some(100)),
            ("100ms", Some(100), None),
            ("2s", Some(2_000), Some(2)),
            ("1500us", None, None),
            ("2000us", Some(2), None),
            ("1m", Some(60_000), Some(60)),
            ("999999999h", Some(3_599_999_996_400_000), Some(3_599_999_996_400)),
        ] {
            let interval = Interval(text.to_owned());
            assert_eq!(interval.whole_milliseconds(), milliseconds, "{text}");
            assert_eq!(interval.whole_seconds(), seconds, "{text}");
        }
    }
}
