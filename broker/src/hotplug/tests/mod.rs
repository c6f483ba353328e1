//! The parts together: what is news, sockets of a real kernel, a restart with a real journal.

mod sysfs;

use std::path::Path;

use cloud_channel_protocol::Subsystem;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

use super::device::tests::{card, disk};
use super::matching::Since;
use super::socket::{KernelSocket, Received};
use super::uevent::{Action, Uevent};
use super::*;
use crate::journal::{DeviceChange, Journal, JournalLimits};

const MAC: &str = "52:54:00:00:00:01";
const OTHER: &str = "52:54:00:00:00:02";

fn inventory(ignore: &[&str]) -> Inventory {
    Inventory::new(Vec::new(), ignore.iter().map(|text| NameGlob::parse(text).unwrap()).collect())
}

fn said(action: Action, device: &Device) -> Uevent {
    Uevent {
        subsystem: device.subsystem(),
        action,
        devpath: device.devpath.clone(),
        ifindex: device.ifindex,
        devtype: None,
        devname: device.devname.clone(),
        diskseq: device.diskseq,
        media: false,
        seqnum: 1,
    }
}

/// `add eth1`, `move eth1 ens3`, `quiet`: what a fact tells.
fn told(fact: &Fact) -> String {
    let Some(event) = &fact.event else { return "quiet".to_owned() };
    let data: serde_json::Value = serde_json::from_str(event.to_data().get()).unwrap();
    let words = [&data["action"], &data["attrs"]["old_name"], &data["attrs"]["name"]];
    let words: Vec<&str> = words.into_iter().filter_map(serde_json::Value::as_str).collect();
    words.join(" ")
}

fn all_told(facts: &[Fact]) -> Vec<String> {
    facts.iter().map(told).collect()
}

/// What a uevent with the device as it is seen then tells.
fn hear(inventory: &mut Inventory, action: Action, device: &Device) -> Option<String> {
    inventory.hear(&said(action, device), Some(device.clone())).as_ref().map(told)
}

#[test]
fn each_plug_is_told_once() {
    let mut inventory = inventory(&[]);
    let eth1 = card("eth1", 7, MAC);
    assert_eq!(hear(&mut inventory, Action::Add, &eth1).as_deref(), Some("add eth1"));
    assert_eq!(hear(&mut inventory, Action::Add, &eth1), None, "udevadm trigger");
    let ens3 = card("ens3", 7, MAC);
    assert_eq!(hear(&mut inventory, Action::Move, &ens3).as_deref(), Some("move eth1 ens3"));
    assert_eq!(hear(&mut inventory, Action::Move, &ens3), None);
    assert_eq!(hear(&mut inventory, Action::Remove, &ens3).as_deref(), Some("remove ens3"));
    assert_eq!(hear(&mut inventory, Action::Remove, &ens3), None);
    // The same name, another card.
    let again = card("ens3", 8, OTHER);
    assert_eq!(hear(&mut inventory, Action::Add, &again).as_deref(), Some("add ens3"));
    assert_eq!(hear(&mut inventory, Action::Remove, &ens3), None, "an old word of the first");
}

#[test]
fn a_card_is_told_under_the_name_that_the_kernel_said() {
    let mut inventory = inventory(&[]);
    // udev was faster: it is seen under its new name already.
    let (eth1, ens3) = (card("eth1", 7, MAC), card("ens3", 7, MAC));
    let fact = inventory.hear(&said(Action::Add, &eth1), Some(ens3.clone())).unwrap();
    assert_eq!(told(&fact), "add eth1");
    assert!(fact.event.unwrap().to_data().get().contains(MAC));
    let gone = inventory.hear(&said(Action::Move, &ens3), None).unwrap();
    assert!(told(&gone) == "move eth1 ens3" && gone.event.unwrap().to_data().get().contains(MAC));
}

#[test]
fn disks_tell_of_size_and_media() {
    let mut inventory = inventory(&[]);
    assert_eq!(hear(&mut inventory, Action::Add, &disk("vdb", 5, None, 512)).as_deref(), Some("add vdb"));
    assert_eq!(hear(&mut inventory, Action::Change, &disk("vdb", 5, None, 512)), None);
    let larger = disk("vdb", 5, None, 1_024);
    assert_eq!(hear(&mut inventory, Action::Change, &larger).as_deref(), Some("change vdb"));
    let medium = Uevent { media: true, ..said(Action::Change, &larger) };
    assert_eq!(
        inventory.hear(&medium, Some(larger.clone())).as_ref().map(told).as_deref(),
        Some("change vdb")
    );
    assert!(inventory.hear(&said(Action::Change, &larger), None).is_none(), "it has gone meanwhile");
}

