//! Routes and rules as commands of iproute2: interfaces(5) itself has one default route a family and no more.

use super::stanza::{Command, Phase, Stanza};
use crate::network::document::address::Cidr;
use crate::network::document::route::{PolicyRule, Route};

/// Adds the routes and rules to the stanza that comes up last, when all addresses are there.
pub(super) fn add(stanza: &mut Stanza, routes: &[Route], rules: &[PolicyRule]) {
    for route in routes {
        // `replace`, so that what an interrupted try left does not hinder.
        stanza.run(Phase::PostUp, route_command(route, "route replace"));
        stanza.run(Phase::PreDown, route_command(route, "route del").or_true());
    }
    for rule in rules {
        // A rule cannot be replaced, and a second one of its kind is an error.
        stanza.run(Phase::PreUp, rule_command(rule, "rule del").or_true());
        stanza.run(Phase::PostUp, rule_command(rule, "rule add"));
        stanza.run(Phase::PreDown, rule_command(rule, "rule del").or_true());
    }
}

/// The route of a gateway, in a family of which there is no stanza that takes `gateway`.
pub(super) fn add_gateway(stanza: &mut Stanza, gateway: std::net::IpAddr) {
    let command = |verb| {
        family(gateway.is_ipv4())
            .words(verb)
            .option("default via", Some(gateway))
            .words(DEVICE)
            .words("onlink")
    };
    stanza.run(Phase::PostUp, command("route replace"));
    stanza.run(Phase::PreDown, command("route del").or_true());
}

/// ifupdown tells every command which interface it works for.
const DEVICE: &str = "dev \"$IFACE\"";

/// Kinds of routes that lead nowhere, and so to no device either.
const NOWHERE: [&str; 4] = ["blackhole", "unreachable", "prohibit", "throw"];

fn family(is_ipv4: bool) -> Command {
    Command::new(if is_ipv4 { "ip -4" } else { "ip -6" })
}

/// The network without its host part: with one, the kernel refuses the route.
fn destination(command: Command, network: Cidr) -> Command {
    if network.prefix == 0 { command.words("default") } else { command.value(network.network()) }
}

fn route_command(route: &Route, verb: &'static str) -> Command {
    let network = route.to.network();
    let kind = route.kind.filter(|kind| *kind != "unicast");
    let mut command = family(network.address.is_ipv4()).words(verb);
    if let Some(kind) = kind {
        command = command.words(kind);
    }
    command = destination(command, network).option("via", route.via);
    if kind.is_none_or(|kind| !NOWHERE.contains(&kind)) {
        command = command.words(DEVICE);
    }
    command = command
        .option("src", route.from)
        .option("metric", route.metric)
        .option("table", route.table)
        .option("scope", route.scope)
        .option("mtu", route.mtu)
        .option("initcwnd", route.congestion_window)
        .option("initrwnd", route.receive_window)
        .option("advmss", route.segment_size);
    if route.on_link == Some(true) { command.words("onlink") } else { command }
}

fn rule_command(rule: &PolicyRule, verb: &'static str) -> Command {
    let is_ipv4 = rule.from.or(rule.to).is_none_or(|network| network.address.is_ipv4());
    let mut command = family(is_ipv4).words(verb).option("from", rule.from).option("to", rule.to);
    command = match rule.table {
        Some(table) => command.option("lookup", Some(table)),
        None => command.words("lookup main"),
    };
    command = command.option("priority", rule.priority).option("fwmark", rule.mark);
    // iproute2 reads this one as hexadecimal.
    match rule.type_of_service {
        Some(service) => command.option("tos", Some(Hex(service))),
        None => command,
    }
}

struct Hex(u32);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

impl super::stanza::ShellSafe for Hex {}
