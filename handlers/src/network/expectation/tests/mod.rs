//! What is demanded of a machine, and what is not.

mod demanded;
mod patience;
mod spared;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::scene::Scene;
use super::{Expectation, ExpectedLink, verify};
use crate::network::document::config::NetworkConfig;
use crate::network::machine::known_names::KnownNames;
use crate::network::machine::link::Links;
use crate::network::machine::orphan_link::OrphanChange;
use crate::system::{
    KernelAddress, KernelHop, KernelLink, KernelNetwork, KernelRoute, KernelRouteKind, KernelScope,
    MemorySystem, System as _,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(index: u32, name: &str) -> KernelLink {
    KernelLink {
        index,
        name: name.into(),
        address: Some([2, 0, 0, 0, 0, u8::try_from(index).unwrap()]),
        mtu: 1500,
        up: true,
        lower_up: true,
        ..KernelLink::default()
    }
}

fn address(link: u32, text: &str) -> KernelAddress {
    let (address, prefix) = text.split_once('/').unwrap();
    KernelAddress {
        link,
        address: ip(address),
        prefix: prefix.parse().unwrap(),
        scope: KernelScope::Global,
        permanent: true,
        tentative: false,
        duplicate: false,
    }
}

fn route(to: &str, via: Option<&str>, link: u32) -> KernelRoute {
    let (destination, prefix) = to.split_once('/').unwrap();
    KernelRoute {
        destination: ip(destination),
        prefix: prefix.parse().unwrap(),
        hops: vec![KernelHop { gateway: via.map(ip), link: Some(link) }],
        table: 254,
        metric: Some(100),
        kind: KernelRouteKind::Unicast,
        protocol: 4,
        scope: KernelScope::Global,
        source: None,
    }
}

/// One card, as most machines have it.
fn one_card() -> KernelNetwork {
    KernelNetwork {
        links: vec![link(2, "eth0")],
        addresses: vec![address(2, "192.0.2.5/24")],
        routes: vec![route("0.0.0.0/0", Some("192.0.2.1"), 2), route("192.0.2.0/24", None, 2)],
        ..KernelNetwork::default()
    }
}

/// A config of one card.
fn card(settings: &Value) -> Value {
    json!({"version": 2, "ethernets": {"eth0": settings}})
}

/// What is expected of a device, with the config that was before.
fn expected_after(old: &Value, new: &Value, id: &str, network: &KernelNetwork) -> ExpectedLink {
    let system = MemorySystem::new().with_network(network.clone());
    let (old, new) = (NetworkConfig::whole(old, "").unwrap(), NetworkConfig::whole(new, "").unwrap());
    let id = new.devices().find(|(other, _)| other.as_str() == id).unwrap().0;
    let scene = Scene {
        old: &old,
        new: &new,
        affected: &BTreeSet::from([id.clone()]),
        files: &[],
        known: &KnownNames::default(),
        orphans: &OrphanChange::default(),
        links: Links::look(&system).unwrap(),
        needs_name: &|_| false,
        system: &system,
    };
    ExpectedLink::of(id.as_str(), id, &scene)
}

/// Looks at one device of a config on a machine that stays as it is: what is said in the end, and after how many seconds.
fn look(config: &Value, id: &str, network: &KernelNetwork) -> (Result<(), String>, u64) {
    let link = expected_after(&json!({"version": 2}), config, id, network);
    let system = MemorySystem::new().with_network(network.clone());
    let said = verify(&Expectation { files: Vec::new(), links: vec![link] }, &system);
    (said, system.paused().as_secs())
}

/// The machine is right, and that is seen at once.
fn right(config: &Value, id: &str, network: &KernelNetwork) {
    assert_eq!(look(config, id, network), (Ok(()), 0), "{config}");
}

/// The machine is wrong, for all of ten seconds.
fn wrong(config: &Value, id: &str, network: &KernelNetwork) -> String {
    let (said, seconds) = look(config, id, network);
    assert_eq!(seconds, 9, "{config}");
    said.unwrap_err()
}

/// The machine of one card, changed.
fn with(change: impl FnOnce(&mut KernelNetwork)) -> KernelNetwork {
    let mut network = one_card();
    change(&mut network);
    network
}

#[test]
fn a_machine_of_files_is_judged_by_its_files() {
    let config =
        card(&json!({"mtu": 1400, "addresses": ["192.0.2.5/24"], "macaddress": "02:00:00:00:00:09"}));
    let link = expected_after(&json!({"version": 2}), &config, "eth0", &one_card());
    let expectation = Expectation { files: Vec::new(), links: vec![link] };
    let said = |mtu: &str, address: &str| {
        let system = MemorySystem::new()
            .with_file("/sys/class/net/eth0/mtu", mtu)
            .with_file("/sys/class/net/eth0/address", address);
        assert_eq!(system.network().unwrap(), None);
        verify(&expectation, &system)
    };
    assert_eq!(said("1400\n", "02:00:00:00:00:09\n"), Ok(()));
    assert_eq!(said("1500\n", "02:00:00:00:00:09\n").unwrap_err(), "link `eth0` has MTU 1500, expected 1400");
    let other = "link `eth0` is not the one with the hardware address 02:00:00:00:00:09";
    assert_eq!(said("1400\n", "02:00:00:00:00:02\n").unwrap_err(), other);
    assert_eq!(verify(&expectation, &MemorySystem::new()).unwrap_err(), "no link is called `eth0`");
}
