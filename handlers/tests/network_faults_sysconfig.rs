//! The sysconfig renderer on a machine that fails or stops at any moment, with each program that reads its files: the
//! machine ends as it was, or as it was asked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::collections::BTreeMap;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{
    ConfigModule, FileState, Held, Invocation, Outcome, Plan, apply, config_module, put_back,
};
use cloud_channel_protocol::Module;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

type Files = BTreeMap<String, FileState>;

/// The link's addresses, a word each: the kernel's part.
const ADDRESSES: &str = "/test/addresses";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stack {
    NetworkScripts,
    NetworkManager,
    Wicked,
}

const STACKS: [Stack; 3] = [Stack::NetworkScripts, Stack::NetworkManager, Stack::Wicked];

impl Stack {
    const fn file(self) -> &'static str {
        match self {
            Self::Wicked => "/etc/sysconfig/network/ifcfg-eth0",
            Self::NetworkScripts | Self::NetworkManager => "/etc/sysconfig/network-scripts/ifcfg-eth0",
        }
    }
}

fn network() -> &'static dyn ConfigModule {
    config_module(Module::Network)
}

fn push() -> Box<RawValue> {
    let card = json!({"addresses": ["192.0.2.5/24", "192.0.2.6/24"], "gateway4": "192.0.2.1"});
    to_raw_value(&json!({"network": {"ethernets": {"eth0": card}}})).unwrap()
}

