//! What no network stack gives back to a link that it lets go of, the undo gives back itself: in its place between what makes the
//! stack forget the new files, and what brings up the old.

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{Held, UndoCommand};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::{ifupdown, network, network_manager, networkd_bridge};

/// The commands of a push's undo, in order: the program's name with its script if it is `ip`, with all its arguments and links if it
/// is `nmcli`, else with its first argument.
fn undo(system: &MemorySystem, push: &Value) -> Vec<String> {
    let push = to_raw_value(&json!({"network": push})).unwrap();
    let plan = network().plan(&Held::nothing(), &push, system).unwrap();
    let told = |command: UndoCommand| match command {
        UndoCommand::Run(command)
        | UndoCommand::RunIf { command, .. }
        | UndoCommand::Regenerate { command, .. } => {
            let program = command.program.rsplit('/').next().unwrap().to_owned();
            let script = command.stdin.as_ref().filter(|_| program == "ip");
            let told = if program == "nmcli" { usize::MAX } else { 1 };
            let args = command.full_args().take(told).collect::<Vec<_>>().join(" ");
            script.map_or_else(|| format!("{program} {args}"), |script| script.expose().replace('\n', "; "))
        }
        UndoCommand::Await { what, .. } => what,
    };
    plan.preimage(None).commands.into_iter().map(told).collect()
}

#[test]
fn a_card_gets_back_its_mac_address() {
    let push = json!({"version": 2, "ethernets": {"eth0": {"macaddress": "02:00:00:00:00:77", "addresses": ["192.0.2.5/24"]}}});
    let back =
        "link set dev eth0 down; link set dev eth0 address 52:54:00:00:00:01; link set dev eth0 mtu 1500";
    let undone = undo(&networkd_bridge::machine(), &push);
    let is_behind = |one: &str, other: &str| {
        let place = |text: &str| undone.iter().position(|command| command.starts_with(text)).unwrap();
        place(one) > place(other)
    };
    assert!(undone.contains(&format!("{back} down; ")), "{undone:?}");
    assert!(is_behind("link set dev eth0 down", "networkctl reload"), "{undone:?}");
    assert!(is_behind("networkctl reconfigure", "link set dev eth0 down"), "{undone:?}");
    let undone = undo(&ifupdown::machine(), &push);
    let order = ["ifdown --force".to_owned(), format!("{back} up; "), "ifup eth0".to_owned()];
    assert_eq!(undone, order);
    // NetworkManager does it, too, but not if it was started anew meanwhile.
    let undone = undo(&network_manager::machine(), &push);
    let up = format!("nmcli --wait 0 connection up uuid {ETH0} ifname eth0");
    let state = "link set dev eth0 mtu 1500 down; ".to_owned();
    let order = [
        "NetworkManager".to_owned(),
        state,
        "nmcli connection reload".to_owned(),
        format!("{back} down; "),
        up,
    ];
    assert_eq!(undone, order);
}

#[test]
fn a_card_that_has_the_address_already_is_left_alone() {
    let push = json!({"version": 2, "ethernets": {"eth0": {"macaddress": "52:54:00:00:00:01", "addresses": ["192.0.2.5/24"]}}});
    for system in [networkd_bridge::machine(), ifupdown::machine()] {
        let undone = undo(&system, &push);
        assert!(undone.iter().all(|command| !command.contains(" address ")), "{undone:?}");
    }
}

#[test]
fn a_card_that_bridge_utils_had_gets_its_link_local_address_back() {
    let with_ipv6 = |mode: &str| {
        ["eth0", "eth1", "default"].iter().fold(ifupdown::machine(), |system, link| {
            let path = format!("/proc/sys/net/ipv6/conf/{link}/addr_gen_mode");
            system.with_file(&path, format!("{mode}\n")).with_file("/etc/network/if-pre-up.d/bridge", "")
        })
    };
    let push = json!({"version": 2, "ethernets": {"eth0": {"addresses": []}, "eth1": {}}, "bridges": {"br0": {"interfaces": ["eth0", "eth1"]}}});
    // The second is nobody's: who lets it go has taken it down.
    let order = |mode: &str| {
        [
            "ifdown --force".to_owned(),
            "link set dev eth1 mtu 1500 down; ".to_owned(),
            format!("link set dev eth0 addrgenmode {mode}; "),
            format!("link set dev eth1 addrgenmode {mode}; link set dev eth1 mtu 1500 down; "),
            "ifup eth0".to_owned(),
        ]
    };
    assert_eq!(undo(&with_ipv6("0"), &push), order("eui64"));
    assert_eq!(undo(&with_ipv6("3"), &push), order("random"));
    let none = undo(&with_ipv6("1"), &push);
    assert!(none.iter().all(|command| !command.contains("addrgenmode")), "it had none before: {none:?}");
    let without = undo(&ifupdown::machine().with_file("/etc/network/if-pre-up.d/bridge", ""), &push);
    assert!(without.iter().all(|command| !command.contains("addrgenmode")), "{without:?}");
}

/// The profile of the device `eth0`.
const ETH0: &str = "1dd9a779-d327-56e1-8454-c65e2556c12c";

/// A card, by its index, has this profile.
fn with_profile(system: MemorySystem, index: u32, uuid: &str) -> MemorySystem {
    let state = format!("[device]\nmanaged=true\nconnection-uuid={uuid}\n");
    system.with_file(&format!("/run/NetworkManager/devices/{index}"), state)
}

#[test]
fn networkmanager_brings_up_again_what_a_card_had_if_that_is_there() {
    const OTHER: &str = "7761316b-fa37-4935-b2be-702668561f3a";
    let push = json!({"version": 2, "ethernets": {"eth1": {"addresses": ["192.0.2.5/24"]}}});
    let profile = |meta: &str| {
        let content = format!(
            "[connection]\nuuid={OTHER}\ninterface-name=eth1\n\n[.nmmeta]\nnm-generated=true\n{meta}"
        );
        let system = with_profile(network_manager::machine(), 3, OTHER)
            .with_file("/sys/class/net/eth1/ifindex", "3\n");
        system.with_file("/run/NetworkManager/system-connections/x.nmconnection", content)
    };
    let again = format!("nmcli --wait 0 connection up uuid {OTHER} ifname eth1");
    let undone = undo(&profile(""), &push);
    assert_eq!(undone.iter().filter(|command| **command == again).count(), 1, "{undone:?}");
    let undone = undo(&profile("volatile=true\nexternal=true\n"), &push);
    assert!(undone.iter().all(|command| !command.contains(OTHER)), "it is gone by then: {undone:?}");
}

#[test]
fn networkmanager_brings_up_again_what_was_brought_up_by_hand() {
    let by_hand = |mode: &str| {
        let config = format!(r#"{{"version": 2, "ethernets": {{"eth0": {{"dhcp4": true{mode}}}}}}}"#);
        network_manager::machine()
            .with_file("/var/lib/cloud/instance/network-config.json", config)
            .with_file("/sys/class/net/eth0/ifindex", "2\n")
    };
    let push = json!({"version": 2, "ethernets": {"eth0": null}});
    let order = [
        "NetworkManager",
        "nmcli connection reload",
        &format!("nmcli --wait 0 connection up uuid {ETH0} ifname eth0"),
    ];
    let manual = r#", "activation-mode": "manual""#;
    assert_eq!(undo(&with_profile(by_hand(manual), 2, ETH0), &push), order);
    assert_eq!(undo(&by_hand(manual), &push), order[..2], "it was down");
    assert_eq!(
        undo(&with_profile(by_hand(""), 2, ETH0), &push),
        order[..2],
        "NetworkManager does that by itself"
    );
}
