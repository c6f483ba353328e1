//! Config for cards that are not there yet waits, and is done when they come. And the last change can be taken back.

use std::time::Instant;

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::message::{
    assert_accepted, assert_refused, cause, description, is_finish, report, result,
};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, Sandbox};
use serde_json::{Value, json};

/// A machine with one card; the others come later.
fn machine() -> Sandbox {
    let sandbox = Sandbox::machine();
    plug(&sandbox, "eth0", 1);
    sandbox
}

/// Lays a card into the machine.
fn plug(sandbox: &Sandbox, name: &str, number: u8) {
    let file = |attribute: &str, text: &str| {
        sandbox.write(&format!("sys/class/net/{name}/{attribute}"), &format!("{text}\n"));
    };
    file("uevent", &format!("INTERFACE={name}\nIFINDEX={number}"));
    file("mtu", "1500");
    file("flags", "0x1002");
    file("address", &address(number));
}

fn address(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

fn card(number: u8) -> Value {
    json!({"match": {"macaddress": address(number)}})
}

/// The design note's bridge over three cards, and a card that has nothing to do with it.
fn bridge() -> Value {
    json!({"version": 2,
        "ethernets": {"p1": card(11), "p2": card(12), "p3": card(13), "lan": card(14),
            "own": {"match": {"macaddress": address(1)}, "set-name": "eth0", "dhcp4": true}},
        "bridges": {"br0": {"interfaces": ["p1", "p2", "p3"], "addresses": ["192.0.2.1/24"]}}})
}

async fn tell(peer: &mut Peer, number: u8) {
    let data = json!({"subsystem": "net", "action": "add", "attrs": {"address": address(number)}});
    let channel = format!("/cloudinit/{INSTANCE}/hotplug/network");
    assert_accepted(&peer.request(json!({"channel": channel, "data": data})).await);
}

fn waiting(status: &Value) -> &Value {
    &status["modules"]["network"]["deferred"]
}

async fn until_waiting(peer: &mut Peer, expected: &Value) {
    peer.status_when("what waits", |status| waiting(status) == expected).await;
}

/// The finish of what was done because devices have come.
async fn resumed(peer: &mut Peer) -> Value {
    peer.event("a finish of the guest's own", |event| is_finish(event) && cause(event).is_none()).await
}

#[tokio::test]
async fn a_bridge_over_three_cards_that_come_one_by_one() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    assert_accepted(&peer.push("network", "bridge", bridge()).await);
    let finish = peer.finish("bridge").await;
    assert_eq!(result(&finish), "WARN");
    let text = description(&finish).to_owned();
    for part in ["`br0` waits until `p1`, `p2`, `p3` are there", "`lan` waits until it is there"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let file = sandbox.read(NETPLAN);
    assert!(file.contains("own:") && !file.contains("br0") && !file.contains("lan"), "{file}");
    let three = json!(["p1", "p2", "p3"]);
    let all = json!({"br0": three, "p1": three, "p2": three, "p3": three, "lan": ["lan"]});
    until_waiting(&mut peer, &all).await;

    // The second first; it has to wait for the others.
    plug(&sandbox, "eth2", 12);
    tell(&mut peer, 12).await;
    let two = json!(["p1", "p3"]);
    until_waiting(&mut peer, &json!({"br0": two, "p1": two, "p2": two, "p3": two, "lan": ["lan"]})).await;
    // What has nothing to do with it does not.
    plug(&sandbox, "eth4", 14);
    tell(&mut peer, 14).await;
    assert_eq!(result(&resumed(&mut peer).await), "SUCCESS");
    let file = sandbox.read(NETPLAN);
    assert!(file.contains("lan:") && !file.contains("br0") && !file.contains("p2:"), "{file}");
    guest.crash().await;

    // One comes while nobody is there to see it.
    plug(&sandbox, "eth3", 13);
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    let one = json!(["p1"]);
    until_waiting(&mut peer, &json!({"br0": one, "p1": one, "p2": one, "p3": one})).await;
    assert!(!sandbox.read(NETPLAN).contains("br0"));
    plug(&sandbox, "eth1", 11);
    tell(&mut peer, 11).await;
    until_waiting(&mut peer, &json!({})).await;
    let finish = peer.finishes().last().unwrap();
    assert_eq!((result(finish), cause(finish)), ("SUCCESS", None));
    assert!(description(finish).contains("what waited for devices was applied"), "{finish}");
    let file = sandbox.read(NETPLAN);
    for part in ["br0:", "p1:", "p2:", "p3:", "lan:", "own:", "192.0.2.1/24"] {
        assert!(file.contains(part), "{part} is not in {file}");
    }
    // It is now as if all of it had been there from the beginning.
    assert_accepted(&peer.push("network", "again", bridge()).await);
    assert_eq!(result(&peer.finish("again").await), "SUCCESS");
    assert_eq!(sandbox.read(NETPLAN), file);
    guest.stop().await;
}

#[tokio::test]
async fn sixty_cards_at_once_are_few_changes() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    let cards: serde_json::Map<String, Value> =
        (100..160).map(|number| (format!("c{number}"), card(number))).collect();
    assert_accepted(&peer.push("network", "cards", json!({"version": 2, "ethernets": cards})).await);
    assert_eq!(result(&peer.finish("cards").await), "WARN");
    let begun = Instant::now();
    for number in 100..160 {
        plug(&sandbox, &format!("eth{number}"), number);
        tell(&mut peer, number).await;
    }
    until_waiting(&mut peer, &json!({})).await;
    let file = sandbox.read(NETPLAN);
    assert!((100..160).all(|number| file.contains(&format!("c{number}:"))), "{file}");
    let starts = peer.events().iter().filter(|event| report(event)["event_type"] == "start").count();
    // The push, one a second for as long as cards come (a change waits no longer for more of them), and the last.
    let most = 2 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(starts <= most, "{starts} changes, and {most} at most");
    guest.stop().await;
}

