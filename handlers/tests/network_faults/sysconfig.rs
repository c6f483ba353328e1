//! sysconfig files, with each program that reads them.

use cloud_channel_handlers::system::{
    KernelHop, KernelNetwork, KernelRoute, KernelRouteKind, KernelScope, MemorySystem,
};
use cloud_channel_handlers::{FileState, Held, Invocation, Outcome, System, apply};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{Files, Stack, kernel, plan};

/// Effects: files, what takes the link down, what brings it up.
pub(super) const NETWORK_SCRIPTS: Stack = stack("network-scripts", || machine(Program::NetworkScripts), 4);
pub(super) const NETWORK_MANAGER: Stack = stack("ifcfg-rh", || machine(Program::NetworkManager), 4);
pub(super) const WICKED: Stack = stack("wicked", || machine(Program::Wicked), 3);

const fn stack(name: &'static str, machine: fn() -> MemorySystem, effects: usize) -> Stack {
    Stack { name, machine, push, effects, is_done }
}

/// The link's addresses, a word each: the kernel's part.
const ADDRESSES: &str = "/test/addresses";

/// There while the link has a default route.
const WAY_OUT: &str = "/test/way-out";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Program {
    NetworkScripts,
    NetworkManager,
    Wicked,
}

impl Program {
    const fn file(self) -> &'static str {
        match self {
            Self::Wicked => "/etc/sysconfig/network/ifcfg-eth0",
            Self::NetworkScripts | Self::NetworkManager => "/etc/sysconfig/network-scripts/ifcfg-eth0",
        }
    }
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
fn configured(program: Program, files: &Files) -> Result<Vec<String>, String> {
    let file = files.get(program.file()).ok_or("no configuration")?;
    let text = String::from_utf8(file.content.clone()).unwrap();
    let values = text.lines().filter_map(|line| line.split_once('='));
    Ok(values.filter(|(key, _)| key.starts_with("IPADDR")).map(|(_, value)| value.to_owned()).collect())
}

/// Brings the link up: what it has already stays with network-scripts, and goes with the others.
fn bring_up(program: Program, files: &mut Files) -> Result<String, String> {
    let wanted = configured(program, files)?;
    if !files.contains_key("/sys/class/net/eth0/address") {
        return Err("no link eth0".into());
    }
    let mut all = if program == Program::NetworkScripts { addresses(files) } else { Vec::new() };
    let new: Vec<String> = wanted.into_iter().filter(|address| !all.contains(address)).collect();
    all.extend(new);
    all.sort();
    set_addresses(files, &all);
    let has_gateway = |(path, file): (&String, &FileState)| {
        let text = String::from_utf8_lossy(&file.content);
        let mut words = text.split([' ', '=', '\n', '\'']);
        path.starts_with("/etc/sysconfig/") && words.any(|word| word == "192.0.2.1")
    };
    if files.iter().any(has_gateway) {
        files.insert(WAY_OUT.into(), FileState::of_root("", 0o644));
    } else {
        files.remove(WAY_OUT);
    }
    Ok(String::new())
}

fn network(files: &Files) -> KernelNetwork {
    let mut network = kernel(files, |_| addresses(files));
    let link = network.links.first().map(|link| link.index);
    let hop = KernelHop { gateway: Some("192.0.2.1".parse().unwrap()), link };
    network.routes.extend(files.contains_key(WAY_OUT).then(|| KernelRoute {
        destination: "0.0.0.0".parse().unwrap(),
        prefix: 0,
        hops: vec![hop],
        table: 254,
        metric: None,
        kind: KernelRouteKind::Unicast,
        protocol: 3,
        scope: KernelScope::Global,
        source: None,
    }));
    network
}

fn bring_down(program: Program, files: &mut Files) -> Result<String, String> {
    configured(program, files)?;
    set_addresses(files, &[]);
    files.remove(WAY_OUT);
    Ok(String::new())
}

fn nmcli(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    if invocation.args.iter().any(|word| word == "up") {
        assert_eq!(invocation.args.last().unwrap(), Program::NetworkManager.file());
        return bring_up(Program::NetworkManager, files);
    }
    Ok(String::new())
}

fn ip(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    let script = invocation.stdin.as_ref().ok_or("nobody has to be asked by `ip`")?;
    for line in script.expose().lines() {
        if let Some(flushed) = line.strip_prefix("address flush dev eth0 to ") {
            let kept: Vec<String> =
                addresses(files).into_iter().filter(|address| flushed != format!("{address}/32")).collect();
            set_addresses(files, &kept);
        } else if line == "address flush dev eth0" {
            set_addresses(files, &[]);
        }
    }
    Ok(String::new())
}

