//! The design note's two flows, with the management server as the guest's client.

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::message::{
    assert_accepted, assert_refused, cause, description, finish_numbers, is_finish, report, result, seq,
};
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, OLD_HASH, Sandbox};
use serde_json::{Value, json};

use crate::payloads::{HASH, YESCRYPT, card, nothing_secret_in, password};

/// A message of `specs/examples`.
fn example(text: &str) -> (String, String, Value) {
    let messages: Value = serde_json::from_str(text).unwrap();
    let text = |field: &str| messages[0][field].as_str().unwrap().to_owned();
    (text("channel"), text("id"), messages[0]["data"].clone())
}

#[tokio::test]
async fn a_card_is_plugged_and_configured() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;

    let output = guest.command(&["hotplug", "--nic", "00:11:22:33:44:55"]).await;
    assert!(output.status.success(), "{output:?}");
    let plugged = peer.event("the hotplug", |event| event["channel"] == hotplug("network")).await;
    let data = json!({"subsystem": "net", "action": "add", "attrs": {"address": "00:11:22:33:44:55"}});
    assert_eq!(plugged["data"], data);
    assert!(seq(&plugged).is_some(), "{plugged}");

    let (channel, id, data) = example(include_str!("../../specs/examples/config-set-network-hotplug.json"));
    assert_accepted(&peer.publish(&channel, &id, data).await);
    let finish = peer.finish(&id).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    assert_eq!(finish["channel"], format!("/cloudinit/{INSTANCE}/modules-config/network"));
    let events: Vec<&Value> = peer.events().iter().filter(|event| cause(event) == Some(&id)).collect();
    assert_eq!(events.len(), 2, "a start and a finish: {events:?}");
    assert_eq!(report(events[0])["event_type"], "start");
    assert!(seq(events[0]) < seq(events[1]));
    assert_eq!(report(events[0])["name"], "modules-config/config-network");

    let file = sandbox.read(NETPLAN);
    for part in ["ens0", "00:11:22:33:44:55", "boot0", "52:54:00:00:00:01"] {
        assert!(file.contains(part), "{part} is not in {file}");
    }
    assert_eq!(sandbox.mode(NETPLAN), 0o600);
    guest.stop().await;
}

fn hotplug(subsystem: &str) -> String {
    format!("/cloudinit/{INSTANCE}/hotplug/{subsystem}")
}

#[tokio::test]
async fn a_root_password_is_reset() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    let (channel, id, data) = example(include_str!("../../specs/examples/config-set-passwords-hash.json"));
    let list = data["chpasswd"]["list"][0].as_str().unwrap().to_owned();
    let hash = list.strip_prefix("root:").unwrap();
    assert_accepted(&peer.publish(&channel, &id, data).await);
    let finish = peer.finish(&id).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    // The module as the request spells it, the event's name as cloud-init spells it.
    assert_eq!(finish["channel"], format!("/cloudinit/{INSTANCE}/modules-config/cc_set_password"));
    assert_eq!(report(&finish)["name"], "modules-config/config-set-passwords");
    assert_eq!(report(&finish)["origin"], "cloudinit");
    assert!(report(&finish)["timestamp"].as_f64().unwrap() > 1.5e9, "{finish}");
    let line = sandbox.shadow("root");
    assert_eq!((line[1].as_str(), line[2].as_str()), (hash, "0"), "set and expired");
    assert_eq!(sandbox.shadow("ubuntu")[1], "!", "the other user stands");
    assert_eq!(sandbox.mode("etc/shadow"), 0o600);
    guest.stop().await;
}

