//! Hostile and mistaken input: each is told what is wrong, the connection goes on, nobody else notices, and nothing on
//! the machine changes.

use std::os::unix::fs::symlink;

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::message::{assert_accepted, assert_refused, description, error, is_finish, result};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, OLD_HASH, Sandbox};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::payloads::{HASH, card, nothing_secret_in, password};

fn set(module: &str) -> String {
    format!("/cloudinit/{INSTANCE}/config/set/{module}")
}

/// A guest, a session that misbehaves, and one that must not notice.
struct Scene<'s> {
    sandbox: &'s Sandbox,
    guest: Guest<'s>,
    peer: Peer,
    other: Peer,
    before: cloud_channel_tests::sandbox::Tree,
}

impl<'s> Scene<'s> {
    async fn on(sandbox: &'s Sandbox) -> Self {
        let guest = Launch::on(sandbox).start().await;
        let (peer, other) = (guest.follow().await, guest.follow().await);
        let before = sandbox.tree();
        Self { sandbox, guest, peer, other, before }
    }

    /// Everything is as it was, and both sessions work.
    async fn end(mut self) {
        assert_eq!(self.sandbox.tree(), self.before, "something on the machine has changed");
        self.other.status().await;
        let unheard = |event: &&Value| !is_finish(event) || result(event) == "FAIL";
        let heard: Vec<&Value> = self.other.events().iter().filter(|event| !unheard(event)).collect();
        assert!(heard.is_empty(), "the other session heard of success: {heard:?}");
        let finish = self.peer.push_through("network", "after-all-that", card(0, 1400)).await;
        assert_eq!(result(&finish), "SUCCESS", "{finish}");
        self.other.finish("after-all-that").await;
        nothing_secret_in("the log", &self.sandbox.log());
        self.guest.stop().await;
    }
}

#[tokio::test]
async fn frames_that_are_no_batches() {
    let sandbox = Sandbox::machine();
    let mut scene = Scene::on(&sandbox).await;
    let unsuccessful = |reply: &Value| reply["successful"] == false && reply["id"].is_null();
    for (frame, parts) in [
        (Message::text("not json"), ["400:", "JSON"]),
        (Message::text(""), ["400:", "JSON"]),
        (Message::text("[{\"channel\": \"/a\""), ["400:", "JSON"]),
        (Message::text("7"), ["400:", "object"]),
        (Message::text("[[]]"), ["400:", "object"]),
        (Message::text("[null]"), ["400:", "object"]),
        (Message::text(format!("[{}]", "[".repeat(200) + &"]".repeat(200))), ["400:", "64"]),
        (Message::text("[".repeat(100_000)), ["400:", "64"]),
        (Message::binary(&b"[{\"channel\":\"/a\xff\"}]"[..]), ["400:", "UTF-8"]),
    ] {
        scene.peer.send_frame(frame.clone()).await;
        let reply =
            scene.peer.reply(&format!("the refusal of {:.40}", frame.to_string()), unsuccessful).await;
        assert_refused(&reply, &parts);
    }
    // Messages need not come in an array, and one bad one does not spoil its batch.
    let client = scene.peer.client().to_owned();
    let status =
        json!({"channel": "/service/cloud-channel/status", "id": "alone", "clientId": client, "data": {}});
    scene.peer.send_frame(Message::text(status.to_string())).await;
    scene.peer.answer("alone").await;
    let mut good = status;
    good["id"] = "among".into();
    let huge =
        json!({"channel": set("network"), "id": "huge", "clientId": client, "data": "x".repeat(300 * 1024)});
    let batch = json!([{"channel": 7, "id": "bad"}, huge, good]);
    scene.peer.send_frame(Message::text(batch.to_string())).await;
    let reply = scene.peer.reply("the bad one's refusal", |reply| reply["id"] == "bad").await;
    assert_refused(&reply, &["400:channel:", "a string", "a number"]);
    let reply = scene.peer.reply("the huge one's refusal", |reply| reply["id"] == "huge").await;
    assert_refused(&reply, &["413:", "262144"]);
    scene.peer.answer("among").await;
    scene.end().await;
}

