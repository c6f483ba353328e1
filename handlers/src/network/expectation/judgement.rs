//! One link beside what is expected of it.

use super::ExpectedLink;
use super::route::{ExpectedRoute, Leads};
use crate::network::document::address::{Cidr, MacAddress};
use crate::network::machine::link::Links;
use crate::system::{KernelLink, KernelNetwork, KernelPart, KernelRoute, KernelRouteKind};

/// Something that is not as expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Miss {
    /// What was expected, and what was seen.
    pub(super) text: String,
    pub(super) certainty: Certainty,
}

/// How sure it is that something is wrong, if it stays so.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It is.
    Certain,
    /// It is, if the link of this place among those expected has had a carrier for a while.
    WithCarrier(usize),
    /// It may be right: it is not settled, or cannot be seen.
    Open,
}

impl ExpectedLink {
    /// Compares with what the kernel has: the first thing that is missing. `place` is this link's among those expected.
    pub(super) fn judge(&self, place: usize, network: &KernelNetwork) -> Result<(), Miss> {
        let name = &self.name;
        let Some(link) = network.link_named(name) else {
            let certain = network.has_all(KernelPart::Links);
            let certainty = if certain { Certainty::Certain } else { Certainty::Open };
            let text = format!("no link is called `{name}`");
            return if self.may_be_absent { Ok(()) } else { Err(Miss { text, certainty }) };
        };
        self.judge_being(link, network)?;
        // A card that nobody has plugged into anything may wait for all of its settings.
        if link.lacks_carrier() {
            return Ok(());
        }
        self.judge_settings(link, network)
            .map_err(|text| Miss { text, certainty: Certainty::WithCarrier(place) })?;
        let addresses = self.judge_addresses(place, link, network);
        match &addresses {
            Err(miss) if miss.certainty != Certainty::Open => addresses,
            // An address that is not settled hides nothing.
            _ => self.judge_routes(place, link, network).and(addresses),
        }
    }

    /// Compares with what files show: the name, the hardware address and the MTU.
    pub(super) fn judge_by_files(&self, links: &Links) -> Result<(), Miss> {
        let name = &self.name;
        let Some(link) = links.named(name) else {
            let text = format!("no link is called `{name}`");
            return if self.may_be_absent { Ok(()) } else { miss(text) };
        };
        let own = self.identity.or(self.address).filter(|address| !link.has_address(*address));
        if let Some(address) = own {
            return miss(wrong_card(name, address));
        }
        match self.mtu.filter(|mtu| link.mtu != Some(*mtu)) {
            Some(mtu) => miss(wrong_mtu(name, link.mtu, mtu)),
            None => Ok(()),
        }
    }

    /// That it is the right link, of the right kind, and up.
    fn judge_being(&self, link: &KernelLink, network: &KernelNetwork) -> Result<(), Miss> {
        let name = &self.name;
        let own = [link.address_before_bond.or(link.address), link.permanent_address];
        let own = own.map(|octets| octets.map(MacAddress::from_octets));
        if let Some(address) = self.identity.filter(|address| !own.contains(&Some(*address))) {
            return miss(wrong_card(name, address));
        }
        if let Some(kind) = self.kind.filter(|kind| link.kind.as_deref() != Some(*kind)) {
            let found = link.kind.as_deref().unwrap_or("card");
            return miss(format!("link `{name}` is a {found}, expected a {kind}"));
        }
        if let Some(id) = self.vlan_id.filter(|id| link.vlan_id.map(u32::from) != Some(*id)) {
            let found = link.vlan_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            return miss(format!("link `{name}` has the VLAN id {found}, expected {id}"));
        }
        if !self.parents.is_empty() {
            let parent = link.parent.and_then(|index| network.link(index)).map(|parent| parent.name.as_str());
            if !parent.is_some_and(|parent| self.parents.iter().any(|name| name == parent)) {
                let found = parent.map_or_else(|| "no link".to_owned(), |parent| format!("`{parent}`"));
                return miss(format!("link `{name}` is on {found}, expected it on `{}`", self.parents[0]));
            }
        }
        if self.up && !link.up {
            return miss(format!("link `{name}` is down, expected it up"));
        }
        Ok(())
    }

    /// What it is told: its hardware address, MTU and master.
    fn judge_settings(&self, link: &KernelLink, network: &KernelNetwork) -> Result<(), String> {
        let name = &self.name;
        let has = link.address.map(MacAddress::from_octets);
        if let Some(address) = self.address.filter(|address| has != Some(*address)) {
            let found = has.map_or_else(|| "none".to_owned(), |has| has.to_string());
            return Err(format!("link `{name}` has the hardware address {found}, expected {address}"));
        }
        if let Some(mtu) = self.mtu.filter(|mtu| link.mtu != *mtu) {
            return Err(wrong_mtu(name, Some(link.mtu), mtu));
        }
        let Some(expected) = &self.master else { return Ok(()) };
        let master = link.master.and_then(|index| network.link(index)).map(|master| &master.name);
        if master != Some(expected) {
            let found = master.map_or_else(|| "nothing".to_owned(), |master| format!("`{master}`"));
            return Err(format!("link `{name}` is a member of {found}, expected of `{expected}`"));
        }
        Ok(())
    }

