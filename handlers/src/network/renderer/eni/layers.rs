//! What bonds, bridges, VLANs and their members are told: options of ifenslave and bridge-utils-interfaces(5), and
//! commands for what these do not know.

use super::stanza::{Command, Phase, Stanza};
use crate::network::document::name::{DeviceId, LinkName};
use crate::network::document::virtual_device::{Bond, BondParameters, Bridge, Interval, Vlan};

/// Finds the name of a member.
pub(super) type NameOf<'a> = dyn Fn(&DeviceId) -> Option<LinkName> + 'a;

/// Makes the stanza a bond's. Members are listed, so that the bond has a carrier before it asks for an address, and have
/// stanzas of the class `allow-<bond>`, which ifenslave brings up with them.
pub(super) fn bond(stanza: &mut Stanza, bond: &Bond, name_of: &NameOf<'_>) {
    let members: Vec<LinkName> = bond.interfaces.iter().filter_map(name_of).collect();
    if members.is_empty() {
        stanza.set("bond-slaves", "none");
    }
    stanza.set_list("bond-slaves", &members);
    let parameters = &bond.parameters;
    let milliseconds = |interval: &Option<Interval>| interval.as_ref().and_then(milliseconds);
    // Without a mode ifenslave would leave a bond without members alone.
    stanza.set("bond-mode", parameters.mode.unwrap_or("balance-rr"));
    stanza.set_some("bond-miimon", milliseconds(&parameters.mii_monitor_interval));
    stanza.set_some("bond-updelay", milliseconds(&parameters.up_delay));
    stanza.set_some("bond-downdelay", milliseconds(&parameters.down_delay));
    stanza.set_some("bond-lacp-rate", parameters.lacp_rate);
    stanza.set_some("bond-ad-select", parameters.ad_select);
    stanza.set_some("bond-xmit-hash-policy", parameters.transmit_hash_policy);
    stanza.set_list("bond-arp-ip-target", &parameters.arp_ip_targets);
    stanza.set_some("bond-arp-interval", milliseconds(&parameters.arp_interval));
    stanza.set_some("bond-arp-validate", parameters.arp_validate);
    stanza.set_some("bond-fail-over-mac", parameters.fail_over_mac_policy);
    stanza.set_some("bond-num-grat-arp", parameters.gratuitous_arp);
    stanza.set_some("bond-packets-per-slave", parameters.packets_per_member);
    stanza.set_some("bond-primary", parameters.primary.as_ref().and_then(name_of));
    stanza.set_some("bond-primary-reselect", parameters.primary_reselect_policy);
    unknown_to_ifenslave(stanza, parameters);
}

/// ifenslave passes these over in silence, so the kernel is told directly.
fn unknown_to_ifenslave(stanza: &mut Stanza, parameters: &BondParameters) {
    let mut echo = |value: Option<u64>, to: &'static str| {
        if let Some(value) = value {
            stanza.run(Phase::PostUp, Command::new("echo").value(value).words(to));
        }
    };
    echo(parameters.min_links.map(u64::from), "> \"/sys/class/net/$IFACE/bonding/min_links\"");
    echo(
        parameters.all_members_active.map(u64::from),
        "> \"/sys/class/net/$IFACE/bonding/all_slaves_active\"",
    );
    echo(parameters.resend_igmp.map(u64::from), "> \"/sys/class/net/$IFACE/bonding/resend_igmp\"");
    let seconds = parameters.learn_packet_interval.as_ref().and_then(whole_seconds);
    echo(seconds, "> \"/sys/class/net/$IFACE/bonding/lp_interval\"");
    if let Some(targets) = parameters.arp_all_targets {
        let command = Command::new("echo").value(targets);
        stanza.run(Phase::PostUp, command.words("> \"/sys/class/net/$IFACE/bonding/arp_all_targets\""));
    }
}

/// Makes the stanza a bridge's.
pub(super) fn bridge(stanza: &mut Stanza, bridge: &Bridge, name_of: &NameOf<'_>) {
    let members: Vec<LinkName> = bridge.interfaces.iter().filter_map(name_of).collect();
    if members.is_empty() {
        stanza.set("bridge_ports", "none");
    }
    stanza.set_list("bridge_ports", &members);
    let Some(parameters) = &bridge.parameters else { return };
    let seconds = |interval: &Option<Interval>| interval.as_ref().and_then(seconds);
    stanza.set_some("bridge_ageing", seconds(&parameters.ageing_time));
    stanza.set_some("bridge_bridgeprio", parameters.priority);
    stanza.set_some("bridge_fd", seconds(&parameters.forward_delay));
    stanza.set_some("bridge_hello", seconds(&parameters.hello_time));
    stanza.set_some("bridge_maxage", seconds(&parameters.max_age));
    stanza.set("bridge_stp", if parameters.stp { "on" } else { "off" });
}

