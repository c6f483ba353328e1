//! `ifcfg-*` of Red Hat: what network-scripts (initscripts' `sysconfig.txt`) and NetworkManager
//! (nm-settings-ifcfg-rh(5)) know, each in its own words where they differ.

use std::net::IpAddr;

use super::assignments::{Assignments, yes_no};
use super::bond_options;
use super::interfaces::Interface;
use super::routes::default_gateway;
use super::stack::Stack;
use crate::network::document::address::Cidr;
use crate::network::document::device::{Device, Ethernet, Kind, Offload};
use crate::network::document::settings::{DhcpOverrides, LinkLocal, Settings};
use crate::network::document::virtual_device::BridgeParameters;

/// The file of one link of a device.
pub(super) fn ifcfg(interface: &Interface<'_>) -> Assignments {
    let &Interface { device, name, stack, .. } = interface;
    let settings = &device.settings;
    let mut file = Assignments::default();
    file.set("DEVICE", name);
    file.set("ONBOOT", yes_no(settings.activation_mode.is_none()));
    file.set("USERCTL", yes_no(false));
    if stack == Stack::NetworkScripts {
        file.set("NM_CONTROLLED", yes_no(false));
    }
    file.set_some("MTU", settings.mtu);
    if stack == Stack::NetworkScripts {
        file.set_some("IPV6_MTU", settings.ipv6_mtu);
    }
    file.set_some("MACADDR", settings.macaddress);
    kind(&mut file, interface);
    membership(&mut file, interface);
    file.set("BOOTPROTO", boot_protocol(settings));
    if interface.master().is_none() {
        addresses(&mut file, settings);
        gateways(&mut file, settings);
        dhcp4(&mut file, settings, stack);
        ipv6(&mut file, settings, stack);
        dns(&mut file, settings);
    }
    file
}

/// What the link is, in the order of cloud-init's types.
fn kind(file: &mut Assignments, interface: &Interface<'_>) {
    let &Interface { device, interfaces, stack, .. } = interface;
    match &device.kind {
        Kind::Ethernet(card) => {
            file.set("TYPE", "Ethernet");
            // network-scripts hold it against the address that a bond gave its member.
            let is_bonded =
                interface.master().is_some_and(|(_, master)| matches!(master.kind, Kind::Bond(_)));
            if !(is_bonded && stack == Stack::NetworkScripts) {
                file.set_some("HWADDR", device.identity());
            }
            file.set_some("ETHTOOL_OPTS", ethtool_options(card, interface.name));
        }
        Kind::Bond(bond) => {
            file.set("TYPE", "Bond");
            file.set("BONDING_MASTER", yes_no(true));
            file.set_words("BONDING_OPTS", &bond_options::words(&bond.parameters, interfaces));
            for (number, member) in interfaces.names_of(&bond.interfaces).iter().enumerate() {
                file.set_numbered("BONDING_SLAVE", number, member);
            }
        }
        Kind::Bridge(bridge) => {
            file.set("TYPE", "Bridge");
            if let Some(parameters) = &bridge.parameters {
                file.set("STP", yes_no(parameters.stp));
                let delay = parameters.forward_delay.as_ref();
                file.set_some("DELAY", delay.and_then(|delay| delay.whole_seconds()));
                file.set_words("BRIDGING_OPTS", &bridge_options(parameters, stack));
            }
        }
        Kind::Vlan(vlan) => {
            file.set("VLAN", yes_no(true));
            file.set("VLAN_ID", vlan.id);
            file.set_some("PHYSDEV", interfaces.names(&vlan.link).first());
        }
    }
}

/// What ethtool is told: words for `ethtool -s`, and after a semicolon a whole command line.
fn ethtool_options(card: &Ethernet, name: &str) -> Option<String> {
    let wake = card.wakeonlan.map(|on| format!("wol {}", if on { "g" } else { "d" }));
    let features = offload_words(card);
    let features = (!features.is_empty()).then(|| format!("-K {name} {}", features.join(" ")));
    let options: Vec<String> = wake.into_iter().chain(features).collect();
    (!options.is_empty()).then(|| options.join("; "))
}