#[test]
fn ignored_names_are_news_when_they_are_no_more() {
    let mut inventory = inventory(&["veth*"]);
    assert_eq!(hear(&mut inventory, Action::Add, &card("veth1", 7, MAC)), None);
    assert_eq!(hear(&mut inventory, Action::Move, &card("eth0", 7, MAC)).as_deref(), Some("add eth0"));
    assert_eq!(hear(&mut inventory, Action::Remove, &card("eth0", 7, MAC)).as_deref(), Some("remove eth0"));
    assert!(all_told(&inventory.compare(vec![card("veth2", 8, MAC)], Since::Overrun)).is_empty());
}

#[test]
fn an_overrun_tells_what_differs() {
    let mut inventory = inventory(&[]);
    let before = [card("eth1", 7, MAC), card("eth2", 8, OTHER), disk("vdb", 5, Some("a"), 512)];
    for device in &before {
        hear(&mut inventory, Action::Add, device);
    }
    // Plugged out and in again, renamed, resized.
    let after = vec![card("eth1", 9, MAC), card("ens4", 8, OTHER), disk("vdb", 5, Some("a"), 1_024)];
    let facts = inventory.compare(after.clone(), Since::Overrun);
    assert_eq!(all_told(&facts), ["remove eth1", "add eth1", "move eth2 ens4", "change vdb"]);
    assert!(inventory.compare(after, Since::Overrun).is_empty());
}

#[test]
fn devices_beyond_the_bound_are_told_and_not_remembered() {
    let mut inventory = inventory(&[]);
    let nth = |index: usize| {
        let index = u32::try_from(index).unwrap();
        card(
            &format!("eth{index}"),
            index + 1,
            &format!("02:00:00:00:{:02x}:{:02x}", index / 256, index % 256),
        )
    };
    for index in 0..inventory::MOST {
        let fact = inventory.hear(&said(Action::Add, &nth(index)), Some(nth(index))).unwrap();
        assert_eq!(fact.changes.len(), 1);
    }
    let beyond = nth(inventory::MOST);
    let fact = inventory.hear(&said(Action::Add, &beyond), Some(beyond.clone())).unwrap();
    assert!(fact.event.is_some() && fact.changes.is_empty());
    let there: Vec<Device> = (0..=inventory::MOST).map(nth).collect();
    assert!(inventory.compare(there, Since::Overrun).is_empty(), "nobody knows whether it was told");
    assert_eq!(hear(&mut inventory, Action::Remove, &beyond), Some(format!("remove {}", beyond.name())));
    hear(&mut inventory, Action::Remove, &nth(0));
    assert_eq!(hear(&mut inventory, Action::Remove, &beyond), None, "now whatever was told is remembered");
}

fn open(root: &Path) -> (Journal, KnownDevices) {
    let mut journal = Journal::open(root, JournalLimits::default()).unwrap();
    let known = journal.load().unwrap().devices;
    (journal, known)
}

fn note(journal: &mut Journal, facts: &[Fact]) {
    let mut transaction = journal.begin().unwrap();
    for fact in facts {
        assert_eq!(transaction.note_devices(&fact.changes).unwrap(), 0);
    }
    transaction.commit().unwrap();
}

#[test]
fn a_restart_tells_what_came_and_went() {
    let root = tempfile::tempdir().unwrap();
    let (mut journal, known) = open(root.path());
    assert_eq!(known, None, "nobody has ever looked");
    let before = vec![card("eth0", 2, MAC), disk("vdb", 5, Some("a"), 512), disk("vdc", 6, None, 512)];
    let learned = inventory(&[]).learn(before);
    assert_eq!(told(&learned), "quiet");
    note(&mut journal, &[learned]);
    drop(journal);

    let (mut journal, known) = open(root.path());
    assert_eq!(known.as_ref().map(Vec::len), Some(3));
    // Another boot: other numbers, other names, one gone, one new, one larger.
    let after = vec![disk("vdb", 6, None, 512), card("ens3", 3, MAC), disk("vdd", 7, Some("b"), 512)];
    let mut inventory = Inventory::new(known.unwrap(), Vec::new());
    let facts = inventory.compare(after.clone(), Since::Start);
    assert_eq!(all_told(&facts), ["remove vdb", "move vdc vdb", "move eth0 ens3", "add vdd"]);
    note(&mut journal, &facts);
    drop(journal);

    let (_journal, known) = open(root.path());
    let mut inventory = Inventory::new(known.unwrap(), Vec::new());
    assert!(inventory.compare(after, Since::Start).is_empty(), "it was told");
    assert_eq!(all_told(&inventory.compare(Vec::new(), Since::Start)).len(), 3);
}

