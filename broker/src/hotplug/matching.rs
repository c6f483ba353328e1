//! Which of the devices that were known are which of those that are there.
//!
//! While the machine runs, the kernel's own numbers say it. After a restart they are others, and so may names and
//! even paths be: then a device is known by its own number (a card's MAC address, a disk's serial number) and by its
//! place, the surer signs first.

use super::device::Device;
use super::devpath::{is_virtual_net, place};

/// How much of the kernel's numbers still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// All: only events were lost.
    Overrun,
    /// Nothing: the daemon was not there, and the machine may have been started anew.
    Start,
    /// Nothing either: the machine is being started, and what is missing may still be found.
    Boot,
}

/// A sign that two are one.
type Sign = fn(&Sighting<'_>, &Sighting<'_>) -> bool;

/// The signs of a start, the surest first.
const SIGNS: [Sign; 5] = [
    |a, b| same_id(a, b) && a.place == b.place && a.device.name() == b.device.name(),
    |a, b| same_id(a, b) && a.place == b.place,
    // Put into another slot.
    |a, b| a.device.own_id().is_some() && a.device.own_id() == b.device.own_id(),
    |a, b| !are_strangers(a, b) && a.place == b.place && a.device.name() == b.device.name(),
    // A card whose name has changed and whose own address nobody knows, as that of a bond's member. All that software
    // makes is in one place.
    |a, b| !are_strangers(a, b) && a.is_alone && b.is_alone && a.place == b.place,
];

/// A device and what matching wants to know of it.
struct Sighting<'d> {
    device: &'d Device,
    place: String,
    /// No other of its list is in this place.
    is_alone: bool,
}

/// For each that is there the index of the one that it was, if it was known.
pub(super) fn matches(known: &[&Device], there: &[Device], since: Since) -> Vec<Option<usize>> {
    let known = sightings(known.iter().copied());
    let there = sightings(there.iter());
    let overrun: [Sign; 1] = [|a, b| is_same_appearance(a.device, b.device)];
    let signs = if since == Since::Overrun { &overrun[..] } else { &SIGNS[..] };
    let mut taken = vec![false; known.len()];
    let mut found = vec![None; there.len()];
    for sign in signs {
        for (new, found) in there.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            let is_it = |(at, old): &(usize, &Sighting<'_>)| {
                !taken[*at] && old.device.subsystem() == new.device.subsystem() && sign(old, new)
            };
            *found = known.iter().enumerate().find(is_it).map(|(at, _)| at);
            if let Some(at) = *found {
                taken[at] = true;
            }
        }
    }
    found
}

/// True if the kernel's numbers say that it is the same and was never away.
pub(super) fn is_same_appearance(a: &Device, b: &Device) -> bool {
    match (a.ifindex, b.ifindex) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.devpath == b.devpath && (a.diskseq.zip(b.diskseq)).is_none_or(|(a, b)| a == b),
        _ => false,
    }
}

fn sightings<'d>(devices: impl Iterator<Item = &'d Device>) -> Vec<Sighting<'d>> {
    let mut sightings: Vec<Sighting<'_>> =
        devices.map(|device| Sighting { device, place: place(&device.devpath), is_alone: false }).collect();
    let mut places: Vec<String> = sightings.iter().map(|sighting| sighting.place.clone()).collect();
    places.sort_unstable();
    for sighting in &mut sightings {
        let first = places.partition_point(|place| *place < sighting.place);
        let next = places.get(first + 1);
        sighting.is_alone =
            next.is_none_or(|next| *next != sighting.place) && !is_virtual_net(&sighting.device.devpath);
    }
    sightings
}

/// The same number of its own, or the same address where that is all that is known.
fn same_id(a: &Sighting<'_>, b: &Sighting<'_>) -> bool {
    match (a.device.own_id(), b.device.own_id()) {
        (Some(a), Some(b)) => a == b,
        _ => a.device.address.is_some() && a.device.address == b.device.address,
    }
}

