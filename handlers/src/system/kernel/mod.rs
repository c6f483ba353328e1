//! What the kernel has of the network, all of it at one look: links, addresses, routes and rules.
//!
//! These are facts, as rtnetlink(7) tells them and without a judgement; numbers that Linux may add to are kept as they
//! are. A link is referred to by its index, which stays when it is renamed.

use std::net::IpAddr;

/// The links, addresses, routes and routing rules of one network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelNetwork {
    /// Every link, the loopback among them, by rising index.
    pub links: Vec<KernelLink>,
    /// Every address, of both families.
    pub addresses: Vec<KernelAddress>,
    /// Routes of both families and all tables but `local`; without cached ones and those of routing daemons.
    pub routes: Vec<KernelRoute>,
    /// Rules that choose a routing table, of both families, in the order in which they are asked.
    pub rules: Vec<KernelRule>,
    /// What the kernel has and this snapshot has not; empty as a rule.
    pub gaps: Vec<KernelGap>,
}

/// One link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelLink {
    /// What addresses, routes and other links call it; never 0.
    pub index: u32,
    /// Its name, 1 to 15 bytes.
    pub name: String,
    /// More names that it can be called by, of up to 127 bytes each.
    pub alternative_names: Vec<String>,
    /// The driver's word for what it is: `bond`, `bridge`, `vlan`, `veth`. `None` for nearly every card.
    pub kind: Option<String>,
    /// The hardware address it has now, if it is an Ethernet's.
    pub address: Option<[u8; 6]>,
    /// The hardware address it was made with. Linux 5.6 or newer tells it, and of cards alone.
    pub permanent_address: Option<[u8; 6]>,
    /// The hardware address it had when it became a member of the bond it is in.
    pub address_before_bond: Option<[u8; 6]>,
    /// In bytes.
    pub mtu: u32,
    /// True if it was brought up, with a carrier or without.
    pub up: bool,
    /// True if it is up and has a carrier.
    pub lower_up: bool,
    /// True for the loopback.
    pub loopback: bool,
    /// Whether traffic can pass.
    pub state: OperationalState,
    /// The bond, bridge or VRF that it is a member of.
    pub master: Option<u32>,
    /// The link it is on, as a VLAN is, if that is in the same namespace.
    pub parent: Option<u32>,
    /// The id of a VLAN.
    pub vlan_id: Option<u16>,
}

/// Whether traffic can pass a link (RFC 2863, `ifOperStatus`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OperationalState {
    /// The driver does not say; the loopback and many virtual links are so for ever.
    #[default]
    Unknown,
    /// Its hardware is missing.
    NotPresent,
    /// No traffic passes.
    Down,
    /// What is below it is down.
    LowerLayerDown,
    /// It is being tested.
    Testing,
    /// It waits for something, an authentication for instance.
    Dormant,
    /// Traffic passes.
    Up,
}

/// One address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelAddress {
    /// The index of its link.
    pub link: u32,
    /// The machine's own address, also where the other end has one of its own.
    pub address: IpAddr,
    /// Bits of its network's prefix.
    pub prefix: u8,
    /// How far it is valid.
    pub scope: KernelScope,
    /// True if it has no end: it did not come of DHCP or a router advertisement.
    pub permanent: bool,
    /// IPv6: nobody may use it yet, because it is being asked whether somebody else has it (RFC 4862, 5.4).
    pub tentative: bool,
    /// IPv6: somebody else has it, so that it stays unused.
    pub duplicate: bool,
}

/// How far an address or a route is valid (`rt_scope_t`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KernelScope {
    /// Everywhere.
    #[default]
    Global,
    /// Within the site.
    Site,
    /// On the link alone.
    Link,
    /// Within the machine alone.
    Host,
    /// Nowhere: there is no such destination.
    Nowhere,
    /// One that an administrator has made up.
    Other(u8),
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// The network it leads to: that of all zeros, of the route's family, with a prefix of 0 for a default route.
    pub destination: IpAddr,
    /// Bits of that network's prefix.
    pub prefix: u8,
    /// Where packets go next: one, several that share them, or none, as for a blackhole.
    pub hops: Vec<KernelHop>,
    /// The routing table; 254 is the main one.
    pub table: u32,
    /// Lower wins. `None` stands for 0 with IPv4; with IPv6 the kernel gives each route one.
    pub metric: Option<u32>,
    /// What becomes of packets.
    pub kind: KernelRouteKind,
    /// Who has set it up (`RTPROT_*`): 2 the kernel, 3 boot, 4 static, 9 router advertisements, 16 DHCP.
    pub protocol: u8,
    /// How far its destination is.
    pub scope: KernelScope,
    /// The address that packets of the machine's own start from.
    pub source: Option<IpAddr>,
}

/// The next station of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelHop {
    /// The next router, which need not be of the route's family; `None` if the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The index of the link.
    pub link: Option<u32>,
}

/// What becomes of the packets that a route is for (`RTN_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KernelRouteKind {
    /// They go to the next station.
    #[default]
    Unicast,
    /// They are for this machine.
    Local,
    /// They go to all on the link.
    Broadcast,
    /// They are for this machine and others.
    Anycast,
    /// They go to a group.
    Multicast,
    /// They are thrown away without a word.
    Blackhole,
    /// They are thrown away, and the sender hears that the destination cannot be reached.
    Unreachable,
    /// They are thrown away, and the sender hears that this is forbidden.
    Prohibit,
    /// This table does not know; the next rule is asked.
    Throw,
    /// A kind that is not listed here.
    Other(u8),
}

