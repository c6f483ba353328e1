//! The network module on a machine that fails or stops at any moment: it ends as it was, or as it was asked. Each network
//! stack has a machine of its own here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod given_back;
mod ifupdown;
mod netplan;
mod network_manager;
mod networkd_bridge;
mod sysconfig;

use std::collections::BTreeMap;

use cloud_channel_handlers::system::{KernelAddress, KernelLink, KernelNetwork, KernelScope, MemorySystem};
use cloud_channel_handlers::{
    ConfigModule, FileState, Held, Invocation, Outcome, Plan, Preimage, System, apply, config_module,
    put_back, take_back, undo,
};
use cloud_channel_protocol::Module;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

type Files = BTreeMap<String, FileState>;

/// A network stack to be tried.
struct Stack {
    name: &'static str,
    machine: fn() -> MemorySystem,
    push: fn() -> Box<RawValue>,
    /// Effects of a clean run.
    effects: usize,
    /// True if the machine is as asked.
    is_done: fn(&Files) -> bool,
}

/// Every network stack.
const STACKS: [Stack; 7] = [
    netplan::STACK,
    networkd_bridge::STACK,
    network_manager::STACK,
    ifupdown::STACK,
    sysconfig::NETWORK_SCRIPTS,
    sysconfig::NETWORK_MANAGER,
    sysconfig::WICKED,
];

fn network() -> &'static dyn ConfigModule {
    config_module(Module::Network)
}

