//! What is seen of devices, in a sysfs of files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use cloud_channel_protocol::Subsystem;

use super::super::Device;
use super::super::device::tests::{card, disk};
use super::super::sysfs::Sysfs;
use super::super::uevent::{Action, Uevent};
use super::{MAC, said};

const PCI: &str = "devices/pci0000:00/0000:00";

fn put(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A card behind virtio, as the kernel shows it.
fn with_card(root: &Path, name: &str, ifindex: &str) {
    let folder = format!("{PCI}:03.0/virtio2/net/{name}");
    let uevent = format!("INTERFACE={name}\nIFINDEX={ifindex}\n");
    for (file, text) in [
        ("ifindex", ifindex),
        ("address", "52:54:00:00:00:01\n"),
        ("addr_assign_type", "0\n"),
        ("flags", "0x1003\n"),
        ("uevent", &uevent),
    ] {
        put(root, &[(&format!("{folder}/{file}"), text)]);
    }
    symlink("../../../virtio2", root.join(&folder).join("device")).unwrap();
    fs::create_dir_all(root.join("class/net")).unwrap();
    symlink(format!("../../{folder}"), root.join("class/net").join(name)).unwrap();
}

fn with_disk(root: &Path, name: &str, folder: &str, files: &[(&str, &str)]) {
    let uevent = format!("MAJOR=254\nDEVNAME={name}\nDEVTYPE=disk\n");
    put(root, &[(&format!("{folder}/uevent"), &uevent), (&format!("{folder}/size"), "2048\n")]);
    for (file, text) in files {
        put(root, &[(&format!("{folder}/{file}"), text)]);
    }
    fs::create_dir_all(root.join("block")).unwrap();
    symlink(format!("../{folder}"), root.join("block").join(name)).unwrap();
}

#[test]
fn sysfs_says_what_the_kernel_does_not() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    with_card(root, "eth0", "2\n");
    symlink("../../../../bus/virtio/drivers/virtio_net", root.join(format!("{PCI}:03.0/virtio2/driver")))
        .unwrap();
    let virtio = format!("{PCI}:05.0/virtio4/block/vdb");
    with_disk(root, "vdb", &virtio, &[("serial", "data-01"), ("diskseq", "9\n")]);
    let scsi = format!("{PCI}:06.0/virtio5/host0/target0:0:1/0:0:1:0/block/sda");
    with_disk(root, "sda", &scsi, &[("device/vpd_pg80", "\0P\0\u{6} S3R-1")]);
    with_disk(root, "nvme0c0n1", &format!("{PCI}:07.0/nvme/nvme0/nvme0c0n1"), &[("hidden", "1\n")]);
    with_disk(root, "loop0", "devices/virtual/block/loop0", &[]);
    let mut there = Sysfs::at(root, false, |_| None).scan().unwrap();
    there.sort_by(|a, b| a.name().cmp(b.name()));
    let eth0 = Device { driver: Some("virtio_net".to_owned()), ..card("eth0", 2, MAC) };
    let vdb = Device {
        devpath: format!("/{virtio}"),
        diskseq: Some(9),
        ..disk("vdb", 5, Some("data-01"), 2_048 * 512)
    };
    let sda = Device { devpath: format!("/{scsi}"), ..disk("sda", 6, Some("S3R-1"), 2_048 * 512) };
    assert_eq!(there, [eth0, sda, vdb]);
    assert!(Sysfs::at(&root.join("none"), false, |_| None).scan().is_none());
}

#[test]
fn what_goes_while_it_is_looked_at_is_told_as_far_as_it_is_known() {
    let root = tempfile::tempdir().unwrap();
    with_card(root.path(), "eth0", "2\n");
    let sysfs = Sysfs::at(root.path(), false, |_| None);
    let seen = |device: &Device| sysfs.look(&said(Action::Add, device));
    assert_eq!(seen(&card("eth0", 2, "")).unwrap().address.as_deref(), Some(MAC));
    // Another has its name already.
    let gone = seen(&card("eth0", 1, "")).unwrap();
    assert_eq!((gone.ifindex, gone.address), (Some(1), None));
    assert_eq!(seen(&disk("vdb", 5, None, 0)).unwrap().size, None);
}

#[test]
fn only_a_container_has_veths_for_cards() {
    let root = tempfile::tempdir().unwrap();
    for (name, ifindex, uevent) in [
        ("eth0", "7\n", "INTERFACE=eth0\n"),
        ("tap0", "8\n", "INTERFACE=tap0\n"),
        ("dummy0", "9\n", ""),
        ("br0", "10\n", "DEVTYPE=bridge\nINTERFACE=br0\n"),
    ] {
        let folder = format!("devices/virtual/net/{name}");
        for (file, text) in [("ifindex", ifindex), ("uevent", uevent), ("address", "02:00:00:00:00:01\n")] {
            put(root.path(), &[(&format!("{folder}/{file}"), text)]);
        }
        fs::create_dir_all(root.path().join("class/net")).unwrap();
        symlink(format!("../../{folder}"), root.path().join("class/net").join(name)).unwrap();
    }
    let kind_of =
        |ifindex| ["veth", "tun", "dummy", "bridge"].get(ifindex as usize - 7).map(ToString::to_string);
    let sysfs = |in_container| Sysfs::at(root.path(), in_container, kind_of);
    let names = |in_container| -> Vec<String> {
        let there = sysfs(in_container).scan().unwrap();
        there.iter().map(|device| device.name().to_owned()).collect()
    };
    assert_eq!(names(true), ["eth0"]);
    assert!(names(false).is_empty());
    let veth = Device { devpath: "/devices/virtual/net/eth0".to_owned(), ..card("eth0", 7, MAC) };
    let add = said(Action::Add, &veth);
    assert!(!sysfs(false).can_be_told(&add));
    let inside = sysfs(true);
    assert!(inside.can_be_told(&add) && inside.look(&add).is_some_and(|device| device.permanent.is_none()));
    let lost = Device { devpath: "/devices/virtual/net/gone".to_owned(), ..veth };
    assert!(inside.look(&said(Action::Add, &lost)).is_none(), "it may have been anything");
}

#[test]
fn uevents_of_no_hardware_are_passed_over() {
    let sysfs = Sysfs::at(Path::new("/nowhere"), true, |_| None);
    let of = |subsystem, devpath: &str, devtype: Option<&str>, action| {
        let uevent = said(action, &card("eth0", 2, MAC));
        let (devpath, devtype) = (devpath.to_owned(), devtype.map(str::to_owned));
        sysfs.can_be_told(&Uevent { subsystem, devpath, devtype, ..uevent })
    };
    let (net, block) = (Subsystem::Network, Subsystem::Block);
    for devtype in [None, Some("wlan"), Some("wwan")] {
        assert!(of(net, "/devices/pci0000:00/0000:00:03.0/net/x", devtype, Action::Add));
    }
    for devtype in ["bond", "bridge", "vlan", "vxlan", "wireguard", "macvlan", "ppp"] {
        assert!(!of(net, "/devices/virtual/net/x", Some(devtype), Action::Add), "{devtype}");
    }
    assert!(!of(net, "/devices/pci0000:00/0000:00:03.0/net/x", None, Action::Change));
    assert!(of(block, "/devices/pci0000:00/0000:00:05.0/virtio4/block/vdb", Some("disk"), Action::Change));
    assert!(!of(
        block,
        "/devices/pci0000:00/0000:00:05.0/virtio4/block/vdb/vdb1",
        Some("partition"),
        Action::Add
    ));
    assert!(!of(block, "/devices/virtual/block/dm-0", Some("disk"), Action::Change));
}
