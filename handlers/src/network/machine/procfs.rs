//! What the files of procfs tell of routes and addresses: on a machine that is played by files, there is no kernel to ask.

use super::reading::text;
use crate::System;

/// The kernel's IPv4 routes.
const ROUTES: &str = "/proc/net/route";

/// True if a link has a route or a global address.
pub(crate) fn is_used_by_files(link: &str, system: &dyn System) -> bool {
    let has_route = lines(system, ROUTES).any(|line| line.split('\t').next() == Some(link));
    // `fe80…` is in every IPv6 link's table; 00 is the global scope.
    let has_address = lines(system, "/proc/net/if_inet6").any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(5) == Some(&link) && fields.get(3) == Some(&"00")
    });
    has_route || has_address
}

/// True if every default route leads over this link.
pub(crate) fn is_only_way_by_files(link: &str, system: &dyn System) -> bool {
    let ipv4 = lines(system, ROUTES).filter_map(|line| {
        let mut fields = line.split('\t');
        let link = fields.next()?.to_owned();
        (fields.next() == Some("00000000")).then_some(link)
    });
    let ipv6 = lines(system, "/proc/net/ipv6_route").filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let default = fields.first()?.bytes().all(|digit| digit == b'0') && fields.get(1) == Some(&"00");
        // The kernel keeps an unreachable default on the loopback link.
        fields.last().filter(|link| default && **link != "lo").map(|link| (*link).to_owned())
    });
    let ways: Vec<String> = ipv4.chain(ipv6).collect();
    !ways.is_empty() && ways.iter().all(|way| *way == link)
}

fn lines(system: &dyn System, path: &str) -> impl Iterator<Item = String> {
    text(system, path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}
