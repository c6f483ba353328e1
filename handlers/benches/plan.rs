//! What planning a change of the network costs: a push that changes every device, for each renderer, on a machine in memory.
//!
//! An item is one device. Run with `cargo bench -p cloud-channel-handlers --bench plan`.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{Held, Outcome, apply, config_module};
use cloud_channel_protocol::Module;
use divan::counter::ItemsCount;
use divan::{Bencher, Divan};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

const DEVICES: [u16; 2] = [1, 100];

fn main() {
    Divan::default().min_time(Duration::from_millis(500)).config_with_args().main();
}

#[divan::bench(args = DEVICES)]
fn netplan(bencher: Bencher<'_, '_>, devices: u16) {
    measure(bencher, devices, "netplan");
}

#[divan::bench(args = DEVICES)]
fn networkd(bencher: Bencher<'_, '_>, devices: u16) {
    measure(bencher, devices, "networkd");
}

#[divan::bench(args = DEVICES)]
fn eni(bencher: Bencher<'_, '_>, devices: u16) {
    measure(bencher, devices, "eni");
}

#[divan::bench(args = DEVICES)]
fn network_manager(bencher: Bencher<'_, '_>, devices: u16) {
    measure(bencher, devices, "network-manager");
}

#[divan::bench(args = DEVICES)]
fn sysconfig(bencher: Bencher<'_, '_>, devices: u16) {
    measure(bencher, devices, "sysconfig");
}

/// The second of two changes: what is held is what the first has left.
fn measure(bencher: Bencher<'_, '_>, devices: u16, renderer: &str) {
    let system = machine(devices, renderer);
    let module = config_module(Module::Network);
    let plan = module.plan(&Held::nothing(), &push(devices, 1400), &system).unwrap();
    let Outcome::Done { held, .. } = apply(&plan, &plan.preimage(None), &system) else {
        panic!("the first change must succeed")
    };
    let payload = push(devices, 1401);
    bencher.counter(ItemsCount::new(devices)).bench_local(|| change(&held, &payload, &system));
}

#[inline(never)]
fn change(held: &Held, payload: &RawValue, system: &MemorySystem) {
    let plan = config_module(Module::Network).plan(held, payload, system).unwrap();
    assert!(!plan.is_empty());
}

/// A folder that plays a machine, with cards that files show.
fn machine(devices: u16, renderer: &str) -> MemorySystem {
    let mut system = MemorySystem::sandbox()
        .with_file("/etc/cloud/cloud.cfg", format!("system_info: {{network: {{renderers: [{renderer}]}}}}\n"))
        .with_file("/etc/network/interfaces", "source /etc/network/interfaces.d/*\n")
        .with_file("/etc/NetworkManager/NetworkManager.conf", "[main]\nplugins=keyfile\n")
        .with_file("/etc/sysconfig/network-scripts/network-functions", "")
        .with_file("/etc/os-release", "ID=rocky\n");
    for program in ["netplan", "ip", "ifup", "ifdown", "ifquery"] {
        system = system.with_program(&format!("/usr/sbin/{program}"));
    }
    for program in ["systemctl", "nmcli"] {
        system = system.with_program(&format!("/usr/bin/{program}"));
    }
    for number in 0..devices {
        let folder = format!("/sys/class/net/eth{number}");
        system = system
            .with_file(&format!("{folder}/address"), address(number) + "\n")
            .with_file(&format!("{folder}/mtu"), "1500\n")
            .with_file(&format!("{folder}/flags"), "0x1003\n")
            .with_file(&format!("{folder}/uevent"), format!("INTERFACE=eth{number}\nIFINDEX={number}\n"));
    }
    system
}

fn push(devices: u16, mtu: u32) -> Box<RawValue> {
    let card = |number: u16| {
        let device = json!({"match": {"macaddress": address(number)}, "mtu": mtu,
            "addresses": [format!("10.{}.{}.1/24", number / 256, number % 256)]});
        (format!("card{number}"), device)
    };
    let cards: Map<String, Value> = (0..devices).map(card).collect();
    to_raw_value(&json!({"version": 2, "ethernets": cards})).unwrap()
}

fn address(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("02:00:00:00:{high:02x}:{low:02x}")
}
