//! Uevents: what the kernel says of a device, parsed as strictly as it writes.
//!
//! ```text
//! ACTION@DEVPATH\0KEY=VALUE\0KEY=VALUE\0…
//! ```
//!
//! The first field comes again as the keys ACTION and DEVPATH (`kobject_uevent_env` in the kernel's
//! `lib/kobject_uevent.c`). Which keys follow is up to the subsystem and its drivers; here are those of cards and disks.

use cloud_channel_protocol::Subsystem;

use super::devpath;

/// Largest datagram: the kernel's buffer for the keys, and the first field.
pub(super) const LARGEST: usize = 8_192;

/// What has happened to a device. The kernel has further words (`bind`, `online`, …), which tell nothing of hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It has come.
    Add,
    /// It has gone.
    Remove,
    /// It is another than before: a disk's size, a medium.
    Change,
    /// It has another name.
    Move,
}

impl Action {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Add, Self::Remove, Self::Change, Self::Move];

    /// The kernel's word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Change => "change",
            Self::Move => "move",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

/// A uevent of a card or a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uevent {
    pub(super) subsystem: Subsystem,
    pub(super) action: Action,
    pub(super) devpath: String,
    /// Of a network device; never 0.
    pub(super) ifindex: Option<u32>,
    /// `wlan`, `bridge`, `disk`, `partition`, …
    pub(super) devtype: Option<String>,
    /// Below `/dev`.
    pub(super) devname: Option<String>,
    /// Tells apart disks that had the same name one after another (Linux 5.15).
    pub(super) diskseq: Option<u64>,
    /// A medium was put in or taken out.
    pub(super) media: bool,
    /// The kernel's number of it.
    pub(super) seqnum: u64,
}

/// What is wrong with a datagram; it has nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(super) struct Malformed(&'static str);

/// Reads a datagram of the kernel: none if it is about nothing that is told.
///
/// # Errors
/// If it is not as the kernel writes them.
pub(super) fn parse(datagram: &[u8]) -> Result<Option<Uevent>, Malformed> {
    if !is_of_interest(datagram) {
        return Ok(None);
    }
    let text = std::str::from_utf8(datagram).map_err(|_| Malformed("UTF-8"))?;
    let text = text.strip_suffix('\0').ok_or(Malformed("a NUL at the end"))?;
    let mut fields = text.split('\0');
    let head = fields.next().and_then(|head| head.split_once('@'));
    let (word, path) = head.ok_or(Malformed("ACTION@DEVPATH first"))?;
    let keys = Keys::read(fields)?;
    if keys.action != Some(word) || keys.devpath != Some(path) {
        return Err(Malformed("ACTION and DEVPATH as in the first field"));
    }
    keys.uevent()
}

/// Most uevents are of other subsystems, and need not be looked at closely.
fn is_of_interest(datagram: &[u8]) -> bool {
    const OURS: [&[u8]; 2] = [b"SUBSYSTEM=net", b"SUBSYSTEM=block"];
    datagram.split(|byte| *byte == 0).any(|field| OURS.contains(&field))
}

/// The keys that are read, as they stand there.
#[derive(Default)]
struct Keys<'d> {
    action: Option<&'d str>,
    devpath: Option<&'d str>,
    old_devpath: Option<&'d str>,
    subsystem: Option<&'d str>,
    interface: Option<&'d str>,
    ifindex: Option<&'d str>,
    devtype: Option<&'d str>,
    devname: Option<&'d str>,
    diskseq: Option<&'d str>,
    media: Option<&'d str>,
    seqnum: Option<&'d str>,
}

impl<'d> Keys<'d> {
    fn read(fields: impl Iterator<Item = &'d str>) -> Result<Self, Malformed> {
        let mut keys = Self::default();
        for field in fields {
            let (key, value) = field.split_once('=').ok_or(Malformed("KEY=VALUE"))?;
            let place = match key {
                "ACTION" => &mut keys.action,
                "DEVPATH" => &mut keys.devpath,
                "DEVPATH_OLD" => &mut keys.old_devpath,
                "SUBSYSTEM" => &mut keys.subsystem,
                "INTERFACE" => &mut keys.interface,
                "IFINDEX" => &mut keys.ifindex,
                "DEVTYPE" => &mut keys.devtype,
                "DEVNAME" => &mut keys.devname,
                "DISKSEQ" => &mut keys.diskseq,
                "DISK_MEDIA_CHANGE" => &mut keys.media,
                "SEQNUM" => &mut keys.seqnum,
                "" => return Err(Malformed("KEY=VALUE")),
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Malformed("each key once"));
            }
        }
        Ok(keys)
    }

    fn uevent(self) -> Result<Option<Uevent>, Malformed> {
        let subsystem = match self.subsystem {
            Some("net") => Subsystem::Network,
            Some("block") => Subsystem::Block,
            // It stood in a value of another key.
            _ => return Ok(None),
        };
        let Some(action) = self.action.and_then(Action::parse) else { return Ok(None) };
        let paths = [self.devpath, self.old_devpath];
        let devpath = self.devpath.unwrap_or_default();
        if !paths.into_iter().flatten().all(devpath::is_valid) {
            return Err(Malformed("device paths"));
        }
        if self.interface.is_some_and(|name| name != devpath::name(devpath)) {
            return Err(Malformed("INTERFACE at the end of DEVPATH"));
        }
        if self.devname.is_some_and(|name| !devpath::is_valid(&format!("/{name}"))) {
            return Err(Malformed("DEVNAME below /dev"));
        }
        let ifindex = number(self.ifindex)?;
        if ifindex == Some(0) || (subsystem == Subsystem::Network && ifindex.is_none()) {
            return Err(Malformed("IFINDEX above 0"));
        }
        Ok(Some(Uevent {
            subsystem,
            action,
            devpath: devpath.to_owned(),
            ifindex,
            devtype: self.devtype.map(ToOwned::to_owned),
            devname: self.devname.map(ToOwned::to_owned),
            diskseq: number(self.diskseq)?,
            media: self.media == Some("1"),
            seqnum: number(self.seqnum)?.ok_or(Malformed("SEQNUM"))?,
        }))
    }
}

