//! What Linux 6.18 sent of a namespace with a pair of veth and a bridge. `test_data/netlink` has the answers to the five
//! questions, each in one piece.

use std::net::IpAddr;

use super::super::{
    KernelAddress, KernelHop, KernelLink, KernelNetwork, KernelRoute, KernelRouteKind, KernelRule,
    KernelScope, OperationalState,
};
use super::{Sent, take};

const LINKS: &[u8] = include_bytes!("../../../../test_data/netlink/links.bin");
const ADDRESSES: &[u8] = include_bytes!("../../../../test_data/netlink/addresses.bin");
const IPV4_ROUTES: &[u8] = include_bytes!("../../../../test_data/netlink/ipv4-routes.bin");
const IPV6_ROUTES: &[u8] = include_bytes!("../../../../test_data/netlink/ipv6-routes.bin");
const RULES: &[u8] = include_bytes!("../../../../test_data/netlink/rules.bin");

/// Each answer, by the type and family of its question.
pub(super) fn answer(kind: u16, family: u8) -> &'static [u8] {
    match (kind, family) {
        (18, 0) => LINKS,
        (22, 0) => ADDRESSES,
        (26, 2) => IPV4_ROUTES,
        (26, 10) => IPV6_ROUTES,
        (34, 0) => RULES,
        other => panic!("nobody was to ask {other:?}"),
    }
}

fn network() -> KernelNetwork {
    let network = take(|kind, _, family| vec![Sent::whole(answer(kind, family).to_vec())]).unwrap();
    assert_eq!(network.gaps, []);
    network
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn links_are_as_they_were() {
    let links = network().links;
    let names: Vec<(u32, &str)> = links.iter().map(|link| (link.index, link.name.as_str())).collect();
    assert_eq!(names, [(1, "lo"), (2, "br0"), (3, "veth1"), (4, "veth0")]);
    assert!(links[0].loopback && links[0].kind.is_none() && links[0].state == OperationalState::Unknown);
    assert_eq!((links[1].kind.as_deref(), links[1].master), (Some("bridge"), None));
    assert_eq!((links[2].master, links[2].address), (Some(2), Some([2, 0, 0, 0, 0, 2])));
    let long = "veth0-with-a-rather-long-alternative-name";
    let veth0 = KernelLink {
        index: 4,
        name: "veth0".into(),
        alternative_names: vec!["first-card".into(), long.into()],
        kind: Some("veth".into()),
        address: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1400,
        up: true,
        lower_up: true,
        state: OperationalState::Up,
        parent: Some(3),
        ..KernelLink::default()
    };
    assert_eq!(links[3], veth0);
}

#[test]
fn addresses_are_as_they_were() {
    let addresses = network().addresses;
    let of = |text: &str| addresses.iter().find(|address| address.address == ip(text)).unwrap().clone();
    let plain = KernelAddress {
        link: 4,
        address: ip("192.0.2.5"),
        prefix: 24,
        scope: KernelScope::Global,
        permanent: true,
        tentative: false,
        duplicate: false,
    };
    assert_eq!(of("192.0.2.5"), plain);
    // The machine's own, not that of the other end.
    assert_eq!(of("192.0.2.6"), KernelAddress { address: ip("192.0.2.6"), prefix: 32, ..plain.clone() });
    let leased =
        KernelAddress { link: 2, address: ip("198.51.100.1"), prefix: 25, permanent: false, ..plain };
    assert_eq!(of("198.51.100.1"), leased);
    let (chosen, checked) = (of("2001:db8::5"), of("2001:db8:1::1"));
    assert!((chosen.link, chosen.prefix, chosen.tentative) == (4, 64, false) && checked.tentative);
    assert_eq!(of("fe80::ff:fe00:1").scope, KernelScope::Link);
    assert_eq!((addresses.len(), of("127.0.0.1").scope), (10, KernelScope::Host));
}

#[test]
fn routes_are_as_they_were() {
    let network = network();
    let route = |to: &str, table: u32| {
        let (destination, prefix) = to.split_once('/').unwrap();
        let same = |route: &&KernelRoute| {
            (route.destination, route.prefix) == (ip(destination), prefix.parse().unwrap())
                && route.table == table
        };
        network.routes.iter().find(same).cloned()
    };
    let hop = |gateway: &str, link| KernelHop { gateway: Some(ip(gateway)), link: Some(link) };
    let leased = KernelRoute {
        destination: ip("0.0.0.0"),
        prefix: 0,
        hops: vec![hop("192.0.2.1", 4)],
        table: 254,
        metric: Some(100),
        kind: KernelRouteKind::Unicast,
        protocol: 16,
        scope: KernelScope::Global,
        source: None,
    };
    assert_eq!(route("0.0.0.0/0", 254).unwrap(), leased);
    assert_eq!(route("203.0.113.0/24", 1000).unwrap().source, Some(ip("192.0.2.5")));
    let both = vec![hop("192.0.2.1", 4), hop("198.51.100.2", 2)];
    assert_eq!(route("0.0.0.0/0", 77).unwrap().hops, both);
    assert_eq!(route("10.7.0.0/16", 254).unwrap().hops, [hop("fe80::1", 4)]);
    assert_eq!(route("192.0.2.0/24", 254).unwrap().hops, [KernelHop { gateway: None, link: Some(4) }]);
    let blackhole = route("10.9.0.0/16", 254).unwrap();
    assert_eq!((blackhole.kind, blackhole.hops.len()), (KernelRouteKind::Blackhole, 0));
    assert_eq!(route("::/0", 254).unwrap().hops, [hop("2001:db8::1", 4)]);
    assert_eq!(route("2001:db8:9::/48", 254).unwrap().hops.len(), 2);
    assert_eq!(route("2001:db8:dead::/48", 254).unwrap().kind, KernelRouteKind::Unreachable);
    // What a routing daemon has learnt, and the machine's own addresses.
    assert_eq!(route("10.8.0.0/16", 254), None);
    assert!(network.routes.iter().all(|route| route.table != 255));
    assert_eq!(network.routes.len(), 16);
}

#[test]
fn rules_are_as_they_were() {
    let rules = network().rules;
    let order: Vec<(bool, u32, u32)> =
        rules.iter().map(|rule| (rule.is_ipv6, rule.priority, rule.table)).collect();
    let (ipv4, ipv6) = order.split_at(5);
    let defaults = [(false, 32766, 254), (false, 32767, 253)];
    assert_eq!(
        ipv4,
        [[(false, 0, 255), (false, 150, 77), (false, 200, 1000)].as_slice(), &defaults].concat()
    );
    assert_eq!(ipv6, [(true, 0, 255), (true, 300, 77), (true, 32766, 254)]);
    let marked = KernelRule {
        is_ipv6: false,
        priority: 150,
        from: None,
        to: Some((ip("203.0.113.0"), 24)),
        table: 77,
        mark: 7,
        type_of_service: 0x10,
    };
    assert_eq!(rules[1], marked);
    assert_eq!(rules[6].from, Some((ip("2001:db8::"), 64)));
}
