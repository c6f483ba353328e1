//! What the kernel has of the network, as `config/get` shows it: some hundred of each, so that the answer fits into a
//! message.

use serde_json::{Value, json};

use crate::network::document::address::MacAddress;
use crate::system::{KernelHop, KernelLink, KernelNetwork, KernelRoute, KernelRouteKind};

/// Links that are shown, of about 250 bytes each.
const MOST_LINKS: usize = 128;

/// Addresses that are shown, of all links together.
const MOST_ADDRESSES: usize = 256;

/// Routes that are shown, of all links together and of those that lead to none.
const MOST_ROUTES: usize = 256;

/// `links`, each with its `addresses` and `routes`; `nowhere`, the routes to no link; and what is `missing`, in words.
pub(crate) fn describe(network: &KernelNetwork) -> Value {
    let (mut addresses, mut routes) = (Room::of(MOST_ADDRESSES), Room::of(MOST_ROUTES));
    let shown: Vec<Value> = network
        .links
        .iter()
        .take(MOST_LINKS)
        .map(|link| {
            let mut answer = describe_link(link, network);
            let own = network.addresses_of(link.index);
            answer["addresses"] =
                addresses.show(own.map(|address| format!("{}/{}", address.address, address.prefix).into()));
            let over = network.routes.iter().filter(|route| !is_to_nowhere(route));
            let hops = over.flat_map(|route| route.hops.iter().map(move |hop| (route, hop)));
            let own = hops.filter(|(_, hop)| hop.link == Some(link.index));
            answer["routes"] = routes.show(own.map(|(route, hop)| describe_route(route, Some(hop))));
            answer
        })
        .collect();
    let to_nowhere = network.routes.iter().filter(|route| is_to_nowhere(route));
    let nowhere = routes.show(to_nowhere.map(|route| describe_route(route, None)));
    let left_out = [
        ("links", network.links.len().saturating_sub(MOST_LINKS)),
        ("addresses", addresses.left_out),
        ("routes", routes.left_out),
    ];
    let not_shown = left_out.into_iter().filter(|(_, count)| *count > 0);
    let not_shown = not_shown.map(|(what, count)| format!("{count} more {what}, for want of room"));
    let unread = network.gaps.iter().map(|gap| {
        let part = format!("{:?}", gap.part).to_lowercase();
        format!("{} {part} or more: {}", gap.count, gap.reason)
    });
    let missing: Vec<String> = not_shown.chain(unread).collect();
    json!({"links": shown, "nowhere": nowhere, "missing": missing})
}

/// Room for a number of things.
struct Room {
    left: usize,
    left_out: usize,
}

impl Room {
    const fn of(most: usize) -> Self {
        Self { left: most, left_out: 0 }
    }

    fn show(&mut self, all: impl Iterator<Item = Value>) -> Value {
        let mut shown = Vec::new();
        for value in all {
            if self.left == 0 {
                self.left_out += 1;
            } else {
                self.left -= 1;
                shown.push(value);
            }
        }
        shown.into()
    }
}

fn describe_link(link: &KernelLink, network: &KernelNetwork) -> Value {
    let mac = |octets: Option<[u8; 6]>| octets.map(|octets| MacAddress::from_octets(octets).to_string());
    let name = |index: Option<u32>| index.and_then(|index| network.link(index)).map(|link| &link.name);
    json!({
        "name": link.name,
        "kind": link.kind,
        "address": mac(link.address),
        "permanent_address": mac(link.permanent_address.or(link.address_before_bond)),
        "mtu": link.mtu,
        "up": link.up,
        "carrier": link.lower_up,
        "master": name(link.master),
        "parent": name(link.parent),
        "vlan_id": link.vlan_id,
    })
}

fn is_to_nowhere(route: &KernelRoute) -> bool {
    use KernelRouteKind::{Blackhole, Prohibit, Throw, Unreachable};
    // IPv6 has these on the loopback.
    matches!(route.kind, Blackhole | Prohibit | Throw | Unreachable)
}

