//! Verification by a kernel: files are in memory, and what networkd would do is done by `ip`.

use std::io;
use std::time::Duration;

use cloud_channel_handlers::system::{HostSystem, KernelNetwork, MemorySystem};
use cloud_channel_handlers::{FileState, Held, Invocation, Outcome, Secret, System, apply, config_module};
use cloud_channel_protocol::Module;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{run, within_namespace, words};

/// A machine whose files and programs are in memory, and whose kernel is that of the namespace.
struct Machine {
    memory: MemorySystem,
    kernel: HostSystem,
    /// True if time passes in pauses.
    waits: bool,
}

impl System for Machine {
    fn read(&self, path: &str) -> io::Result<Option<FileState>> {
        self.memory.read(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.memory.list(path)
    }

    fn has_program(&self, path: &str) -> bool {
        self.memory.has_program(path)
    }

    fn write(&self, path: &str, file: &FileState) -> io::Result<()> {
        self.memory.write(path, file)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.memory.remove(path)
    }

    fn run(&self, invocation: &Invocation) -> io::Result<String> {
        self.memory.run(invocation)
    }

    fn regenerate(&self, invocation: &Invocation, folder: &str) -> io::Result<()> {
        self.memory.regenerate(invocation, folder)
    }

    fn network(&self) -> io::Result<Option<KernelNetwork>> {
        self.kernel.network()
    }

    fn hold_accounts(&self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.memory.hold_accounts(work)
    }

    fn is_sandbox(&self) -> bool {
        false
    }

    fn show_on_console(&self, line: &Secret) -> io::Result<()> {
        self.memory.show_on_console(line)
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.memory.random(bytes)
    }

    fn today(&self) -> u64 {
        self.memory.today()
    }

    fn pause(&self, duration: Duration) {
        if self.waits { self.kernel.pause(duration) } else { self.memory.pause(duration) }
    }
}

/// What networkd makes of the push of [`push`], a line each.
const DONE: [&str; 9] = [
    "link set veth1 master br0",
    "link set veth0 mtu 1400 up",
    "link set veth1 up",
    "address add 203.0.113.1/24 dev br0",
    "link set br0 up",
    "address add 192.0.2.5/24 dev veth0",
    "route add default via 192.0.2.1",
    "route add 198.51.100.0/24 via 192.0.2.2 table 77",
    "route add blackhole 10.0.0.0/8",
];

fn push() -> Box<RawValue> {
    let veth0 = json!({
        "mtu": 1400,
        "addresses": ["192.0.2.5/24", "2001:db8::5/64"],
        "gateway4": "192.0.2.1",
        "routes": [
            {"to": "198.51.100.0/24", "via": "192.0.2.2", "table": 77},
            {"to": "10.0.0.0/8", "type": "blackhole"},
        ],
    });
    let br0 = json!({"interfaces": ["veth1"], "addresses": ["203.0.113.1/24"], "parameters": {"stp": false}});
    let network = json!({"version": 2, "ethernets": {"veth0": veth0, "veth1": {}}, "bridges": {"br0": br0}});
    to_raw_value(&json!({ "network": network })).unwrap()
}

/// Carries the push out, while networkd does these lines. The links are new ones each time.
fn outcome(lines: Vec<String>, waits: bool) -> Result<(), String> {
    for line in ["link del br0", "link del veth0", "route del blackhole 10.0.0.0/8"] {
        let _none_before = words(line);
    }
    words("link add veth0 type veth peer name veth1").unwrap();
    let networkctl = move |command: &Invocation, _: &mut _| match command.args[0].as_str() {
        "reload" => words("link add br0 type bridge"),
        "reconfigure" => {
            let done = lines.iter().try_for_each(|line| words(line).map(drop));
            done.and_then(|()| settle(&lines)).map(|()| String::new())
        }
        other => Err(format!("unknown: {other}")),
    };
    let ip = |command: &Invocation, _: &mut _| {
        let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
        run("ip", &args, command.stdin.as_ref().map(Secret::expose))
    };
    let memory = MemorySystem::new()
        .with_program("/usr/sbin/netplan")
        .with_command("/usr/sbin/ip", ip)
        .with_command("/usr/bin/networkctl", networkctl);
    let machine = Machine { memory, kernel: HostSystem::real(), waits };
    let plan = config_module(Module::Network).plan(&Held::nothing(), &push(), &machine).unwrap();
    match apply(&plan, &plan.preimage(None), &machine) {
        Outcome::Done { .. } => Ok(()),
        Outcome::Failed { reason, .. } => Err(reason),
    }
}

/// Where an address is to be found taken, until it is.
fn settle(lines: &[String]) -> Result<(), String> {
    let is_taken = lines.iter().any(|line| line.contains("dev veth1 nodad"));
    while is_taken && !words("-6 address show dev veth0")?.contains("dadfailed") {}
    Ok(())
}

fn lines(but: &str, more: &str) -> Vec<String> {
    let all = DONE.into_iter().filter(|line| *line != but).map(str::to_owned);
    all.chain(more.split(';').map(str::to_owned)).collect()
}

#[test]
fn a_change_is_judged_by_what_the_kernel_made_of_it() {
    within_namespace("verification::a_change_is_judged_by_what_the_kernel_made_of_it", judge);
}

#[expect(clippy::print_stderr, reason = "a skipped check must not look like a passed one")]
fn judge() {
    if let Err(error) = words("link add br0 type bridge") {
        eprintln!("skipped: {error}");
        return;
    }
    let ipv6 = "address add 2001:db8::5/64 dev veth0";
    // With the second or two that it takes to know that nobody else has the address.
    assert_eq!(outcome(lines("", ipv6), true), Ok(()));
    let settled = "address add 2001:db8::5/64 dev veth0 nodad";
    let lacks = |but: &str| outcome(lines(but, settled), false).unwrap_err();
    let told = |route: &str| format!("link `veth0` does not have the route to {route}; there is none to it");
    assert_eq!(lacks(DONE[0]), "link `veth1` is a member of nothing, expected of `br0`");
    assert_eq!(lacks(DONE[4]), "link `br0` is down, expected it up");
    assert_eq!(lacks(DONE[6]), told("0.0.0.0/0 via 192.0.2.1"));
    assert_eq!(lacks(DONE[7]), told("198.51.100.0/24 via 192.0.2.2 in table 77"));
    assert_eq!(lacks(DONE[8]), told("10.0.0.0/8 (blackhole)"));
    let text = "link `veth0` does not have the address 2001:db8::5/64";
    assert_eq!(outcome(lines("", "link set veth0 alias x"), false).unwrap_err(), text);
    let taken = "address add 2001:db8::5/64 dev veth1 nodad";
    let text = "link `veth0` cannot use the address 2001:db8::5/64: another machine on the network has it \
                (duplicate address detection)";
    // Not in the bridge, whose ports have no addresses of their own.
    let twice = lines(DONE[0], &format!("{taken};{ipv6}"));
    assert_eq!(outcome(twice, false).unwrap_err(), text);
}