#[tokio::test]
async fn cards_and_users_add_up() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    for number in 0..4 {
        let id = format!("card-{number}");
        let finish = peer.push_through("network", &id, card(number, 1400)).await;
        assert_eq!(result(&finish), "SUCCESS", "{finish}");
    }
    let bridge =
        json!({"network": {"bridges": {"br0": {"interfaces": ["nic0", "nic1", "nic2"], "dhcp4": true}}}});
    assert_eq!(result(&peer.push_through("network", "bridge", bridge).await), "SUCCESS");
    // A map merges by key, null removes.
    let part = json!({"network": {"ethernets": {"nic3": null, "nic2": {"mtu": 9000}}}});
    assert_eq!(result(&peer.push_through("network", "part", part).await), "SUCCESS");
    let file: Value = serde_saphyr::from_str(&sandbox.read(NETPLAN)).unwrap();
    let ethernets = file["network"]["ethernets"].as_object().unwrap();
    assert_eq!(ethernets.keys().collect::<Vec<_>>(), ["boot0", "nic0", "nic1", "nic2"], "{file}");
    let mtus = ["nic0", "nic2"].map(|name| ethernets[name]["mtu"].to_string().trim_matches('"').to_owned());
    assert_eq!(mtus, ["1400", "9000"]);
    assert_eq!(file["network"]["bridges"]["br0"]["interfaces"], json!(["nic0", "nic1", "nic2"]));

    let both = json!({"chpasswd": {"expire": false, "users": [
        {"name": "root", "password": YESCRYPT}, {"name": "ubuntu", "password": HASH}]}});
    assert_eq!(result(&peer.push_through("cc_set_passwords", "both", both).await), "SUCCESS");
    assert_eq!([sandbox.shadow("root")[1].as_str(), sandbox.shadow("ubuntu")[1].as_str()], [YESCRYPT, HASH]);
    // One who is not there, and nobody's password is set.
    let half = json!({"chpasswd": {"users": [{"name": "ubuntu", "password": OLD_HASH}, {"name": "nobody-here", "password": HASH}]}});
    assert_refused(
        &peer.push("cc_set_passwords", "half", half).await,
        &["chpasswd.users[1].name", "nobody-here"],
    );
    assert_eq!(sandbox.shadow("ubuntu")[1], HASH);
    guest.stop().await;
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    peer.push_through("network", "one", card(0, 1400)).await;
    peer.push_through("cc_set_passwords", "two", password(HASH)).await;
    let before = sandbox.tree();
    // The same content as another message; then the same message.
    for (module, id, data) in [
        ("network", "one-again", card(0, 1400)),
        ("cc_set_passwords", "two-again", password(HASH)),
        ("network", "one-again", card(0, 1400)),
    ] {
        let finish = peer.push_through(module, id, data).await;
        assert_eq!(result(&finish), "SUCCESS");
        assert!(description(&finish).contains("nothing to change"), "{finish}");
    }
    assert_eq!(sandbox.tree(), before);
    // The same id for another message.
    assert_refused(&peer.push("network", "one", card(0, 1500)).await, &["409:id:", "id of its own"]);
    assert_eq!(sandbox.tree(), before);
    guest.stop().await;
}

#[tokio::test]
async fn an_older_generation_is_refused() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    let mut push = async |id: &str, mtu: u64, generation: Value| {
        let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
        let ext = json!({"cloudinit": {"generation": generation}});
        peer.request(json!({"channel": channel, "id": id, "data": card(0, mtu), "ext": ext})).await
    };
    assert_accepted(&push("g7", 1407, json!(7)).await);
    assert_refused(
        &push("g7-too", 1408, json!(7)).await,
        &["409:ext.cloudinit.generation:", "more than 7", "got 7"],
    );
    assert_refused(
        &push("g3", 1403, json!(3)).await,
        &["409:ext.cloudinit.generation:", "more than 7", "got 3"],
    );
    assert_refused(&push("text", 1403, json!("new")).await, &["400:ext.cloudinit:", "expected u64"]);
    assert_accepted(&push("g8", 1408, json!(8)).await);
    peer.finish("g8").await;
    assert!(sandbox.read(NETPLAN).contains("1408"));
    let causes: Vec<&str> = peer.finishes().filter_map(cause).collect();
    assert_eq!(causes, ["g7", "g8"]);
    guest.stop().await;
}