fn addresses(files: &Files) -> Vec<String> {
    let text = files.get(ADDRESSES).map(|file| String::from_utf8(file.content.clone()).unwrap());
    text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn set_addresses(files: &mut Files, addresses: &[String]) {
    files.insert(ADDRESSES.into(), FileState::of_root(addresses.join(" "), 0o644));
}

/// The addresses that the link's file says.
fn configured(stack: Stack, files: &Files) -> Result<Vec<String>, String> {
    let file = files.get(stack.file()).ok_or("no configuration")?;
    let text = String::from_utf8(file.content.clone()).unwrap();
    let values = text.lines().filter_map(|line| line.split_once('='));
    Ok(values.filter(|(key, _)| key.starts_with("IPADDR")).map(|(_, value)| value.to_owned()).collect())
}

/// Brings the link up: what it has already stays with network-scripts, and goes with the others.
fn bring_up(stack: Stack, files: &mut Files) -> Result<String, String> {
    let wanted = configured(stack, files)?;
    let mut all = if stack == Stack::NetworkScripts { addresses(files) } else { Vec::new() };
    let new: Vec<String> = wanted.into_iter().filter(|address| !all.contains(address)).collect();
    all.extend(new);
    all.sort();
    set_addresses(files, &all);
    Ok(String::new())
}

fn bring_down(stack: Stack, files: &mut Files) -> Result<String, String> {
    configured(stack, files)?;
    set_addresses(files, &[]);
    Ok(String::new())
}

fn nmcli(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    if invocation.args.iter().any(|word| word == "up") {
        assert_eq!(invocation.args.last().unwrap(), Stack::NetworkManager.file());
        return bring_up(Stack::NetworkManager, files);
    }
    Ok(String::new())
}

fn ip(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    if let Some(script) = &invocation.stdin {
        for line in script.expose().lines() {
            if let Some(flushed) = line.strip_prefix("address flush dev eth0 to ") {
                let kept: Vec<String> = addresses(files)
                    .into_iter()
                    .filter(|address| flushed != format!("{address}/32"))
                    .collect();
                set_addresses(files, &kept);
            }
        }
        return Ok(String::new());
    }
    let info: Vec<_> =
        addresses(files).iter().map(|address| json!({"local": address, "prefixlen": 24})).collect();
    Ok(json!([{"ifname": "eth0", "addr_info": info}]).to_string())
}

/// A machine whose one card cloud-init gave an address.
fn machine(stack: Stack) -> MemorySystem {
    let origin = json!({"network": {"version": 2, "ethernets": {"eth0": {"addresses": ["192.0.2.5/24"]}}}});
    let ifcfg = "# Created by cloud-init on instance boot automatically, do not edit.\n#\nIPADDR=192.0.2.5\n";
    let system = MemorySystem::new()
        .with_file("/etc/cloud/cloud.cfg", "system_info: {network: {renderers: [sysconfig]}}\n")
        .with_file("/var/lib/cloud/instance/network-config.json", origin.to_string())
        .with_file("/sys/class/net/eth0/address", "52:54:00:00:00:01\n")
        .with_file("/sys/class/net/eth0/mtu", "1500\n")
        .with_file("/sys/class/net/eth0/flags", "0x1003\n")
        .with_file(stack.file(), ifcfg)
        .with_file(ADDRESSES, "192.0.2.5")
        .with_command("/usr/sbin/ip", ip)
        .with_command("/usr/sbin/ifup", move |_, files| bring_up(stack, files))
        .with_command("/usr/sbin/ifdown", move |_, files| bring_down(stack, files));
    match stack {
        Stack::NetworkScripts => system
            .with_file("/etc/os-release", "ID=centos\n")
            .with_file("/etc/sysconfig/network-scripts/network-functions", ""),
        Stack::NetworkManager => system
            .with_file("/etc/os-release", "ID=rocky\n")
            .with_file("/usr/lib64/NetworkManager/1.40/libnm-settings-plugin-ifcfg-rh.so", "")
            .with_command("/usr/bin/nmcli", nmcli),
        Stack::Wicked => system
            .with_file("/etc/os-release", "ID=sles\n")
            .with_file("/etc/sysconfig/network/config", "")
            .with_command("/usr/sbin/wicked", move |_, files| bring_up(stack, files)),
    }
}

fn plan(system: &MemorySystem) -> Plan {
    network().plan(&Held::nothing(), &push(), system).unwrap()
}

fn clean_run(stack: Stack) -> (Files, usize, Held) {
    let system = machine(stack);
    let plan = plan(&system);
    match apply(&plan, &plan.preimage(None), &system) {
        Outcome::Done { held, warnings } => {
            assert_eq!(warnings, Vec::<String>::new(), "{stack:?}");
            (system.files(), system.effects(), held)
        }
        Outcome::Failed { reason, .. } => panic!("{stack:?}: {reason}"),
    }
}

#[test]
fn a_clean_run_configures_and_verifies() {
    for stack in STACKS {
        let (files, effects, held) = clean_run(stack);
        assert_eq!(addresses(&files), ["192.0.2.5", "192.0.2.6"], "{stack:?}");
        assert!(effects >= 3, "{stack:?}: a file, a command and a look, not {effects}");
        let system = machine(stack);
        let first = plan(&system);
        apply(&first, &first.preimage(None), &system);
        assert!(network().plan(&held, &push(), &system).unwrap().is_empty(), "{stack:?}");
    }
}

#[test]
fn a_fault_at_any_effect_ends_as_it_was() {
    for stack in STACKS {
        let (new, effects, _) = clean_run(stack);
        for (n, late) in (1..=effects).flat_map(|n| [(n, false), (n, true)]) {
            let system = machine(stack);
            let old = system.files();
            let plan = plan(&system);
            if late {
                system.fail_late_at(n);
            } else {
                system.fail_at(n);
            }
            match apply(&plan, &plan.preimage(None), &system) {
                Outcome::Failed { reason, undone } => {
                    assert_eq!(undone, Ok(()), "{stack:?}, effect {n}, {reason}");
                    assert_eq!(system.files(), old, "{stack:?}, effect {n}, late {late}, {reason}");
                }
                // A look that fails is followed by another.
                Outcome::Done { .. } => {
                    assert_eq!(n, effects, "{stack:?}: only a look may fail without consequence");
                    assert_eq!(system.files(), new, "{stack:?}");
                }
            }
        }
    }
}

#[test]
fn a_stop_at_any_effect_ends_as_asked_after_the_restart() {
    for stack in STACKS {
        let (new, effects, clean) = clean_run(stack);
        for n in 0..=effects {
            let system = machine(stack);
            let first = plan(&system);
            let preimage = first.preimage(None);
            system.stop_after(n);
            apply(&first, &preimage, &system);
            system.restart();
            put_back(&preimage, &system).unwrap();
            let second = plan(&system);
            match apply(&second, &second.preimage(Some(&preimage)), &system) {
                Outcome::Done { held, .. } => assert_eq!(held, clean, "{stack:?}, stopped after {n}"),
                Outcome::Failed { reason, .. } => panic!("{stack:?}, stopped after {n}: {reason}"),
            }
            assert_eq!(system.files(), new, "{stack:?}, stopped after {n}");
        }
    }
}

#[test]
fn what_does_not_come_up_is_undone_and_named() {
    for (stack, program) in STACKS.into_iter().zip(["/usr/sbin/ifup", "/usr/bin/nmcli", "/usr/sbin/wicked"]) {
        let system = machine(stack).with_command(program, move |_, files| {
            // It says that it went well, and gives the link nothing new.
            set_addresses(files, &["192.0.2.5".to_owned()]);
            Ok(String::new())
        });
        let plan = plan(&system);
        let old = system.files();
        let Outcome::Failed { reason, undone } = apply(&plan, &plan.preimage(None), &system) else {
            panic!("{stack:?}: the second address is not there");
        };
        assert_eq!(reason, "link `eth0` does not have the address 192.0.2.6/24", "{stack:?}");
        assert_eq!(undone, Ok(()), "{stack:?}");
        assert_eq!(system.files(), old, "{stack:?}");
    }
}