    fn judge_addresses(&self, place: usize, link: &KernelLink, network: &KernelNetwork) -> Result<(), Miss> {
        let name = &self.name;
        let mut open = Ok(());
        for address in &self.addresses {
            let is_it = |found: &Cidr| found == address;
            let mut found = network.addresses_of(link.index);
            let found = found.find(|found| is_it(&Cidr { address: found.address, prefix: found.prefix }));
            match found {
                None => {
                    let text = format!("link `{name}` does not have the address {address}");
                    return Err(Miss {
                        text,
                        certainty: with_carrier(place, KernelPart::Addresses, network),
                    });
                }
                Some(found) if found.duplicate => {
                    let text = format!(
                        "link `{name}` cannot use the address {address}: another machine on the network has it \
                         (duplicate address detection)"
                    );
                    return Err(Miss { text, certainty: Certainty::Certain });
                }
                // Whether somebody else has it is known in a second or two.
                Some(found) if found.tentative && open.is_ok() => {
                    let text =
                        format!("whether link `{name}` may use the address {address} is not known yet");
                    open = Err(Miss { text, certainty: Certainty::Open });
                }
                Some(_) => {}
            }
        }
        open
    }

    fn judge_routes(&self, place: usize, link: &KernelLink, network: &KernelNetwork) -> Result<(), Miss> {
        let missing = self.routes.iter().find(|route| !route.is_in(link.index, network));
        let Some(route) = missing else { return Ok(()) };
        let text = format!("link `{}` does not have the route {}", self.name, route.told(network));
        Err(Miss { text, certainty: with_carrier(place, KernelPart::Routes, network) })
    }
}

impl ExpectedRoute {
    fn is_in(&self, link: u32, network: &KernelNetwork) -> bool {
        self.candidates(network).any(|route| match self.leads {
            Leads::Over(gateway) => {
                let hop = |hop: &crate::system::KernelHop| hop.link == Some(link) && hop.gateway == gateway;
                route.kind == KernelRouteKind::Unicast && route.hops.iter().any(hop)
            }
            Leads::Somewhere => route.kind == KernelRouteKind::Unicast && route.leads_over(link),
            Leads::Nowhere(kind) => word(route.kind) == Some(kind),
        })
    }

    /// Routes to the same network in the same table.
    fn candidates<'a>(&'a self, network: &'a KernelNetwork) -> impl Iterator<Item = &'a KernelRoute> {
        let same = |route: &&KernelRoute| {
            route.destination == self.to.address
                && route.prefix == self.to.prefix
                && route.table == self.table
        };
        network.routes.iter().filter(same)
    }

    /// The route, and what the kernel has to the same network.
    fn told(&self, network: &KernelNetwork) -> String {
        let via = match self.leads {
            Leads::Over(Some(gateway)) => format!(" via {gateway}"),
            Leads::Over(None) | Leads::Somewhere => String::new(),
            Leads::Nowhere(kind) => format!(" ({kind})"),
        };
        let table = if self.table == super::route::MAIN_TABLE {
            String::new()
        } else {
            format!(" in table {}", self.table)
        };
        let hop = |hop: &crate::system::KernelHop| {
            let gateway = hop.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            let link =
                hop.link.and_then(|index| network.link(index)).map(|link| format!(" over `{}`", link.name));
            format!("{gateway}{}", link.unwrap_or_default())
        };
        let found: Vec<String> = self
            .candidates(network)
            .map(|route| route.hops.iter().map(hop).collect::<String>())
            .take(4)
            .collect();
        let found = if found.is_empty() {
            "there is none to it".to_owned()
        } else {
            format!("it leads{}", found.join(" and"))
        };
        format!("to {}{via}{table}; {found}", self.to)
    }
}

fn miss(text: String) -> Result<(), Miss> {
    Err(Miss { text, certainty: Certainty::Certain })
}

/// What comes once there is a carrier, unless this part cannot be seen whole.
fn with_carrier(place: usize, part: KernelPart, network: &KernelNetwork) -> Certainty {
    if network.has_all(part) { Certainty::WithCarrier(place) } else { Certainty::Open }
}

fn wrong_card(name: &str, address: MacAddress) -> String {
    format!("link `{name}` is not the one with the hardware address {address}")
}

fn wrong_mtu(name: &str, found: Option<u32>, expected: u32) -> String {
    let found = found.map_or_else(|| "unknown".to_owned(), |mtu| mtu.to_string());
    format!("link `{name}` has MTU {found}, expected {expected}")
}

/// netplan's word for a route that leads nowhere.
const fn word(kind: KernelRouteKind) -> Option<&'static str> {
    match kind {
        KernelRouteKind::Blackhole => Some("blackhole"),
        KernelRouteKind::Unreachable => Some("unreachable"),
        KernelRouteKind::Prohibit => Some("prohibit"),
        KernelRouteKind::Throw => Some("throw"),
        _ => None,
    }
}
