//! What is demanded, and how its lack is told.

use serde_json::json;

use super::*;

#[test]
fn a_card_has_its_name_hardware_address_and_mtu_and_is_up() {
    let config = json!({"version": 2, "ethernets": {"eth0": {
        "match": {"macaddress": "02:00:00:00:00:02"}, "set-name": "eth0", "mtu": 1500,
        "addresses": ["192.0.2.5/24"], "gateway4": "192.0.2.1",
    }}});
    right(&config, "eth0", &one_card());
    // Whatever address it was given since, it is the one.
    right(
        &config,
        "eth0",
        &with(|network| {
            network.links[0].permanent_address = network.links[0].address;
            network.links[0].address = Some([6; 6]);
        }),
    );
    let gone = with(|network| network.links.clear());
    assert_eq!(wrong(&config, "eth0", &gone), "no link is called `eth0`");
    let other = with(|network| network.links[0].address = Some([6; 6]));
    let text = "link `eth0` is not the one with the hardware address 02:00:00:00:00:02";
    assert_eq!(wrong(&config, "eth0", &other), text);
    let small = with(|network| network.links[0].mtu = 1400);
    assert_eq!(wrong(&config, "eth0", &small), "link `eth0` has MTU 1400, expected 1500");
    let down = with(|network| (network.links[0].up, network.links[0].lower_up) = (false, false));
    assert_eq!(wrong(&config, "eth0", &down), "link `eth0` is down, expected it up");
    let given = card(&json!({"macaddress": "02:00:00:00:00:09"}));
    let text = "link `eth0` has the hardware address 02:00:00:00:00:02, expected 02:00:00:00:00:09";
    assert_eq!(wrong(&given, "eth0", &one_card()), text);
}

#[test]
fn static_addresses_are_there_and_can_be_used() {
    let config = card(&json!({"addresses": ["192.0.2.5/24", "2001:db8::5/64", "192.0.2.5/24"]}));
    let both = with(|network| network.addresses.push(address(2, "2001:db8::5/64")));
    right(&config, "eth0", &both);
    assert_eq!(wrong(&config, "eth0", &one_card()), "link `eth0` does not have the address 2001:db8::5/64");
    let narrow = with(|network| network.addresses.push(address(2, "2001:db8::5/128")));
    assert_eq!(wrong(&config, "eth0", &narrow), "link `eth0` does not have the address 2001:db8::5/64");
    let elsewhere = with(|network| network.addresses.push(address(3, "2001:db8::5/64")));
    wrong(&config, "eth0", &elsewhere);
    let mut taken = both;
    (taken.addresses[1].duplicate, taken.addresses[1].tentative) = (true, true);
    let text = "link `eth0` cannot use the address 2001:db8::5/64: another machine on the network has it \
                (duplicate address detection)";
    assert_eq!(wrong(&config, "eth0", &taken), text);
}

/// A bond of two cards with a VLAN on it, and a bridge.
fn stack() -> KernelNetwork {
    let of_kind = |index, name, kind: &str| KernelLink { kind: Some(kind.into()), ..link(index, name) };
    let member = |index, name| KernelLink { master: Some(4), ..link(index, name) };
    let vlan = KernelLink { parent: Some(4), vlan_id: Some(7), ..of_kind(5, "office", "vlan") };
    KernelNetwork {
        links: vec![
            member(2, "eth0"),
            member(3, "eth1"),
            of_kind(4, "bond0", "bond"),
            vlan,
            of_kind(6, "br0", "bridge"),
        ],
        ..KernelNetwork::default()
    }
}

