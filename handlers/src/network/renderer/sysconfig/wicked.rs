//! `ifcfg-*` of SUSE, as wicked reads it (ifcfg(5), ifcfg-dhcp(5), ifcfg-bonding(5), ifcfg-bridge(5), ifcfg-vlan(5)), and
//! `ifsysctl-*` beside it (ifsysctl(5)).

use std::fmt;

use super::assignments::{Assignments, yes_no};
use super::bond_options;
use super::interfaces::Interface;
use super::red_hat::{netmask, offload_words};
use crate::network::document::device::{Device, Ethernet, Kind};
use crate::network::document::settings::{DhcpOverrides, Settings, StaticAddress};
use crate::network::document::virtual_device::{Bridge, BridgeParameters, Interval};

/// The file of one link of a device.
pub(super) fn ifcfg(interface: &Interface<'_>) -> Assignments {
    let settings = &interface.device.settings;
    let mut file = Assignments::default();
    file.set("BOOTPROTO", boot_protocol(interface));
    file.set("STARTMODE", start_mode(interface));
    file.set_some("MTU", settings.mtu);
    file.set_some("LLADDR", settings.macaddress);
    kind(&mut file, interface);
    if interface.master().is_none() {
        addresses(&mut file, &settings.addresses);
        dhcp4(&mut file, settings);
        dhcp6(&mut file, settings);
    }
    file
}

