//! What every kind of device can be told: addresses, DHCP, DNS, routes, and how its link behaves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::address::{Cidr, MacAddress, ip, ipv4, ipv6};
use super::backend;
use super::object::Object;
use super::place::Place;
use super::route::{PolicyRule, Route};
use super::value::{boolean, keyword, list, number, word};
use crate::Refusal;

/// Settings that any device may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) dhcp4: bool,
    pub(crate) dhcp6: bool,
    /// What the DHCP server knows this machine by: `mac` or `duid`.
    pub(crate) dhcp_identifier: Option<&'static str>,
    pub(crate) dhcp4_overrides: DhcpOverrides,
    pub(crate) dhcp6_overrides: DhcpOverrides,
    pub(crate) ra_overrides: RouterOverrides,
    pub(crate) addresses: Vec<StaticAddress>,
    pub(crate) gateway4: Option<Ipv4Addr>,
    pub(crate) gateway6: Option<Ipv6Addr>,
    pub(crate) nameservers: Nameservers,
    pub(crate) routes: Vec<Route>,
    pub(crate) rules: Vec<PolicyRule>,
    pub(crate) mtu: Option<u32>,
    pub(crate) ipv6_mtu: Option<u32>,
    /// The hardware address that the link is given.
    pub(crate) macaddress: Option<MacAddress>,
    pub(crate) link_local: Option<LinkLocal>,
    pub(crate) accept_ra: Option<bool>,
    /// Boot does not wait for the device.
    pub(crate) optional: bool,
    /// What is configured stays when networkd stops.
    pub(crate) critical: bool,
    pub(crate) ipv6_privacy: Option<bool>,
    /// `eui64` or `stable-privacy`.
    pub(crate) ipv6_address_generation: Option<&'static str>,
    pub(crate) ipv6_address_token: Option<Ipv6Addr>,
    pub(crate) ignore_carrier: Option<bool>,
    /// `manual` or `off`.
    pub(crate) activation_mode: Option<&'static str>,
    pub(crate) emit_lldp: Option<bool>,
}

/// What is taken from a DHCP server, and what is sent to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DhcpOverrides {
    pub(crate) use_dns: Option<bool>,
    pub(crate) use_ntp: Option<bool>,
    pub(crate) use_mtu: Option<bool>,
    pub(crate) use_routes: Option<bool>,
    pub(crate) use_hostname: Option<bool>,
    /// `yes`, `no` or `route`.
    pub(crate) use_domains: Option<&'static str>,
    pub(crate) send_hostname: Option<bool>,
    pub(crate) hostname: Option<String>,
    pub(crate) route_metric: Option<u32>,
}

impl DhcpOverrides {
    /// The same, with what is so if nothing is said.
    pub(crate) fn in_full(&self) -> Self {
        Self {
            use_dns: self.use_dns.or(Some(true)),
            use_ntp: self.use_ntp.or(Some(true)),
            use_mtu: self.use_mtu.or(Some(true)),
            use_routes: self.use_routes.or(Some(true)),
            use_hostname: self.use_hostname.or(Some(true)),
            send_hostname: self.send_hostname.or(Some(true)),
            ..self.clone()
        }
    }
}

/// What is taken from router advertisements: netplan 1.1 and later have it, for networkd alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RouterOverrides {
    pub(crate) use_dns: Option<bool>,
    /// `yes`, `no` or `route`.
    pub(crate) use_domains: Option<&'static str>,
    /// Routing table of their routes.
    pub(crate) table: Option<u32>,
}

impl RouterOverrides {
    /// True if nothing is said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            use_dns: object.read("use-dns", boolean)?,
            use_domains: object.read("use-domains", use_domains)?,
            table: object.read("table", number(1..=u32::MAX))?,
        })
    }
}

/// An address that the device has, whoever else gives it some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaticAddress {
    pub(crate) address: Cidr,
    /// Preferred lifetime: `forever` or `0`.
    pub(crate) lifetime: Option<&'static str>,
    pub(crate) label: Option<String>,
}

/// DNS of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Nameservers {
    pub(crate) search: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Families that get a link-local address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkLocal {
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
}

/// What `optional-addresses` may name.
const KINDS_OF_ADDRESS: &[&str] = &["ipv4-ll", "ipv6-ra", "dhcp4", "dhcp6", "static"];

/// netplan's keys of any device that are not served, and why.
const UNSERVED: &[(&str, &str)] = &[
    ("neigh-suppress", "ports of VXLAN bridges are not supported; configure them in a file of your own"),
    ("hairpin", "what a bridge's port forwards back is not supported; configure it in a file of your own"),
    ("port-mac-learning", "a bridge's ports always learn; configure it in a file of your own"),
    ("openvswitch", "Open vSwitch is set up by its own daemon, which is not driven"),
    ("networkmanager", "what is passed through to NetworkManager cannot be checked"),
];

