//! What sysfs says of cards, disks and links. The device may go while it is being looked at: then what it had is
//! missing, and that is no error.
//!
//! Everything here is read by a thread that may wait: a disk's serial number is asked of the disk.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cloud_channel_protocol::Subsystem;

use super::device::Device;
use super::devpath;
use super::kind::kind_of;
use super::links::Link;
use super::uevent::{Action, Uevent};

/// Longest attribute that is read. Names, addresses, numbers and serial numbers are far below.
const LONGEST_ATTR: u64 = 256;
/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 65_536;
/// Of a disk's `size` (Documentation/ABI/stable/sysfs-block).
const SECTOR: u64 = 512;
/// A card's address that was never set.
const NO_ADDRESS: &str = "00:00:00:00:00:00";
/// A sysctl that the machine's own network namespace has alone (`net/core/sysctl_net_core.c` of the kernel).
const OF_FIRST_NAMESPACE: &str = "/proc/sys/net/core/dev_weight";

/// A sysfs, and what has to be known to judge what is in it.
#[derive(Debug)]
pub(super) struct Sysfs {
    root: PathBuf,
    /// True in a system container: there a veth is the card. Elsewhere it is an end of something that runs on this
    /// machine, and none of its hardware.
    in_container: bool,
    /// Any socket, to ask for the name of an interface.
    socket: Option<OwnedFd>,
    /// The kind of an interface that software has made.
    kind_of: fn(u32) -> Option<String>,
}

impl Sysfs {
    /// The machine's.
    pub(super) fn real() -> Self {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
            .inspect_err(|error| tracing::debug!(%error, "no socket to ask for the names of interfaces"));
        let in_container = !Path::new(OF_FIRST_NAMESPACE).exists();
        Self { root: "/sys".into(), in_container, socket: socket.ok(), kind_of }
    }

    /// A folder that plays sysfs.
    #[cfg(test)]
    pub(super) fn at(root: &Path, in_container: bool, kind_of: fn(u32) -> Option<String>) -> Self {
        Self { root: root.to_owned(), in_container, socket: None, kind_of }
    }

    /// True if a uevent can be one that is told, as far as it says so itself.
    pub(super) fn can_be_told(&self, uevent: &Uevent) -> bool {
        match uevent.subsystem {
            Subsystem::Network => {
                let is_ours = self.in_container || !devpath::is_virtual_net(&uevent.devpath);
                is_card(uevent.devtype.as_deref()) && is_ours && uevent.action != Action::Change
            }
            Subsystem::Block => {
                uevent.devtype.as_deref() == Some("disk") && !devpath::is_virtual_block(&uevent.devpath)
            }
        }
    }

    /// The device of a uevent that can be told. None if it is not one that is told after all.
    pub(super) fn look(&self, uevent: &Uevent) -> Option<Device> {
        let found = match uevent.subsystem {
            Subsystem::Network => self.find_card(uevent),
            Subsystem::Block => self.disk(&uevent.devpath),
        };
        let is_known_by_path = !devpath::is_virtual_net(&uevent.devpath);
        found.or_else(|| is_known_by_path.then(|| Device::of_uevent(uevent)))
    }

    /// All that is told of. None if there is no sysfs to read.
    pub(super) fn scan(&self) -> Option<Vec<Device>> {
        let cards = self.entries("class/net")?.filter_map(|devpath| self.card(&devpath));
        // Some containers have no disks.
        let disks = self.entries("block").into_iter().flatten().filter_map(|devpath| self.disk(&devpath));
        Some(cards.chain(disks).collect())
    }

    /// All links, by index.
    pub(super) fn links(&self) -> Vec<(u32, Link)> {
        let link = |devpath: String| {
            let folder = self.folder(&devpath);
            let flags = attr(&folder, "flags")?;
            let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
            let address = attr(&folder, "address").unwrap_or_default();
            let link = Link { name: devpath::name(&devpath).to_owned(), address, up: flags & 1 == 1 };
            Some((number(&folder, "ifindex")?, link))
        };
        self.entries("class/net").into_iter().flatten().filter_map(link).collect()
    }

