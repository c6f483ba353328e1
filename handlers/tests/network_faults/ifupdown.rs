//! ifupdown. The machine's `ifup` and `ifdown` are as hard as the real ones: an address that is there already is a fault, and
//! so is an interface that the file does not have.

use std::collections::BTreeMap;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, Held, Invocation, Outcome, System, apply};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{Files, Stack, kernel, network, rename};

/// Effects: ifdown, rename, two files, ifup.
pub(super) const STACK: Stack = Stack { name: "ifupdown", machine, push, effects: 5, is_done };

const FILE: &str = "/etc/network/interfaces.d/50-cloud-init";
const STATE: &str = "/run/network/ifstate";
const OLD: &str = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet static\n    \
    address 192.0.2.9/24\n    mtu 1500\n";

/// Changes a card that is up, and adds one that has to be renamed.
fn push() -> Box<RawValue> {
    to_raw_value(&json!({"network": {"ethernets": {
        "eth0": {"mtu": 1400, "addresses": ["192.0.2.5/24"]},
        "lan": {
            "match": {"macaddress": "00:11:22:33:44:55"},
            "set-name": "ens0",
            "addresses": ["198.51.100.5/24"],
        },
    }}}))
    .unwrap()
}

fn put(files: &mut Files, path: String, text: impl Into<String>) {
    files.insert(path, FileState::of_root(text.into(), 0o644));
}

fn text(files: &Files, path: &str) -> Option<String> {
    files.get(path).map(|file| String::from_utf8(file.content.clone()).unwrap())
}