#[test]
fn devices_are_of_their_kind_and_made_of_what_they_are_to_be_made_of() {
    let config = json!({"version": 2,
        "ethernets": {"eth0": {}, "eth1": {"mtu": 9000, "addresses": ["192.0.2.9/24"]}},
        "bonds": {"bond0": {"interfaces": ["eth0", "eth1"]}},
        "bridges": {"br0": {}},
        "vlans": {"office": {"id": 7, "link": "bond0"}},
    });
    for id in ["eth0", "eth1", "bond0", "br0", "office"] {
        right(&config, id, &stack());
    }
    let changed = |index: usize, change: fn(&mut KernelLink)| {
        let mut network = stack();
        change(&mut network.links[index]);
        network
    };
    let told = |id, index, change| wrong(&config, id, &changed(index, change));
    assert_eq!(
        told("eth1", 1, |eth1| eth1.master = None),
        "link `eth1` is a member of nothing, expected of `bond0`"
    );
    let text = "link `eth1` is a member of `br0`, expected of `bond0`";
    assert_eq!(told("eth1", 1, |eth1| eth1.master = Some(6)), text);
    let text = "link `bond0` is a dummy, expected a bond";
    assert_eq!(told("bond0", 2, |bond| bond.kind = Some("dummy".into())), text);
    assert_eq!(told("br0", 4, |bridge| bridge.kind = None), "link `br0` is a card, expected a bridge");
    assert_eq!(
        told("office", 3, |vlan| vlan.vlan_id = Some(8)),
        "link `office` has the VLAN id 8, expected 7"
    );
    let text = "link `office` is on `eth0`, expected it on `bond0`";
    assert_eq!(told("office", 3, |vlan| vlan.parent = Some(2)), text);
    let text = "link `office` is on no link, expected it on `bond0`";
    assert_eq!(told("office", 3, |vlan| vlan.parent = None), text);
}

#[test]
fn static_routes_are_there() {
    let config =
        card(&json!({"addresses": ["192.0.2.5/24", "2001:db8::5/64"], "accept-ra": false, "routes": [
            {"to": "default", "via": "192.0.2.1"},
            {"to": "198.51.100.7/24", "via": "192.0.2.2", "table": 77, "metric": 5},
            {"to": "203.0.113.0/24", "via": "10.9.9.9", "on-link": true},
            {"to": "203.0.114.0/24", "scope": "link"},
            {"to": "10.0.0.0/8", "type": "blackhole"},
            {"to": "::/0", "via": "fe80::1"},
        ]}));
    let all = with(|network| {
        network.addresses.push(address(2, "2001:db8::5/64"));
        let tabled = KernelRoute { table: 77, ..route("198.51.100.0/24", Some("192.0.2.2"), 2) };
        let blackhole = KernelRoute {
            hops: Vec::new(),
            kind: KernelRouteKind::Blackhole,
            ..route("10.0.0.0/8", None, 0)
        };
        network.routes.extend([tabled, blackhole, route("203.0.113.0/24", Some("10.9.9.9"), 2)]);
        network.routes.extend([route("203.0.114.0/24", None, 2), route("::/0", Some("fe80::1"), 2)]);
    });
    right(&config, "eth0", &all);
    let lacking = |to: &str| {
        let mut network = all.clone();
        network.routes.retain(|route| route.destination != ip(to));
        wrong(&config, "eth0", &network)
    };
    let told = |route: &str| format!("link `eth0` does not have the route to {route}; there is none to it");
    assert_eq!(lacking("0.0.0.0"), told("0.0.0.0/0 via 192.0.2.1"));
    assert_eq!(lacking("198.51.100.0"), told("198.51.100.0/24 via 192.0.2.2 in table 77"));
    assert_eq!(lacking("203.0.113.0"), told("203.0.113.0/24 via 10.9.9.9"));
    assert_eq!(lacking("203.0.114.0"), told("203.0.114.0/24"));
    assert_eq!(lacking("10.0.0.0"), told("10.0.0.0/8 (blackhole)"));
    assert_eq!(lacking("::"), told("::/0 via fe80::1"));
    // Another router, another link, another table, another kind.
    let changed = |change: fn(&mut KernelRoute)| {
        let mut network = all.clone();
        change(network.routes.iter_mut().find(|route| route.is_default()).unwrap());
        wrong(&config, "eth0", &network)
    };
    let text =
        "link `eth0` does not have the route to 0.0.0.0/0 via 192.0.2.1; it leads via 192.0.2.3 over `eth0`";
    assert_eq!(changed(|route| route.hops[0].gateway = Some(ip("192.0.2.3"))), text);
    changed(|route| route.hops[0].link = Some(9));
    changed(|route| route.table = 77);
    changed(|route| route.kind = KernelRouteKind::Throw);
}