/// A machine whose one card cloud-init gave an address.
fn machine(program: Program) -> MemorySystem {
    let origin = json!({"network": {"version": 2, "ethernets": {"eth0": {"addresses": ["192.0.2.5/24"]}}}});
    let ifcfg = "# Created by cloud-init on instance boot automatically, do not edit.\n#\nIPADDR=192.0.2.5\n";
    let system = MemorySystem::new()
        .with_file("/etc/cloud/cloud.cfg", "system_info: {network: {renderers: [sysconfig]}}\n")
        .with_file("/var/lib/cloud/instance/network-config.json", origin.to_string())
        .with_file("/sys/class/net/eth0/address", "52:54:00:00:00:01\n")
        .with_file("/sys/class/net/eth0/mtu", "1500\n")
        .with_file("/sys/class/net/eth0/flags", "0x1003\n")
        .with_file(program.file(), ifcfg)
        .with_file(ADDRESSES, "192.0.2.5")
        .with_command("/usr/sbin/ip", ip)
        .with_kernel(|files, _| Ok(network(files)))
        .with_command("/usr/sbin/ifup", move |_, files| bring_up(program, files))
        .with_command("/usr/sbin/ifdown", move |_, files| bring_down(program, files));
    match program {
        Program::NetworkScripts => system
            .with_file("/etc/os-release", "ID=centos\n")
            .with_file("/etc/sysconfig/network-scripts/network-functions", ""),
        Program::NetworkManager => system
            .with_file("/etc/os-release", "ID=rocky\n")
            .with_file("/usr/lib64/NetworkManager/1.40/libnm-settings-plugin-ifcfg-rh.so", "")
            .with_command("/usr/bin/nmcli", nmcli),
        Program::Wicked => system
            .with_file("/etc/os-release", "ID=sles\n")
            .with_file("/etc/sysconfig/network/config", "")
            .with_command("/usr/sbin/wicked", move |_, files| bring_up(program, files)),
    }
}

fn is_done(files: &Files) -> bool {
    addresses(files) == ["192.0.2.5", "192.0.2.6"]
}

#[test]
fn what_does_not_come_up_is_undone_and_named() {
    let programs = ["/usr/sbin/ifup", "/usr/bin/nmcli", "/usr/sbin/wicked"];
    for (stack, program) in [NETWORK_SCRIPTS, NETWORK_MANAGER, WICKED].into_iter().zip(programs) {
        let system = (stack.machine)().with_command(program, move |_, files| {
            // It says that it went well, and gives the link nothing new.
            set_addresses(files, &["192.0.2.5".to_owned()]);
            Ok(String::new())
        });
        let plan = plan(&stack, &system);
        let old = system.files();
        let Outcome::Failed { reason, undone } = apply(&plan, &plan.preimage(None), &system) else {
            panic!("{}: the second address is not there", stack.name);
        };
        assert_eq!(reason, "link `eth0` does not have the address 192.0.2.6/24", "{}", stack.name);
        assert_eq!(undone, Ok(Vec::new()), "{}", stack.name);
        assert_eq!(system.files(), old, "{}", stack.name);
    }
}

/// Machines of an older cloud-init, which has left nothing but its files.
#[test]
fn links_of_files_alone_are_set_up_anew_and_again_as_they_were() {
    for stack in [NETWORK_SCRIPTS, NETWORK_MANAGER, WICKED] {
        let machine = || {
            let system = (stack.machine)();
            system.remove("/var/lib/cloud/instance/network-config.json").unwrap();
            system
        };
        let card = json!({"addresses": ["192.0.2.6/24"], "gateway4": "192.0.2.1"});
        let push = json!({"version": 2, "take-over": true, "ethernets": {"eth0": card}});
        let push = to_raw_value(&push).unwrap();
        let take = |system: &MemorySystem| super::network().plan(&Held::nothing(), &push, system).unwrap();
        // Takes over, and then goes back, with a fault at one of the effects.
        for (fails, n) in [0, 1].into_iter().flat_map(|fails| (1..=12).map(move |n| (fails, n))) {
            let at = format!("{}, {fails}, {n}", stack.name);
            let system = machine();
            let mut states = vec![system.files()];
            let mut plan = take(&system);
            for turn in 0..2 {
                if turn == fails {
                    system.fail_at(n);
                    let outcome = apply(&plan, &plan.preimage(None), &system);
                    if let Outcome::Failed { undone, reason } = &outcome {
                        assert_eq!(*undone, Ok(Vec::new()), "{at}: {reason}");
                        assert_eq!(system.files(), states[turn], "{at}: {reason}");
                        break;
                    }
                    // There are no more effects.
                    assert!(system.effects() < n, "{at}: nothing may fail without consequence");
                    break;
                }
                let outcome = apply(&plan, &plan.preimage(None), &system);
                let Outcome::Done { held, .. } = outcome else { panic!("{at}: {outcome}") };
                assert_eq!(addresses(&system.files()), ["192.0.2.6"], "{at}");
                states.push(system.files());
                plan = super::network().revert(&held, &system).unwrap();
            }
        }
        let system = machine();
        let old = system.files();
        let plan = take(&system);
        let Outcome::Done { held, .. } = apply(&plan, &plan.preimage(None), &system) else {
            panic!("not done")
        };
        let back = super::network().revert(&held, &system).unwrap();
        assert!(
            matches!(apply(&back, &back.preimage(None), &system), Outcome::Done { .. }),
            "{}",
            stack.name
        );
        assert_eq!(system.files(), old, "{}", stack.name);
    }
}