#[tokio::test]
async fn frames_that_end_the_stream_do_not_end_the_session() {
    let sandbox = Sandbox::machine();
    let mut scene = Scene::on(&sandbox).await;
    scene.peer.try_send_frame(Message::text(" ".repeat(2 << 20))).await;
    let (code, reason) = scene.peer.close().await;
    assert_eq!(code, 1009, "{reason}");
    assert!(reason.contains("1048576"), "says the limit: {reason}");
    scene.peer = Peer::resume(&scene.guest.unix(), scene.peer.client()).await;
    scene.peer.status().await;

    let frame = Frame::message(&b"\xff\xfe"[..], OpCode::Data(Data::Text), true);
    scene.peer.try_send_frame(Message::Frame(frame)).await;
    let (code, reason) = scene.peer.close().await;
    assert_eq!(code, 1007, "{reason}");
    scene.peer = Peer::resume(&scene.guest.unix(), scene.peer.client()).await;
    scene.end().await;
}

#[tokio::test]
async fn messages_with_wrong_and_missing_fields() {
    let sandbox = Sandbox::machine();
    let mut scene = Scene::on(&sandbox).await;
    let network = set("network");
    for (message, parts) in [
        (json!({"id": "no-channel"}), ["400:channel:", "Missing"]),
        (json!({"channel": {}}), ["400:channel:", "an object"]),
        (json!({"channel": "no-slash"}), ["405:no-slash:", "expected"]),
        (json!({"channel": "/a//b", "data": 1}), ["405:/a//b:", "expected"]),
        (json!({"channel": format!("/{}", "a".repeat(5000)), "data": 1}), ["405:", "expected"]),
        (json!({"channel": network, "clientId": 7, "data": {}}), ["400:clientId:", "a string"]),
        (json!({"channel": network, "clientId": "0123", "data": {}}), ["402::", "Unknown client"]),
        (json!({"channel": network}), ["400:data:", "Missing"]),
        (json!({"channel": network, "data": {}, "ext": "x"}), ["400:ext:", "an object"]),
        (
            json!({"channel": network, "data": {}, "ext": {"cloudinit": {"dry_run": 1}}}),
            ["400:ext.cloudinit:", "bool"],
        ),
        (json!({"channel": "/meta/subscribe"}), ["400:subscription:", "Missing"]),
        (json!({"channel": "/meta/subscribe", "subscription": "/a/**/b"}), ["405:", "expected"]),
        (json!({"channel": "/meta/subscribe", "subscription": "/meta/connect"}), ["403:", "Meta"]),
        (json!({"channel": "/meta/dance"}), ["403:/meta/dance:", "meta"]),
        (
            json!({"channel": format!("/cloudinit/{INSTANCE}/nonsense"), "data": {}}),
            ["404:", "expected hotplug"],
        ),
        (json!({"channel": "/cloudinit/x", "data": {}}), ["403:", "expected instance-abc"]),
        (json!({"channel": set("ntp"), "data": {}}), ["404:", "expected one of network"]),
        (
            json!({"channel": format!("/cloudinit/{INSTANCE}/config/get/ntp"), "data": {}}),
            ["404:", "expected one of"],
        ),
        (
            json!({"channel": "/cloudinit/instance-xyz/config/set/network", "data": {}}),
            ["403:", "got instance-xyz"],
        ),
    ] {
        let reply = scene.peer.request(message).await;
        assert_refused(&reply, &parts);
    }
    // An id of the wrong kind cannot be repeated, but its message is refused all the same.
    let client = scene.peer.client().to_owned();
    scene.peer.send(&json!({"channel": network, "id": [1], "clientId": client, "data": {}})).await;
    let reply = scene.peer.reply("the refusal of an id", |reply| reply["channel"] == network.as_str()).await;
    assert_refused(&reply, &["400:id:", "an array"]);
    scene.end().await;
}