/// A push of a card that was just plugged in.
fn one_card() -> Box<RawValue> {
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

/// What the kernel has: the links that files tell of, each with the addresses that a stack has given it.
fn kernel(files: &Files, addresses: impl Fn(&str) -> Vec<String>) -> KernelNetwork {
    let text = |path: &str| files.get(path).map(|file| String::from_utf8(file.content.clone()).unwrap());
    let mut network = KernelNetwork::default();
    let names = files.keys().filter_map(|path| path.strip_prefix("/sys/class/net/")?.strip_suffix("/mtu"));
    for (index, name) in (1..).zip(names) {
        let attribute = |key: &str| text(&format!("/sys/class/net/{name}/{key}")).unwrap();
        let octets = attribute("address").trim().split(':').map(octet).collect::<Vec<_>>();
        let addresses = addresses(name);
        let up = attribute("flags").trim_end().ends_with('3') || !addresses.is_empty();
        network.links.push(KernelLink {
            index,
            name: name.to_owned(),
            address: Some(octets.try_into().unwrap()),
            mtu: attribute("mtu").trim().parse().unwrap(),
            up,
            lower_up: up,
            ..KernelLink::default()
        });
        network.addresses.extend(addresses.iter().map(|address| KernelAddress {
            link: index,
            address: address.parse().unwrap(),
            prefix: 24,
            scope: KernelScope::Global,
            permanent: true,
            tentative: false,
            duplicate: false,
        }));
    }
    network
}

fn octet(pair: &str) -> u8 {
    u8::from_str_radix(pair, 16).unwrap()
}

/// The address of the card of [`one_card`], once a stack has configured it.
fn address_of_card(files: &Files, link: &str) -> Vec<String> {
    let configured = link == "ens0" && files.contains_key("/test/configured");
    configured.then(|| "192.0.2.5".to_owned()).into_iter().collect()
}

/// True if the card of [`one_card`] is there as it was pushed.
fn has_card(files: &Files) -> bool {
    files.contains_key("/sys/class/net/ens0/address")
        && files.get("/sys/class/net/ens0/mtu").is_some_and(|mtu| mtu.content == b"1400\n")
}

/// One card configured and another just plugged in.
fn with_cards(system: MemorySystem) -> MemorySystem {
    let mut system = system
        .with_kernel(|files, _| Ok(kernel(files, |link| address_of_card(files, link))))
        .with_command("/usr/sbin/ip", rename);
    for (link, address) in [("eth0", "52:54:00:00:00:01"), ("eth1", "00:11:22:33:44:55")] {
        let folder = format!("/sys/class/net/{link}");
        system = system
            .with_file(&format!("{folder}/address"), format!("{address}\n"))
            .with_file(&format!("{folder}/mtu"), "1500\n")
            .with_file(&format!("{folder}/flags"), "0x1002\n");
    }
    system
}

fn plan(stack: &Stack, system: &MemorySystem) -> Plan {
    network().plan(&Held::nothing(), &(stack.push)(), system).unwrap()
}

fn clean_run(stack: &Stack) -> (Files, Held) {
    let system = (stack.machine)();
    let plan = plan(stack, &system);
    match apply(&plan, &plan.preimage(None), &system) {
        Outcome::Done { held, warnings } => {
            assert_eq!(warnings, Vec::<String>::new(), "{}", stack.name);
            assert_eq!(system.effects(), stack.effects, "{}", stack.name);
            (system.files(), held)
        }
        Outcome::Failed { reason, .. } => panic!("{}: {reason}", stack.name),
    }
}

#[test]
fn a_clean_run_ends_as_asked_and_leaves_nothing_to_do() {
    for stack in STACKS {
        let (files, held) = clean_run(&stack);
        assert!((stack.is_done)(&files), "{}: {files:?}", stack.name);
        let system = (stack.machine)();
        let first = plan(&stack, &system);
        apply(&first, &first.preimage(None), &system);
        assert!(network().plan(&held, &(stack.push)(), &system).unwrap().is_empty(), "{}", stack.name);
    }
}

#[test]
fn a_fault_at_any_effect_ends_as_it_was() {
    for stack in STACKS {
        for (late, n) in
            [false, true].into_iter().flat_map(|late| (1..=stack.effects).map(move |n| (late, n)))
        {
            let at = format!("{}, effect {n}, late {late}", stack.name);
            let system = (stack.machine)();
            let old = system.files();
            let plan = plan(&stack, &system);
            if late {
                system.fail_late_at(n);
            } else {
                system.fail_at(n);
            }
            match apply(&plan, &plan.preimage(None), &system) {
                Outcome::Failed { reason, undone } => {
                    assert_eq!(undone, Ok(Vec::new()), "{at}, {reason}");
                    assert_eq!(system.files(), old, "{at}, {reason}");
                }
                Outcome::Done { .. } => panic!("{at}: nothing may fail without consequence"),
            }
        }
    }
}

/// Stops a try after some effects, starts again and puts the files back: what was recorded before the first, and the next plan.
fn stop_and_plan_again(stack: &Stack, effects: usize, system: &MemorySystem) -> (Preimage, Plan) {
    let first = plan(stack, system);
    let preimage = first.preimage(None);
    system.stop_after(effects);
    apply(&first, &preimage, system);
    system.restart();
    put_back(&preimage, system).unwrap();
    let second = plan(stack, system);
    (preimage, second)
}

/// What is held, but for the MTU that cards had before: after a stop nobody can tell it any more.
fn lasting(held: &Held) -> serde_json::Value {
    let mut document = held.as_document().unwrap().clone();
    document.as_object_mut().unwrap().remove("mtus");
    document
}

#[test]
fn a_stop_at_any_effect_ends_as_asked_after_the_restart() {
    for stack in STACKS {
        let (new, clean) = clean_run(&stack);
        for n in 0..=stack.effects {
            let at = format!("{}, stopped after {n}", stack.name);
            let system = (stack.machine)();
            let (preimage, second) = stop_and_plan_again(&stack, n, &system);
            match apply(&second, &second.preimage(Some(&preimage)), &system) {
                Outcome::Done { held, .. } => assert_eq!(lasting(&held), lasting(&clean), "{at}"),
                Outcome::Failed { reason, .. } => panic!("{at}: {reason}"),
            }
            assert_eq!(system.files(), new, "{at}");
        }
    }
}

/// The second try finds what the first has left in the kernel, and may not take that for what was there before.
#[test]
fn a_stop_at_any_effect_and_a_trial_that_fails_after_the_restart_end_as_it_was() {
    for stack in STACKS {
        for (n, by_record) in (0..=stack.effects).flat_map(|n| [(n, false), (n, true)]) {
            let at = format!("{}, stopped after {n}, by record {by_record}", stack.name);
            let system = (stack.machine)();
            let old = system.files();
            let (preimage, second) = stop_and_plan_again(&stack, n, &system);
            let preimage = second.preimage(Some(&preimage));
            assert!(matches!(apply(&second, &preimage, &system), Outcome::Done { .. }), "{at}");
            let undone =
                if by_record { take_back(&preimage, &system) } else { undo(&second, &preimage, &system) };
            assert_eq!(undone, Ok(Vec::new()), "{at}");
            assert_eq!(system.files(), old, "{at}");
        }
    }
}

/// Pulls every card out.
fn unplug(system: &MemorySystem) {
    for path in system.files().into_keys().filter(|path| path.starts_with("/sys/class/net/")) {
        system.remove(&path).unwrap();
    }
}

/// The files that are not the kernel's, and not a program's own.
fn configured(system: &MemorySystem) -> Files {
    let mut files = system.files();
    files.retain(|path, _| path.starts_with("/etc/"));
    files
}

/// A trial that fails because a card was pulled out: there is nothing to be put back of that.
#[test]
fn what_is_gone_does_not_hinder_an_undo() {
    for stack in STACKS {
        for by_record in [false, true] {
            let at = format!("{}, by record {by_record}", stack.name);
            let system = (stack.machine)();
            let old = configured(&system);
            let plan = plan(&stack, &system);
            let preimage = plan.preimage(None);
            assert!(matches!(apply(&plan, &preimage, &system), Outcome::Done { .. }), "{at}");
            unplug(&system);
            let undone =
                if by_record { take_back(&preimage, &system) } else { undo(&plan, &preimage, &system) };
            let notes = undone.unwrap_or_else(|why| panic!("{at}: {why}"));
            // NetworkManager lets go of a new card by itself, with its profile.
            let is_told = notes.iter().any(|note| note.contains("passed over what is gone: `e"));
            assert!(is_told || stack.name == "network-manager", "{at}: {notes:?}");
            assert_eq!(configured(&system), old, "{at}");
        }
    }
}

/// A card that goes between the plan and its commands: the change fails for what is not there, and is undone.
#[test]
fn what_goes_before_its_turn_is_told_and_the_rest_is_put_back() {
    for stack in STACKS {
        let system = (stack.machine)();
        let old = configured(&system);
        let plan = plan(&stack, &system);
        unplug(&system);
        let outcome = apply(&plan, &plan.preimage(None), &system);
        let Outcome::Failed { undone: Ok(_), .. } = &outcome else { panic!("{}: {outcome}", stack.name) };
        assert!(outcome.to_string().contains("passed over what is gone: `e"), "{}: {outcome}", stack.name);
        assert_eq!(configured(&system), old, "{}", stack.name);
    }
}

/// As after a crash in the middle of a trial: what was recorded is all there is.
#[test]
fn what_was_done_is_taken_back_without_its_plan() {
    for stack in STACKS {
        let system = (stack.machine)();
        let old = system.files();
        let plan = plan(&stack, &system);
        let recorded = serde_json::to_string(&plan.preimage(None)).unwrap();
        assert!(
            matches!(apply(&plan, &plan.preimage(None), &system), Outcome::Done { .. }),
            "{}",
            stack.name
        );
        let recorded: Preimage = serde_json::from_str(&recorded).unwrap();
        assert_eq!(take_back(&recorded, &system), Ok(Vec::new()), "{}", stack.name);
        assert_eq!(system.files(), old, "{}", stack.name);
    }
}
