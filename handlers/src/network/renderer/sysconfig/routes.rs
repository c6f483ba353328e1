//! Static routes and rules as lines: the words of `ip route add` and `ip rule add` in Red Hat's files, columns in wicked's
//! (ifroute(5), ifrule(5)).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::stack::Stack;
use crate::network::document::address::Cidr;
use crate::network::document::route::{PolicyRule, Route};
use crate::network::document::settings::Settings;

/// A file of lines, each a list of words. Words are numbers, addresses, names of links and words of ours, so none
/// has a space in it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<Vec<String>>,
}

impl Lines {
    /// True if there is no line.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::HEADER)?;
        for line in &self.lines {
            writeln!(f, "{}", line.join(" "))?;
        }
        Ok(())
    }
}

/// A route of either spelling: `routes`, or a gateway.
struct Way {
    to: Cidr,
    via: Option<IpAddr>,
    route: Option<Route>,
}

/// The default gateway that stands in the `ifcfg` file. Red Hat's files take one there beside an address of their own,
/// and without anything else said about it; every other route is in the route file.
pub(super) fn default_gateway(settings: &Settings, ipv4: bool) -> Option<IpAddr> {
    let is_dynamic = if ipv4 { settings.dhcp4 } else { settings.dhcp6 };
    let has_address = settings.addresses.iter().any(|address| address.address.address.is_ipv4() == ipv4);
    let mut ways = ways(settings, ipv4).filter(Way::is_plain_default);
    let gateway = ways.next().and_then(|way| way.via)?;
    // Without `%link` network-scripts cannot tell which link it is on.
    let is_global = match gateway {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    (!is_dynamic && has_address && is_global).then_some(gateway)
}

/// The routes of one family that stand in a file of their own.
pub(super) fn red_hat_routes(settings: &Settings, name: &str, ipv4: bool) -> Lines {
    let in_ifcfg = default_gateway(settings, ipv4);
    let mut skipped = false;
    let mut lines = Vec::new();
    for way in ways(settings, ipv4) {
        if !skipped && way.is_plain_default() && way.via == in_ifcfg && in_ifcfg.is_some() {
            skipped = true;
            continue;
        }
        let mut line = Vec::new();
        let kind = way.kind().filter(|kind| *kind != "unicast");
        line.extend(kind.map(str::to_owned));
        line.push(way.to.to_string());
        pair(&mut line, "via", way.via);
        // A route that leads nowhere is on no link.
        if !way.leads_nowhere() {
            pair(&mut line, "dev", Some(name));
        }
        line.extend(way.options());
        lines.push(line);
    }
    Lines { lines }
}

/// Every route, in wicked's columns: destination, gateway, netmask, link, and what else there is.
pub(super) fn wicked_routes(settings: &Settings, name: &str) -> Lines {
    let row = |way: Way| {
        let via = way.via.map_or_else(|| "-".to_owned(), |via| via.to_string());
        let link = if way.leads_nowhere() { "-" } else { name };
        let mut line = vec![way.to.to_string(), via, "-".to_owned(), link.to_owned()];
        line.extend(way.options());
        pair(&mut line, "type", way.kind().filter(|kind| *kind != "unicast"));
        line
    };
    Lines { lines: [true, false].into_iter().flat_map(|ipv4| ways(settings, ipv4)).map(row).collect() }
}

/// The rules of one family, or of both for wicked.
pub(super) fn rules(settings: &Settings, ipv4: Option<bool>, stack: Stack) -> Lines {
    let is_asked = |rule: &&PolicyRule| ipv4.is_none_or(|ipv4| is_ipv4(rule) == ipv4);
    let line = |rule: &PolicyRule| {
        let mut line = Vec::new();
        if stack == Stack::Wicked {
            line.push(if is_ipv4(rule) { "ipv4" } else { "ipv6" }.to_owned());
        }
        pair(&mut line, "from", rule.from.map(network));
        pair(&mut line, "to", rule.to.map(network));
        pair(&mut line, "tos", rule.type_of_service.map(|service| format!("{service:#x}")));
        pair(&mut line, "fwmark", rule.mark);
        pair(&mut line, "table", rule.table);
        pair(&mut line, "priority", rule.priority);
        line
    };
    Lines { lines: settings.rules.iter().filter(is_asked).map(line).collect() }
}

fn is_ipv4(rule: &PolicyRule) -> bool {
    rule.from.or(rule.to).is_some_and(|network| network.address.is_ipv4())
}

/// The routes of one family, gateways first.
fn ways(settings: &Settings, ipv4: bool) -> impl Iterator<Item = Way> {
    let everything = if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let gateway = if ipv4 { settings.gateway4.map(IpAddr::V4) } else { settings.gateway6.map(IpAddr::V6) };
    let gateway =
        gateway.map(|via| Way { to: Cidr { address: everything, prefix: 0 }, via: Some(via), route: None });
    let routes = settings.routes.iter().filter(move |route| route.to.network().address.is_ipv4() == ipv4);
    let routes = routes.map(|route| Way {
        to: network(route.to.network()),
        via: route.via,
        route: Some(route.clone()),
    });
    gateway.into_iter().chain(routes)
}

impl Way {
    fn kind(&self) -> Option<&'static str> {
        self.route.as_ref().and_then(|route| route.kind)
    }

    fn leads_nowhere(&self) -> bool {
        self.kind().is_some_and(|kind| ["blackhole", "unreachable", "prohibit", "throw"].contains(&kind))
    }

    /// True for a default route of which nothing is said but its gateway.
    fn is_plain_default(&self) -> bool {
        let plain =
            |route: &Route| self.options().is_empty() && route.kind.is_none_or(|kind| kind == "unicast");
        self.to.prefix == 0 && self.via.is_some() && self.route.as_ref().is_none_or(plain)
    }

    /// What is said beside destination, gateway and link.
    fn options(&self) -> Vec<String> {
        let mut line = Vec::new();
        let Some(route) = &self.route else { return line };
        pair(&mut line, "src", route.from);
        pair(&mut line, "metric", route.metric);
        pair(&mut line, "table", route.table);
        // The kernel knows no scopes for IPv6.
        pair(&mut line, "scope", route.scope.filter(|_| self.to.address.is_ipv4()));
        pair(&mut line, "mtu", route.mtu);
        pair(&mut line, "initcwnd", route.congestion_window);
        pair(&mut line, "initrwnd", route.receive_window);
        pair(&mut line, "advmss", route.segment_size);
        if route.on_link == Some(true) {
            line.push("onlink".to_owned());
        }
        line
    }
}

fn pair(line: &mut Vec<String>, word: &str, value: Option<impl fmt::Display>) {
    if let Some(value) = value {
        line.extend([word.to_owned(), value.to_string()]);
    }
}

/// The network without its host part: with one, `ip` refuses it.
fn network(cidr: Cidr) -> Cidr {
    let address = match cidr.address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(cidr.prefix)).unwrap_or_default();
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(cidr.prefix)).unwrap_or_default();
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    };
    Cidr { address, prefix: cidr.prefix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_no_host_part() {
        for (given, expected) in [
            ("192.0.2.5/24", "192.0.2.0/24"),
            ("192.0.2.5/32", "192.0.2.5/32"),
            ("192.0.2.5/0", "0.0.0.0/0"),
            ("2001:db8::5/64", "2001:db8::/64"),
            ("2001:db8::5/128", "2001:db8::5/128"),
            ("2001:db8::5/0", "::/0"),
        ] {
            assert_eq!(network(Cidr::from_text(given).unwrap()).to_string(), expected);
        }
    }
}