/// When the link comes up. What may be missing is not waited for.
fn start_mode(interface: &Interface<'_>) -> &'static str {
    let settings = &interface.device.settings;
    match settings.activation_mode {
        Some("off") => "off",
        Some(_) => "manual",
        None if settings.critical => "nfsroot",
        None if settings.optional || interface.master().is_some() => "hotplug",
        None => "auto",
    }
}

/// `none` is for members of bonds, which the bond sets up; a bridge's port is brought up and left without addresses.
fn boot_protocol(interface: &Interface<'_>) -> &'static str {
    let settings = &interface.device.settings;
    match interface.master() {
        Some((_, Device { kind: Kind::Bond(_), .. })) => return "none",
        Some(_) => return "static",
        None => {}
    }
    let link_local = settings.link_local.is_some_and(|families| families.ipv4);
    match (settings.dhcp4, settings.dhcp6, link_local) {
        (true, true, false) => "dhcp",
        (true, true, true) => "dhcp+autoip",
        (true, false, false) => "dhcp4",
        (true, false, true) => "dhcp4+autoip",
        (false, true, false) => "dhcp6",
        (false, true, true) => "dhcp6+autoip",
        (false, false, true) => "autoip",
        (false, false, false) => "static",
    }
}

fn kind(file: &mut Assignments, interface: &Interface<'_>) {
    let interfaces = interface.interfaces;
    match &interface.device.kind {
        Kind::Ethernet(card) => ethtool(file, card),
        Kind::Bond(bond) => {
            file.set("BONDING_MASTER", yes_no(true));
            file.set_words("BONDING_MODULE_OPTS", &bond_options::words(&bond.parameters, interfaces));
            for (number, member) in interfaces.names_of(&bond.interfaces).iter().enumerate() {
                file.set_numbered("BONDING_SLAVE_", number, member);
            }
        }
        Kind::Bridge(bridge) => {
            file.set("BRIDGE", yes_no(true));
            file.set("BRIDGE_PORTS", interfaces.names_of(&bridge.interfaces).join(" "));
            if let Some(parameters) = &bridge.parameters {
                bridge_parameters(file, parameters);
                ports(file, bridge, parameters, interface);
            }
        }
        Kind::Vlan(vlan) => {
            file.set_some("ETHERDEVICE", interfaces.names(&vlan.link).first());
            file.set("VLAN_ID", vlan.id);
        }
    }
}

/// wicked puts the name of the link for the second word.
fn ethtool(file: &mut Assignments, card: &Ethernet) {
    file.set_some("ETHTOOL_OPTIONS", card.wakeonlan.map(|on| format!("wol {}", if on { "g" } else { "d" })));
    for (number, words) in offload_words(card).into_iter().enumerate() {
        file.set_numbered("ETHTOOL_OPTIONS_", number, format!("-K iface {words}"));
    }
}

fn bridge_parameters(file: &mut Assignments, parameters: &BridgeParameters) {
    let seconds = |time: &Option<Interval>| time.as_ref().and_then(Interval::whole_seconds);
    file.set("BRIDGE_STP", if parameters.stp { "on" } else { "off" });
    file.set_some("BRIDGE_PRIORITY", parameters.priority);
    file.set_some("BRIDGE_AGEINGTIME", seconds(&parameters.ageing_time));
    file.set_some("BRIDGE_FORWARDDELAY", seconds(&parameters.forward_delay));
    file.set_some("BRIDGE_HELLOTIME", seconds(&parameters.hello_time));
    file.set_some("BRIDGE_MAXAGE", seconds(&parameters.max_age));
}

/// A number for each port, in the order of the ports.
fn ports(file: &mut Assignments, bridge: &Bridge, parameters: &BridgeParameters, interface: &Interface<'_>) {
    let lists =
        [("BRIDGE_PATHCOSTS", &parameters.path_cost), ("BRIDGE_PORTPRIORITIES", &parameters.port_priority)];
    for (variable, numbers) in lists.into_iter().filter(|(_, numbers)| !numbers.is_empty()) {
        let words = bridge.interfaces.iter().flat_map(|id| {
            let word = numbers.get(id).map_or_else(|| "-".to_owned(), ToString::to_string);
            interface.interfaces.names(id).iter().map(move |_| word.clone())
        });
        file.set_words(variable, &words.collect::<Vec<_>>());
    }
}

/// Suffixes as cloud-init has them: none and 1, 2, … for IPv4, 6 and 6_1, 6_2, … for IPv6.
fn addresses(file: &mut Assignments, addresses: &[StaticAddress]) {
    let of = |ipv4: bool| addresses.iter().filter(move |address| address.address.address.is_ipv4() == ipv4);
    for (number, StaticAddress { address, label, .. }) in of(true).enumerate() {
        let mask = netmask(address.prefix);
        if number == 0 {
            file.set("IPADDR", address.address);
            file.set("NETMASK", mask);
            file.set_some("LABEL", label.as_ref());
        } else {
            file.set_numbered("IPADDR", number, address.address);
            file.set_numbered("NETMASK", number, mask);
            if let Some(label) = label {
                file.set_numbered("LABEL", number, label);
            }
        }
    }
    for (number, StaticAddress { address, lifetime, .. }) in of(false).enumerate() {
        let preferred = (*lifetime == Some("0")).then_some("preferred_lft 0");
        if number == 0 {
            file.set("IPADDR6", address);
            file.set_some("IP_OPTIONS6", preferred);
        } else {
            file.set_numbered("IPADDR6_", number, address);
            if let Some(preferred) = preferred {
                file.set_numbered("IP_OPTIONS6_", number, preferred);
            }
        }
    }
}

fn dhcp4(file: &mut Assignments, settings: &Settings) {
    let overrides = &settings.dhcp4_overrides;
    if !settings.dhcp4 {
        return;
    }
    file.set_some("DHCLIENT_ROUTE_PRIORITY", overrides.route_metric);
    file.set_bool("DHCLIENT_SET_DEFAULT_ROUTE", overrides.use_routes);
    file.set_bool("DHCLIENT_SET_HOSTNAME", overrides.use_hostname);
    file.set_some("DHCLIENT_HOSTNAME_OPTION", host_name(overrides));
    file.set_some("DHCLIENT_UPDATE", updates(overrides));
    let identifier = settings.dhcp_identifier;
    file.set_some("DHCLIENT_CREATE_CID", identifier.map(|id| if id == "mac" { "hwaddr" } else { "rfc4361" }));
}

/// cloud-init has it ask for an address whatever routers say.
fn dhcp6(file: &mut Assignments, settings: &Settings) {
    let overrides = &settings.dhcp6_overrides;
    if !settings.dhcp6 {
        return;
    }
    file.set("DHCLIENT6_MODE", "managed");
    file.set_bool("DHCLIENT6_SET_HOSTNAME", overrides.use_hostname);
    file.set_some("DHCLIENT6_HOSTNAME_OPTION", host_name(overrides));
    file.set_some("DHCLIENT6_UPDATE", updates(overrides));
}

/// The name that is sent; empty sends none.
fn host_name(overrides: &DhcpOverrides) -> Option<&str> {
    match overrides.send_hostname {
        Some(false) => Some(""),
        Some(true) => Some(overrides.hostname.as_deref().unwrap_or("AUTO")),
        None => overrides.hostname.as_deref(),
    }
}

/// What is not taken from the server, of what is taken by default.
fn updates(overrides: &DhcpOverrides) -> Option<String> {
    let without = [("dns", overrides.use_dns), ("ntp", overrides.use_ntp)];
    let words: Vec<&str> =
        without.into_iter().filter(|(_, used)| *used == Some(false)).map(|(word, _)| word).collect();
    (!words.is_empty()).then(|| format!("default,-{}", words.join(",-")))
}

/// Settings of the kernel for one link: keys below `net.ipv6.conf`.
#[derive(Debug)]
pub(super) struct Sysctls<'a> {
    link: &'a str,
    settings: Vec<(&'static str, u8)>,
}

impl<'a> Sysctls<'a> {
    /// The settings of a link.
    pub(super) fn of(interface: &Interface<'a>) -> Self {
        let settings = &interface.device.settings;
        let mut found = Vec::new();
        let is_off = settings.link_local.is_some_and(|families| !families.ipv6);
        found.extend(is_off.then_some(("disable_ipv6", 1)));
        found.extend(settings.accept_ra.map(|accepts| ("accept_ra", u8::from(accepts))));
        // Prefer temporary addresses, as other renderers do.
        found.extend(settings.ipv6_privacy.map(|on| ("use_tempaddr", if on { 2 } else { 0 })));
        let is_eui64 = settings.ipv6_address_generation == Some("eui64");
        found.extend(is_eui64.then_some(("addr_gen_mode", 0)));
        Self { link: interface.name, settings: found }
    }

    /// True if there is nothing to set.
    pub(super) fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }
}

impl fmt::Display for Sysctls<'_> {
    /// With slashes: a link's name may have a dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::HEADER)?;
        for (key, value) in &self.settings {
            writeln!(f, "net/ipv6/conf/{}/{key} = {value}", self.link)?;
        }
        Ok(())
    }
}