fn number<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, Malformed> {
    text.map(|text| text.parse().map_err(|_| Malformed("a number"))).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CARD: &str = "add@/devices/pci0000:00/0000:00:03.0/virtio2/net/eth1|ACTION=add|\
        DEVPATH=/devices/pci0000:00/0000:00:03.0/virtio2/net/eth1|SUBSYSTEM=net|INTERFACE=eth1|IFINDEX=7|SEQNUM=2001|";
    const DISK: &str = "change@/devices/pci0000:00/0000:00:05.0/virtio3/block/vdb|ACTION=change|\
        DEVPATH=/devices/pci0000:00/0000:00:05.0/virtio3/block/vdb|SUBSYSTEM=block|RESIZE=1|MAJOR=254|MINOR=16|\
        DEVNAME=vdb|DEVTYPE=disk|DISKSEQ=12|SEQNUM=2002|";

    fn read(text: &str) -> Result<Option<Uevent>, Malformed> {
        parse(text.replace('|', "\0").as_bytes())
    }

    #[test]
    fn a_card_and_a_disk() {
        let card = read(CARD).unwrap().unwrap();
        assert_eq!((card.subsystem, card.action), (Subsystem::Network, Action::Add));
        assert_eq!((card.ifindex, card.devtype, card.seqnum), (Some(7), None, 2001));
        assert_eq!(card.devpath, "/devices/pci0000:00/0000:00:03.0/virtio2/net/eth1");
        let disk = read(DISK).unwrap().unwrap();
        assert_eq!((disk.subsystem, disk.action), (Subsystem::Block, Action::Change));
        assert_eq!((disk.devname.as_deref(), disk.devtype.as_deref()), (Some("vdb"), Some("disk")));
        assert_eq!((disk.diskseq, disk.media), (Some(12), false));
        let cdrom = DISK.replace("RESIZE=1", "DISK_MEDIA_CHANGE=1");
        assert!(read(&cdrom).unwrap().unwrap().media);
    }

    #[test]
    fn a_rename_has_both_paths() {
        let moved = CARD.replace("add", "move").replace("eth1", "ens4");
        let moved = format!("{moved}DEVPATH_OLD=/devices/pci0000:00/0000:00:03.0/virtio2/net/eth1|");
        assert_eq!(read(&moved).unwrap().unwrap().action, Action::Move);
        assert!(read(&moved.replace("net/eth1", "net/../eth1")).is_err());
    }

    #[test]
    fn what_is_not_told_is_passed_over() {
        for text in [
            CARD.replace("SUBSYSTEM=net", "SUBSYSTEM=queues"),
            CARD.replace("add", "bind"),
            CARD.replace("SUBSYSTEM=net", "SUBSYSTEM=networks"),
            // Not even read.
            "garbage".to_owned(),
            String::new(),
        ] {
            assert_eq!(read(&text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_the_kernel_never_writes_is_refused() {
        for (from, to) in [
            ("add@", "add"),
            ("add@", "remove@"),
            ("ACTION=add|", ""),
            ("DEVPATH=/devices", "DEVPATH=/other"),
            ("net/eth1", "net/../eth1"),
            ("/devices", "devices"),
            ("IFINDEX=7", "IFINDEX=0"),
            ("IFINDEX=7", "IFINDEX=-1"),
            ("IFINDEX=7", "IFINDEX=99999999999"),
            ("IFINDEX=7|", ""),
            ("IFINDEX=7", "IFINDEX=7|IFINDEX=8"),
            ("INTERFACE=eth1", "INTERFACE=../eth1"),
            ("INTERFACE=eth1", "INTERFACE"),
            ("INTERFACE=eth1", "=eth1"),
            ("SEQNUM=2001|", ""),
            ("SEQNUM=2001|", "SEQNUM=2001"),
            ("SEQNUM=2001|", "SEQNUM=2001||"),
            ("IFINDEX=7", "IFINDEX=7|DEVNAME=../shadow"),
        ] {
            let text = CARD.replace(from, to);
            assert_ne!(text, CARD, "{from}");
            assert!(read(&text).is_err(), "{text}");
        }
        let mut bytes = CARD.replace('|', "\0").into_bytes();
        let at = bytes.len() - 2;
        bytes[at] = 0xff;
        assert_eq!(parse(&bytes), Err(Malformed("UTF-8")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _any = parse(&bytes);
        }

        /// Nearly right: whatever is taken has paths that stay in sysfs.
        #[test]
        fn what_is_taken_is_safe(at in 0..CARD.len(), byte in any::<u8>(), cut in 0..CARD.len()) {
            let mut bytes = CARD.replace('|', "\0").into_bytes();
            bytes[at] = byte;
            bytes.truncate(cut.max(at));
            if let Ok(Some(uevent)) = parse(&bytes) {
                prop_assert!(devpath::is_valid(&uevent.devpath));
                prop_assert!(uevent.ifindex.is_some_and(|index| index > 0));
            }
        }
    }
}
