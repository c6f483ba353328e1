//! networkd alone, and a bridge. What no file defines any more is left standing by networkd, as by the real one, and a link that is
//! not there cannot be removed.

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, Invocation};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{Files, Stack, ip, with_cards};

/// Effects: three files, the card's state, reload, reconfigure, and no look, as nothing is asked of addresses.
pub(super) const STACK: Stack = Stack {
    name: "networkd, a bridge",
    machine,
    push: one_bridge,
    effects: 6,
    looks: 0,
    is_done: has_bridge,
};

const NETDEV: &str = "/etc/systemd/network/10-cloud-init-br0.netdev";
const LINK: &str = "/sys/class/net/br0/mtu";

fn one_bridge() -> Box<RawValue> {
    to_raw_value(&json!({"network": {"version": 2, "ethernets": {"eth1": {}},
        "bridges": {"br0": {"interfaces": ["eth1"], "mtu": 1400}}}}))
    .unwrap()
}

fn networkctl(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    let words: Vec<&str> = invocation.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["reload"] if files.contains_key(NETDEV) => {
            files.insert(LINK.to_owned(), FileState::of_root("1400\n", 0o644));
        }
        ["delete", "br0"] => {
            files.remove(LINK).ok_or("Failed to delete interface br0: No such device")?;
        }
        _ => {}
    }
    Ok(String::new())
}

fn has_bridge(files: &Files) -> bool {
    files.contains_key(LINK)
}

fn machine() -> MemorySystem {
    let system = MemorySystem::new()
        .with_program("/usr/bin/systemctl")
        .with_command("/usr/sbin/ip", ip)
        .with_command("/usr/bin/networkctl", networkctl)
        .with_file("/etc/cloud/cloud.cfg", "system_info: {network: {renderers: [networkd]}}\n");
    with_cards(system)
}
