//! Routes of version 1: of a subnet, or of the machine.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::super::address::{Cidr, ip};
use super::super::object::Object;
use super::super::place::Place;
use super::super::value::keyword;
use super::netmask::{Lengths, usual_of_network};
use super::scalar::{number, text_at};
use crate::Refusal;

/// A route.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// Where it leads; `None` is everywhere.
    pub(super) to: Option<Cidr>,
    pub(super) via: IpAddr,
    pub(super) metric: Option<u32>,
    pub(super) mtu: Option<u32>,
    /// The next hop is on the link though no prefix says so.
    pub(super) on_link: bool,
}

/// A route with where it stands.
#[derive(Debug, Clone)]
pub(super) struct RouteAt {
    pub(super) route: Route,
    pub(super) place: Place,
}

impl RouteAt {
    /// Parses the route at a place.
    pub(super) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let mut object = Object::open(value, place)?;
        object.read("type", keyword(&["route"]))?;
        object.read("id", |_, _| Ok(()))?;
        let destination = object.read("destination", text_at)?;
        let network = object.read("network", text_at)?;
        let lengths = Lengths::read(&mut object)?;
        let via = object.read("gateway", ip)?;
        let metric = object.read("metric", number(0..=u32::MAX))?;
        let mtu = object.read("mtu", number(68..=u32::MAX))?;
        object.finish()?;
        let expected = "the network that the route leads to, as in `198.51.100.0/24`";
        let Some((to, at)) = destination.or(network) else {
            return Err(place.key("destination").lacks(expected));
        };
        let Some(via) = via else {
            return Err(place.key("gateway").lacks("the address of the next hop"));
        };
        let to = if to == "default" { None } else { Some(lengths.complete(&to, &at, usual_of_network)?) };
        if let Some(to) = to.filter(|to| to.address.is_ipv4() != via.is_ipv4()) {
            let family = if to.address.is_ipv4() { "an IPv4 address" } else { "an IPv6 address" };
            let expected = format!("{family}, as the destination is");
            return Err(place.key("gateway").refuse_text(&via.to_string(), expected));
        }
        Ok(Self { route: Route { to, via, metric, mtu, on_link: false }, place: place.clone() })
    }
}

impl Route {
    /// A default route. A next hop that is outside of its subnet's network can be reached only if it is said to be on
    /// the link; an IPv6 link-local one is on it anyway.
    pub(super) fn default_via(via: IpAddr, subnet: Option<Cidr>) -> Self {
        let is_near = match via {
            IpAddr::V6(via) => via.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        };
        let same_family = |subnet: &Cidr| subnet.address.is_ipv4() == via.is_ipv4();
        let outside = subnet.filter(same_family).is_some_and(|subnet| !contains(subnet, via));
        Self { to: None, via, metric: None, mtu: None, on_link: outside && !is_near }
    }

    /// The route as version 2 has it.
    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        let to = self.to.map_or_else(|| "default".to_owned(), |to| to.to_string());
        map.insert("to".to_owned(), to.into());
        map.insert("via".to_owned(), self.via.to_string().into());
        for (key, number) in [("metric", self.metric), ("mtu", self.mtu)] {
            if let Some(number) = number {
                map.insert(key.to_owned(), number.into());
            }
        }
        if self.on_link {
            map.insert("on-link".to_owned(), true.into());
        }
        map.into()
    }
}

/// True if an address is of a network.
pub(super) fn contains(network: Cidr, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let different = bits(network.address) ^ bits(address);
    let same_family = network.address.is_ipv4() == address.is_ipv4();
    same_family && different.leading_zeros() >= u32::from(network.prefix)
}