/// One rule that chooses a routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRule {
    /// True if it is for IPv6.
    pub is_ipv6: bool,
    /// Lower is asked first.
    pub priority: u32,
    /// The network that packets come from, with the bits of its prefix; `None` for any.
    pub from: Option<(IpAddr, u8)>,
    /// The network that packets go to, with the bits of its prefix; `None` for any.
    pub to: Option<(IpAddr, u8)>,
    /// The table to look into; 0 if it does something else.
    pub table: u32,
    /// The firewall's mark of packets; 0 for any.
    pub mark: u32,
    /// The type of service of packets; 0 for any.
    pub type_of_service: u8,
}

/// Something that is missing from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelGap {
    /// What is missing.
    pub part: KernelPart,
    /// How many of it, at least.
    pub count: usize,
    /// Why, for people.
    pub reason: String,
}

/// A part of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelPart {
    /// [`KernelNetwork::links`].
    Links,
    /// [`KernelNetwork::addresses`].
    Addresses,
    /// [`KernelNetwork::routes`].
    Routes,
    /// [`KernelNetwork::rules`].
    Rules,
}

impl KernelNetwork {
    /// The link of an index.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&KernelLink> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The link of a name; an alternative name is none here.
    #[must_use]
    pub fn link_named(&self, name: &str) -> Option<&KernelLink> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The addresses of a link.
    pub fn addresses_of(&self, index: u32) -> impl Iterator<Item = &KernelAddress> {
        self.addresses.iter().filter(move |address| address.link == index)
    }

    /// The routes that lead over a link, alone or with others.
    pub fn routes_of(&self, index: u32) -> impl Iterator<Item = &KernelRoute> {
        self.routes.iter().filter(move |route| route.leads_over(index))
    }

    /// True if nothing of this part is missing.
    #[must_use]
    pub fn has_all(&self, part: KernelPart) -> bool {
        self.gaps.iter().all(|gap| gap.part != part)
    }
}

impl KernelLink {
    /// True if it is up and has no carrier: nothing is plugged in, or nothing below it is up.
    #[must_use]
    pub const fn lacks_carrier(&self) -> bool {
        self.up && !self.lower_up
    }
}

impl KernelRoute {
    /// True if it is for whatever no other route is for.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.prefix == 0
    }

    /// True if packets may go over this link.
    #[must_use]
    pub fn leads_over(&self, index: u32) -> bool {
        self.hops.iter().any(|hop| hop.link == Some(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{FileState, MemorySystem, System as _};

    fn link(index: u32, name: &str) -> KernelLink {
        KernelLink { index, name: name.into(), mtu: 1500, ..KernelLink::default() }
    }

    #[test]
    fn what_belongs_to_a_link_is_found_by_its_index() {
        let hop = |link| KernelHop { gateway: None, link: Some(link) };
        let route = |hops| KernelRoute {
            destination: IpAddr::from([0, 0, 0, 0]),
            prefix: 0,
            hops,
            table: 254,
            metric: None,
            kind: KernelRouteKind::Unicast,
            protocol: 4,
            scope: KernelScope::Global,
            source: None,
        };
        let network = KernelNetwork {
            links: vec![link(2, "eth0"), link(3, "eth1")],
            routes: vec![route(vec![hop(2)]), route(vec![hop(2), hop(3)]), route(Vec::new())],
            gaps: vec![KernelGap { part: KernelPart::Rules, count: 1, reason: "none".into() }],
            ..KernelNetwork::default()
        };
        let eth1 = network.link_named("eth1").unwrap();
        assert_eq!(network.routes_of(eth1.index).count(), 1);
        assert_eq!(network.routes_of(2).filter(|route| route.is_default()).count(), 2);
        assert_eq!(network.link(4), None);
        assert!(network.has_all(KernelPart::Routes) && !network.has_all(KernelPart::Rules));
    }

    #[test]
    fn a_played_kernel_follows_files_and_commands() {
        assert_eq!(MemorySystem::new().network().unwrap(), None);
        let system = MemorySystem::new().with_program("/usr/sbin/ip").with_kernel(|files, commands| {
            let name = if files.contains_key("/renamed") { "ens0" } else { "eth0" };
            let index = u32::try_from(commands.len()).unwrap();
            if index > 1 {
                Err("no more".into())
            } else {
                Ok(KernelNetwork { links: vec![link(index, name)], ..KernelNetwork::default() })
            }
        });
        assert_eq!(system.network().unwrap().unwrap().links, [link(0, "eth0")]);
        system.write("/renamed", &FileState::of_root("", 0o644)).unwrap();
        let command = crate::Invocation {
            program: "/usr/sbin/ip".into(),
            args: Vec::new(),
            stdin: None,
            deadline: std::time::Duration::from_secs(1),
        };
        system.run(&command).unwrap();
        assert_eq!(system.network().unwrap().unwrap().links, [link(1, "ens0")]);
        system.run(&command).unwrap();
        let error = system.network().unwrap_err();
        assert_eq!(error.to_string(), "cannot read the kernel's network: no more");
    }
}
