//! Subnets of version 1: how a device gets its addresses.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::super::address::{Cidr, ip, ipv4};
use super::super::object::Object;
use super::super::place::{Place, Reading};
use super::super::value::{keyword, list};
use super::netmask::{Lengths, usual_of_address};
use super::route::{Route, RouteAt};
use super::scalar::{addresses, boolean, domains, number, text_at};
use crate::Refusal;

/// One subnet.
#[derive(Debug)]
pub(super) struct Subnet {
    pub(super) method: Method,
    /// The default route by `gateway`, and `routes`.
    pub(super) routes: Vec<RouteAt>,
    pub(super) servers: Vec<IpAddr>,
    pub(super) search: Vec<String>,
    pub(super) mtu: Option<(u32, Place)>,
    /// What `metric` was given for.
    pub(super) metric: Option<(u32, Place)>,
    /// How boot treats the device: `auto`, `manual` or `hotplug`.
    pub(super) control: Option<(&'static str, Place)>,
    pub(super) place: Place,
}

/// Where addresses come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Dhcp4,
    /// DHCPv6, with what routers say beside it.
    Dhcp6,
    /// Router advertisements. Who listens to them asks a DHCP server as well if a router says so; ifupdown and
    /// network-scripts do not, and would wait in vain for the server that a network without one has not.
    Routers,
    Static(Cidr),
    /// Nowhere: the link is brought up.
    Manual,
}

const TYPES: &[&str] = &[
    "dhcp",
    "dhcp4",
    "dhcp6",
    "static",
    "static6",
    "manual",
    "ipv6_slaac",
    "ipv6_dhcpv6-stateful",
    "ipv6_dhcpv6-stateless",
    "loopback",
];

impl Subnet {
    /// Parses the subnet at a place.
    pub(super) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let mut object = Object::open(value, place)?;
        let Some(kind) = object.read("type", keyword(TYPES))? else {
            return Err(place.key("type").lacks(format!("one of {}", TYPES.join(", "))));
        };
        let method = Method::read(kind, &mut object)?;
        let metric = object.read("metric", |value, at| Ok((number(0..=u32::MAX)(value, at)?, at.clone())))?;
        let gateway = object.read("gateway", |value, at| Ok((ip(value, at)?, at.clone())))?;
        let routes = object.read("routes", |value, at| list(value, at, RouteAt::parse))?;
        let highest = if method.is_ipv6() { 1280..=65535 } else { 68..=65535 };
        let subnet = Self {
            method,
            routes: all_routes(method, metric.as_ref(), gateway, routes.unwrap_or_default()),
            servers: object.read("dns_nameservers", addresses)?.unwrap_or_default(),
            search: object.read("dns_search", domains)?.unwrap_or_default(),
            mtu: object.read("mtu", |value, at| Ok((number(highest)(value, at)?, at.clone())))?,
            metric,
            control: object.read("control", |value, at| {
                Ok((keyword(&["auto", "manual", "hotplug"])(value, at)?, at.clone()))
            })?,
            place: place.clone(),
        };
        // Hints for sysconfig and left-overs of OpenStack: the address says as much.
        for key in ["ipv4", "ipv6"] {
            object.read(key, boolean)?;
        }
        object.read("broadcast", |value, at| check_broadcast(ipv4(value, at)?, method, at))?;
        object.finish()?;
        Ok(subnet)
    }
}

impl Method {
    fn read(kind: &str, object: &mut Object<'_>) -> Result<Self, Refusal> {
        let place = object.place().clone();
        let address = object.read("address", text_at)?;
        let other = object.read("ip_address", text_at)?;
        let lengths = Lengths::read(object)?;
        let method = match kind {
            "dhcp" | "dhcp4" => Self::Dhcp4,
            "static" | "static6" => {
                let Some((given, at)) = address.or(other) else {
                    let expected = "the address, as in `192.0.2.5/24`";
                    return Err(place.key("address").lacks(expected));
                };
                let address = lengths.complete(&given, &at, usual_of_address)?;
                if kind == "static6" && address.address.is_ipv4() {
                    let refusal = at.refuse_text(&given, "an IPv6 address, as the type `static6` says");
                    return Err(refusal.hint("an IPv4 address has the type `static`"));
                }
                return Ok(Self::Static(address));
            }
            "manual" | "loopback" => Self::Manual,
            "dhcp6" | "ipv6_dhcpv6-stateful" => Self::Dhcp6,
            _ => Self::Routers,
        };
        if let Some((given, at)) = address.or(other).filter(|_| place.reading() == Reading::Push) {
            let refusal = at.refuse_text(&given, format!("no address in a subnet of type `{kind}`"));
            return Err(refusal.hint("give it in a subnet of type `static`"));
        }
        Ok(method)
    }

    pub(super) const fn is_ipv6(self) -> bool {
        match self {
            Self::Dhcp6 | Self::Routers => true,
            Self::Static(address) => address.address.is_ipv6(),
            Self::Dhcp4 | Self::Manual => false,
        }
    }
}

/// The default route by the gateway, then the others; those without a metric have the subnet's.
fn all_routes(
    method: Method,
    metric: Option<&(u32, Place)>,
    gateway: Option<(IpAddr, Place)>,
    routes: Vec<RouteAt>,
) -> Vec<RouteAt> {
    let network = match method {
        Method::Static(address) => Some(address),
        _ => None,
    };
    let default = gateway.map(|(via, place)| RouteAt { route: Route::default_via(via, network), place });
    let mut all: Vec<RouteAt> = default.into_iter().chain(routes).collect();
    for route in &mut all {
        route.route.metric = route.route.metric.or_else(|| metric.map(|(metric, _)| *metric));
    }
    all
}

/// Version 2 has no word for it, so it must be the one that the network has anyway.
fn check_broadcast(given: Ipv4Addr, method: Method, place: &Place) -> Result<(), Refusal> {
    let Method::Static(Cidr { address: IpAddr::V4(address), prefix }) = method else { return Ok(()) };
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    let usual = Ipv4Addr::from_bits(address.to_bits() | hosts);
    if given == usual || prefix >= 31 {
        return Ok(());
    }
    let expected = format!("{usual}, the broadcast address of the network: another is not supported");
    Err(place.refuse_text(&given.to_string(), expected))
}
