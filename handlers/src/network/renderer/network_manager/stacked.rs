//! The sections of bonds, bridges, VLANs and bridge ports: nm-settings(5), and for bonds the kernel's own option names.

use super::keyfile::Section;
use super::span::{milliseconds, seconds};
use super::uuid::ProfileUuid;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::{DeviceId, LinkName};
use crate::network::document::virtual_device::{Bond, Bridge, Interval, Vlan};

/// The section that says what is to be created; empty for a card.
pub(super) fn section(device: &Device, config: &NetworkConfig) -> Section {
    match &device.kind {
        Kind::Ethernet(_) => Section::new("ethernet"),
        Kind::Bond(bond) => bond_section(bond, config),
        Kind::Bridge(bridge) => bridge_section(bridge),
        Kind::Vlan(vlan) => vlan_section(vlan, config),
    }
}

fn bond_section(bond: &Bond, config: &NetworkConfig) -> Section {
    let parameters = &bond.parameters;
    let time = |interval: &Option<Interval>| interval.as_ref().and_then(milliseconds);
    let mut section = Section::new("bond");
    // The kernel's default, said because a profile without options is none.
    section.set("mode", parameters.mode.unwrap_or("balance-rr"));
    section.set_some("lacp_rate", parameters.lacp_rate);
    section.set_some("miimon", time(&parameters.mii_monitor_interval));
    section.set_some("min_links", parameters.min_links);
    section.set_some("xmit_hash_policy", parameters.transmit_hash_policy);
    section.set_some("ad_select", parameters.ad_select);
    section.set_some("all_slaves_active", parameters.all_members_active.map(u8::from));
    section.set_some("arp_interval", time(&parameters.arp_interval));
    let targets = parameters.arp_ip_targets.iter().map(ToString::to_string).collect();
    section.set_parts("arp_ip_target", ',', targets);
    section.set_some("arp_validate", parameters.arp_validate);
    section.set_some("arp_all_targets", parameters.arp_all_targets);
    section.set_some("updelay", time(&parameters.up_delay));
    section.set_some("downdelay", time(&parameters.down_delay));
    section.set_some("fail_over_mac", parameters.fail_over_mac_policy);
    // One number in the kernel, under two names.
    section.set_some("num_grat_arp", parameters.gratuitous_arp);
    section.set_some("num_unsol_na", parameters.gratuitous_arp);
    section.set_some("packets_per_slave", parameters.packets_per_member);
    section.set_some("primary_reselect", parameters.primary_reselect_policy);
    section.set_some("resend_igmp", parameters.resend_igmp);
    section.set_some("lp_interval", parameters.learn_packet_interval.as_ref().and_then(seconds));
    section.set_some("primary", primary(bond, config));
    section
}

/// The link's name of a bond's primary member, where it is known.
pub(super) fn primary<'a>(bond: &Bond, config: &'a NetworkConfig) -> Option<&'a LinkName> {
    config.device(bond.parameters.primary.as_ref()?)?.link_name.as_ref()
}

fn bridge_section(bridge: &Bridge) -> Section {
    let mut section = Section::new("bridge");
    let Some(parameters) = &bridge.parameters else {
        // NetworkManager's own default is on, the kernel's is off.
        section.set("stp", false);
        return section;
    };
    let time = |interval: &Option<Interval>| interval.as_ref().and_then(seconds);
    section.set("stp", parameters.stp);
    section.set_some("priority", parameters.priority);
    section.set_some("forward-delay", time(&parameters.forward_delay));
    section.set_some("hello-time", time(&parameters.hello_time));
    section.set_some("max-age", time(&parameters.max_age));
    section.set_some("ageing-time", time(&parameters.ageing_time));
    section
}

fn vlan_section(vlan: &Vlan, config: &NetworkConfig) -> Section {
    let mut section = Section::new("vlan");
    section.set("id", vlan.id);
    match config.device(&vlan.link) {
        Some(_) => section.set("parent", ProfileUuid::of(&vlan.link)),
        // A device of a section that we do not know: its id is its link's name.
        None => section.set("parent", &vlan.link),
    }
    section
}

/// What a bridge says of this one of its members.
pub(super) fn bridge_port(id: &DeviceId, master: &Device) -> Section {
    let mut section = Section::new("bridge-port");
    if let Kind::Bridge(bridge) = &master.kind {
        let parameters = bridge.parameters.as_ref();
        section.set_some("path-cost", parameters.and_then(|parameters| parameters.path_cost.get(id)));
        section.set_some("priority", parameters.and_then(|parameters| parameters.port_priority.get(id)));
    }
    section
}