#[tokio::test]
async fn handshakes_that_are_none() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = Peer::open(&guest.unix()).await;
    for (hello, parts) in [
        (json!({}), ["400:version:", "Missing"]),
        (json!({"version": 1, "supportedConnectionTypes": ["websocket"]}), ["400:version:", "1.0"]),
        (json!({"version": "2.0", "supportedConnectionTypes": ["websocket"]}), ["400:version:", "1.0"]),
        (json!({"version": "1.0"}), ["400:supportedConnectionTypes:", "Missing"]),
        (
            json!({"version": "1.0", "supportedConnectionTypes": "websocket"}),
            ["400:supportedConnectionTypes:", "array"],
        ),
        (json!({"version": "1.0", "supportedConnectionTypes": ["smoke"]}), ["301:smoke:", "websocket"]),
    ] {
        let mut message = hello;
        message["channel"] = "/meta/handshake".into();
        let reply = peer.request(message).await;
        assert_refused(&reply, &parts);
        assert_eq!(reply["advice"]["reconnect"], "none", "{reply}");
    }
    let reply = peer.request(json!({"channel": "/meta/connect", "connectionType": "websocket"})).await;
    assert_refused(&reply, &["402::"]);
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
    assert_accepted(&peer.handshake().await);
    peer.status().await;
    guest.stop().await;
}

#[tokio::test]
async fn configs_that_mean_nothing() {
    let sandbox = Sandbox::machine();
    let mut scene = Scene::on(&sandbox).await;
    let device = |config: Value| json!({"network": {"version": 2, "ethernets": {"e0": config}}});
    for (data, parts) in [
        (json!(7), ["400:network", "expected"]),
        (json!({"network": []}), ["400:network", "expected"]),
        (json!({"network": {"version": 7}}), ["400:network.version", "got `7`"]),
        (json!({"network": {"ethernetz": {}}}), ["400:network.ethernetz", "did you mean `ethernets`"]),
        (device(json!({"dhcp": true})), ["400:network.ethernets.e0.dhcp", "did you mean `dhcp4`"]),
        (device(json!({"dhcp4": "maybe"})), ["400:network.ethernets.e0.dhcp4", "expected"]),
        (
            device(json!({"match": {"macaddress": "00-11-22-33-44-5F"}})),
            ["e0.match.macaddress", "write `00:11:22:33:44:5f`"],
        ),
        (device(json!({"match": {"macaddress": "00:11:22:33:44"}})), ["e0.match.macaddress", "six pairs"]),
        (device(json!({"addresses": ["192.0.2.5"]})), ["400:network.ethernets.e0.addresses", "192.0.2.5"]),
        (device(json!({"addresses": ["192.0.2.5/33"]})), ["400:network.ethernets.e0.addresses", "/33"]),
        (device(json!({"addresses": ["192.0.2.256/24"]})), ["400:network.ethernets.e0.addresses", "256"]),
        (device(json!({"set-name": "../../etc/x"})), ["400:network.ethernets.e0", "expected"]),
        (device(json!({"mtu": -1})), ["400:network.ethernets.e0.mtu", "-1"]),
        (
            json!({"network": {"ethernets": {"../up": {"dhcp4": true}}}}),
            ["400:network.ethernets", "expected"],
        ),
    ] {
        let reply = scene.peer.push("network", &format!("bad-{}", parts[0]), data.clone()).await;
        assert_refused(&reply, &parts);
    }
    // What a part means is known only once it is merged, so this one is accepted, and fails.
    let bridge = json!({"network": {"bridges": {"br0": {"interfaces": ["ghost"]}}}});
    let text = fails(&mut scene.peer, "network", "ghost", bridge).await;
    assert!(text.contains("network.bridges.br0") && text.contains("ghost"), "{text}");
    scene.end().await;
}

