//! A device's addresses as stanzas: one for each, and one for each way to be given some.

use super::stanza::{Command, Family, Phase, Stanza};
use crate::network::document::device::Device;
use crate::network::document::name::LinkName;
use crate::network::document::settings::{LinkLocal, Settings};

/// The stanzas of a device's addresses, in cloud-init's order; none if it has no addresses.
pub(super) fn stanzas(name: &LinkName, settings: &Settings) -> Vec<Stanza> {
    let mut stanzas = Vec::new();
    if settings.dhcp4 {
        let mut stanza = Stanza::new(name, Family::Inet, "dhcp");
        stanza.set_some("metric", settings.dhcp4_overrides.route_metric);
        stanzas.push(stanza);
    }
    if settings.dhcp6 {
        let mut stanza = Stanza::new(name, Family::Inet6, "dhcp");
        stanza.set_some("accept_ra", settings.accept_ra.map(u8::from));
        stanzas.push(stanza);
    }
    let (ipv4, ipv6): (Vec<_>, Vec<_>) =
        settings.addresses.iter().partition(|address| address.address.address.is_ipv4());
    for (index, address) in ipv4.iter().enumerate() {
        let mut stanza = Stanza::new(name, Family::Inet, "static");
        stanza.set("address", address.address);
        stanza.set_some("gateway", settings.gateway4.filter(|_| index == 0));
        stanzas.push(stanza);
    }
    for (index, address) in ipv6.iter().enumerate() {
        let mut stanza = Stanza::new(name, Family::Inet6, "static");
        stanza.set("address", address.address);
        stanza.set_some("preferred-lifetime", address.lifetime.filter(|lifetime| *lifetime == "0"));
        // Unless told otherwise a static stanza switches router advertisements' addresses off: each of them has to
        // say what the first says.
        stanza.set_some("accept_ra", settings.accept_ra.map(u8::from));
        stanza.set_some("autoconf", settings.accept_ra.map(u8::from));
        if index == 0 {
            stanza.set_some("gateway", settings.gateway6);
            stanza.set_some("mtu", settings.ipv6_mtu);
        }
        stanzas.push(stanza);
    }
    if ipv6.is_empty() && !settings.dhcp6 && settings.accept_ra == Some(true) {
        let mut stanza = Stanza::new(name, Family::Inet6, "auto");
        stanza.set("accept_ra", 1);
        stanzas.push(stanza);
    }
    if ipv6.is_empty() && settings.ipv6_mtu.is_some() {
        let mut stanza = Stanza::new(name, Family::Inet6, "manual");
        stanza.set_some("mtu", settings.ipv6_mtu);
        stanzas.push(stanza);
    }
    stanzas
}

/// Adds what no option of a stanza says of the kernel's own IPv6.
pub(super) fn add_link_commands(stanza: &mut Stanza, device: &Device) {
    let settings = &device.settings;
    let has_ipv6 =
        settings.dhcp6 || settings.addresses.iter().any(|address| address.address.address.is_ipv6());
    if settings.accept_ra == Some(false) && !has_ipv6 {
        let command = Command::new("echo 0 > \"/proc/sys/net/ipv6/conf/$IFACE/accept_ra\"");
        stanza.run(Phase::PreUp, command);
    }
    if let Some(private) = settings.ipv6_privacy {
        let command = Command::new("echo").value(if private { "2" } else { "0" });
        stanza.run(Phase::PreUp, command.words("> \"/proc/sys/net/ipv6/conf/$IFACE/use_tempaddr\""));
    }
    let mode = match (settings.link_local, settings.ipv6_address_generation) {
        (Some(LinkLocal { ipv6: false, .. }), _) => Some("none"),
        (_, Some("eui64")) => Some("eui64"),
        _ => None,
    };
    if mode.is_some() {
        stanza.run(Phase::PreUp, Command::new("ip link set dev \"$IFACE\"").option("addrgenmode", mode));
    }
    if let Some(token) = settings.ipv6_address_token {
        let command = Command::new("ip token set").value(token).words("dev \"$IFACE\"");
        stanza.run(Phase::PreUp, command);
    }
}
