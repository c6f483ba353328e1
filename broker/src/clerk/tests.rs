//! What the hardware did goes through the clerk as a whole, or waits.

use std::path::Path;
use std::sync::Arc;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_protocol::ChannelName;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::clock::Clock;
use crate::journal::DeviceChange;

fn desk(folder: &Path) -> Desk {
    Desk {
        folder: folder.to_owned(),
        limits: JournalLimits::default(),
        system: Arc::new(MemorySystem::new()),
        driver: DriverHandle::new().0,
        clock: Clock::start(),
    }
}

fn book(folder: &Path, limits: JournalLimits) -> Book {
    Book::open(Journal::open(folder, limits).unwrap(), desk(folder)).unwrap().0
}

fn sighting(slot: u64, text: &str) -> Sighting {
    let device = format!(r#"{{"devpath": "/devices/x/net/eth{slot}", "ifindex": 7}}"#);
    let changes = vec![DeviceChange::Keep(slot, serde_json::from_str(&device).unwrap())];
    let channel = ChannelName::parse("/cloudinit/i/hotplug/network").unwrap();
    let data = RawValue::from_string(format!("\"{text}\"")).unwrap();
    Sighting { event: Some(Box::new(Draft::event(channel, data, None))), changes }
}

#[test]
fn events_and_what_is_remembered_are_durable_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = book(folder.path(), JournalLimits::default());
    let (recorded, mut is_recorded) = oneshot::channel();
    let quiet = Sighting { event: None, ..sighting(2, "") };
    let sightings = vec![sighting(0, "a"), sighting(1, "b"), quiet];
    let reports = book.carry_out(vec![Order::Sightings { sightings, recorded }]).unwrap();
    assert!(matches!(&reports[..], [Report::Recorded { .. }, Report::Recorded { .. }]), "{reports:?}");
    assert_eq!(is_recorded.try_recv(), Ok(()));
    drop(book);
    let contents = Journal::open(folder.path(), JournalLimits::default()).unwrap().load().unwrap();
    assert_eq!(contents.outbox.len(), 2);
    assert_eq!(contents.devices.unwrap().len(), 3);
}

#[test]
fn what_finds_no_room_waits_and_is_neither_told_nor_remembered() {
    let folder = tempfile::tempdir().unwrap();
    drop(book(folder.path(), JournalLimits::default()));
    let file = std::fs::metadata(folder.path().join("var/lib/cloud-channel/journal.redb")).unwrap().len();
    let mut book = book(folder.path(), JournalLimits { journal_bytes: file, ..JournalLimits::default() });
    let (recorded, mut is_recorded) = oneshot::channel();
    let large = "x".repeat(usize::try_from(file).unwrap());
    let order = Order::Sightings { sightings: vec![sighting(0, &large)], recorded };
    for orders in [vec![order], Vec::new()] {
        let reports = book.carry_out(orders).unwrap();
        assert!(reports.is_empty(), "{reports:?}");
        assert!(book.has_overdue(), "it is tried again");
        assert_eq!(is_recorded.try_recv(), Err(TryRecvError::Empty));
    }
    drop(book);
    assert_eq!(is_recorded.try_recv(), Err(TryRecvError::Closed));
    let contents = Journal::open(folder.path(), JournalLimits::default()).unwrap().load().unwrap();
    assert_eq!((contents.outbox.len(), contents.devices), (0, None));
}