#[tokio::test]
async fn passwords_that_are_none() {
    let sandbox = Sandbox::machine();
    let mut scene = Scene::on(&sandbox).await;
    let user = |entry: Value| json!({"chpasswd": {"users": [entry]}});
    for (data, parts) in [
        (json!([]), ["400:", "expected"]),
        (json!({"chpaswd": {}}), ["400:chpaswd", "did you mean `chpasswd`"]),
        (json!({"chpasswd": {"list": 7}}), ["400:chpasswd.list", "expected"]),
        (json!({"chpasswd": {"list": [HASH]}}), ["400:chpasswd.list[0]", "without a colon"]),
        (
            user(json!({"name": "root", "password": format!("{HASH}\nevil:x:0:0")})),
            ["users[0].password", "expected"],
        ),
        (user(json!({"name": "root", "password": format!("{HASH}:0:0")})), ["users[0].password", "expected"]),
        (user(json!({"name": "root", "password": "tr0ub4dor"})), ["users[0].password", "type: text"]),
        (
            user(json!({"name": "root", "password": "tr0ub4dor\u{7}", "type": "text"})),
            ["users[0].password", "control"],
        ),
        (user(json!({"name": "root:x", "password": HASH})), ["users[0].name", "expected"]),
        (user(json!({"name": "-rf", "password": HASH})), ["users[0].name", "expected"]),
        (user(json!({"name": "nobody-here", "password": HASH})), ["users[0].name", "nobody-here"]),
        (user(json!({"name": HASH, "password": "x"})), ["users[0].name", "expected"]),
    ] {
        let reply = scene.peer.push("cc_set_passwords", &format!("bad-{}", parts[0]), data.clone()).await;
        assert_refused(&reply, &parts);
        nothing_secret_in("a refusal", error(&reply));
    }
    scene.end().await;
}

/// Pushes and expects no success: the text of the refusal, or of the failed finish.
async fn fails(peer: &mut Peer, module: &str, id: &str, data: Value) -> String {
    let reply = peer.push(module, id, data).await;
    if reply["successful"] == false {
        return error(&reply).to_owned();
    }
    let finish = peer.finish(id).await;
    assert_eq!(result(&finish), "FAIL", "{finish}");
    description(&finish).to_owned()
}

#[tokio::test]
async fn links_in_the_place_of_files_are_not_followed() {
    for (path, target) in
        [(NETPLAN, "victim.yaml"), ("etc/netplan", "victim"), ("etc/shadow", "victim-shadow")]
    {
        let sandbox = Sandbox::machine();
        let (place, victim) = (sandbox.path(path), sandbox.beside(target));
        std::fs::rename(&place, &victim).unwrap();
        symlink(&victim, &place).unwrap();
        let (read, tree) = (|| std::fs::read_to_string(victim.join("50-cloud-init.yaml")), sandbox.tree());
        let content = std::fs::read_to_string(&victim).or_else(|_| read()).unwrap();
        let guest = Launch::on(&sandbox).start().await;
        let mut peer = guest.follow().await;
        let (module, data) = match path {
            "etc/shadow" => ("cc_set_passwords", password(HASH)),
            _ => ("network", card(0, 1400)),
        };
        let text = fails(&mut peer, module, "linked", data).await;
        assert!(text.contains(path), "{path} is not named in {text:?}");
        let now = std::fs::read_to_string(&victim).or_else(|_| read()).unwrap();
        assert_eq!((now, sandbox.tree()), (content, tree), "through {path}");
        guest.stop().await;
    }
}

#[tokio::test]
async fn a_machine_that_cannot_be_read_fails_by_name() {
    let sandbox = Sandbox::machine();
    sandbox.write(NETPLAN, "network: [not, a, map\n");
    std::fs::remove_file(sandbox.path("etc/passwd")).unwrap();
    let before = sandbox.tree();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    let text = fails(&mut peer, "network", "broken", card(0, 1400)).await;
    assert!(text.contains("50-cloud-init.yaml"), "{text}");
    let text = fails(&mut peer, "cc_set_passwords", "no-passwd", password(HASH)).await;
    assert!(text.contains("/etc/passwd"), "{text}");
    assert_eq!(sandbox.tree(), before);
    assert_eq!(sandbox.shadow("root")[1], OLD_HASH);
    guest.stop().await;
}