#[tokio::test]
async fn the_last_change_can_be_taken_back_and_that_too() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    let rollback = format!("/cloudinit/{INSTANCE}/config/rollback/network");
    assert_refused(
        &peer.publish(&rollback, "early", json!({})).await,
        &["400:", "a change that was made before"],
    );
    let uplink = json!({"version": 2, "ethernets": {"eth0": {"dhcp4": true}}});
    assert_accepted(&peer.push("network", "first", uplink).await);
    assert_eq!(result(&peer.finish("first").await), "SUCCESS");
    let first = sandbox.read(NETPLAN);
    assert_accepted(&peer.push("network", "second", json!({"ethernets": {"eth0": {"mtu": 1400}}})).await);
    assert_eq!(result(&peer.finish("second").await), "SUCCESS");
    let second = sandbox.read(NETPLAN);

    for (id, expected) in [("back", &first), ("forth", &second)] {
        assert_accepted(&peer.publish(&rollback, id, json!({})).await);
        let finish = peer.finish(id).await;
        assert_eq!(result(&finish), "SUCCESS");
        assert!(description(&finish).contains("the last change was taken back"), "{finish}");
        assert_eq!(sandbox.read(NETPLAN), *expected);
    }
    // One that is sent again, as by somebody who has not heard the reply, does not go back and forth.
    assert_accepted(&peer.publish(&rollback, "forth", json!({})).await);
    let at_rest = |status: &Value| {
        let lane = &status["modules"]["network"];
        lane["at_work"] == 0 && lane["waiting"] == 0
    };
    peer.status_when("the network at rest", at_rest).await;
    assert_eq!(sandbox.read(NETPLAN), second);
    assert_refused(
        &peer.publish(&rollback, "named", json!({"cause": "second"})).await,
        &["404:", "without `cause`"],
    );
    let output = guest.command(&["network", "rollback"]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("SUCCESS"), "{output:?}");
    assert_eq!(sandbox.read(NETPLAN), first);
    guest.stop().await;
}
