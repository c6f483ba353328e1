//! `.netdev` files, which create links, and `.link` files, which name and tune cards.

use super::unit::{Section, UnitFile, yes_no};
use crate::network::document::device::{Device, Ethernet, Kind, Offload};
use crate::network::document::name::DeviceId;
use crate::network::document::virtual_device::{BondParameters, BridgeParameters, Interval};

/// The `.netdev` file of a device that has to be created.
pub(super) fn netdev_file(id: &DeviceId, device: &Device) -> Option<UnitFile> {
    let (kind, parameters) = match &device.kind {
        Kind::Ethernet(_) => return None,
        Kind::Bond(bond) => ("bond", bond_section(&bond.parameters)),
        Kind::Bridge(bridge) => {
            let section = bridge.parameters.as_ref().map(bridge_section);
            ("bridge", section.unwrap_or(Section::new("Bridge")))
        }
        Kind::Vlan(vlan) => {
            let mut section = Section::new("VLAN");
            section.set("Id", vlan.id);
            ("vlan", section)
        }
    };
    let mut head = Section::new("NetDev");
    head.set("Name", id);
    head.set("Kind", kind);
    head.set_some("MACAddress", device.settings.macaddress);
    head.set_some("MTUBytes", device.settings.mtu);
    let mut file = UnitFile::default();
    file.add(head);
    file.add(parameters);
    Some(file)
}

/// The `.link` file of a card, if something is to be done before networkd has it.
pub(super) fn link_file(id: &DeviceId, ethernet: &Ethernet) -> Option<UnitFile> {
    if ethernet.set_name.is_none() && ethernet.wakeonlan.is_none() && ethernet.offloads.is_empty() {
        return None;
    }
    let mut head = Section::new("Match");
    match &ethernet.matching {
        None => head.set("OriginalName", id),
        Some(matching) => {
            head.set_some("PermanentMACAddress", matching.macaddress);
            if !matching.drivers.is_empty() {
                let drivers: Vec<&str> = matching.drivers.iter().map(|driver| driver.as_str()).collect();
                head.set("Driver", drivers.join(" "));
            }
            head.set_some("OriginalName", matching.name.as_ref().map(|name| name.as_str()));
        }
    }
    let mut link = Section::new("Link");
    match &ethernet.set_name {
        Some(name) => link.set("Name", name),
        // The first matching file is the only one: without these two lines the card would lose the name that
        // systemd's own file gives it.
        None => {
            link.set("NamePolicy", "keep kernel database onboard slot path");
            link.set("MACAddressPolicy", "persistent");
        }
    }
    link.set_some("WakeOnLan", ethernet.wakeonlan.map(|on| if on { "magic" } else { "off" }));
    for (offload, on) in &ethernet.offloads {
        link.set(offload_key(*offload), yes_no(*on));
    }
    let mut file = UnitFile::default();
    file.add(head);
    file.add(link);
    Some(file)
}

const fn offload_key(offload: Offload) -> &'static str {
    match offload {
        Offload::ReceiveChecksum => "ReceiveChecksumOffload",
        Offload::TransmitChecksum => "TransmitChecksumOffload",
        Offload::TcpSegmentation => "TCPSegmentationOffload",
        Offload::Tcp6Segmentation => "TCP6SegmentationOffload",
        Offload::GenericSegmentation => "GenericSegmentationOffload",
        Offload::GenericReceive => "GenericReceiveOffload",
        Offload::LargeReceive => "LargeReceiveOffload",
    }
}

fn bond_section(parameters: &BondParameters) -> Section {
    let milliseconds = |interval: &Option<Interval>| interval.as_ref().map(Interval::in_milliseconds);
    let mut section = Section::new("Bond");
    section.set_some("Mode", parameters.mode);
    section.set_some("LACPTransmitRate", parameters.lacp_rate);
    section.set_some("MIIMonitorSec", milliseconds(&parameters.mii_monitor_interval));
    section.set_some("MinLinks", parameters.min_links);
    section.set_some("TransmitHashPolicy", parameters.transmit_hash_policy);
    section.set_some("AdSelect", parameters.ad_select);
    section.set_bool("AllSlavesActive", parameters.all_members_active);
    section.set_some("ARPIntervalSec", milliseconds(&parameters.arp_interval));
    if !parameters.arp_ip_targets.is_empty() {
        let targets: Vec<String> = parameters.arp_ip_targets.iter().map(ToString::to_string).collect();
        section.set("ARPIPTargets", targets.join(" "));
    }
    section.set_some("ARPValidate", parameters.arp_validate);
    section.set_some("ARPAllTargets", parameters.arp_all_targets);
    section.set_some("UpDelaySec", milliseconds(&parameters.up_delay));
    section.set_some("DownDelaySec", milliseconds(&parameters.down_delay));
    section.set_some("FailOverMACPolicy", parameters.fail_over_mac_policy);
    section.set_some("GratuitousARP", parameters.gratuitous_arp);
    section.set_some("PacketsPerSlave", parameters.packets_per_member);
    section.set_some("PrimaryReselectPolicy", parameters.primary_reselect_policy);
    section.set_some("ResendIGMP", parameters.resend_igmp);
    let learn = parameters.learn_packet_interval.as_ref();
    section.set_some("LearnPacketIntervalSec", learn.map(Interval::in_seconds));
    section
}

fn bridge_section(parameters: &BridgeParameters) -> Section {
    let seconds = |interval: &Option<Interval>| interval.as_ref().map(Interval::in_seconds);
    let mut section = Section::new("Bridge");
    section.set_some("AgeingTimeSec", seconds(&parameters.ageing_time));
    section.set_some("Priority", parameters.priority);
    section.set_some("ForwardDelaySec", seconds(&parameters.forward_delay));
    section.set_some("HelloTimeSec", seconds(&parameters.hello_time));
    section.set_some("MaxAgeSec", seconds(&parameters.max_age));
    section.set("STP", yes_no(parameters.stp));
    section
}
