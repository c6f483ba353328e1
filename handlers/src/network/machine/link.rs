//! The links that the kernel has now: as it tells them, or as the files of a machine that is played by files show them.

use std::collections::{BTreeMap, BTreeSet};

use super::procfs::{is_only_way_by_files, is_used_by_files};
use super::reading::{text, unreadable};
use crate::network::document::address::MacAddress;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Match};
use crate::network::document::name::DeviceId;
use crate::system::{KernelLink, KernelNetwork, KernelPart, KernelRouteKind, KernelScope};
use crate::{Refusal, System};

/// Where the kernel shows its links.
const LINKS: &str = "/sys/class/net";

/// The kernel's main routing table.
const MAIN_TABLE: u32 = 254;

/// Kinds of links that borrow the hardware address of another, as the kernel and sysfs call them.
const STACKED: [&str; 6] = ["bond", "bridge", "vlan", "team", "ipvlan", "macsec"];

/// The flag of a link that is up, from `linux/if.h`.
const IFF_UP: u32 = 1;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    /// The address it has now.
    pub(crate) address: Option<MacAddress>,
    /// The address it had before a bond gave it another.
    before_bond: Option<MacAddress>,
    /// The address it was made with.
    permanent: Option<MacAddress>,
    pub(crate) mtu: Option<u32>,
    driver: Option<String>,
    /// A bond, bridge, VLAN or the like: these borrow the hardware address of what is below them.
    stacked: bool,
    /// True if it was brought up, with a carrier or without.
    pub(crate) up: bool,
}

impl Link {
    fn of_kernel(link: &KernelLink, system: &dyn System) -> Self {
        let mac = |octets: Option<[u8; 6]>| octets.map(MacAddress::from_octets);
        Self {
            name: link.name.clone(),
            address: mac(link.address),
            before_bond: mac(link.address_before_bond),
            permanent: mac(link.permanent_address),
            mtu: Some(link.mtu),
            driver: driver(&link.name, system),
            stacked: link.kind.as_deref().is_some_and(|kind| STACKED.contains(&kind)),
            up: link.up,
        }
    }

    fn read(name: &str, system: &dyn System) -> Self {
        let attribute = |attribute: &str| text(system, &format!("{LINKS}/{name}/{attribute}"));
        let mac =
            |attribute_name: &str| attribute(attribute_name).and_then(|text| MacAddress::from_text(&text));
        let uevent = attribute("uevent").unwrap_or_default();
        let flags = attribute("flags").unwrap_or_default();
        Self {
            address: mac("address"),
            before_bond: mac("bonding_slave/perm_hwaddr"),
            permanent: None,
            mtu: attribute("mtu").and_then(|text| text.parse().ok()),
            driver: driver(name, system),
            stacked: value_of(&uevent, "DEVTYPE").is_some_and(|kind| STACKED.contains(&kind.as_str())),
            up: u32::from_str_radix(flags.trim_start_matches("0x"), 16)
                .is_ok_and(|flags| flags & IFF_UP != 0),
            name: name.to_owned(),
        }
    }

    /// True if it borrows the hardware address of another.
    pub(crate) const fn is_stacked(&self) -> bool {
        self.stacked
    }

    /// True if it is the address that the link was made with.
    pub(crate) fn is_made_with(&self, address: MacAddress) -> bool {
        self.permanent == Some(address)
    }

    /// True if the address is the link's own, or the one it has for the time being. What a bond has given a member is
    /// neither: all of its members have that.
    pub(crate) fn has_address(&self, address: MacAddress) -> bool {
        [self.before_bond.or(self.address), self.permanent].contains(&Some(address))
    }
}

/// The links of the machine, or nothing to say about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Links {
    /// By rising name.
    links: Vec<Link>,
    /// Each address that a link has, had or was made with, with the places of those links.
    by_address: BTreeMap<MacAddress, Vec<usize>>,
    known: bool,
    /// What the kernel has, if it can be asked.
    network: Option<KernelNetwork>,
}

