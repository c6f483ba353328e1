//! Machines that are right though something is not there: a false alarm would take a good change back.

use serde_json::json;

use super::*;
use crate::system::{KernelGap, KernelPart};

/// The machine is right in the end, if not at once.
fn spared(config: &Value, id: &str, network: &KernelNetwork) {
    assert_eq!(look(config, id, network).0, Ok(()), "{config}");
}

#[test]
fn without_a_carrier_nothing_of_what_comes_with_it_is_missed() {
    let config = card(&json!({"mtu": 1400, "macaddress": "02:00:00:00:00:09", "gateway4": "198.51.100.1",
        "addresses": ["198.51.100.5/24"]}));
    right(&config, "eth0", &with(|network| network.links[0].lower_up = false));
    wrong(&config, "eth0", &one_card());
    // A bridge has a carrier when a port of its forwards.
    let config = json!({"version": 2, "bridges": {"br0": {"addresses": ["198.51.100.5/24"]}}});
    let bridge = |lower_up| {
        let bridge = KernelLink { kind: Some("bridge".into()), lower_up, ..link(3, "br0") };
        KernelNetwork { links: vec![bridge], ..KernelNetwork::default() }
    };
    right(&config, "br0", &bridge(false));
    wrong(&config, "br0", &bridge(true));
    // A member that nobody has plugged in may wait outside of its bond.
    let config =
        json!({"version": 2, "ethernets": {"eth0": {}}, "bonds": {"bond0": {"interfaces": ["eth0"]}}});
    right(&config, "eth0", &with(|network| network.links[0].lower_up = false));
}

#[test]
fn what_somebody_does_by_hand_is_not_waited_for() {
    for mode in ["manual", "off"] {
        let config = card(&json!({"activation-mode": mode, "mtu": 1400, "macaddress": "02:00:00:00:00:09",
            "addresses": ["198.51.100.5/24"], "gateway4": "198.51.100.1"}));
        right(&config, "eth0", &one_card());
        right(&config, "eth0", &with(|network| network.links[0].up = false));
        // By hand it may have been given its other address, which it is not found by.
        let given = json!({"version": 2, "ethernets": {"eth0": {"activation-mode": mode, "set-name": "eth0",
            "match": {"macaddress": "02:00:00:00:00:02"}, "macaddress": "02:00:00:00:00:09"}}});
        right(&given, "eth0", &with(|network| network.links[0].address = Some([2, 0, 0, 0, 0, 9])));
        // What is on it may not even be there, and if it is, it is what it is.
        let config = json!({"version": 2, "ethernets": {"eth0": {"activation-mode": mode}},
            "vlans": {"v7": {"id": 7, "link": "eth0", "addresses": ["198.51.100.5/24"]}}});
        right(&config, "v7", &one_card());
        let other = with(|network| network.links.push(link(3, "v7")));
        assert_eq!(wrong(&config, "v7", &other), "link `v7` is a card, expected a vlan");
        let config = json!({"version": 2, "ethernets": {"eth0": {}},
            "bonds": {"bond0": {"interfaces": ["eth0"], "activation-mode": mode}}});
        right(&config, "eth0", &one_card());
        right(&config, "bond0", &one_card());
    }
}

#[test]
fn a_link_that_stands_keeps_what_it_was_made_with() {
    let config = |id: u32| json!({"version": 2, "ethernets": {"eth0": {}}, "vlans": {"v": {"id": id, "link": "eth0"}}});
    let vlan = KernelLink { kind: Some("vlan".into()), vlan_id: Some(7), parent: Some(2), ..link(3, "v") };
    let network = with(|network| network.links.push(vlan));
    let expected = expected_after(&config(7), &config(8), "v", &network);
    assert_eq!((expected.vlan_id, expected.parents.len()), (None, 0));
    let expected = expected_after(&config(8), &config(8), "v", &network);
    assert_eq!((expected.vlan_id, expected.parents.len()), (Some(8), 2));
    // A card below that gets its name at the next boot only.
    let renamed = json!({"version": 2,
        "ethernets": {"lan": {"match": {"macaddress": "02:00:00:00:00:02"}, "set-name": "lan"}},
        "vlans": {"v": {"id": 7, "link": "lan"}}});
    right(&renamed, "v", &network);
}

