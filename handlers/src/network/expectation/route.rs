//! Which routes of a device are certain to be there once its link has a carrier.

use std::net::IpAddr;

use crate::network::document::address::Cidr;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::route::Route;

/// The kernel's main routing table.
pub(super) const MAIN_TABLE: u32 = 254;

/// The table that the kernel keeps by itself, and that nobody looks into.
const LOCAL_TABLE: u32 = 255;

/// A route that must be there. Its metric, protocol and source are the network stack's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedRoute {
    /// The network, without bits beyond its prefix.
    pub(super) to: Cidr,
    pub(super) table: u32,
    pub(super) leads: Leads,
}

/// Where an expected route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leads {
    /// Over the link, to this router, or to the destination itself.
    Over(Option<IpAddr>),
    /// Over the link, to whatever router: advertisements may have put another in its place.
    Somewhere,
    /// To no link: the kernel's word for what becomes of packets.
    Nowhere(&'static str),
}

/// A route of the config, or a gateway of its.
struct Wanted {
    to: Cidr,
    via: Option<IpAddr>,
    from: Option<IpAddr>,
    table: u32,
    metric: Option<u32>,
    kind: &'static str,
    scope: Option<&'static str>,
    on_link: bool,
}

/// The routes of a device that are certain.
pub(super) fn of(device: &Device, config: &NetworkConfig) -> Vec<ExpectedRoute> {
    let certain = wanted(device).filter(|route| is_certain(route, device, config));
    certain.filter(|route| !has_rival(route, config)).map(|route| expected(&route, device)).collect()
}

fn wanted(device: &Device) -> impl Iterator<Item = Wanted> {
    let settings = &device.settings;
    let gateways = [settings.gateway4.map(IpAddr::from), settings.gateway6.map(IpAddr::from)];
    let gateways = gateways.into_iter().flatten().map(|gateway| Wanted {
        to: Cidr { address: if gateway.is_ipv4() { [0; 4].into() } else { [0; 16].into() }, prefix: 0 },
        via: Some(gateway),
        from: None,
        table: MAIN_TABLE,
        metric: None,
        kind: "unicast",
        scope: None,
        on_link: false,
    });
    settings.routes.iter().map(Wanted::of).chain(gateways)
}

impl Wanted {
    fn of(route: &Route) -> Self {
        Self {
            to: route.to.network().network(),
            via: route.via,
            from: route.from,
            table: route.table.unwrap_or(MAIN_TABLE),
            metric: route.metric,
            kind: route.kind.unwrap_or("unicast"),
            scope: route.scope,
            on_link: route.on_link == Some(true),
        }
    }

    const fn is_ipv4(&self) -> bool {
        self.to.address.is_ipv4()
    }

    const fn is_default(&self) -> bool {
        self.to.prefix == 0
    }
}

/// True if the config has another route of which the kernel may have one only, or which it may merge with this one.
fn has_rival(route: &Wanted, config: &NetworkConfig) -> bool {
    let is_rival = |other: &Wanted| {
        let same_metric = route.metric.is_none() || other.metric.is_none() || route.metric == other.metric;
        route.to == other.to && route.table == other.table && same_metric
    };
    let all = config.devices().flat_map(|(_, device)| wanted(device));
    // One is the route itself.
    all.filter(is_rival).count() > 1
}

/// True if nothing outside of the machine decides whether the route is set up.
fn is_certain(route: &Wanted, device: &Device, config: &NetworkConfig) -> bool {
    let settings = &device.settings;
    let is_ours = |address: IpAddr| settings.addresses.iter().any(|own| own.address.address == address);
    let own_dhcp = if route.is_ipv4() { settings.dhcp4 } else { settings.dhcp6 };
    // A lease may bring a default route of the same metric, which some stacks put in place of this one.
    let any_dhcp = route.is_ipv4()
        && route.metric.is_none()
        && route.is_default()
        && config.devices().any(|(_, other)| other.settings.dhcp4);
    let leads_on = route.via.is_none_or(|via| route.on_link || is_reached(via, device));
    let is_plain = matches!(route.kind, "unicast" | "blackhole" | "unreachable" | "prohibit" | "throw")
        && route.scope != Some("host")
        && route.table != LOCAL_TABLE;
    is_plain && leads_on && !own_dhcp && !any_dhcp && route.from.is_none_or(is_ours)
}

/// True if a router is in a network that the device has a static address of, or on every link.
fn is_reached(router: IpAddr, device: &Device) -> bool {
    let mut addresses = device.settings.addresses.iter().map(|address| address.address);
    match router {
        IpAddr::V6(router) if router.is_unicast_link_local() => addresses.any(|own| own.address.is_ipv6()),
        router => addresses.any(|own| own.contains(router)),
    }
}

fn expected(route: &Wanted, device: &Device) -> ExpectedRoute {
    let advertised = !route.is_ipv4()
        && route.is_default()
        && route.metric.is_none()
        && device.settings.accept_ra != Some(false);
    let leads = match route.kind {
        "unicast" if advertised => Leads::Somewhere,
        "unicast" => Leads::Over(route.via),
        nowhere => Leads::Nowhere(nowhere),
    };
    ExpectedRoute { to: route.to, table: route.table, leads }
}
