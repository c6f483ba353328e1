//! The snapshot of a kernel, beside what `ip` reads of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cloud_channel_handlers::system::{
    HostSystem, KernelAddress, KernelLink, KernelNetwork, KernelRoute, KernelRouteKind, KernelRule,
    KernelScope,
};
use cloud_channel_handlers::{Held, System as _, config_module};
use cloud_channel_protocol::Module;
use serde_json::Value;

use super::{run, within_namespace, words};

/// `ip` may be asked while the kernel still gives links their local addresses; that takes a second or two.
const MOST_TRIES: usize = 2_000;

fn ip(args: &[&str]) -> Vec<Value> {
    let args = [&["-json", "-details", "-N"], args].concat();
    let shown = run("ip", &args, None).unwrap();
    serde_json::from_str::<Vec<Value>>(&shown).unwrap()
}

fn network() -> KernelNetwork {
    HostSystem::real().network().unwrap().unwrap()
}

#[test]
fn a_snapshot_is_what_ip_shows() {
    within_namespace("snapshot::a_snapshot_is_what_ip_shows", || {
        run("ip", &["-batch", "-"], Some(SETUP)).unwrap();
        words("-6 rule add from 2001:db8::/64 table 77 priority 300").unwrap();
        // Not every kernel has these.
        let _may_be_missing =
            words("link add br0 type bridge").and_then(|_| words("link set veth1 master br0"));
        let _may_be_missing = words("link add link veth0 name veth0.7 type vlan id 7");
        compare();
    });
}

/// More than one datagram of each part.
#[test]
fn a_hundred_pairs_are_seen() {
    within_namespace("snapshot::a_hundred_pairs_are_seen", || {
        let pair = |n: u32| {
            format!(
                "link add a{n} type veth peer name b{n}\nlink set a{n} up\nlink set b{n} up\n\
                address add 10.1.{n}.1/24 dev a{n}\nroute add 10.2.{n}.0/24 via 10.1.{n}.2\n"
            )
        };
        run("ip", &["-batch", "-"], Some(&(0..100).map(pair).collect::<String>())).unwrap();
        compare();
        let answer = config_module(Module::Network).describe(&Held::nothing(), &HostSystem::real());
        let names = answer["observed"]["links"].as_array().unwrap().iter().map(|link| &link["name"]);
        assert_eq!(names.take(2).collect::<Vec<_>>(), ["lo", "b0"]);
        assert_eq!(answer["observed"]["missing"][0], "73 more links, for want of room");
        let network = network();
        assert_eq!(network.links.len(), 201);
        let a42 = network.link_named("a42").unwrap();
        assert_eq!(network.routes_of(a42.index).filter(|route| route.destination.is_ipv4()).count(), 2);
    });
}

const SETUP: &str = "\
link set lo up
link add veth0 address 02:00:00:00:00:01 type veth peer name veth1
link property add dev veth0 altname a-long-alternative-name
link set veth0 mtu 1400 up
link set veth1 up
link add down0 type veth peer name down1
address add 192.0.2.5/24 dev veth0
address add 192.0.2.6 peer 192.0.2.7/32 dev veth0
address add 198.51.100.1/25 dev veth1 valid_lft 3600 preferred_lft 1800
address add 2001:db8::5/64 dev veth0 nodad
address add 2001:db8:1::1/64 dev veth1
route add default via 192.0.2.1 metric 100 proto dhcp
route add 203.0.113.0/24 via 192.0.2.1 table 1000 src 192.0.2.5
route add default table 77 nexthop via 192.0.2.1 dev veth0 nexthop via 198.51.100.2 dev veth1
route add blackhole 10.9.0.0/16
route add throw 10.8.0.0/16 table 77
route add default via 2001:db8::1 dev veth0 metric 50
route add unreachable 2001:db8:dead::/48
rule add from 192.0.2.5 table 1000 priority 200
rule add to 203.0.113.0/24 fwmark 7 tos 0x10 table 77 priority 150
";

