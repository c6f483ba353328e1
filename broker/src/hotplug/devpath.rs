//! Device paths: where a device is in the kernel's tree, and what of that stays the same from boot to boot.

/// Longest path: the kernel's own buffer for a whole uevent (`UEVENT_BUFFER_SIZE`).
pub(super) const LONGEST: usize = 2_048;

/// True for what can be a device path: absolute, and no way out of sysfs.
pub(super) fn is_valid(path: &str) -> bool {
    path.len() <= LONGEST
        && path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(char::is_control))
        })
}

/// A device's name: the last part.
pub(super) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// True for block devices that software makes of others, or of nothing: loop, ram, zram, dm, md, nbd.
pub(super) fn is_virtual_block(path: &str) -> bool {
    path.starts_with("/devices/virtual/block/")
}

/// True for network devices that software makes.
pub(super) fn is_virtual_net(path: &str) -> bool {
    path.starts_with("/devices/virtual/net/")
}

/// Where a device is, without its own name and without the numbers that the kernel gives in the order of probing:
/// the same slot has the same place after a reboot, also if another card has gone.
pub(super) fn place(path: &str) -> String {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let parts: Vec<String> = parent.split('/').map(without_number).collect();
    parts.join("/")
}

fn without_number(part: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for counted in ["virtio", "host", "nvme", "ata"] {
        if part.strip_prefix(counted).is_some_and(is_number) {
            return counted.to_owned();
        }
    }
    // SCSI: `target2:0:1` and `2:0:1:0` begin with the number of their host.
    let (kind, address) = part.strip_prefix("target").map_or(("", part), |address| ("target", address));
    match address.split_once(':') {
        Some((host, rest)) if is_number(host) && rest.split(':').all(is_number) => format!("{kind}:{rest}"),
        _ => part.to_owned(),
    }
}

/// What udev calls `ID_PATH`, where it is that of a PCI device: a card or a disk of its own, or virtio's.
pub(super) fn pci_path(path: &str) -> Option<String> {
    let (parent, _) = path.rsplit_once('/')?;
    let parent = parent.strip_suffix("/net").or_else(|| parent.strip_suffix("/block"))?;
    let mut parts = parent.strip_prefix("/devices/pci")?.split('/');
    parts.next()?;
    let mut address = None;
    for part in parts {
        if is_pci_address(part) {
            address = Some(part);
        } else if without_number(part) != "virtio" {
            return None;
        }
    }
    address.map(|address| format!("pci-{address}"))
}

/// `0000:00:03.0`: domain, bus, device, function.
fn is_pci_address(part: &str) -> bool {
    let hex = |text: &str, least: usize| text.len() >= least && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut fields = part.split(':');
    let (domain, bus, rest) = (fields.next(), fields.next(), fields.next());
    let slot = rest.and_then(|rest| rest.split_once('.'));
    fields.next().is_none()
        && domain.is_some_and(|domain| hex(domain, 4))
        && bus.is_some_and(|bus| hex(bus, 2))
        && slot.is_some_and(|(device, function)| hex(device, 2) && hex(function, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_sysfs() {
        for good in ["/devices/virtual/net/lo", "/devices/pci0000:00/0000:00:03.0/virtio2/net/eth0"] {
            assert!(is_valid(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        for bad in ["", "/", "devices/a", "/devices/../etc", "/devices//a", "/a/", "/./a", "/a\nb", &long] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn a_place_survives_a_reboot() {
        for (path, expected) in [
            (
                "/devices/pci0000:00/0000:00:03.0/virtio2/net/eth0",
                "/devices/pci0000:00/0000:00:03.0/virtio/net",
            ),
            (
                "/devices/pci0000:00/0000:00:06.0/virtio3/host2/target2:0:1/2:0:1:0/block/sda",
                "/devices/pci0000:00/0000:00:06.0/virtio/host/target:0:1/:0:1:0/block",
            ),
            (
                "/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sr0",
                "/devices/pci0000:00/0000:00:1f.2/ata/host/target:0:0/:0:0:0/block",
            ),
            (
                "/devices/pci0000:00/0000:00:04.0/nvme/nvme1/nvme1n1",
                "/devices/pci0000:00/0000:00:04.0/nvme/nvme",
            ),
            ("/devices/vif-0/net/eth0", "/devices/vif-0/net"),
        ] {
            assert_eq!(place(path), expected);
        }
    }

    #[test]
    fn a_pci_path_is_udevs_or_none() {
        for (path, expected) in [
            ("/devices/pci0000:00/0000:00:03.0/virtio2/net/eth0", Some("pci-0000:00:03.0")),
            ("/devices/pci0000:00/0000:00:05.0/virtio4/block/vdb", Some("pci-0000:00:05.0")),
            ("/devices/pci0000:00/0000:00:1c.0/0000:02:00.1/net/ens2", Some("pci-0000:02:00.1")),
            // udev adds what is behind these.
            ("/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/net/usb0", None),
            ("/devices/pci0000:00/0000:00:06.0/virtio3/host2/target2:0:1/2:0:1:0/block/sda", None),
            ("/devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", None),
            ("/devices/virtual/net/veth0", None),
            ("/devices/vif-0/net/eth0", None),
        ] {
            assert_eq!(pci_path(path).as_deref(), expected, "{path}");
        }
    }
}