#[tokio::test]
async fn questions_are_answered_to_the_asker_alone_and_touch_nothing() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    let mut other = guest.follow().await;
    let before = sandbox.tree();

    let get = |module: &str| format!("/cloudinit/{INSTANCE}/config/get/{module}");
    assert_accepted(&peer.publish(&get("network"), "ask", json!({})).await);
    let answer = peer.answer("ask").await;
    assert_eq!(answer["renderer"], "netplan", "{answer}");
    assert_accepted(&peer.publish(&get("cc_set_passwords"), "ask-users", json!({})).await);
    assert_eq!(peer.answer("ask-users").await["users"], json!([]));

    let dry = json!({"cloudinit": {"dry_run": true}});
    let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
    let push = json!({"channel": channel, "id": "dry", "data": card(0, 1400), "ext": dry});
    assert_accepted(&peer.request(push).await);
    let plan = peer.answer("dry").await;
    assert!(plan["plan"].to_string().contains(NETPLAN), "{plan}");
    assert!(plan.to_string().contains("1400"), "{plan}");
    let channel = format!("/cloudinit/{INSTANCE}/config/set/cc_set_passwords");
    let push = json!({"channel": channel, "id": "dry-secret", "data": password(HASH), "ext": dry});
    assert_accepted(&peer.request(push).await);
    nothing_secret_in("the plan of a password push", &peer.answer("dry-secret").await.to_string());
    let push = json!({"channel": channel, "id": "dry-bad", "data": {"chpaswd": {}}, "ext": dry});
    assert_refused(&peer.request(push).await, &["chpaswd", "did you mean `chpasswd`"]);

    assert_eq!(sandbox.tree(), before);
    other.status().await;
    let heard: Vec<&Value> = other.events().iter().filter(|event| event["channel"] != STATUS).collect();
    assert!(heard.is_empty(), "another session heard {heard:?}");
    assert!(!peer.events().iter().any(is_finish), "a dry run has a finish");
    guest.stop().await;
}

const STATUS: &str = "/service/cloud-channel/status";

#[tokio::test]
async fn a_burst_over_two_modules_keeps_each_modules_order() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    for number in 0..30 {
        let (network, users) = (format!("n-{number}"), format!("u-{number}"));
        let message = |module: &str, id: &str, data: Value| {
            json!({"channel": format!("/cloudinit/{INSTANCE}/config/set/{module}"), "id": id,
                   "clientId": peer.client(), "data": data})
        };
        let hash = if number % 2 == 0 { HASH } else { YESCRYPT };
        let (first, second) = (
            message("network", &network, card(0, 1300 + number)),
            message("cc_set_passwords", &users, password(hash)),
        );
        peer.send(&first).await;
        peer.send(&second).await;
    }
    peer.finish("n-29").await;
    peer.finish("u-29").await;
    for lane in ["n-", "u-"] {
        let finished: Vec<&str> =
            peer.finishes().filter_map(cause).filter(|id| id.starts_with(lane)).collect();
        let expected: Vec<String> = (0..30).map(|number| format!("{lane}{number}")).collect();
        assert_eq!(finished, expected, "each once, in order");
        assert_eq!(finish_numbers(peer.events(), &expected[0]).len(), 1);
    }
    let numbers: Vec<u64> = peer.events().iter().filter_map(seq).collect();
    assert!(numbers.is_sorted(), "events come in the order of their numbers: {numbers:?}");
    assert!(sandbox.read(NETPLAN).contains("1329"));
    assert_eq!(sandbox.shadow("root")[1], YESCRYPT);
    guest.stop().await;
}

#[tokio::test]
async fn the_command_line_does_the_same() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let file = sandbox.beside("push.json");
    std::fs::write(&file, card(0, 1400).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let output = guest.command(&["set", "network", file, "--dry-run"]).await;
    assert!(output.status.success() && text(&output).contains(NETPLAN), "{output:?}");
    assert!(!sandbox.read(NETPLAN).contains("1400"));
    let output = guest.command(&["set", "network", file]).await;
    assert!(output.status.success() && text(&output).contains("SUCCESS"), "{output:?}");
    assert!(sandbox.read(NETPLAN).contains("1400"));
    let output = guest.command(&["get", "network"]).await;
    assert!(output.status.success() && text(&output).contains("nic0"), "{output:?}");
    std::fs::write(file, r#"{"network":{"ethernets":{"e0":{"dhcp":true}}}}"#).unwrap();
    let output = guest.command(&["set", "network", file]).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(complaint.contains("did you mean `dhcp4`"), "{complaint}");
    let output = guest.command(&["hotplug", "--nic", "00:11:22"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    guest.stop().await;
}