fn are_strangers(a: &Sighting<'_>, b: &Sighting<'_>) -> bool {
    a.device.own_id().zip(b.device.own_id()).is_some_and(|(a, b)| a != b)
}

#[cfg(test)]
mod tests {
    use super::super::device::tests::{card, disk};
    use super::*;

    const MAC: &str = "52:54:00:00:00:01";
    const OTHER: &str = "52:54:00:00:00:02";

    fn start(known: &[Device], there: &[Device]) -> Vec<Option<usize>> {
        matches(&known.iter().collect::<Vec<_>>(), there, Since::Start)
    }

    fn without_id(device: Device) -> Device {
        Device { permanent: None, serial: None, ..device }
    }

    #[test]
    fn a_device_is_found_again_under_another_name_number_and_slot() {
        let known = [card("eth0", 2, MAC), card("eth1", 3, OTHER), disk("vdb", 5, Some("a"), 1)];
        let mut elsewhere = disk("vdc", 9, Some("a"), 1);
        elsewhere.diskseq = Some(7);
        let there = [elsewhere, card("ens4", 2, OTHER), card("eth0", 3, MAC)];
        assert_eq!(start(&known, &there), [Some(2), Some(1), Some(0)]);
    }

    #[test]
    fn another_in_the_same_slot_is_another() {
        assert_eq!(start(&[card("eth0", 2, MAC)], &[card("eth0", 2, OTHER)]), [None]);
        assert_eq!(start(&[disk("vdb", 5, Some("a"), 1)], &[disk("vdb", 5, Some("b"), 1)]), [None]);
        assert_eq!(start(&[disk("vdb", 5, None, 1)], &[card("vdb", 5, MAC)]), [None]);
    }

    #[test]
    fn what_has_no_number_is_known_by_its_place() {
        let known = [disk("vdb", 5, None, 1), disk("vdc", 6, None, 1)];
        let there = [disk("vdb", 6, None, 1), disk("vdd", 7, None, 1)];
        assert_eq!(start(&known, &there), [Some(1), None]);
        // A bond gives its members its own address.
        let member = without_id(card("ens3", 2, OTHER));
        assert_eq!(start(&[card("eth0", 2, MAC)], &[member]), [Some(0)]);
    }

    #[test]
    fn all_that_software_makes_is_in_one_place() {
        let veth = |name: &str, mac: &str| Device {
            devpath: format!("/devices/virtual/net/{name}"),
            ..without_id(card(name, 2, mac))
        };
        assert_eq!(start(&[veth("a", MAC)], &[veth("b", OTHER)]), [None]);
        assert_eq!(start(&[veth("a", MAC)], &[veth("b", MAC)]), [Some(0)], "renamed");
        assert_eq!(start(&[veth("a", MAC)], &[veth("a", OTHER)]), [Some(0)], "another address");
    }

    #[test]
    fn two_of_one_controller_share_its_serial_number() {
        let disk = |name: &str| Device {
            devpath: format!("/devices/pci0000:00/0000:00:04.0/nvme/nvme0/{name}"),
            ..disk(name, 4, Some("x"), 1)
        };
        let known = [disk("nvme0n1"), disk("nvme0n2")];
        assert_eq!(start(&known, &[disk("nvme0n2")]), [Some(1)]);
    }

    #[test]
    fn after_an_overrun_the_kernels_numbers_count() {
        let known = [card("eth0", 2, MAC), disk("vdb", 5, Some("a"), 1)];
        let known: Vec<&Device> = known.iter().collect();
        let again = [card("eth0", 9, MAC), Device { diskseq: Some(8), ..disk("vdb", 5, Some("a"), 1) }];
        assert_eq!(matches(&known, &again, Since::Overrun), [None, Some(1)]);
        let numbered = Device { diskseq: Some(7), ..disk("vdb", 5, Some("a"), 1) };
        assert_eq!(matches(&[&numbered], &again[1..], Since::Overrun), [None], "plugged in again");
        assert_eq!(matches(&known, &[card("ens3", 2, MAC)], Since::Overrun), [Some(0)]);
    }
}
