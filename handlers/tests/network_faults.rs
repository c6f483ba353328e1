//! The network module on a machine that fails or stops at any moment: it ends as it was, or as it was asked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

#[path = "network_machines/network_manager.rs"]
mod network_manager;

use std::collections::BTreeMap;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{
    ConfigModule, FileState, Held, Invocation, Outcome, Plan, Step, apply, config_module, put_back,
};
use cloud_channel_protocol::Module;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

type Files = BTreeMap<String, FileState>;

const NETPLAN_FILE: &str = "/etc/netplan/50-cloud-init.yaml";
const OLD: &str = "network:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: true}\n";

fn network() -> &'static dyn ConfigModule {
    config_module(Module::Network)
}

fn push() -> Box<RawValue> {
    to_raw_value(&json!({"network": {"version": 2, "ethernets": {"lan": {
        "match": {"macaddress": "00:11:22:33:44:55"},
        "set-name": "ens0",
        "mtu": 1400,
        "addresses": ["192.0.2.5/24"],
    }}}}))
    .unwrap()
}

/// Renames a link: the kernel's part of `ip -batch -`.
fn rename(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    let script = invocation.stdin.as_ref().map(|script| script.expose().to_owned()).unwrap_or_default();
    let force = invocation.args.iter().any(|arg| arg == "-force");
    for line in script.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, _, _, link, rest @ ..] = words.as_slice() else {
            return Err(format!("unknown: {line}"));
        };
        let folder = format!("/sys/class/net/{link}/");
        let attributes: Vec<String> =
            files.keys().filter(|path| path.starts_with(&folder)).cloned().collect();
        if attributes.is_empty() && !force {
            return Err(format!("no link {link}"));
        }
        if let [first, to] = rest
            && *first == "name"
        {
            for path in attributes {
                let file = files.remove(&path).unwrap();
                files.insert(path.replace(&folder, &format!("/sys/class/net/{to}/")), file);
            }
        }
    }
    Ok(String::new())
}

fn ip(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    if invocation.args.iter().any(|arg| arg == "-batch") {
        return rename(invocation, files);
    }
    let address = files.contains_key("/test/configured");
    let info = if address { json!([{"local": "192.0.2.5", "prefixlen": 24}]) } else { json!([]) };
    Ok(json!([{"ifname": "ens0", "addr_info": info}]).to_string())
}

/// networkd's part: the card is as the file says, if it has the name that the file says.
fn networkctl(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    if invocation.args.first().is_none_or(|verb| verb != "reconfigure") {
        return Ok(String::new());
    }
    let text = String::from_utf8(files[NETPLAN_FILE].content.clone()).unwrap();
    for link in &invocation.args[1..] {
        let attribute = format!("/sys/class/net/{link}/mtu");
        if !files.contains_key(&attribute) {
            return Err(format!("no link {link}"));
        }
        if text.contains("192.0.2.5/24") {
            files.insert(attribute, FileState::of_root("1400\n", 0o644));
            files.insert("/test/configured".into(), FileState::of_root("", 0o644));
        } else {
            files.insert(attribute, FileState::of_root("1500\n", 0o644));
            files.remove("/test/configured");
        }
    }
    Ok(String::new())
}

/// A network stack to be tried.
struct Stack {
    name: &'static str,
    /// One card configured and another just plugged in.
    machine: fn() -> MemorySystem,
    /// Effects of a clean run.
    effects: usize,
}

/// Every network stack. Effects: files, what makes them known, rename, what brings the card up, and one look.
const STACKS: [Stack; 2] = [
    Stack { name: "netplan", machine, effects: 6 },
    Stack { name: "network-manager", machine: network_manager::machine, effects: 7 },
];

/// A machine with netplan.
fn machine() -> MemorySystem {
    let system = MemorySystem::new()
        .with_program("/usr/sbin/netplan")
        .with_command("/usr/sbin/ip", ip)
        .with_command("/usr/bin/networkctl", networkctl)
        .with_file_state(NETPLAN_FILE, FileState::of_root(OLD, 0o600));
    with_cards(system)
}

fn with_cards(mut system: MemorySystem) -> MemorySystem {
    for (link, address) in [("eth0", "52:54:00:00:00:01"), ("eth1", "00:11:22:33:44:55")] {
        let folder = format!("/sys/class/net/{link}");
        system = system
            .with_file(&format!("{folder}/address"), format!("{address}\n"))
            .with_file(&format!("{folder}/mtu"), "1500\n")
            .with_file(&format!("{folder}/flags"), "0x1002\n");
    }
    system
}