/// Compares everything, when nothing moves any more.
fn compare() {
    for _ in 0..MOST_TRIES {
        let before = network();
        let shown = Shown::look();
        if network() == before {
            assert_eq!(before.gaps, []);
            return shown.compare(&before);
        }
    }
    panic!("the links do not come to rest");
}

/// What `ip` shows.
struct Shown {
    links: Vec<Value>,
    addresses: Vec<Value>,
    routes: Vec<Value>,
    rules: Vec<Value>,
}

impl Shown {
    fn look() -> Self {
        let mut ipv6 = ip(&["-6", "route", "show", "table", "all"]);
        // A default route does not say of which family it is.
        ipv6.iter_mut().for_each(|route| route["is_ipv6"] = true.into());
        Self {
            links: ip(&["link", "show"]),
            addresses: ip(&["address", "show"]),
            routes: [ip(&["-4", "route", "show", "table", "all"]), ipv6].concat(),
            rules: [ip(&["-4", "rule", "show"]), ip(&["-6", "rule", "show"])].concat(),
        }
    }

    fn compare(&self, network: &KernelNetwork) {
        let name = |index: Option<u32>| index.map(|index| network.link(index).unwrap().name.clone());
        let links: BTreeSet<String> =
            network.links.iter().map(|link| link_line(link, name(link.master), name(link.parent))).collect();
        assert_eq!(links, self.links.iter().map(shown_link).collect());
        let addresses: BTreeSet<String> = network.addresses.iter().map(address_line).collect();
        assert_eq!(addresses, self.addresses.iter().flat_map(shown_addresses).collect());
        let routes: BTreeSet<String> = network.routes.iter().map(|route| route_line(route, name)).collect();
        assert_eq!(routes, self.routes.iter().filter_map(shown_route).collect());
        let rules: Vec<String> = network.rules.iter().map(rule_line).collect();
        assert_eq!(rules, self.rules.iter().map(shown_rule).collect::<Vec<_>>());
    }
}

fn link_line(link: &KernelLink, master: Option<String>, parent: Option<String>) -> String {
    let mac = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":");
    format!(
        "{} {} {:?} {:?} {} up={} lower={} lo={} {:?} {:?} {:?} {:?} {:?}",
        link.index,
        link.name,
        link.kind,
        link.address.map(mac),
        link.mtu,
        link.up,
        link.lower_up,
        link.loopback,
        format!("{:?}", link.state).to_lowercase(),
        master,
        parent,
        link.vlan_id,
        link.alternative_names,
    )
}

fn shown_link(link: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let has = |flag: &str| link["flags"].as_array().unwrap().contains(&flag.into());
    let names = link["altnames"].as_array().into_iter().flatten().filter_map(text).collect::<Vec<_>>();
    format!(
        "{} {} {:?} {:?} {} up={} lower={} lo={} {:?} {:?} {:?} {:?} {:?}",
        link["ifindex"],
        link["ifname"].as_str().unwrap(),
        text(&link["linkinfo"]["info_kind"]),
        text(&link["address"]),
        link["mtu"],
        has("UP"),
        has("LOWER_UP"),
        has("LOOPBACK"),
        link["operstate"].as_str().unwrap().to_lowercase(),
        text(&link["master"]),
        text(&link["link"]),
        link["linkinfo"]["info_data"]["id"].as_u64(),
        names,
    )
}

fn address_line(address: &KernelAddress) -> String {
    let scope = match address.scope {
        KernelScope::Global => 0,
        KernelScope::Link => 253,
        KernelScope::Host => 254,
        other => panic!("{other:?} was not set up"),
    };
    format!(
        "{} {}/{} {scope} permanent={} tentative={} duplicate={}",
        address.link,
        address.address,
        address.prefix,
        address.permanent,
        address.tentative,
        address.duplicate
    )
}

