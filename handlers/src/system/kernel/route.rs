//! One route, and how `RTM_NEWROUTE` tells of it.

use std::net::IpAddr;

use super::KernelScope;
use super::attributes::{Family, Malformed, attributes, head, index, ip, number};

/// Attributes of a route (`RTA_*`, linux/rtnetlink.h).
mod of_route {
    pub(super) const DESTINATION: u16 = 1;
    pub(super) const LINK: u16 = 4;
    pub(super) const GATEWAY: u16 = 5;
    pub(super) const METRIC: u16 = 6;
    pub(super) const SOURCE: u16 = 7;
    pub(super) const HOPS: u16 = 9;
    pub(super) const TABLE: u16 = 15;
    /// A gateway of the other family: two bytes for the family, then its address.
    pub(super) const VIA: u16 = 18;
}

/// The flag of a route that was made for one destination from another route (`RTM_F_CLONED`).
const CLONED: u32 = 0x200;

/// The table of the machine's own addresses (`RT_TABLE_LOCAL`): the kernel keeps it by itself.
const LOCAL_TABLE: u32 = 255;

/// Routing daemons (`RTPROT_*`): gated, mrt, zebra, bird, dnrouted, xorp, ntk, mrouted, babel, openr, BGP, IS-IS, OSPF,
/// RIP, EIGRP. What they learn of others may be a million routes.
const DAEMONS: [u8; 15] = [8, 10, 11, 12, 13, 14, 15, 17, 42, 99, 186, 187, 188, 189, 192];

/// The size of `struct rtnexthop`.
const HOP_HEAD: usize = 8;

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

impl KernelRoute {
    /// Reads the message: `struct rtmsg`, then attributes. `None` for a route that is not the business of a snapshot:
    /// of another family, of the table `local`, cached, or learnt by a routing daemon and no default route.
    pub(super) fn parse(message: &[u8], asked: Family) -> Result<Option<Self>, Malformed> {
        let (head, rest) = head::<12>(message)?;
        let [family, prefix, _, _, table, protocol, scope, kind, f0, f1, f2, f3] = *head;
        let cached = u32::from_ne_bytes([f0, f1, f2, f3]) & CLONED != 0;
        let learnt = DAEMONS.contains(&protocol) && prefix != 0;
        // A kernel without the family answers with all that it has.
        if Family::from_number(family) != Some(asked) || cached || learnt {
            return Ok(None);
        }
        let mut route = Self {
            destination: asked.unspecified(),
            prefix: asked.prefix(prefix)?,
            hops: Vec::new(),
            table: table.into(),
            metric: None,
            kind: KernelRouteKind::from_number(kind),
            protocol,
            scope: KernelScope::from_number(scope),
            source: None,
        };
        let mut only = KernelHop { gateway: None, link: None };
        for attribute in attributes(rest) {
            let (kind, value) = attribute?;
            match kind {
                of_route::DESTINATION => route.destination = asked.ip(value)?,
                of_route::METRIC => route.metric = Some(number(value)?),
                of_route::SOURCE => route.source = Some(asked.ip(value)?),
                of_route::TABLE => route.table = number(value)?,
                of_route::HOPS => route.hops = hops(value, asked)?,
                of_route::LINK => only.link = index(value)?,
                _ => only.read(kind, value, asked)?,
            }
        }
        if route.hops.is_empty() && (only.link.is_some() || only.gateway.is_some()) {
            route.hops.push(only);
        }
        Ok((route.table != LOCAL_TABLE).then_some(route))
    }
}

impl KernelHop {
    /// Reads an attribute if it tells of the gateway.
    fn read(&mut self, kind: u16, value: &[u8], family: Family) -> Result<(), Malformed> {
        match kind {
            of_route::GATEWAY => self.gateway = Some(family.ip(value)?),
            of_route::VIA => {
                let (_family, address) = head::<2>(value)?;
                self.gateway = Some(ip(address)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads a row of `struct rtnexthop`, each followed by attributes.
fn hops(mut bytes: &[u8], family: Family) -> Result<Vec<KernelHop>, Malformed> {
    let mut hops = Vec::new();
    while !bytes.is_empty() {
        let ([l0, l1, _, _, i0, i1, i2, i3], _) = head::<HOP_HEAD>(bytes)?;
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let within = bytes.get(HOP_HEAD..length).ok_or(Malformed("a hop has a length that cannot be"))?;
        let mut hop = KernelHop { gateway: None, link: index(&[*i0, *i1, *i2, *i3])? };
        for attribute in attributes(within) {
            let (kind, value) = attribute?;
            hop.read(kind, value, family)?;
        }
        hops.push(hop);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}

impl KernelRouteKind {
    /// Reads `RTN_*`.
    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            9 => Self::Throw,
            other => Self::Other(other),
        }
    }
}