    /// By its path, or, if udev has renamed it already, by its number.
    fn find_card(&self, uevent: &Uevent) -> Option<Device> {
        let is_it = |card: &Device| card.ifindex == uevent.ifindex;
        self.card(&uevent.devpath).filter(is_it).or_else(|| {
            let name = rustix::net::netdevice::index_to_name(self.socket.as_ref()?, uevent.ifindex?).ok()?;
            let devpath = target(&self.root.join("class/net").join(name))?;
            self.card(&devpath).filter(is_it)
        })
    }

    fn card(&self, devpath: &str) -> Option<Device> {
        let folder = self.folder(devpath);
        let ifindex = number(&folder, "ifindex")?;
        let of_kernel = fs::read_to_string(folder.join("uevent")).unwrap_or_default();
        if !is_card(value(&of_kernel, "DEVTYPE")) {
            return None;
        }
        if devpath::is_virtual_net(devpath)
            && !(self.in_container && (self.kind_of)(ifindex).as_deref() == Some("veth"))
        {
            return None;
        }
        let address = attr(&folder, "address").filter(|address| address != NO_ADDRESS);
        // 0: the address is the card's own (Documentation/ABI/testing/sysfs-class-net).
        let is_own = attr(&folder, "addr_assign_type").as_deref() == Some("0");
        let permanent = attr(&folder, "bonding_slave/perm_hwaddr");
        let permanent = permanent.or_else(|| address.clone().filter(|_| is_own));
        let driver = fs::read_link(folder.join("device/driver")).ok();
        let driver = driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
        Some(Device {
            devpath: devpath.to_owned(),
            ifindex: Some(ifindex),
            diskseq: None,
            address,
            permanent,
            driver,
            devname: None,
            serial: None,
            size: None,
        })
    }

    fn disk(&self, devpath: &str) -> Option<Device> {
        let folder = self.folder(devpath);
        let of_kernel = fs::read_to_string(folder.join("uevent")).ok()?;
        let is_disk = value(&of_kernel, "DEVTYPE") == Some("disk") && !devpath::is_virtual_block(devpath);
        // One path of several to a disk, which stands for itself elsewhere.
        if !is_disk || attr(&folder, "hidden").as_deref() == Some("1") {
            return None;
        }
        Some(Device {
            devpath: devpath.to_owned(),
            ifindex: None,
            diskseq: number(&folder, "diskseq"),
            address: None,
            permanent: None,
            driver: None,
            devname: value(&of_kernel, "DEVNAME").map(ToOwned::to_owned),
            serial: serial(&folder),
            size: number::<u64>(&folder, "size").and_then(|sectors| sectors.checked_mul(SECTOR)),
        })
    }

    /// The device paths of a class.
    fn entries(&self, class: &str) -> Option<impl Iterator<Item = String>> {
        let entries = fs::read_dir(self.root.join(class)).ok()?.take(MOST_ENTRIES);
        // What is no link is no device (`bonding_masters`).
        Some(entries.filter_map(|entry| target(&entry.ok()?.path())))
    }

    fn folder(&self, devpath: &str) -> PathBuf {
        self.root.join(devpath.trim_start_matches('/'))
    }
}

/// True for network devices that say of themselves nothing, as cards do, or what kind of radio they are.
fn is_card(devtype: Option<&str>) -> bool {
    matches!(devtype, None | Some("wlan" | "wwan"))
}

/// virtio has it at the disk, NVMe and SD cards at its device, SCSI in a page of its own (SPC, *Unit Serial Number*).
fn serial(folder: &Path) -> Option<String> {
    attr(folder, "serial").or_else(|| attr(folder, "device/serial")).or_else(|| {
        let page = bytes(folder, "device/vpd_pg80")?;
        let length = usize::from(u16::from_be_bytes(page.get(2..4)?.try_into().ok()?));
        text(page.get(4..4 + length)?)
    })
}

/// The device path that a link in sysfs leads to.
fn target(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?;
    let devpath = format!("/{}", target.to_str()?.trim_start_matches("../"));
    (devpath.starts_with("/devices/") && devpath::is_valid(&devpath)).then_some(devpath)
}

fn value<'t>(uevent: &'t str, key: &str) -> Option<&'t str> {
    uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

fn number<T: std::str::FromStr>(folder: &Path, name: &str) -> Option<T> {
    attr(folder, name)?.parse().ok()
}

/// An attribute's text, if it has any.
fn attr(folder: &Path, name: &str) -> Option<String> {
    text(&bytes(folder, name)?)
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn bytes(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(folder.join(name)).ok()?.take(LONGEST_ATTR).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