impl Links {
    /// Looks at the machine. A sandbox without `/sys/class/net` says nothing: there every device counts as
    /// present.
    pub(crate) fn look(system: &dyn System) -> Result<Self, Refusal> {
        let network = system.network().map_err(|error| unreadable(&error))?;
        if let Some(network) = network {
            let mut links: Vec<Link> =
                network.links.iter().map(|link| Link::of_kernel(link, system)).collect();
            links.sort_by(|one, two| one.name.cmp(&two.name));
            return Ok(Self::new(links, true, Some(network)));
        }
        let names = system.list(LINKS).map_err(|error| unreadable(&error))?;
        let known = !names.is_empty() || !system.is_sandbox();
        // `bonding_masters` is a file among the links.
        let links =
            names.iter().filter(|name| *name != "bonding_masters").map(|name| Link::read(name, system));
        Ok(Self::new(links.collect(), known, None))
    }

    fn new(links: Vec<Link>, known: bool, network: Option<KernelNetwork>) -> Self {
        let mut by_address: BTreeMap<MacAddress, Vec<usize>> = BTreeMap::new();
        for (place, link) in links.iter().enumerate() {
            for address in [link.address, link.before_bond, link.permanent].into_iter().flatten() {
                by_address.entry(address).or_default().push(place);
            }
        }
        Self { links, by_address, known, network }
    }

    /// What the kernel has, if it can be asked.
    pub(crate) const fn network(&self) -> Option<&KernelNetwork> {
        self.network.as_ref()
    }

    /// Every link.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The link of a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Link> {
        let place = self.links.binary_search_by(|link| link.name.as_str().cmp(name));
        place.ok().map(|place| &self.links[place])
    }

    /// The links that have one of these addresses, in whatever way, by rising name.
    fn with_addresses(&self, addresses: [Option<MacAddress>; 2]) -> Vec<&Link> {
        let places = addresses.into_iter().flatten().filter_map(|address| self.by_address.get(&address));
        let places: BTreeSet<usize> = places.flatten().copied().collect();
        places.into_iter().map(|place| &self.links[place]).collect()
    }

    /// True if a link carries traffic: it is up, and has a route or a global address.
    pub(crate) fn is_in_use(&self, link: &Link, system: &dyn System) -> bool {
        let Some(network) = &self.network else { return link.up && is_used_by_files(&link.name, system) };
        let Some(index) = network.link_named(&link.name).map(|link| link.index) else { return false };
        let has_route = network.routes_of(index).any(|route| route.destination.is_ipv4());
        let has_address = network.addresses_of(index).any(|address| address.scope == KernelScope::Global);
        let unseen = !network.has_all(KernelPart::Routes) || !network.has_all(KernelPart::Addresses);
        link.up && (has_route || has_address || unseen)
    }

    /// True if this link has a default route and no other has one.
    pub(crate) fn is_only_way_out(&self, link: &Link, system: &dyn System) -> bool {
        let Some(network) = &self.network else { return is_only_way_by_files(&link.name, system) };
        let Some(index) = network.link_named(&link.name).map(|link| link.index) else { return false };
        let mut ways = network
            .routes
            .iter()
            .filter(|route| route.is_default() && route.kind == KernelRouteKind::Unicast);
        let is_way = ways.clone().any(|route| route.leads_over(index));
        // Another table is for some of the traffic only.
        let is_other = ways.any(|route| {
            route.table == MAIN_TABLE
                && route.hops.iter().any(|hop| hop.link.is_some_and(|link| link != index))
        });
        is_way && !is_other
    }

    /// The links that a device of the config stands for. A card is found by what its `match` says, its
    /// hardware address above all; everything else by its name.
    pub(crate) fn of<'a>(&'a self, id: &DeviceId, device: &Device, config: &NetworkConfig) -> Vec<&'a Link> {
        let matching = device.matching();
        let Some(matching) = matching else { return self.named(id.as_str()).into_iter().collect() };
        // After a rename, `match.name` has done its work.
        let renamed = |link: &Link| device.link_name.as_ref().is_some_and(|name| name.as_str() == link.name);
        // There may be a thousand links, and as many devices.
        let candidates: Vec<&Link> = match device.identity() {
            Some(identity) => self.with_addresses([Some(identity), device.settings.macaddress]),
            None => self.links.iter().collect(),
        };
        candidates
            .into_iter()
            .filter(|link| !link.stacked && has_identity(device, link))
            .filter(|link| fits(matching, link, renamed(link)) && !config.makes(&link.name))
            .collect()
    }

    /// True if a device has no link to act on yet. Bonds and bridges are made, so they are never late; a VLAN
    /// is as late as what it is on.
    pub(crate) fn is_late(&self, id: &DeviceId, config: &NetworkConfig) -> bool {
        if !self.known {
            return false;
        }
        let mut id = id;
        // A config has no circles, so this ends; the bound says so to whoever reads it.
        for _ in 0..config.devices().len() {
            let Some(device) = config.device(id) else { return false };
            match &device.kind {
                crate::network::document::device::Kind::Ethernet(_) => {
                    return self.of(id, device, config).is_empty();
                }
                crate::network::document::device::Kind::Bond(_)
                | crate::network::document::device::Kind::Bridge(_) => return false,
                crate::network::document::device::Kind::Vlan(vlan) => id = &vlan.link,
            }
        }
        false
    }
}