/// Words for `ethtool -K`.
pub(super) fn offload_words(card: &Ethernet) -> Vec<String> {
    let name = |offload: Offload| match offload {
        Offload::ReceiveChecksum => "rx",
        Offload::TransmitChecksum => "tx",
        Offload::TcpSegmentation => "tso",
        Offload::Tcp6Segmentation => "tx-tcp6-segmentation",
        Offload::GenericSegmentation => "gso",
        Offload::GenericReceive => "gro",
        Offload::LargeReceive => "lro",
    };
    let word =
        |(offload, on): &(Offload, bool)| format!("{} {}", name(*offload), if *on { "on" } else { "off" });
    card.offloads.iter().map(word).collect()
}

/// NetworkManager counts seconds; network-scripts write into sysfs, which counts hundredths.
fn bridge_options(parameters: &BridgeParameters, stack: Stack) -> Vec<String> {
    let factor = if stack == Stack::NetworkScripts { 100 } else { 1 };
    let priority = parameters.priority.map(|priority| format!("priority={priority}"));
    let times = [
        ("ageing_time", &parameters.ageing_time),
        ("hello_time", &parameters.hello_time),
        ("max_age", &parameters.max_age),
    ];
    let times = times.into_iter().filter_map(|(key, time)| {
        time.as_ref()?.whole_seconds().map(|seconds| format!("{key}={}", seconds * factor))
    });
    priority.into_iter().chain(times).collect()
}

/// What a bond or bridge above says of this one of its members.
fn membership(file: &mut Assignments, interface: &Interface<'_>) {
    let id = interface.id;
    match interface.master() {
        Some((master, Device { kind: Kind::Bond(_), .. })) => {
            file.set("MASTER", master);
            file.set("SLAVE", yes_no(true));
        }
        Some((master, Device { kind: Kind::Bridge(bridge), .. })) => {
            file.set("BRIDGE", master);
            let parameters = bridge.parameters.as_ref();
            let cost = parameters.and_then(|parameters| parameters.path_cost.get(id));
            let priority = parameters.and_then(|parameters| parameters.port_priority.get(id));
            let words = cost.map(|cost| format!("path_cost={cost}"));
            let words = words.into_iter().chain(priority.map(|priority| format!("priority={priority}")));
            file.set_words("BRIDGING_OPTS", &words.collect::<Vec<_>>());
        }
        _ => {}
    }
}

/// Only a link that has nothing else has an address that it made up.
fn boot_protocol(settings: &Settings) -> &'static str {
    if settings.dhcp4 {
        "dhcp"
    } else if has_ipv4_link_local(settings) && ipv4(settings).next().is_none() {
        "autoip"
    } else {
        "none"
    }
}

fn has_ipv4_link_local(settings: &Settings) -> bool {
    settings.link_local.is_some_and(|families| families.ipv4)
}

fn ipv4(settings: &Settings) -> impl Iterator<Item = Cidr> {
    settings.addresses.iter().map(|address| address.address).filter(|address| address.address.is_ipv4())
}

fn ipv6_addresses(settings: &Settings) -> Vec<String> {
    let all = settings.addresses.iter().map(|address| address.address);
    all.filter(|address| address.address.is_ipv6()).map(|address| address.to_string()).collect()
}

fn addresses(file: &mut Assignments, settings: &Settings) {
    for (number, address) in ipv4(settings).enumerate() {
        let mask = netmask(address.prefix);
        if number == 0 {
            file.set("IPADDR", address.address);
            file.set("NETMASK", mask);
        } else {
            file.set_numbered("IPADDR", number, address.address);
            file.set_numbered("NETMASK", number, mask);
        }
    }
    if let [first, more @ ..] = ipv6_addresses(settings).as_slice() {
        file.set("IPV6ADDR", first);
        file.set_words("IPV6ADDR_SECONDARIES", more);
    }
}

/// The mask of an IPv4 prefix.
pub(super) fn netmask(prefix: u8) -> std::net::Ipv4Addr {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or_default();
    bits.into()
}

