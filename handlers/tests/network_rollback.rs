//! A change that is taken back leaves the files as it found them, byte for byte: ours, cloud-init's own, or none at all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::collections::BTreeMap;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{ConfigModule, FileState, Held, Outcome, Plan, System, apply, config_module};
use cloud_channel_protocol::Module;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

const ADDRESS: &str = "/sys/class/net/eth0/address";
const NETPLAN: &str = "/etc/netplan/50-cloud-init.yaml";

/// A machine, with what cloud-init wrote on it.
struct Machine {
    renderer: &'static str,
    /// Without any network.
    system: fn() -> MemorySystem,
    files: Vec<(&'static str, &'static str, u32)>,
}

impl Machine {
    /// With its card, and with nothing of cloud-init's.
    fn bare(&self) -> MemorySystem {
        (self.system)().with_file(ADDRESS, "52:54:00:00:00:01\n")
    }

    /// The same as cloud-init left it.
    fn configured(&self) -> MemorySystem {
        let card = json!({"match": {"macaddress": "52:54:00:00:00:01"}, "set-name": "eth0", "dhcp4": true});
        let config = json!({"version": 2, "ethernets": {"eth0": card}});
        let system = self.bare();
        for (path, content, mode) in &self.files {
            system.write(path, &FileState::of_root(*content, *mode)).unwrap();
        }
        if self.renderer == "netplan" {
            return system;
        }
        system.with_file("/run/cloud-init/network-config.json", config.to_string())
    }
}

fn on(renderer: &str) -> MemorySystem {
    let cloud_cfg = format!("system_info: {{network: {{renderers: [{renderer}]}}}}\n");
    MemorySystem::sandbox().with_file("/etc/cloud/cloud.cfg", cloud_cfg)
}

fn eni() -> MemorySystem {
    on("eni")
        .with_file("/etc/network/interfaces", "source /etc/network/interfaces.d/*\n")
        .with_program("/usr/sbin/ifquery")
        .with_program("/usr/sbin/ifup")
        .with_program("/usr/sbin/ifdown")
}

fn network_manager() -> MemorySystem {
    on("network-manager").with_file("/etc/NetworkManager/NetworkManager.conf", "[main]\n")
}

fn machines() -> Vec<Machine> {
    let of = |renderer, system: fn() -> MemorySystem, files| Machine { renderer, system, files };
    vec![
        of(
            "netplan",
            || on("netplan"),
            vec![(
                NETPLAN,
                "# by cloud-init\nnetwork: {version: 2, ethernets: {eth0: {match: {macaddress: \"52:54:00:00:00:01\"}, \
                 set-name: eth0, dhcp4: true}}}\n",
                0o644,
            )],
        ),
        of(
            "networkd",
            || on("networkd"),
            vec![("/etc/systemd/network/10-cloud-init-eth0.network", "[Match]\nName=eth0\n\n\n", 0o644)],
        ),
        of(
            "eni",
            eni,
            vec![("/etc/network/interfaces.d/50-cloud-init", "auto eth0\niface eth0 inet dhcp\n", 0o640)],
        ),
        of(
            "network-manager",
            network_manager,
            vec![(
                "/etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection",
                "[connection]\nid=cloud-init eth0\ntype=ethernet\ninterface-name=eth0\n",
                0o600,
            )],
        ),
        of(
            "sysconfig",
            || on("sysconfig").with_file("/etc/os-release", "ID=centos\n"),
            vec![
                (
                    "/etc/sysconfig/network-scripts/ifcfg-eth0",
                    "# Created by cloud-init automatically, do not edit.\n#\nDEVICE=eth0\nBOOTPROTO=dhcp\n",
                    0o644,
                ),
                (
                    "/etc/sysconfig/network",
                    "# Created by cloud-init automatically, do not edit.\n#\nNETWORKING=yes\nIPV6_AUTOCONF=no\n",
                    0o644,
                ),
            ],
        ),
    ]
}

fn network() -> &'static dyn ConfigModule {
    config_module(Module::Network)
}

fn plan(held: &Held, push: &Value, system: &MemorySystem) -> Plan {
    network().plan(held, &to_raw_value(push).unwrap(), system).unwrap()
}

fn carry_out(plan: &Plan, system: &MemorySystem) -> Held {
    match apply(plan, &plan.preimage(None), system) {
        Outcome::Done { held, .. } => held,
        Outcome::Failed { reason, .. } => panic!("{reason}"),
    }
}

fn push(held: &Held, push: &Value, system: &MemorySystem) -> Held {
    carry_out(&plan(held, push, system), system)
}

fn revert(held: &Held, system: &MemorySystem) -> Held {
    carry_out(&network().revert(held, system).unwrap(), system)
}

fn files(system: &MemorySystem) -> BTreeMap<String, FileState> {
    let files = system.files().into_iter();
    files.filter(|(path, _)| path.starts_with("/etc/")).collect()
}

fn bridge() -> Value {
    json!({"version": 2, "ethernets": {"eth1": {}}, "bridges": {"br0": {"interfaces": ["eth1"], "dhcp4": true}}})
}

#[test]
fn the_first_change_is_taken_back_byte_for_byte_and_made_again() {
    for machine in machines() {
        for system in [machine.configured(), machine.bare()] {
            let renderer = machine.renderer;
            plug(&system, "eth1", "52:54:00:00:00:02");
            let before = files(&system);
            let held = push(&Held::nothing(), &bridge(), &system);
            let after = files(&system);
            assert_ne!(before, after, "{renderer}");
            let held = revert(&held, &system);
            assert_eq!(files(&system), before, "{renderer}");
            let held = revert(&held, &system);
            assert_eq!(files(&system), after, "{renderer}");
            let held = revert(&held, &system);
            assert_eq!(files(&system), before, "{renderer}");
            // It is as if nothing had been pushed: what changes no device leaves the files alone.
            let held = push(&held, &json!({"version": 2}), &system);
            assert_eq!(files(&system), before, "{renderer}");
            push(&held, &bridge(), &system);
            assert_eq!(files(&system), after, "{renderer}");
        }
    }
}