/// The hardware address the card is found by, or the one that the config has given it since: sysfs shows the
/// latter alone.
fn has_identity(device: &Device, link: &Link) -> bool {
    let given = device.settings.macaddress.is_some_and(|given| link.address == Some(given));
    given || device.identity().is_none_or(|identity| link.has_address(identity))
}

fn fits(matching: &Match, link: &Link, renamed: bool) -> bool {
    let name = renamed || matching.name.as_ref().is_none_or(|pattern| pattern.matches(&link.name));
    let driver = matching.drivers.is_empty()
        || (link.driver.as_ref())
            .is_some_and(|driver| matching.drivers.iter().any(|pattern| pattern.matches(driver)));
    name && driver
}

/// The path of a link's attribute in sysfs.
pub(crate) fn attribute(link: &str, attribute: &str) -> String {
    format!("{LINKS}/{link}/{attribute}")
}

/// The driver of a card.
fn driver(link: &str, system: &dyn System) -> Option<String> {
    text(system, &attribute(link, "device/uevent")).and_then(|text| value_of(&text, "DRIVER"))
}

fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.split_once('=').filter(|(name, _)| *name == key))
        .map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::system::{KernelAddress, KernelHop, KernelRoute, MemorySystem};
    use serde_json::{Value, json};

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const BONDS: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn card(index: u32, name: &str, address: [u8; 6]) -> KernelLink {
        let address = Some(address);
        KernelLink { index, name: name.into(), address, mtu: 1500, up: true, ..KernelLink::default() }
    }

    /// A default route, or one to another network.
    fn route(link: u32, prefix: u8, table: u32) -> KernelRoute {
        KernelRoute {
            destination: IpAddr::from([0, 0, 0, 0]),
            prefix,
            hops: vec![KernelHop { gateway: None, link: Some(link) }],
            table,
            metric: None,
            kind: KernelRouteKind::Unicast,
            protocol: 4,
            scope: KernelScope::Global,
            source: None,
        }
    }

    fn config(document: &Value) -> NetworkConfig {
        NetworkConfig::whole(document, "").unwrap()
    }

    fn names(links: &Links, id: &str, config: &NetworkConfig) -> Vec<String> {
        let (id, device) = config.devices().find(|(other, _)| other.as_str() == id).unwrap();
        links.of(id, device, config).iter().map(|link| link.name.clone()).collect()
    }

    #[test]
    fn a_card_is_found_by_what_is_its_own() {
        let member = KernelLink { address_before_bond: Some(OWN), master: Some(3), ..card(2, "eth1", BONDS) };
        let bond = KernelLink { kind: Some("bond".into()), ..card(3, "bond0", BONDS) };
        let renumbered =
            KernelLink { permanent_address: Some([2, 0, 0, 0, 0, 4]), ..card(4, "eth9", [6; 6]) };
        let cards = vec![renumbered, bond, member, card(1, "eth0", BONDS)];
        let network = KernelNetwork { links: cards, ..KernelNetwork::default() };
        let system = MemorySystem::new()
            .with_network(network)
            .with_file("/sys/class/net/eth9/device/uevent", "DRIVER=virtio_net\n");
        let links = Links::look(&system).unwrap();
        let order: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(order, ["bond0", "eth0", "eth1", "eth9"]);
        let by_mac = |last: u8| json!({"match": {"macaddress": format!("02:00:00:00:00:0{last}")}});
        let driver = json!({"match": {"driver": "virtio_*"}});
        let ethernets = json!({"a": by_mac(1), "b": by_mac(2), "c": by_mac(4), "d": driver});
        let config = config(&json!({"version": 2, "ethernets": ethernets}));
        assert_eq!(names(&links, "a", &config), ["eth0"], "neither the bond nor its other member");
        assert_eq!(names(&links, "b", &config), ["eth1"]);
        assert_eq!(names(&links, "c", &config), ["eth9"], "whatever address it was given since");
        assert_eq!(names(&links, "d", &config), ["eth9"]);
    }

    #[test]
    fn a_link_is_in_use_with_a_route_or_an_address() {
        let used = |routes: Vec<KernelRoute>, scope: Option<KernelScope>| {
            let address = |scope| KernelAddress {
                link: 1,
                address: IpAddr::from([0; 16]),
                prefix: 64,
                scope,
                permanent: true,
                tentative: false,
                duplicate: false,
            };
            let addresses = scope.map(address).into_iter().collect();
            let links = vec![card(1, "eth0", OWN)];
            let network = KernelNetwork { links, addresses, routes, ..KernelNetwork::default() };
            let system = MemorySystem::new().with_network(network);
            let links = Links::look(&system).unwrap();
            links.is_in_use(links.named("eth0").unwrap(), &system)
        };
        assert!(!used(Vec::new(), Some(KernelScope::Link)));
        assert!(used(Vec::new(), Some(KernelScope::Global)));
        assert!(used(vec![route(1, 24, 254)], None) && !used(vec![route(2, 24, 254)], None));
    }

    #[test]
    fn the_only_way_out_is_the_only_default_route() {
        let only = |routes: Vec<KernelRoute>| {
            let links = vec![card(1, "eth0", OWN)];
            let network = KernelNetwork { links, routes, ..KernelNetwork::default() };
            let system = MemorySystem::new().with_network(network);
            let links = Links::look(&system).unwrap();
            links.is_only_way_out(links.named("eth0").unwrap(), &system)
        };
        let unreachable = KernelRoute { kind: KernelRouteKind::Unreachable, ..route(9, 0, 254) };
        assert!(only(vec![route(1, 0, 254), unreachable]));
        assert!(!only(vec![route(1, 0, 254), route(2, 0, 254)]));
        assert!(only(vec![route(1, 0, 254), route(2, 0, 77)]), "the other is for some traffic only");
        assert!(!only(vec![route(1, 24, 254)]) && !only(Vec::new()));
    }

    #[test]
    fn a_kernel_that_cannot_be_asked_is_told() {
        let system = MemorySystem::new().with_kernel(|_, _| Err("no".into()));
        let refusal = Links::look(&system).unwrap_err().to_string();
        assert!(refusal.contains("cannot read the kernel's network: no"), "{refusal}");
    }
}
