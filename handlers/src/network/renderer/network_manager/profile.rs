//! A connection profile: what NetworkManager does with a link.

use super::ip::Family;
use super::keyfile::{Keyfile, Section};
use super::stacked;
use super::uuid::ProfileUuid;
use crate::network::document::address::MacAddress;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind, Offload};
use crate::network::document::name::{DeviceId, Pattern};

/// cloud-init's: above the profiles that NetworkManager makes by itself, and above what admins leave at 0.
pub(super) const PRIORITY: i32 = 120;

/// The profile of a device.
pub(super) fn keyfile(id: &DeviceId, device: &Device, config: &NetworkConfig) -> Keyfile {
    let mut file = Keyfile::default();
    file.add(connection(id, device, config));
    let mut user = Section::new("user");
    user.set("org.freedesktop.NetworkManager.origin", "cloud-channel");
    file.add(user);
    file.add(matching(device));
    file.add(ethernet(device));
    file.add(ethtool(device));
    file.add(stacked::section(device, config));
    let Some((_, master)) = config.master(id) else {
        file.add(hostname(device));
        file.add(Family::ipv4(&device.settings).section());
        file.add(Family::ipv6(&device.settings).section());
        return file;
    };
    // A port has no addresses of its own, and no section for them.
    file.add(stacked::bridge_port(id, master));
    file
}

/// What a profile's type is called.
pub(super) const fn kind(device: &Device) -> &'static str {
    match device.kind {
        Kind::Ethernet(_) => "ethernet",
        Kind::Bond(_) => "bond",
        Kind::Bridge(_) => "bridge",
        Kind::Vlan(_) => "vlan",
    }
}

fn connection(id: &DeviceId, device: &Device, config: &NetworkConfig) -> Section {
    let mut section = Section::new("connection");
    section.set("id", format!("cloud-init {id}"));
    section.set("uuid", ProfileUuid::of(id));
    section.set("type", kind(device));
    if device.settings.activation_mode.is_some() {
        section.set("autoconnect", false);
    }
    section.set("autoconnect-priority", PRIORITY);
    if matches!(device.kind, Kind::Bond(_) | Kind::Bridge(_)) {
        // Ports come back with what they are ports of.
        section.set("autoconnect-slaves", 1);
    }
    // The hardware address says it all, whether the card could be renamed yet or not.
    let name = device.link_name.as_ref().filter(|_| device.identity().is_none());
    section.set_some("interface-name", name);
    if device.link_name.is_none() && device.identity().is_none() {
        // A pattern of names or a driver may stand for several cards: NM_CONNECTION_MULTI_CONNECT_MULTIPLE.
        section.set("multi-connect", 3);
    }
    if let Some((master, of)) = config.master(id) {
        // Newer versions call these controller and port-type, and read both; 1.42 reads these alone.
        section.set("master", ProfileUuid::of(master));
        section.set("slave-type", kind(of));
    }
    section
}

/// What a card must have beside a name or a hardware address.
fn matching(device: &Device) -> Section {
    let mut section = Section::new("match");
    let Some(matching) = device.matching() else { return section };
    section.set_list("driver", matching.drivers.iter().map(plain));
    // After a rename, the pattern of the old name has done its work.
    if device.link_name.is_none() {
        section.set_list("interface-name", matching.name.iter().map(plain));
    }
    section
}

/// A pattern that begins with none of the characters by which NetworkManager joins patterns.
fn plain(pattern: &Pattern) -> String {
    let text = pattern.as_str();
    if text.starts_with(['!', '|', '&', '\\']) { format!("\\{text}") } else { text.to_owned() }
}

/// The part that every kind of link has in common with a card.
fn ethernet(device: &Device) -> Section {
    let upper = |address: MacAddress| address.to_string().to_ascii_uppercase();
    let mut section = Section::new("ethernet");
    section.set_some("mac-address", device.identity().map(upper));
    section.set_some("cloned-mac-address", device.settings.macaddress.map(upper));
    section.set_some("mtu", device.settings.mtu);
    let wake = device.as_ethernet().and_then(|card| card.wakeonlan);
    // NM_SETTING_WIRED_WAKE_ON_LAN_MAGIC, or none of them.
    section.set_some("wake-on-lan", wake.map(|on| if on { 0x40 } else { 0 }));
    section
}

fn ethtool(device: &Device) -> Section {
    let mut section = Section::new("ethtool");
    for (offload, on) in device.as_ethernet().into_iter().flat_map(|card| &card.offloads) {
        let key = match offload {
            Offload::ReceiveChecksum => "feature-rx",
            Offload::TransmitChecksum => "feature-tx",
            Offload::TcpSegmentation => "feature-tso",
            Offload::Tcp6Segmentation => "feature-tx-tcp6-segmentation",
            Offload::GenericSegmentation => "feature-gso",
            Offload::GenericReceive => "feature-gro",
            Offload::LargeReceive => "feature-lro",
        };
        section.set(key, on);
    }
    section
}

/// Whether the machine may be called what DHCP says: of the link, not of a family.
fn hostname(device: &Device) -> Section {
    let mut section = Section::new("hostname");
    let families = [Family::ipv4(&device.settings), Family::ipv6(&device.settings)];
    let wish = families.into_iter().find_map(|family| family.overrides()?.use_hostname);
    section.set_some("from-dhcp", wish.map(u8::from));
    section
}