/// Adds what a bridge says of a port to the port's own stanza: bridge-utils takes one port's cost alone. A port that is
/// plugged in later joins the bridge by it, too.
pub(super) fn port(stanza: &mut Stanza, id: &DeviceId, bridge: &Bridge, name: &LinkName) {
    let parameters = bridge.parameters.as_ref();
    let cost = parameters.and_then(|parameters| parameters.path_cost.get(id)).copied();
    let priority = parameters.and_then(|parameters| parameters.port_priority.get(id)).copied();
    let mut command = Command::new("ip link set dev \"$IFACE\"").option("master", Some(name));
    if cost.is_some() || priority.is_some() {
        command = command.words("type bridge_slave").option("cost", cost).option("priority", priority);
    }
    // The bridge may not be there yet; then it takes the port by itself.
    stanza.run(Phase::PostUp, command.or_true());
}

/// What a bridge says of a port that is made before it is.
pub(super) fn made_port(stanza: &mut Stanza, id: &DeviceId, bridge: &Bridge, name: &LinkName) {
    let Some(parameters) = &bridge.parameters else { return };
    let cost = parameters.path_cost.get(id).copied();
    let priority = parameters.port_priority.get(id).copied();
    if cost.is_some() || priority.is_some() {
        let command = Command::new("ip link set").option("dev", Some(name)).words("type bridge_slave");
        stanza.run(Phase::PostUp, command.option("cost", cost).option("priority", priority));
    }
}

/// Makes the stanza a VLAN's. ifupdown makes `eth0.5` by itself; any other name needs a command, because the hook of the
/// package vlan passes it over or reads the number out of it.
pub(super) fn vlan(stanza: &mut Stanza, name: &LinkName, vlan: &Vlan, below: &LinkName) {
    if is_made_by_name(name, vlan, below) {
        stanza.set("vlan-raw-device", below);
        return;
    }
    let add = Command::new("ip link add").option("link", Some(below)).words("name \"$IFACE\" type vlan");
    stanza.run(Phase::PreUp, Command::new("ip link set").option("dev", Some(below)).words("up"));
    stanza.run(Phase::PreUp, add.option("id", Some(vlan.id)));
    stanza.run(Phase::PostDown, Command::new("ip link del dev \"$IFACE\"").or_true());
}

/// True for `eth0.5`, VLAN 5 on `eth0`.
pub(super) fn is_made_by_name(name: &LinkName, vlan: &Vlan, below: &LinkName) -> bool {
    name.as_str().rsplit_once('.') == Some((below.as_str(), vlan.id.to_string().as_str()))
}

/// A time in milliseconds, if it is a whole number of them.
pub(super) fn milliseconds(interval: &Interval) -> Option<u64> {
    let microseconds = microseconds(&interval.in_milliseconds());
    microseconds.is_multiple_of(1000).then_some(microseconds / 1000)
}

/// A time in whole seconds, if it is that.
pub(super) fn whole_seconds(interval: &Interval) -> Option<u64> {
    let microseconds = microseconds_of_seconds(interval);
    microseconds.is_multiple_of(1_000_000).then_some(microseconds / 1_000_000)
}

/// A time in seconds, with a fraction if it has one, if the kernel can hold it: it counts hundredths.
pub(super) fn seconds(interval: &Interval) -> Option<String> {
    let microseconds = microseconds_of_seconds(interval);
    let (whole, hundredths) = (microseconds / 1_000_000, microseconds % 1_000_000 / 10_000);
    let text = if hundredths == 0 { whole.to_string() } else { format!("{whole}.{hundredths:02}") };
    microseconds.is_multiple_of(10_000).then_some(text)
}

fn microseconds_of_seconds(interval: &Interval) -> u64 {
    let text = interval.in_seconds();
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    microseconds(&if is_bare { format!("{text}s") } else { text })
}

/// Reads digits and a unit. Nine digits are the most, so no product is too large.
fn microseconds(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => 3_600_000_000,
    };
    digits.parse::<u64>().unwrap_or_default() * unit
}