impl Settings {
    /// Reads what any device may have.
    pub(crate) fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        object.read(backend::KEY, backend::backend)?;
        object.refuse_unserved(UNSERVED)?;
        object.read("optional-addresses", |value, place| list(value, place, keyword(KINDS_OF_ADDRESS)))?;
        Ok(Self {
            dhcp4: object.read("dhcp4", boolean)?.unwrap_or_default(),
            dhcp6: object.read("dhcp6", boolean)?.unwrap_or_default(),
            dhcp_identifier: object.read("dhcp-identifier", keyword(&["mac", "duid"]))?,
            dhcp4_overrides: object.read_map("dhcp4-overrides", DhcpOverrides::read)?,
            dhcp6_overrides: object.read_map("dhcp6-overrides", DhcpOverrides::read)?,
            ra_overrides: object.read_map("ra-overrides", RouterOverrides::read)?,
            addresses: object.read_list("addresses", StaticAddress::parse)?,
            gateway4: object.read("gateway4", ipv4)?,
            gateway6: object.read("gateway6", ipv6)?,
            nameservers: object.read_map("nameservers", Nameservers::read)?,
            routes: object.read_list("routes", Route::parse)?,
            rules: object.read_list("routing-policy", PolicyRule::parse)?,
            mtu: object.read("mtu", number(68..=65535))?,
            ipv6_mtu: object.read("ipv6-mtu", number(1280..=65535))?,
            macaddress: object.read("macaddress", MacAddress::parse)?,
            link_local: object.read("link-local", LinkLocal::parse)?,
            accept_ra: object.read("accept-ra", boolean)?,
            optional: object.read("optional", boolean)?.unwrap_or_default(),
            critical: object.read("critical", boolean)?.unwrap_or_default(),
            ipv6_privacy: object.read("ipv6-privacy", boolean)?,
            ipv6_address_generation: object
                .read("ipv6-address-generation", keyword(&["eui64", "stable-privacy"]))?,
            ipv6_address_token: object.read("ipv6-address-token", ipv6)?,
            ignore_carrier: object.read("ignore-carrier", boolean)?,
            activation_mode: object.read("activation-mode", keyword(&["manual", "off"]))?,
            emit_lldp: object.read("emit-lldp", boolean)?,
        })
    }
}

impl DhcpOverrides {
    fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            use_dns: object.read("use-dns", boolean)?,
            use_ntp: object.read("use-ntp", boolean)?,
            use_mtu: object.read("use-mtu", boolean)?,
            use_routes: object.read("use-routes", boolean)?,
            use_hostname: object.read("use-hostname", boolean)?,
            use_domains: object.read("use-domains", use_domains)?,
            send_hostname: object.read("send-hostname", boolean)?,
            hostname: object.read("hostname", word(64, ".-", "a host name"))?,
            route_metric: object.read("route-metric", number(0..=u32::MAX))?,
        })
    }
}

impl StaticAddress {
    fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let Value::Object(map) = value else {
            return Ok(Self { address: Cidr::parse(value, place)?, lifetime: None, label: None });
        };
        let mut entries = map.iter();
        let (Some((address, options)), None) = (entries.next(), entries.next()) else {
            return Err(place.refuse(value, "a map of one address to its options"));
        };
        let place = place.key(address);
        let mut object = Object::open(options, &place)?;
        let parsed = Self {
            address: Cidr::parse_text(address, &place)?,
            lifetime: object.read("lifetime", lifetime)?,
            label: object.read("label", word(15, "._:@-", "a label"))?,
        };
        object.finish()?;
        Ok(parsed)
    }
}

impl Nameservers {
    fn read(object: &mut Object<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            search: object.read_list("search", word(253, "._~-", "a domain"))?,
            addresses: object.read_list("addresses", ip)?,
        })
    }
}

impl LinkLocal {
    fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let families = list(value, place, keyword(&["ipv4", "ipv6"]))?;
        Ok(Self { ipv4: families.contains(&"ipv4"), ipv6: families.contains(&"ipv6") })
    }
}

fn use_domains(value: &Value, place: &Place) -> Result<&'static str, Refusal> {
    if value == "route" {
        return Ok("route");
    }
    match boolean(value, place) {
        Ok(true) => Ok("yes"),
        Ok(false) => Ok("no"),
        Err(_) => Err(place.refuse(value, "a boolean or `route`")),
    }
}

fn lifetime(value: &Value, place: &Place) -> Result<&'static str, Refusal> {
    match value {
        Value::Number(number) if number.as_u64() == Some(0) => Ok("0"),
        Value::String(word) if word == "0" => Ok("0"),
        Value::String(word) if word == "forever" => Ok("forever"),
        other => Err(place.refuse(other, "`forever` or 0")),
    }
}