#[test]
fn what_a_starting_machine_finds_late_was_never_gone() {
    let known =
        vec![(0, card("eth0", 2, MAC)), (1, disk("vdb", 5, Some("a"), 512)), (2, card("eth1", 3, OTHER))];
    let mut inventory = Inventory::new(known, Vec::new());
    let first = card("ens3", 2, OTHER);
    assert_eq!(all_told(&inventory.compare(vec![first], Since::Boot)), ["move eth1 ens3"]);
    assert!(inventory.is_waiting());
    // The number of the one that is missing, from before, is another's now.
    let new = card("eth9", 4, "52:54:00:00:00:09");
    assert_eq!(hear(&mut inventory, Action::Add, &new).as_deref(), Some("add eth9"));
    let late = disk("vda", 5, Some("a"), 512);
    assert_eq!(hear(&mut inventory, Action::Add, &late).as_deref(), Some("move vdb vda"));
    assert!(all_told(&inventory.compare(vec![new, late, card("ens3", 2, OTHER)], Since::Overrun)).is_empty());
    assert_eq!(all_told(&inventory.wait_no_more()), ["remove eth0"]);
    assert!(!inventory.is_waiting() && inventory.wait_no_more().is_empty());
}

#[test]
fn a_machine_without_devices_was_looked_at_too() {
    let root = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(root.path());
    note(&mut journal, &[inventory(&[]).learn(Vec::new())]);
    drop(journal);
    assert_eq!(open(root.path()).1, Some(Vec::new()));
}

#[test]
fn the_journal_keeps_so_many_devices() {
    let root = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(root.path());
    let keep = |slot| DeviceChange::Keep(slot, card("eth0", 2, MAC));
    let most = u64::try_from(crate::journal::MAX_DEVICES).unwrap();
    let changes: Vec<DeviceChange> = (0..=most).map(keep).collect();
    let mut transaction = journal.begin().unwrap();
    assert_eq!(transaction.note_devices(&changes).unwrap(), 1);
    assert_eq!(transaction.note_devices(&[keep(0)]).unwrap(), 0, "what is there may change");
    assert_eq!(transaction.note_devices(&[DeviceChange::Forget(0), keep(most)]).unwrap(), 0);
    transaction.commit().unwrap();
}

/// A protocol on which processes speak among themselves plays the kernel's: what another process sends counts for
/// nothing, and what finds no room is noticed.
#[tokio::test]
async fn nobody_passes_for_the_kernel_and_losses_are_noticed() {
    let socket = KernelSocket::open(Some(netlink::USERSOCK), 1).unwrap();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let forger =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::USERSOCK)).unwrap();
    let forge = || {
        let everybody = SocketAddrNetlink::new(0, 1);
        let datagram = b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=block\0SEQNUM=1\0";
        // Those that find no room are what this is about.
        let _lost = sendto(&forger, datagram, SendFlags::empty(), &everybody);
    };
    let mut buffer = [0; 1_024];
    assert_eq!(socket.receive(&mut buffer).unwrap(), Received::Nothing);
    forge();
    drop(socket.readable().await.unwrap());
    assert_eq!(socket.receive(&mut buffer).unwrap(), Received::Foreign);
    for _ in 0..100 {
        forge();
    }
    let mut received = Vec::new();
    while received.last() != Some(&"nothing") {
        received.push(match socket.receive(&mut buffer).unwrap() {
            Received::Datagram(_) => "datagram",
            Received::Foreign => "foreign",
            Received::Overrun => "overrun",
            Received::Nothing => "nothing",
        });
    }
    assert!(received.contains(&"overrun") && !received.contains(&"datagram"), "{received:?}");
}

#[test]
fn figures_name_each_kind() {
    let figures = Figures::default();
    figures.told(Subsystem::Network, Action::Add);
    figures.told(Subsystem::Block, Action::Move);
    figures.told(Subsystem::Block, Action::Move);
    let told: Vec<_> = figures.now().told().filter(|(.., count)| *count > 0).collect();
    assert_eq!(told, [("network", "add", 1), ("block", "move", 2)]);
    assert_eq!(figures.now().told().count(), 8);
}
