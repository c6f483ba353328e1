//! What NetworkManager would not read of bonds and bridges: values out of the range of its properties, and options
//! that do not go together (nm-settings(5), and what libnm 1.42 complains of).

use std::collections::BTreeMap;

use super::losses::Losses;
use super::span::{milliseconds, seconds};
use super::stacked::primary;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::DeviceId;
use crate::network::document::virtual_device::{Bond, BondParameters, Bridge, Interval};

/// The highest path cost of a port.
const HIGHEST_COST: u32 = 65535;

/// Notes what is lost of a bond or bridge.
pub(super) fn judge(device: &Device, config: &NetworkConfig, losses: &mut Losses) {
    match &device.kind {
        Kind::Bond(bond) => {
            judge_times(&bond.parameters, losses);
            judge_options(&bond.parameters, losses);
            judge_primary(bond, config, losses);
        }
        Kind::Bridge(bridge) => judge_bridge(bridge, losses),
        Kind::Ethernet(_) | Kind::Vlan(_) => {}
    }
}

fn judge_times(parameters: &BondParameters, losses: &mut Losses) {
    let expected = "a whole number of milliseconds";
    for (key, interval) in [
        ("mii-monitor-interval", &parameters.mii_monitor_interval),
        ("arp-interval", &parameters.arp_interval),
        ("up-delay", &parameters.up_delay),
        ("down-delay", &parameters.down_delay),
    ] {
        let lost = interval.as_ref().filter(|interval| milliseconds(interval).is_none());
        if let Some(interval) = lost {
            losses.refuse(&format!("parameters.{key}"), &interval.in_milliseconds(), expected, "");
        }
    }
    let learn = parameters.learn_packet_interval.as_ref();
    if let Some(interval) = learn.filter(|interval| seconds(interval).is_none_or(|seconds| seconds == 0)) {
        let key = "parameters.learn-packet-interval";
        losses.refuse(key, &interval.in_seconds(), "a whole number of seconds, 1 or more", "");
    }
}

/// Options that NetworkManager has with some modes only, or with others only.
fn judge_options(parameters: &BondParameters, losses: &mut Losses) {
    let mode = parameters.mode.unwrap_or("balance-rr");
    let of_modes: [(&str, bool, &[&str]); 5] = [
        ("lacp-rate", parameters.lacp_rate.is_some(), &["802.3ad"]),
        ("ad-select", parameters.ad_select.is_some_and(|select| select != "stable"), &["802.3ad"]),
        ("packets-per-slave", parameters.packets_per_member.is_some(), &["balance-rr"]),
        ("primary", parameters.primary.is_some(), &["active-backup", "balance-tlb", "balance-alb"]),
        (
            "arp-interval",
            parameters.arp_interval.is_some(),
            &["balance-rr", "active-backup", "balance-xor", "broadcast"],
        ),
    ];
    for (key, is_given, modes) in of_modes {
        if is_given && !modes.contains(&mode) {
            let expected =
                format!("no such option with mode {mode}: the kernel has it with {}", modes.join(", "));
            losses.refuse(&format!("parameters.{key}"), "", &expected, "");
        }
    }
    let has_targets = !parameters.arp_ip_targets.is_empty();
    if parameters.arp_interval.is_some() != has_targets {
        let expected = "`arp-interval` and `arp-ip-targets`, both or none";
        losses.refuse("parameters.arp-interval", "", expected, "");
    }
    let is_off =
        parameters.mii_monitor_interval.as_ref().is_some_and(|interval| milliseconds(interval) == Some(0));
    for (key, delay) in [("up-delay", &parameters.up_delay), ("down-delay", &parameters.down_delay)] {
        let delay = delay.as_ref().filter(|delay| milliseconds(delay) != Some(0));
        if let Some(delay) = delay.filter(|_| is_off) {
            let expected = "`mii-monitor-interval` above 0 with it: the delay is counted in its rounds";
            losses.refuse(&format!("parameters.{key}"), &delay.in_milliseconds(), expected, "");
        }
    }
}

/// The kernel knows links, and a card without a name of its own is none yet.
fn judge_primary(bond: &Bond, config: &NetworkConfig, losses: &mut Losses) {
    if let Some(id) = bond.parameters.primary.as_ref().filter(|_| primary(bond, config).is_none()) {
        let expected = "a member whose link's name is known";
        losses.refuse("parameters.primary", id.as_str(), expected, "give the member a `set-name`");
    }
}

fn judge_bridge(bridge: &Bridge, losses: &mut Losses) {
    let Some(parameters) = &bridge.parameters else { return };
    // Without the spanning tree, 0 says that it does not matter.
    let lowest = |lowest: u64| if parameters.stp { lowest } else { 0 };
    let times: [(&str, &Option<Interval>, u64, u64); 4] = [
        ("forward-delay", &parameters.forward_delay, lowest(2), 30),
        ("hello-time", &parameters.hello_time, lowest(1), 10),
        ("max-age", &parameters.max_age, lowest(6), 40),
        ("ageing-time", &parameters.ageing_time, 0, 1_000_000),
    ];
    for (key, interval, lowest, highest) in times {
        let Some(interval) = interval else { continue };
        if !seconds(interval).is_some_and(|seconds| (lowest..=highest).contains(&seconds)) {
            let expected = format!("a whole number of seconds from {lowest} to {highest}");
            losses.refuse(&format!("parameters.{key}"), &interval.in_seconds(), &expected, "");
        }
    }
    judge_costs(&parameters.path_cost, losses);
}

fn judge_costs(costs: &BTreeMap<DeviceId, u32>, losses: &mut Losses) {
    for (id, cost) in costs.iter().filter(|(_, cost)| **cost > HIGHEST_COST) {
        let expected = format!("a whole number up to {HIGHEST_COST}");
        losses.refuse(&format!("parameters.path-cost.{id}"), &cost.to_string(), &expected, "");
    }
}
