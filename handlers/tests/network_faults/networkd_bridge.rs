//! networkd alone, and a bridge. What no file defines any more is left standing by networkd, as by the real one, and a link that is
//! not there cannot be removed.

use cloud_channel_handlers::system::{KernelNetwork, MemorySystem};
use cloud_channel_handlers::{FileState, Held, Invocation, Step};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{Files, Stack, kernel, network, with_cards};

/// Effects: three files, the card's state, reload, reconfigure.
pub(super) const STACK: Stack =
    Stack { name: "networkd, a bridge", machine, push: one_bridge, effects: 6, is_done: has_bridge };

const NETDEV: &str = "/etc/systemd/network/10-cloud-init-br0.netdev";
const LINK: &str = "/sys/class/net/br0";

fn one_bridge() -> Box<RawValue> {
    to_raw_value(&json!({"network": {"version": 2, "ethernets": {"eth1": {}},
        "bridges": {"br0": {"interfaces": ["eth1"], "mtu": 1400}}}}))
    .unwrap()
}

fn networkctl(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    let words: Vec<&str> = invocation.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["reload"] if files.contains_key(NETDEV) => {
            for (name, text) in [("mtu", "1400\n"), ("address", "02:00:00:00:00:01\n"), ("flags", "0x1003\n")]
            {
                files.insert(format!("{LINK}/{name}"), FileState::of_root(text, 0o644));
            }
        }
        ["delete", "br0"] => {
            if !has_bridge(files) {
                return Err("Failed to delete interface br0: No such device".to_owned());
            }
            files.retain(|path, _| !path.starts_with(LINK));
        }
        _ => {}
    }
    Ok(String::new())
}

fn has_bridge(files: &Files) -> bool {
    files.contains_key(&format!("{LINK}/mtu"))
}

/// What the kernel has once networkd has made the bridge.
fn with_bridge(files: &Files) -> KernelNetwork {
    let mut network = kernel(files, |_| Vec::new());
    let bridge = network.links.iter_mut().find(|link| link.name == "br0");
    if let Some(bridge) = bridge {
        bridge.kind = Some("bridge".to_owned());
        let index = bridge.index;
        for card in network.links.iter_mut().filter(|link| link.name == "eth1") {
            (card.master, card.up, card.lower_up) = (Some(index), true, true);
        }
    }
    network
}

pub(super) fn machine() -> MemorySystem {
    let system = MemorySystem::new()
        .with_program("/usr/bin/systemctl")
        .with_command("/usr/bin/networkctl", networkctl)
        .with_file("/etc/cloud/cloud.cfg", "system_info: {network: {renderers: [networkd]}}\n");
    with_cards(system).with_kernel(|files, _| Ok(with_bridge(files)))
}

#[test]
fn what_stands_on_another_is_removed_before_it() {
    let config = json!({"version": 2, "ethernets": {"eth1": {}}, "bonds": {"bond0": {"interfaces": ["eth1"]}},
        "vlans": {"v9": {"id": 9, "link": "bond0"}}, "bridges": {"br0": {"interfaces": ["v9"]}}});
    let mut system = machine().with_file("/run/cloud-init/network-config.json", config.to_string());
    for link in ["bond0", "br0", "v9"] {
        system = system
            .with_file(&format!("/etc/systemd/network/10-cloud-init-{link}.netdev"), "[NetDev]\n")
            .with_file(&format!("/sys/class/net/{link}/address"), "02:00:00:00:00:09\n")
            .with_file(&format!("/sys/class/net/{link}/mtu"), "1500\n")
            .with_file(&format!("/sys/class/net/{link}/flags"), "0x1003\n");
    }
    let push = to_raw_value(&json!({"network": {"bonds": null, "vlans": null, "bridges": null}})).unwrap();
    let plan = network().plan(&Held::nothing(), &push, &system).unwrap();
    let commands = plan.steps.iter().filter_map(|step| match step {
        Step::Run { command, .. } if command.args[0] == "delete" => command.full_args().nth(1),
        _ => None,
    });
    assert_eq!(commands.collect::<Vec<_>>(), ["br0", "v9", "bond0"]);
}
