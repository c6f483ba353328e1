//! What a bond is told, as the kernel's driver names it (Documentation/networking/bonding.rst).

use super::interfaces::Interfaces;
use crate::network::document::virtual_device::{BondParameters, Interval};

/// Words `option=value`. A list of addresses has commas, since the words have the spaces.
pub(super) fn words(parameters: &BondParameters, interfaces: &Interfaces) -> Vec<String> {
    let mut words = Vec::new();
    let mut add = |option: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{option}={value}")));
    };
    let text = |value: Option<&'static str>| value.map(str::to_owned);
    let number = |value: Option<u32>| value.map(|number| number.to_string());
    let milliseconds = |value: &Option<Interval>| {
        value.as_ref().and_then(Interval::whole_milliseconds).map(|number| number.to_string())
    };
    // The mode comes first: the kernel takes some of the others in some modes alone.
    add("mode", text(parameters.mode));
    add("xmit_hash_policy", text(parameters.transmit_hash_policy));
    add("miimon", milliseconds(&parameters.mii_monitor_interval));
    add("min_links", number(parameters.min_links));
    add("arp_interval", milliseconds(&parameters.arp_interval));
    if !parameters.arp_ip_targets.is_empty() {
        let targets: Vec<String> = parameters.arp_ip_targets.iter().map(ToString::to_string).collect();
        add("arp_ip_target", Some(targets.join(",")));
    }
    add("arp_validate", text(parameters.arp_validate));
    add("arp_all_targets", text(parameters.arp_all_targets));
    add("ad_select", text(parameters.ad_select));
    add("all_slaves_active", parameters.all_members_active.map(|on| u8::from(on).to_string()));
    add("num_grat_arp", number(parameters.gratuitous_arp));
    add("downdelay", milliseconds(&parameters.down_delay));
    add("updelay", milliseconds(&parameters.up_delay));
    add("lacp_rate", text(parameters.lacp_rate));
    add("fail_over_mac", text(parameters.fail_over_mac_policy));
    add("packets_per_slave", number(parameters.packets_per_member));
    add("primary", parameters.primary.as_ref().and_then(|id| interfaces.names(id).first().cloned()));
    add("primary_reselect", text(parameters.primary_reselect_policy));
    add("resend_igmp", number(parameters.resend_igmp));
    let learn = parameters.learn_packet_interval.as_ref().and_then(Interval::whole_seconds);
    add("lp_interval", learn.map(|seconds| seconds.to_string()));
    words
}