#[test]
fn routes_that_wait_for_somebody_are_not_missed() {
    let network = with(|network| {
        network.routes.clear();
        network.addresses.push(address(2, "2001:db8::5/64"));
    });
    let own = json!(["192.0.2.5/24", "2001:db8::5/64"]);
    for settings in [
        // The router is in no network of the card's own: one of a lease, or none.
        json!({"dhcp6": true, "gateway4": "198.51.100.1"}),
        json!({"addresses": own, "gateway4": "198.51.100.1"}),
        json!({"addresses": own, "routes": [{"to": "10.0.0.0/8", "via": "198.51.100.1"}]}),
        json!({"routes": [{"to": "::/0", "via": "fe80::1"}]}),
        // A lease of the same family comes first with some stacks.
        json!({"addresses": own, "dhcp4": true, "gateway4": "192.0.2.1"}),
        json!({"addresses": own, "dhcp6": true, "routes": [{"to": "2001:db8:9::/48", "via": "2001:db8::1"}]}),
        // The kernel takes one of them.
        json!({"addresses": own, "gateway4": "192.0.2.1", "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.2"}]}),
        json!({"addresses": own, "routes": [
            {"to": "10.0.0.0/8", "via": "192.0.2.1", "metric": 5}, {"to": "10.0.0.0/8", "via": "192.0.2.2", "metric": 5}]}),
        // An address to start from that is not the card's own.
        json!({"addresses": own, "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.1", "from": "198.51.100.5"}]}),
        // What the kernel keeps in a table that nobody looks into, and words that it does not know.
        json!({"addresses": own, "routes": [{"to": "10.0.0.0/8", "type": "local", "scope": "host"}]}),
        json!({"addresses": own, "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.1", "table": 255}]}),
        json!({"addresses": own, "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.1", "type": "nat"}]}),
    ] {
        right(&card(&settings), "eth0", &network);
    }
    // The lease of another card may bring a default route of the same metric.
    let two = json!({"version": 2, "ethernets": {
        "eth0": {"addresses": own, "gateway4": "192.0.2.1"}, "eth1": {"dhcp4": true}}});
    right(&two, "eth0", &network);
}

#[test]
fn what_a_network_stack_may_choose_is_not_demanded() {
    let config = card(&json!({"addresses": ["192.0.2.5/24", "2001:db8::5/64"], "gateway6": "2001:db8::1",
        "routes": [{"to": "default", "via": "192.0.2.1", "metric": 7, "mtu": 1400}]}));
    let network = |ipv6: KernelRoute| {
        with(|network| {
            network.addresses.push(address(2, "2001:db8::5/64"));
            network.routes.push(ipv6);
        })
    };
    // Metric and protocol; and a router that was advertised in the place of the static one.
    right(&config, "eth0", &network(route("::/0", Some("2001:db8::1"), 2)));
    let advertised = KernelRoute { protocol: 9, ..route("::/0", Some("fe80::1"), 2) };
    right(&config, "eth0", &network(advertised));
    wrong(&config, "eth0", &network(route("::/0", Some("2001:db8::1"), 3)));
    // One of several hops.
    let mut several = network(route("::/0", Some("2001:db8::1"), 2));
    several.routes[0].hops.insert(0, KernelHop { gateway: Some(ip("198.51.100.1")), link: Some(3) });
    right(&config, "eth0", &several);
}

#[test]
fn nothing_is_concluded_from_what_cannot_be_seen() {
    let config = card(&json!({"addresses": ["192.0.2.5/24", "192.0.2.6/24"], "gateway4": "192.0.2.3"}));
    let gap = |part| KernelGap { part, count: 1, reason: "a test".into() };
    let network = with(|network| network.gaps.push(gap(KernelPart::Addresses)));
    assert!(wrong(&config, "eth0", &network).contains("the route"), "what can be seen is judged");
    let network = with(|network| network.gaps = vec![gap(KernelPart::Addresses), gap(KernelPart::Routes)]);
    spared(&config, "eth0", &network);
    let unseen = KernelNetwork { gaps: vec![gap(KernelPart::Links)], ..KernelNetwork::default() };
    spared(&config, "eth0", &unseen);
}