#[test]
fn what_waited_is_part_of_the_change_that_brought_it() {
    for machine in machines() {
        let system = machine.configured();
        let before = files(&system);
        let late = json!({"ethernets": {"eth0": {"mtu": 1400}, "eth1": {}},
            "bridges": {"br0": {"interfaces": ["eth1"], "dhcp4": true}}});
        let held = push(&Held::nothing(), &late, &system);
        plug(&system, "eth1", "52:54:00:00:00:02");
        let held = carry_out(&network().resume(&held, &system).unwrap(), &system);
        revert(&held, &system);
        assert_eq!(files(&system), before, "{}", machine.renderer);
    }
}

#[test]
fn a_card_that_has_another_name_by_now_gets_files_that_know_it() {
    for machine in machines() {
        let system = machine.configured();
        let before = files(&system);
        let held = push(&Held::nothing(), &json!({"ethernets": {"eth0": {"mtu": 1400}}}), &system);
        system.remove(ADDRESS).unwrap();
        plug(&system, "eth7", "52:54:00:00:00:01");
        revert(&held, &system);
        assert_ne!(files(&system), before, "{}", machine.renderer);
        let text =
            String::from_utf8(files(&system).into_values().flat_map(|file| file.content).collect()).unwrap();
        assert!(
            text.contains("Written by cloud-channel") && !text.contains("1400"),
            "{}: {text}",
            machine.renderer
        );
    }
}

#[test]
fn what_waited_before_a_change_waits_again() {
    for machine in machines() {
        let renderer = machine.renderer;
        let system = machine.configured();
        plug(&system, "eth1", "52:54:00:00:00:02");
        // Its bond waits for a card, and so does the bridge.
        let bridge = json!({"ethernets": {"eth1": {}, "eth9": {}}, "bonds": {"bond0": {"interfaces": ["eth9"]}},
            "bridges": {"br0": {"interfaces": ["bond0"], "dhcp4": true}}});
        let held = push(&Held::nothing(), &bridge, &system);
        let before = files(&system);
        let held = push(&held, &json!({"bonds": {"bond0": {"interfaces": ["eth1"]}}}), &system);
        assert_ne!(files(&system), before, "{renderer}");
        let held = revert(&held, &system);
        assert_eq!(files(&system), before, "{renderer}");
        let waiting = &network().describe(&held, &system)["waiting"];
        assert_eq!(*waiting, json!({"bond0": ["eth9"], "br0": ["eth9"], "eth9": ["eth9"]}), "{renderer}");
        plug(&system, "eth9", "52:54:00:00:00:09");
        let held = carry_out(&network().resume(&held, &system).unwrap(), &system);
        assert_eq!(network().describe(&held, &system)["waiting"], json!({}), "{renderer}");
    }
}

#[test]
fn where_all_waits_no_file_comes_of_taking_it_back() {
    for machine in machines() {
        let system = machine.bare();
        let before = files(&system);
        let held =
            push(&Held::nothing(), &json!({"version": 2, "ethernets": {"eth8": {}, "eth9": {}}}), &system);
        let held = push(&held, &json!({"bonds": {"bond0": {"interfaces": ["eth9"]}}}), &system);
        let held = revert(&held, &system);
        assert_eq!(files(&system), before, "{}", machine.renderer);
        revert(&held, &system);
        assert_eq!(files(&system), before, "{}", machine.renderer);
    }
}

#[test]
fn taking_back_what_did_nothing_yet_does_nothing() {
    for machine in machines() {
        let system = machine.configured();
        let before = files(&system);
        let late = json!({"ethernets": {"eth0": {"dhcp4": null}, "eth9": {}},
            "bridges": {"br0": {"interfaces": ["eth0", "eth9"], "dhcp4": true}}});
        let held = push(&Held::nothing(), &late, &system);
        assert_eq!(files(&system), before, "{}: all of it waits", machine.renderer);
        revert(&held, &system);
        assert_eq!(files(&system), before, "{}", machine.renderer);
    }
}

#[test]
fn a_second_change_goes_back_to_the_first() {
    for machine in machines() {
        let system = machine.configured();
        let held = push(&Held::nothing(), &json!({"ethernets": {"eth0": {"mtu": 1400}}}), &system);
        let first = files(&system);
        let held = push(&held, &json!({"ethernets": {"eth0": {"mtu": 1450}}}), &system);
        revert(&held, &system);
        assert_eq!(files(&system), first, "{}", machine.renderer);
    }
}

#[test]
fn files_too_large_to_be_kept_are_rendered() {
    let machine = machines().remove(0);
    let system = machine.configured();
    let content = format!("{}{}", machine.files[0].1, "#\n".repeat(40_000));
    system.write(NETPLAN, &FileState::of_root(content, 0o600)).unwrap();
    let held = push(&Held::nothing(), &json!({"ethernets": {"eth0": {"mtu": 1400}}}), &system);
    revert(&held, &system);
    let file = String::from_utf8(system.read(NETPLAN).unwrap().unwrap().content).unwrap();
    assert!(file.starts_with("# Written by cloud-channel") && !file.contains("1400"), "{file}");
}

fn plug(system: &MemorySystem, name: &str, address: &str) {
    let path = format!("/sys/class/net/{name}/address");
    system.write(&path, &FileState::of_root(format!("{address}\n"), 0o444)).unwrap();
}