fn gateways(file: &mut Assignments, settings: &Settings) {
    for ipv4 in [true, false] {
        let Some(gateway) = default_gateway(settings, ipv4) else { continue };
        file.set("DEFROUTE", yes_no(true));
        file.set(if ipv4 { "GATEWAY" } else { "IPV6_DEFAULTGW" }, gateway);
    }
}

fn dhcp4(file: &mut Assignments, settings: &Settings, stack: Stack) {
    let overrides: &DhcpOverrides = &settings.dhcp4_overrides;
    if stack == Stack::NetworkManager && has_ipv4_link_local(settings) && boot_protocol(settings) != "autoip"
    {
        file.set("IPV4_LINK_LOCAL", "enabled");
    }
    if !settings.dhcp4 {
        return;
    }
    file.set_bool("PEERDNS", overrides.use_dns);
    file.set_bool("PEERROUTES", overrides.use_routes);
    file.set_bool("PEERNTP", overrides.use_ntp);
    if overrides.send_hostname != Some(false) {
        file.set_some("DHCP_HOSTNAME", overrides.hostname.as_ref());
    }
    match stack {
        Stack::NetworkManager => {
            file.set_some("IPV4_ROUTE_METRIC", overrides.route_metric);
            file.set_bool("DHCP_SEND_HOSTNAME", overrides.send_hostname);
            file.set_some("DHCP_CLIENT_ID", settings.dhcp_identifier);
        }
        Stack::NetworkScripts | Stack::Wicked => file.set_some("METRIC", overrides.route_metric),
    }
}

fn ipv6(file: &mut Assignments, settings: &Settings, stack: Stack) {
    let is_off = settings.link_local.is_some_and(|families: LinkLocal| !families.ipv6);
    if is_off {
        file.set("IPV6INIT", yes_no(false));
        file.set("IPV6_DISABLED", yes_no(true));
        return;
    }
    let is_static = !ipv6_addresses(settings).is_empty();
    let wanted = is_static
        || settings.dhcp6
        || settings.accept_ra.is_some()
        || settings.gateway6.is_some()
        || settings.ipv6_privacy.is_some()
        || settings.ipv6_address_generation.is_some()
        || settings.ipv6_address_token.is_some()
        || settings.ipv6_mtu.is_some()
        || settings.routes.iter().any(|route| route.to.network().address.is_ipv6());
    if !wanted {
        return;
    }
    file.set("IPV6INIT", yes_no(true));
    // As cloud-init has it: who has a static address alone does not listen to routers, unless told to.
    let listens = settings.accept_ra.or_else(|| (is_static && !settings.dhcp6).then_some(false));
    file.set_bool("IPV6_AUTOCONF", listens);
    file.set_bool("IPV6_FORCE_ACCEPT_RA", listens);
    if settings.dhcp6 {
        dhcp6(file, &settings.dhcp6_overrides, stack);
    }
    file.set_some("IPV6_PRIVACY", settings.ipv6_privacy.map(|on| if on { "rfc3041" } else { "no" }));
    if stack == Stack::NetworkManager {
        let token = settings.ipv6_address_token;
        file.set_some(
            "IPV6_ADDR_GEN_MODE",
            settings.ipv6_address_generation.or_else(|| token.map(|_| "eui64")),
        );
        file.set_some("IPV6_TOKEN", token);
    }
}

fn dhcp6(file: &mut Assignments, overrides: &DhcpOverrides, stack: Stack) {
    file.set("DHCPV6C", yes_no(true));
    if stack == Stack::NetworkManager {
        file.set_bool("IPV6_PEERDNS", overrides.use_dns);
        file.set_bool("IPV6_PEERROUTES", overrides.use_routes);
        file.set_some("IPV6_ROUTE_METRIC", overrides.route_metric);
        file.set_bool("DHCPV6_SEND_HOSTNAME", overrides.send_hostname);
        file.set_some("DHCPV6_HOSTNAME", overrides.hostname.as_ref());
    }
}

fn dns(file: &mut Assignments, settings: &Settings) {
    let servers: &[IpAddr] = &settings.nameservers.addresses;
    for (number, server) in servers.iter().enumerate() {
        file.set_numbered("DNS", number + 1, server);
    }
    file.set_words("DOMAIN", &settings.nameservers.search);
}