fn plan(system: &MemorySystem) -> Plan {
    network().plan(&Held::nothing(), &push(), system).unwrap()
}

fn clean_run(stack: &Stack) -> (Files, Held) {
    let system = (stack.machine)();
    let plan = plan(&system);
    match apply(&plan, &plan.preimage(None), &system) {
        Outcome::Done { held, warnings } => {
            assert_eq!(warnings, Vec::<String>::new());
            assert_eq!(system.effects(), stack.effects, "{}", stack.name);
            (system.files(), held)
        }
        Outcome::Failed { reason, .. } => panic!("{}: {reason}", stack.name),
    }
}

#[test]
fn a_clean_run_renames_configures_and_verifies() {
    for stack in STACKS {
        let (files, held) = clean_run(&stack);
        assert!(files.contains_key("/sys/class/net/ens0/address"), "{}", stack.name);
        assert_eq!(files["/sys/class/net/ens0/mtu"].content, b"1400\n", "{}", stack.name);
        let system = (stack.machine)();
        let first = plan(&system);
        apply(&first, &first.preimage(None), &system);
        assert!(network().plan(&held, &push(), &system).unwrap().is_empty(), "{}", stack.name);
    }
}

#[test]
fn a_fault_at_any_effect_ends_as_it_was() {
    for stack in STACKS {
        let (new, _) = clean_run(&stack);
        for (late, n) in
            [false, true].into_iter().flat_map(|late| (1..=stack.effects).map(move |n| (late, n)))
        {
            let at = format!("{}, effect {n}, late {late}", stack.name);
            let system = (stack.machine)();
            let old = system.files();
            let plan = plan(&system);
            if late {
                system.fail_late_at(n);
            } else {
                system.fail_at(n);
            }
            match apply(&plan, &plan.preimage(None), &system) {
                Outcome::Failed { reason, undone } => {
                    assert_eq!(undone, Ok(()), "{at}, {reason}");
                    assert_eq!(system.files(), old, "{at}, {reason}");
                }
                // A look that fails is followed by another.
                Outcome::Done { .. } => {
                    assert_eq!(n, stack.effects, "{at}: only a look may fail without consequence");
                    assert_eq!(system.files(), new, "{at}");
                }
            }
        }
    }
}

#[test]
fn a_stop_at_any_effect_ends_as_asked_after_the_restart() {
    for stack in STACKS {
        let (new, clean) = clean_run(&stack);
        for n in 0..=stack.effects {
            let at = format!("{}, stopped after {n}", stack.name);
            let system = (stack.machine)();
            let first = plan(&system);
            let preimage = first.preimage(None);
            system.stop_after(n);
            apply(&first, &preimage, &system);
            system.restart();
            put_back(&preimage, &system).unwrap();
            let second = plan(&system);
            match apply(&second, &second.preimage(Some(&preimage)), &system) {
                Outcome::Done { held, .. } => assert_eq!(held, clean, "{at}"),
                Outcome::Failed { reason, .. } => panic!("{at}: {reason}"),
            }
            assert_eq!(system.files(), new, "{at}");
        }
    }
}

#[test]
fn files_that_were_written_but_never_acted_on_are_acted_on() {
    let system = machine();
    let first = plan(&system);
    system.stop_after(1);
    apply(&first, &first.preimage(None), &system);
    system.restart();
    let second = plan(&system);
    assert_eq!(second.file_changes().count(), 0, "the file is in place already");
    assert!(second.steps.iter().any(|step| matches!(step, Step::Run { .. })), "{:?}", second.steps);
    assert!(matches!(apply(&second, &second.preimage(None), &system), Outcome::Done { .. }));
}

#[test]
fn what_does_not_come_up_is_undone_and_named() {
    let system = machine().with_program("/usr/bin/networkctl");
    let plan = plan(&system);
    let old = system.files();
    let Outcome::Failed { reason, undone } = apply(&plan, &plan.preimage(None), &system) else {
        panic!("the link has MTU 1500 and no address");
    };
    assert!(reason.contains("link `ens0` has MTU 1500, expected 1400"), "{reason}");
    assert_eq!(undone, Ok(()));
    assert_eq!(system.files(), old);
    let waited = system.paused();
    assert!((9..=10).contains(&waited.as_secs()), "waited {waited:?}");
}