fn shown_addresses(link: &Value) -> Vec<String> {
    let line = |info: &Value| {
        let is = |flag: &str| info[flag].as_bool().unwrap_or_default();
        format!(
            "{} {}/{} {} permanent={} tentative={} duplicate={}",
            link["ifindex"],
            info["local"].as_str().unwrap(),
            info["prefixlen"],
            info["scope"].as_str().map_or_else(|| info["scope"].to_string(), str::to_owned),
            !is("dynamic"),
            is("tentative"),
            is("dadfailed"),
        )
    };
    link["addr_info"].as_array().unwrap().iter().map(line).collect()
}

fn route_line(route: &KernelRoute, name: impl Fn(Option<u32>) -> Option<String>) -> String {
    let kind = match route.kind {
        KernelRouteKind::Unicast => 1,
        KernelRouteKind::Blackhole => 6,
        KernelRouteKind::Unreachable => 7,
        KernelRouteKind::Throw => 9,
        other => panic!("{other:?} was not set up"),
    };
    let mut hops: Vec<String> =
        route.hops.iter().map(|hop| format!("{:?} {:?}", hop.gateway, name(hop.link))).collect();
    hops.sort();
    let (to, table, metric) = (format!("{}/{}", route.destination, route.prefix), route.table, route.metric);
    let (protocol, source) = (route.protocol, route.source);
    format!("{to} kind={kind} {table} {metric:?} {protocol} {source:?} {hops:?}")
}

/// `None` for the table `local`.
fn shown_route(route: &Value) -> Option<String> {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u32>().ok());
    let table = if route["table"].is_null() { 254 } else { number(&route["table"]).unwrap() };
    if table == 255 {
        return None;
    }
    let address = |value: &Value| value.as_str().map(|text| text.parse::<IpAddr>().unwrap());
    let default = if route["is_ipv6"] == true { "::/0" } else { "0.0.0.0/0" };
    let to = match route["dst"].as_str().unwrap() {
        "default" => default.to_owned(),
        network if network.contains('/') => network.to_owned(),
        host if host.contains(':') => format!("{host}/128"),
        host => format!("{host}/32"),
    };
    let several: Vec<Value> = route["nexthops"].as_array().cloned().unwrap_or_default();
    let only = [route.clone()];
    let hops = if several.is_empty() { &only[..] } else { &several };
    let hops = hops.iter().filter(|hop| hop["dev"].is_string());
    let hop =
        |hop: &Value| format!("{:?} {:?}", address(&hop["gateway"]), hop["dev"].as_str().map(str::to_owned));
    let mut hops: Vec<String> = hops.map(hop).collect();
    hops.sort();
    let kind = number(&route["type"]).unwrap_or(1);
    let metric = route["metric"].as_u64().map(|metric| u32::try_from(metric).unwrap());
    let protocol = number(&route["protocol"]).unwrap_or(3);
    Some(format!("{to} kind={kind} {table} {metric:?} {protocol} {:?} {hops:?}", address(&route["prefsrc"])))
}

fn rule_line(rule: &KernelRule) -> String {
    let network =
        |network: Option<(IpAddr, u8)>| network.map(|(address, prefix)| (address.to_string(), prefix));
    format!(
        "{} from={:?} to={:?} table={} mark={} tos={}",
        rule.priority,
        network(rule.from),
        network(rule.to),
        rule.table,
        rule.mark,
        rule.type_of_service
    )
}

fn shown_rule(rule: &Value) -> String {
    let network = |address: &str, length: &str| {
        let text = rule[address].as_str().filter(|text| *text != "all")?.to_owned();
        let longest = if text.contains(':') { 128 } else { 32 };
        Some((text, rule[length].as_u64().unwrap_or(longest)))
    };
    let hex = |key: &str| {
        let text = rule[key].as_str().unwrap_or("0x0").trim_start_matches("0x").to_owned();
        u32::from_str_radix(&text, 16).unwrap()
    };
    format!(
        "{} from={:?} to={:?} table={} mark={} tos={}",
        rule["priority"],
        network("src", "srclen"),
        network("dst", "dstlen"),
        rule["table"].as_str().unwrap(),
        hex("fwmark"),
        hex("tos"),
    )
}
