//! A card or a disk: what is known of it, and what is told of it.

use cloud_channel_protocol::Subsystem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::devpath;
use super::uevent::{Action, Uevent};

/// A device as it was last seen: what the events tell, and what it is known by again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Where it is in sysfs, below `/sys`.
    pub(super) devpath: String,
    /// A network interface's number; new after each boot. What has none is a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ifindex: Option<u32>,
    /// The kernel's number of a disk's appearance; new after each boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) diskseq: Option<u64>,
    /// The MAC address in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    /// The card's own MAC address, if that is known: the one in use may be a bond's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) permanent: Option<String>,
    /// The kernel's driver of the device that has the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) driver: Option<String>,
    /// A disk's file below `/dev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) devname: Option<String>,
    /// A disk's serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<String>,
    /// A disk's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
}

/// Something that has happened to a device, to be published.
#[derive(Debug)]
pub(crate) struct HardwareEvent {
    pub(crate) subsystem: Subsystem,
    pub(crate) action: Action,
    attrs: Vec<(&'static str, String)>,
}

impl Device {
    /// What a uevent alone says of it.
    pub(super) fn of_uevent(uevent: &Uevent) -> Self {
        Self {
            devpath: uevent.devpath.clone(),
            ifindex: uevent.ifindex,
            diskseq: uevent.diskseq,
            address: None,
            permanent: None,
            driver: None,
            devname: uevent.devname.clone(),
            serial: None,
            size: None,
        }
    }

    pub(super) const fn subsystem(&self) -> Subsystem {
        if self.ifindex.is_some() { Subsystem::Network } else { Subsystem::Block }
    }

    pub(super) fn name(&self) -> &str {
        devpath::name(&self.devpath)
    }

    /// What it is known by wherever it is: a card's own MAC address, a disk's serial number.
    pub(super) fn own_id(&self) -> Option<&str> {
        match self.subsystem() {
            Subsystem::Network => self.permanent.as_deref(),
            Subsystem::Block => self.serial.as_deref(),
        }
    }

    /// The same device as it is seen now. What cannot be read any more is as it was.
    pub(super) fn seen_again(&self, seen: Self) -> Self {
        Self {
            address: seen.address.or_else(|| self.address.clone()),
            permanent: seen.permanent.or_else(|| self.permanent.clone()),
            driver: seen.driver.or_else(|| self.driver.clone()),
            devname: seen.devname.or_else(|| self.devname.clone()),
            serial: seen.serial.or_else(|| self.serial.clone()),
            size: seen.size.or(self.size),
            diskseq: seen.diskseq.or(self.diskseq),
            ..seen
        }
    }

    /// What has happened to it.
    pub(super) fn event(&self, action: Action) -> HardwareEvent {
        let subsystem = self.subsystem();
        let is_disk = subsystem == Subsystem::Block;
        let attrs = [
            ("address", self.address.clone()),
            ("name", Some(self.name().to_owned())),
            ("ifindex", self.ifindex.map(|index| index.to_string())),
            ("driver", self.driver.clone()),
            ("devname", self.devname.as_ref().map(|name| format!("/dev/{name}"))),
            ("devtype", is_disk.then(|| "disk".to_owned())),
            ("serial", self.serial.clone()),
            ("size", self.size.map(|size| size.to_string())),
            ("path", devpath::pci_path(&self.devpath)),
            ("devpath", Some(self.devpath.clone())),
        ];
        let attrs = attrs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        HardwareEvent { subsystem, action, attrs }
    }

    /// It has this name now, and had another.
    pub(super) fn renamed_from(&self, old: &str) -> HardwareEvent {
        let mut event = self.event(Action::Move);
        event.attrs.insert(2, ("old_name", old.to_owned()));
        event
    }
}

impl HardwareEvent {
    /// The event's data, as `specs/channels.md` has it.
    pub(crate) fn to_data(&self) -> Box<RawValue> {
        let attrs = self.attrs.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
        let data = serde_json::json!({
            "subsystem": self.subsystem.kernel_name(),
            "action": self.action.word(),
            "attrs": Value::Object(attrs.collect::<Map<_, _>>()),
        });
        serde_json::value::to_raw_value(&data).expect("a JSON value serialises")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A card with a MAC address of its own.
    pub(in crate::hotplug) fn card(name: &str, ifindex: u32, mac: &str) -> Device {
        let devpath = format!("/devices/pci0000:00/0000:00:03.0/virtio2/net/{name}");
        let (address, permanent) = (Some(mac.to_owned()), Some(mac.to_owned()));
        Device { devpath, ifindex: Some(ifindex), address, permanent, ..empty() }
    }

    /// A disk.
    pub(in crate::hotplug) fn disk(name: &str, slot: u32, serial: Option<&str>, size: u64) -> Device {
        let devpath = format!("/devices/pci0000:00/0000:00:{slot:02x}.0/virtio{slot}/block/{name}");
        let serial = serial.map(ToOwned::to_owned);
        Device { devpath, devname: Some(name.to_owned()), serial, size: Some(size), ..empty() }
    }

    fn empty() -> Device {
        Device {
            devpath: String::new(),
            ifindex: None,
            diskseq: None,
            address: None,
            permanent: None,
            driver: None,
            devname: None,
            serial: None,
            size: None,
        }
    }

    #[test]
    fn events_look_as_promised() {
        let card = Device { driver: Some("virtio_net".to_owned()), ..card("ens3", 4, "52:54:00:00:00:02") };
        assert_eq!(
            card.renamed_from("eth1").to_data().get(),
            r#"{"subsystem":"net","action":"move","attrs":{"address":"52:54:00:00:00:02","name":"ens3","old_name":"eth1","ifindex":"4","driver":"virtio_net","path":"pci-0000:00:03.0","devpath":"/devices/pci0000:00/0000:00:03.0/virtio2/net/ens3"}}"#
        );
        assert_eq!(
            disk("vdb", 5, Some("data-01"), 1 << 30).event(Action::Add).to_data().get(),
            r#"{"subsystem":"block","action":"add","attrs":{"name":"vdb","devname":"/dev/vdb","devtype":"disk","serial":"data-01","size":"1073741824","path":"pci-0000:00:05.0","devpath":"/devices/pci0000:00/0000:00:05.0/virtio5/block/vdb"}}"#
        );
    }

    #[test]
    fn what_is_gone_is_as_it_was() {
        let known = card("eth1", 4, "52:54:00:00:00:02");
        let bare = Device { address: None, permanent: None, ..card("ens3", 4, "") };
        assert_eq!(known.seen_again(bare), card("ens3", 4, "52:54:00:00:00:02"));
    }
}
