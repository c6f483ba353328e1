//! A machine of each renderer, as files in memory, and what is done to it.

use std::collections::BTreeMap;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{ConfigModule, FileState, Held, Outcome, Plan, System, apply, config_module};
use cloud_channel_protocol::Module;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

pub(crate) const ADDRESS: &str = "/sys/class/net/eth0/address";
pub(crate) const NETPLAN: &str = "/etc/netplan/50-cloud-init.yaml";

/// A machine, with what cloud-init wrote on it.
pub(crate) struct Machine {
    pub(crate) renderer: &'static str,
    /// Without any network.
    system: fn() -> MemorySystem,
    pub(crate) files: Vec<(&'static str, &'static str, u32)>,
}

impl Machine {
    /// With its card, and with nothing of cloud-init's.
    pub(crate) fn bare(&self) -> MemorySystem {
        (self.system)().with_file(ADDRESS, "52:54:00:00:00:01\n")
    }

    /// The same as cloud-init left it.
    pub(crate) fn configured(&self) -> MemorySystem {
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

pub(crate) fn machines() -> Vec<Machine> {
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

pub(crate) fn network() -> &'static dyn ConfigModule {
    config_module(Module::Network)
}

pub(crate) fn plan(held: &Held, push: &Value, system: &MemorySystem) -> Plan {
    network().plan(held, &to_raw_value(push).unwrap(), system).unwrap()
}

pub(crate) fn carry_out(plan: &Plan, system: &MemorySystem) -> Held {
    match apply(plan, &plan.preimage(None), system) {
        Outcome::Done { held, .. } => held,
        Outcome::Failed { reason, .. } => panic!("{reason}"),
    }
}

pub(crate) fn push(held: &Held, push: &Value, system: &MemorySystem) -> Held {
    carry_out(&plan(held, push, system), system)
}

pub(crate) fn revert(held: &Held, system: &MemorySystem) -> Held {
    carry_out(&network().revert(held, system).unwrap(), system)
}

pub(crate) fn files(system: &MemorySystem) -> BTreeMap<String, FileState> {
    let files = system.files().into_iter();
    files.filter(|(path, _)| path.starts_with("/etc/")).collect()
}

pub(crate) fn plug(system: &MemorySystem, name: &str, address: &str) {
    let path = format!("/sys/class/net/{name}/address");
    system.write(&path, &FileState::of_root(format!("{address}\n"), 0o444)).unwrap();
}