fn describe_route(route: &KernelRoute, hop: Option<&KernelHop>) -> Value {
    json!({
        "to": format!("{}/{}", route.destination, route.prefix),
        "via": hop.and_then(|hop| hop.gateway).map(|gateway| gateway.to_string()),
        "type": kind(route.kind),
        "table": route.table,
        "metric": route.metric,
    })
}

/// iproute2's words.
fn kind(kind: KernelRouteKind) -> String {
    match kind {
        KernelRouteKind::Other(number) => number.to_string(),
        known => format!("{known:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::system::{KernelAddress, KernelGap, KernelPart, KernelScope};

    fn link(index: u32) -> KernelLink {
        KernelLink { index, name: format!("eth{index}"), mtu: 1500, ..KernelLink::default() }
    }

    fn address(link: u32, last: u8) -> KernelAddress {
        KernelAddress {
            link,
            address: IpAddr::from([192, 0, 2, last]),
            prefix: 24,
            scope: KernelScope::Global,
            permanent: true,
            tentative: false,
            duplicate: false,
        }
    }

    fn route(kind: KernelRouteKind, hops: Vec<KernelHop>) -> KernelRoute {
        KernelRoute {
            destination: IpAddr::from([198, 51, 100, 0]),
            prefix: 24,
            hops,
            table: 254,
            metric: None,
            kind,
            protocol: 4,
            scope: KernelScope::Global,
            source: None,
        }
    }

    #[test]
    fn each_link_has_what_is_its_own() {
        let hop = |link| KernelHop { gateway: Some(IpAddr::from([192, 0, 2, 1])), link: Some(link) };
        let vlan = KernelLink {
            kind: Some("vlan".into()),
            address: Some([2, 0, 0, 0, 0, 3]),
            permanent_address: Some([2, 0, 0, 0, 0, 4]),
            up: true,
            parent: Some(1),
            master: Some(1),
            vlan_id: Some(7),
            ..link(3)
        };
        let network = KernelNetwork {
            links: vec![link(1), vlan],
            addresses: vec![address(1, 5), address(3, 6)],
            routes: vec![
                route(KernelRouteKind::Unicast, vec![hop(1), hop(3)]),
                route(KernelRouteKind::Unreachable, vec![hop(1)]),
            ],
            gaps: vec![KernelGap { part: KernelPart::Rules, count: 2, reason: "odd".into() }],
            ..KernelNetwork::default()
        };
        let answer = describe(&network);
        let over = json!({"to": "198.51.100.0/24", "via": "192.0.2.1", "type": "unicast", "table": 254, "metric": null});
        let vlan = json!({
            "name": "eth3", "kind": "vlan", "address": "02:00:00:00:00:03", "permanent_address": "02:00:00:00:00:04",
            "mtu": 1500, "up": true, "carrier": false, "master": "eth1", "parent": "eth1", "vlan_id": 7,
            "addresses": ["192.0.2.6/24"], "routes": [over],
        });
        assert_eq!(answer["links"][1], vlan);
        assert_eq!(answer["links"][0]["routes"], json!([over]));
        assert_eq!(answer["nowhere"][0]["type"], "unreachable");
        assert_eq!(answer["missing"], json!(["2 rules or more: odd"]));
    }

    #[test]
    fn the_answer_of_a_large_machine_fits_into_a_message() {
        let links: Vec<KernelLink> = (1..=2000)
            .map(|index| KernelLink { kind: Some("macvlan".into()), address: Some([2; 6]), ..link(index) })
            .collect();
        let addresses = (1..=2000).map(|index| address(index, 5)).collect();
        let hops: Vec<KernelHop> =
            (1..=2000).map(|index| KernelHop { gateway: None, link: Some(index) }).collect();
        let routes = vec![route(KernelRouteKind::Unicast, hops); 5];
        let answer = describe(&KernelNetwork { links, addresses, routes, ..KernelNetwork::default() });
        let text = answer.to_string();
        assert!(text.len() < 100_000, "{}", text.len());
        assert_eq!(answer["links"].as_array().unwrap().len(), MOST_LINKS);
        let missing = answer["missing"].to_string();
        assert!(missing.contains("1872 more links") && missing.contains("384 more routes"), "{missing}");
    }
}
