//! netplan with networkd: the card is as the file says, if it has the name that the file says.

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, Held, Invocation, Outcome, Step, System, apply, undo};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::{Files, Stack, has_card, network, one_card, plan, with_cards};

/// Effects: the file, generate, rename, reload, reconfigure.
pub(super) const STACK: Stack =
    Stack { name: "netplan", machine, push: one_card, effects: 5, is_done: has_card };

const NETPLAN_FILE: &str = "/etc/netplan/50-cloud-init.yaml";
const OLD: &str = "network:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: true}\n";

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

fn machine() -> MemorySystem {
    let system = MemorySystem::new()
        .with_program("/usr/sbin/netplan")
        .with_command("/usr/bin/networkctl", networkctl)
        .with_file_state(NETPLAN_FILE, FileState::of_root(OLD, 0o600));
    with_cards(system)
}

#[test]
fn files_that_were_written_but_never_acted_on_are_acted_on() {
    let system = machine();
    let first = plan(&STACK, &system);
    system.stop_after(1);
    apply(&first, &first.preimage(None), &system);
    system.restart();
    let second = plan(&STACK, &system);
    assert_eq!(second.file_changes().count(), 0, "the file is in place already");
    assert!(second.steps.iter().any(|step| matches!(step, Step::Run { .. })), "{:?}", second.steps);
    assert!(matches!(apply(&second, &second.preimage(None), &system), Outcome::Done { .. }));
}

#[test]
fn a_card_that_keeps_its_name_is_looked_at_and_gets_back_its_mtu() {
    for matching in [json!({"macaddress": "00:11:22:33:44:55"}), json!({"name": "eth1"})] {
        let system = machine();
        // It never comes up: here a link does so that is called `ens0`.
        let card = json!({"match": matching, "mtu": 1400, "addresses": ["192.0.2.5/24"]});
        let push = to_raw_value(&json!({"ethernets": {"lan": card}})).unwrap();
        let plan = network().plan(&Held::nothing(), &push, &system).unwrap();
        match apply(&plan, &plan.preimage(None), &system) {
            Outcome::Failed { reason, undone: Ok(_), .. } => {
                assert_eq!(reason, "link `eth1` is down, expected it up");
            }
            outcome => panic!("{outcome}"),
        }
        let scripts = system.invocations().into_iter().filter(|command| command.program == "/usr/sbin/ip");
        let scripts: Vec<_> = scripts.filter_map(|command| command.stdin).collect();
        let last = scripts.last().map(|script| script.expose());
        assert_eq!(last, Some("link set dev eth1 mtu 1500 down\n"), "{matching}");
    }
}

#[test]
fn of_two_cards_the_one_that_is_left_is_set_up_again() {
    let system = machine();
    let push = json!({"ethernets": {"eth0": {"mtu": 1500}, "eth1": {"dhcp4": true}}});
    let plan = network().plan(&Held::nothing(), &to_raw_value(&push).unwrap(), &system).unwrap();
    let preimage = plan.preimage(None);
    apply(&plan, &preimage, &system);
    for attribute in ["address", "mtu", "flags"] {
        system.remove(&format!("/sys/class/net/eth1/{attribute}")).unwrap();
    }
    let notes = undo(&plan, &preimage, &system).unwrap();
    // Each is told of by each command: `ip` would have kept its state.
    let told = |program| format!("`/usr/{program}` passed over what is gone: `eth1`");
    assert!(notes.contains(&told("bin/networkctl")), "{notes:?}");
    let ran: Vec<String> = system.invocations().iter().map(|command| command.args.join(" ")).collect();
    assert_eq!(ran[ran.len() - 2..], ["reconfigure eth0 eth1", "reconfigure eth0"]);
}

#[test]
fn what_does_not_come_up_is_undone_and_named() {
    let system = machine().with_program("/usr/bin/networkctl");
    let plan = plan(&STACK, &system);
    let old = system.files();
    let Outcome::Failed { reason, undone } = apply(&plan, &plan.preimage(None), &system) else {
        panic!("the link is down and has MTU 1500 and no address");
    };
    assert!(reason.contains("link `ens0` is down, expected it up"), "{reason}");
    assert_eq!(undone, Ok(Vec::new()));
    assert_eq!(system.files(), old);
    let waited = system.paused();
    assert!((9..=10).contains(&waited.as_secs()), "waited {waited:?}");
}