fn state(files: &Files) -> Vec<String> {
    text(files, STATE).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn set_state(files: &mut Files, name: &str, up: bool) {
    let line = format!("{name}={name}");
    let mut lines = state(files);
    lines.retain(|other| *other != line);
    lines.extend(up.then_some(line));
    lines.sort();
    put(files, STATE.into(), lines.join("\n"));
}

/// An interface's options, if there is a stanza.
fn options(interfaces: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let start = format!("iface {name} ");
    let mut lines = interfaces.lines().skip_while(|line| !line.starts_with(&start));
    lines.next()?;
    let options = lines.take_while(|line| line.starts_with(' '));
    let pair =
        |line: &str| line.trim().split_once(' ').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Some(options.filter_map(pair).collect())
}

fn ifup(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    for name in &invocation.args {
        if state(files).contains(&format!("{name}={name}")) {
            continue;
        }
        let interfaces = text(files, FILE).unwrap_or_default();
        let options = options(&interfaces, name).ok_or_else(|| format!("unknown interface {name}"))?;
        let link = format!("/sys/class/net/{name}");
        if !files.contains_key(&format!("{link}/flags")) {
            return Err(format!("Cannot find device {name}"));
        }
        if files.contains_key(&format!("/test/{name}")) {
            return Err("RTNETLINK answers: File exists".into());
        }
        if let Some(mtu) = options.get("mtu") {
            put(files, format!("{link}/mtu"), format!("{mtu}\n"));
        }
        put(files, format!("{link}/flags"), "0x1003\n");
        put(files, format!("/test/{name}"), options["address"].clone());
        set_state(files, name, true);
    }
    Ok(String::new())
}

fn ifdown(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    let by_hand = invocation.args.iter().any(|arg| arg == "/dev/stdin");
    let force = invocation.args.iter().any(|arg| arg == "--force");
    let interfaces = match &invocation.stdin {
        Some(stdin) if by_hand => stdin.expose().to_owned(),
        _ => text(files, FILE).unwrap_or_default(),
    };
    let names = invocation.args.iter().filter(|arg| !arg.starts_with('-') && *arg != "/dev/stdin");
    for name in names {
        options(&interfaces, name).ok_or_else(|| format!("unknown interface {name}"))?;
        if !force && !state(files).contains(&format!("{name}={name}")) {
            continue;
        }
        files.remove(&format!("/test/{name}"));
        let flags = format!("/sys/class/net/{name}/flags");
        if files.contains_key(&flags) {
            put(files, flags, "0x1002\n");
        }
        set_state(files, name, false);
    }
    Ok(String::new())
}

/// The address that a link was given.
fn addresses(files: &Files, link: &str) -> Vec<String> {
    let given = text(files, &format!("/test/{link}"));
    given
        .iter()
        .filter_map(|address| address.split_once('/'))
        .map(|(address, _)| address.to_owned())
        .collect()
}

pub(super) fn machine() -> MemorySystem {
    let origin = json!({"network": {"version": 2, "ethernets": {"eth0": {"mtu": 1500, "addresses": ["192.0.2.9/24"]}}}});
    let mut system = MemorySystem::new()
        .with_program("/usr/sbin/ifquery")
        .with_command("/usr/sbin/ifup", ifup)
        .with_command("/usr/sbin/ifdown", ifdown)
        .with_command("/usr/sbin/ip", rename)
        .with_kernel(|files, _| Ok(kernel(files, |link| addresses(files, link))))
        .with_file("/etc/network/interfaces", "source /etc/network/interfaces.d/*\n")
        .with_file("/run/cloud-init/network-config.json", origin.to_string())
        .with_file(FILE, OLD)
        .with_file(STATE, "eth0=eth0\nlo=lo")
        .with_file("/test/eth0", "192.0.2.9/24");
    for (link, address, flags) in
        [("eth0", "52:54:00:00:00:01", "0x1003\n"), ("eth1", "00:11:22:33:44:55", "0x1002\n")]
    {
        let folder = format!("/sys/class/net/{link}");
        system = system
            .with_file(&format!("{folder}/address"), format!("{address}\n"))
            .with_file(&format!("{folder}/mtu"), "1500\n")
            .with_file(&format!("{folder}/flags"), flags);
    }
    system
}

fn is_done(files: &Files) -> bool {
    text(files, "/test/eth0").is_some_and(|address| address == "192.0.2.5/24")
        && text(files, "/test/ens0").is_some_and(|address| address == "198.51.100.5/24")
        && state(files) == ["ens0=ens0", "eth0=eth0", "lo=lo"]
}

/// A machine whose card was pulled out, and plugged in where it has another name.
fn moved() -> (MemorySystem, Held) {
    let system = machine();
    let lan = json!({"match": {"macaddress": "00:11:22:33:44:55"}, "addresses": ["198.51.100.5/24"]});
    let push = to_raw_value(&json!({"network": {"ethernets": {"lan": lan}}})).unwrap();
    let plan = network().plan(&Held::nothing(), &push, &system).unwrap();
    let Outcome::Done { held, .. } = apply(&plan, &plan.preimage(None), &system) else { panic!("not done") };
    let quiet = network().outlook(&held, &system).unwrap();
    assert!(quiet.ready.is_empty(), "{quiet:?}");
    for (path, file) in system.files() {
        if let Some(attribute) = path.strip_prefix("/sys/class/net/eth1/") {
            system.remove(&path).unwrap();
            system.write(&format!("/sys/class/net/eth7/{attribute}"), &file).unwrap();
        }
    }
    system.remove("/test/eth1").unwrap();
    (system, held)
}

#[test]
fn a_card_that_has_another_name_by_now_is_configured_under_that() {
    let (system, held) = moved();
    let outlook = network().outlook(&held, &system).unwrap();
    assert_eq!(outlook.ready, BTreeMap::from([("lan".to_owned(), "eth7 00:11:22:33:44:55".to_owned())]));
    let ran = system.invocations().len();
    let plan = network().resume(&held, &system).unwrap();
    assert!(plan.is_trial);
    let Outcome::Done { held, warnings } = apply(&plan, &plan.preimage(None), &system) else {
        panic!("not done")
    };
    assert_eq!(warnings, Vec::<String>::new());
    let commands: Vec<String> =
        system.invocations()[ran..].iter().map(|command| command.args.join(" ")).collect();
    assert_eq!(commands, ["--ignore-errors eth1", "eth7"], "the uplink is left alone");
    let files = system.files();
    assert_eq!(state(&files), ["eth0=eth0", "eth7=eth7", "lo=lo"]);
    assert_eq!(addresses(&files, "eth7"), ["198.51.100.5"]);
    assert!(!text(&files, FILE).unwrap().contains("eth1"));
    assert!(network().outlook(&held, &system).unwrap().ready.is_empty());
}

#[test]
fn a_card_that_was_renamed_may_have_its_address_still() {
    let (system, held) = moved();
    system.write("/test/eth7", &FileState::of_root("198.51.100.5/24", 0o644)).unwrap();
    let ran = system.invocations().len();
    let plan = network().resume(&held, &system).unwrap();
    let outcome = apply(&plan, &plan.preimage(None), &system);
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome}");
    let commands: Vec<String> =
        system.invocations()[ran..].iter().map(|command| command.args.join(" ")).collect();
    assert_eq!(commands, ["--ignore-errors eth1", "--force --ignore-errors eth7", "eth7"]);
    assert_eq!(addresses(&system.files(), "eth7"), ["198.51.100.5"]);
}

