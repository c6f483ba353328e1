//! A change that is taken back leaves the files as it found them, byte for byte: ours, cloud-init's own, or none at all.

use cloud_channel_handlers::{FileState, Held, System};
use serde_json::{Value, json};

use crate::machine::{ADDRESS, NETPLAN, carry_out, files, machines, network, plug, push, revert};

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
