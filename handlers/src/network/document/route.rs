//! Routes and routing policy rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::address::{Cidr, ip};
use super::object::Object;
use super::place::{Place, Reading};
use super::value::{boolean, keyword, number, text};
use crate::Refusal;

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination(Cidr);

impl Destination {
    /// The network; the whole address space if the route is the default.
    pub(crate) const fn network(self) -> Cidr {
        self.0
    }
}

/// One route of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where it leads.
    pub(crate) to: Destination,
    /// The next hop.
    pub(crate) via: Option<IpAddr>,
    /// Preferred source address.
    pub(crate) from: Option<IpAddr>,
    /// Preference: lower wins.
    pub(crate) metric: Option<u32>,
    /// The next hop is on the link though no prefix says so.
    pub(crate) on_link: Option<bool>,
    /// The kernel's route type.
    pub(crate) kind: Option<&'static str>,
    /// The kernel's scope.
    pub(crate) scope: Option<&'static str>,
    /// Routing table.
    pub(crate) table: Option<u32>,
    /// Path MTU.
    pub(crate) mtu: Option<u32>,
    /// Initial congestion window, in segments.
    pub(crate) congestion_window: Option<u32>,
    /// Initial advertised receive window, in segments.
    pub(crate) receive_window: Option<u32>,
    /// Largest segment that the other side of a connection is told to send, in bytes.
    pub(crate) segment_size: Option<u32>,
}

/// The word for a default route, of whichever family its next hop is.
const DEFAULT: &str = "default";

/// The type of a route that is told no other.
const UNICAST: &str = "unicast";

const TYPES: &[&str] = &[
    UNICAST,
    "anycast",
    "blackhole",
    "broadcast",
    "local",
    "multicast",
    "nat",
    "prohibit",
    "throw",
    "unreachable",
    "xresolve",
];

const SCOPES: &[&str] = &["global", "link", "host"];

impl Route {
    /// Parses the route at a place. Lists are replaced as a whole, so each route is complete, in a push as
    /// well.
    pub(crate) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let mut object = Object::open(value, place)?;
        let to = object.read("to", |value, place| Ok((text(value, place)?.to_owned(), place.clone())))?;
        let via = object.read("via", ip)?;
        let from = object.read("from", ip)?;
        let names_family = via.or(from).is_some() || to.as_ref().is_some_and(|(to, _)| to != DEFAULT);
        let kind = object.read("type", keyword(TYPES))?;
        let scope = object.read("scope", keyword(SCOPES))?;
        // Without a next hop it leads to what is on the link, as with netplan; cloud-init says it so for EC2's cards.
        let is_direct = via.is_none() && names_family && kind.is_none_or(|kind| kind == UNICAST);
        let metric = object.read("metric", number(0..=u32::MAX))?;
        let on_link = object.read("on-link", boolean)?;
        let table = object.read("table", number(1..=u32::MAX))?;
        let mtu = object.read("mtu", number(68..=u32::MAX))?;
        let congestion_window = object.read("congestion-window", number(1..=u32::MAX))?;
        let receive_window = object.read("advertised-receive-window", number(1..=u32::MAX))?;
        let segment_size = object.read("advertised-mss", number(1..=65535))?;
        // Before anything is missed: a key that is not known may be the one, misspelt.
        object.finish()?;
        let route = Self {
            to: destination(to, via.or(from), place)?,
            via,
            from,
            metric,
            on_link,
            kind,
            scope: scope.or_else(|| is_direct.then_some("link")),
            table,
            mtu,
            congestion_window,
            receive_window,
            segment_size,
        };
        route.complete(place)?;
        Ok(route)
    }

    fn complete(&self, place: &Place) -> Result<(), Refusal> {
        let family = self.to.network().address.is_ipv4();
        let expected = if family { "an IPv4 address, as `to` is" } else { "an IPv6 address, as `to` is" };
        for (key, address) in [("via", self.via), ("from", self.from)] {
            if let Some(address) = address.filter(|address| address.is_ipv4() != family) {
                return Err(place.key(key).refuse_text(&address.to_string(), expected));
            }
        }
        let unicast = self.kind.is_none_or(|kind| kind == UNICAST);
        let global = self.scope.is_none_or(|scope| scope == "global");
        if self.via.is_none() && unicast && global {
            let hint = "a route to what is on the link itself has `scope: link` and a network, as `0.0.0.0/0` or `::/0`";
            return Err(place.key("via").lacks("the address of the next hop").hint(hint));
        }
        Ok(())
    }
}

fn destination(
    to: Option<(String, Place)>,
    like: Option<IpAddr>,
    route: &Place,
) -> Result<Destination, Refusal> {
    let expected = "`default`, or a network such as `198.51.100.0/24`";
    let Some((given, place)) = to else { return Err(route.key("to").lacks(expected)) };
    if given == DEFAULT {
        let everything = match like {
            Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            Some(IpAddr::V4(_)) | None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        return Ok(Destination(Cidr { address: everything, prefix: 0 }));
    }
    let network = Cidr::from_text(&given).or_else(|| given.parse().ok().map(Cidr::host));
    network.map(Destination).ok_or_else(|| place.refuse_text(&given, expected))
}

/// One rule that chooses a routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyRule {
    /// Source network.
    pub(crate) from: Option<Cidr>,
    /// Destination network.
    pub(crate) to: Option<Cidr>,
    /// Table to look into.
    pub(crate) table: Option<u32>,
    /// Order: lower first.
    pub(crate) priority: Option<u32>,
    /// Firewall mark.
    pub(crate) mark: Option<u32>,
    /// Type of service.
    pub(crate) type_of_service: Option<u32>,
}

impl PolicyRule {
    /// Parses the rule at a place.
    pub(crate) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let network = |value: &Value, place: &Place| {
            let given = text(value, place)?;
            let network = Cidr::from_text(given).or_else(|| given.parse().ok().map(Cidr::host));
            network.ok_or_else(|| place.refuse(value, "a network such as `198.51.100.0/24`"))
        };
        let mut object = Object::open(value, place)?;
        let rule = Self {
            from: object.read("from", network)?,
            to: object.read("to", network)?,
            table: object.read("table", number(1..=u32::MAX))?,
            priority: object.read("priority", number(0..=u32::MAX))?,
            mark: object.read("mark", number(1..=u32::MAX))?,
            type_of_service: object.read("type-of-service", number(0..=255))?,
        };
        object.finish()?;
        if rule.from.is_none() && rule.to.is_none() {
            return Err(place.lacks("a rule with `from`, `to` or both"));
        }
        if place.reading() == Reading::Push {
            rule.check_families(place)?;
        }
        Ok(rule)
    }

    /// The kernel has rules of one family. In a file that was there before us, such a rule never was one.
    fn check_families(&self, place: &Place) -> Result<(), Refusal> {
        let (Some(from), Some(to)) = (self.from, self.to) else { return Ok(()) };
        if from.address.is_ipv4() == to.address.is_ipv4() {
            return Ok(());
        }
        let expected = if from.address.is_ipv4() {
            "an IPv4 network, as `from` is"
        } else {
            "an IPv6 network, as `from` is"
        };
        Err(place.key("to").refuse_text(&to.to_string(), expected))
    }
}