#[test]
fn a_card_with_another_name_that_cannot_be_configured_is_as_it_was() {
    let effects = {
        let (system, held) = moved();
        let plan = network().resume(&held, &system).unwrap();
        system.stop_after(usize::MAX);
        apply(&plan, &plan.preimage(None), &system);
        system.effects()
    };
    // The first takes the old name down, which is gone.
    for n in 2..=effects {
        let (system, held) = moved();
        let old = text(&system.files(), FILE);
        let plan = network().resume(&held, &system).unwrap();
        system.fail_at(n);
        let Outcome::Failed { undone, .. } = apply(&plan, &plan.preimage(None), &system) else {
            panic!("{n}: nothing may fail without consequence")
        };
        assert!(undone.is_ok(), "{n}: {undone:?}");
        let files = system.files();
        assert_eq!(text(&files, FILE), old, "{n}");
        assert_eq!(addresses(&files, "eth0"), ["192.0.2.9"], "{n}");
        assert!(!files.contains_key("/test/eth7"), "{n}");
    }
}

#[test]
fn a_card_that_is_gone_leaves_those_alone_that_are_found_with_it() {
    let system = machine();
    for (attribute, text) in [("address", "00:11:22:33:44:56\n"), ("mtu", "1500\n"), ("flags", "0x1002\n")] {
        let file = FileState::of_root(text, 0o644);
        system.write(&format!("/sys/class/net/eth2/{attribute}"), &file).unwrap();
    }
    let carry_out = |held: &Held, push: serde_json::Value| {
        let plan = network().plan(held, &to_raw_value(&push).unwrap(), &system).unwrap();
        match apply(&plan, &plan.preimage(None), &system) {
            Outcome::Done { held, .. } => held,
            Outcome::Failed { reason, .. } => panic!("{reason}"),
        }
    };
    let cards = json!({"match": {"name": "eth[12]"}, "addresses": ["198.51.100.5/24"]});
    let held = carry_out(&Held::nothing(), json!({"ethernets": {"cards": cards}}));
    for attribute in ["address", "mtu", "flags"] {
        system.remove(&format!("/sys/class/net/eth2/{attribute}")).unwrap();
    }
    let ran = system.invocations().len();
    carry_out(&held, json!({"ethernets": {"eth0": {"mtu": 1400}}}));
    let commands: Vec<String> =
        system.invocations()[ran..].iter().map(|command| command.args.join(" ")).collect();
    assert_eq!(commands, ["--ignore-errors eth0", "eth0"]);
}

/// A machine of an older cloud-init, which has left nothing but its file.
#[test]
fn links_of_a_file_alone_are_taken_down_by_it_and_brought_up_again() {
    let system = machine();
    system.remove("/run/cloud-init/network-config.json").unwrap();
    let old = system.files();
    let document =
        json!({"version": 2, "take-over": true, "ethernets": {"eth0": {"addresses": ["192.0.2.5/24"]}}});
    let push = to_raw_value(&document).unwrap();
    let plan = |held: &Held| network().plan(held, &push, &system).unwrap();
    for n in 1..=4 {
        let plan = plan(&Held::nothing());
        system.fail_at(n);
        let outcome = apply(&plan, &plan.preimage(None), &system);
        assert!(matches!(outcome, Outcome::Failed { undone: Ok(_), .. }), "{n}: {outcome}");
        system.restart();
        assert_eq!(system.files(), old, "{n}");
    }
    let taken = plan(&Held::nothing());
    let Outcome::Done { held, .. } = apply(&taken, &taken.preimage(None), &system) else {
        panic!("not done")
    };
    assert_eq!(addresses(&system.files(), "eth0"), ["192.0.2.5"]);
    let new = system.files();
    for n in 1..=4 {
        let back = network().revert(&held, &system).unwrap();
        system.fail_at(n);
        let outcome = apply(&back, &back.preimage(None), &system);
        assert!(matches!(outcome, Outcome::Failed { undone: Ok(_), .. }), "back, {n}: {outcome}");
        system.restart();
        assert_eq!(system.files(), new, "back, {n}");
    }
    let back = network().revert(&held, &system).unwrap();
    assert!(matches!(apply(&back, &back.preimage(None), &system), Outcome::Done { .. }));
    assert_eq!(system.files(), old);
}
