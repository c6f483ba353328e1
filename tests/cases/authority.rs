//! Who may do what, and that no secret comes out anywhere.

use std::os::unix::fs::PermissionsExt;

use cloud_channel_tests::guest::{Launch, SOCKET};
use cloud_channel_tests::message::{assert_accepted, assert_refused, channel};
use cloud_channel_tests::peer::{Peer, try_upgrade};
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use serde_json::{Value, json};

use crate::payloads::{HASH, PLAIN, YESCRYPT, card, nothing_secret_in, password};

#[tokio::test]
async fn a_tcp_peer_may_do_nothing_and_is_told_to_go() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).tcp().start().await;
    let before = sandbox.tree();
    let mut peer = Peer::open(&guest.tcp()).await;
    let reply = peer.handshake().await;
    assert_refused(&reply, &["403::", "TCP peers are not trusted"]);
    assert_eq!(reply["advice"]["reconnect"], "none", "{reply}");
    assert!(reply["clientId"].is_null(), "{reply}");
    // Without a session, and with another's.
    assert_refused(&peer.push("network", "unconnected", card(0, 1400)).await, &["403::"]);
    let mut trusted = guest.follow().await;
    let stolen = json!({"channel": format!("/cloudinit/{INSTANCE}/config/set/network"), "clientId": trusted.client(),
                        "data": card(0, 1400)});
    assert_refused(&peer.request(stolen).await, &["402::"]);
    let connect =
        json!({"channel": "/meta/connect", "clientId": trusted.client(), "connectionType": "websocket"});
    assert_refused(&peer.request(connect).await, &["402::"]);
    // The session it tried to take goes on where it was.
    trusted.push_through("cc_set_passwords", "ours", password(HASH)).await;
    assert!(peer.events().is_empty(), "{:?}", peer.events());
    let mut after = sandbox.tree();
    for file in ["etc/shadow", "etc/.pwd.lock"] {
        let before = before.get(std::path::Path::new(file)).cloned();
        after.remove(std::path::Path::new(file));
        after.extend(before.map(|before| (file.into(), before)));
    }
    assert_eq!(after, before, "only the trusted push has changed anything");
    guest.stop().await;
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mode = std::fs::metadata(sandbox.path(SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let mut peer = guest.join().await;
    assert_eq!(peer.status().await["instance"], INSTANCE);
    peer.leave().await;
    // A udev hook's one message needs no session; a question does, having nowhere to send its answer.
    let mut hook = Peer::open(&guest.unix()).await;
    let plug = json!({"subsystem": "net", "action": "add", "attrs": {}});
    assert_accepted(&hook.publish(&format!("/cloudinit/{INSTANCE}/hotplug/network"), "plug", plug).await);
    let get = format!("/cloudinit/{INSTANCE}/config/get/network");
    assert_refused(&hook.publish(&get, "get", json!({})).await, &["403::", "handshake"]);
    guest.stop().await;
}

#[tokio::test]
async fn web_pages_are_kept_out() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    for (origin, host, expected) in [
        (None, "127.0.0.1", Ok(())),
        (Some("http://127.0.0.1"), "127.0.0.1", Ok(())),
        (Some("http://localhost:169"), "localhost:169", Ok(())),
        (Some("http://evil.example"), "127.0.0.1", Err(403)),
        // A name that its owner lets point at this machine.
        (Some("http://evil.example"), "evil.example", Err(403)),
        (Some("null"), "127.0.0.1", Err(403)),
    ] {
        let mut headers = vec![("host", host.to_owned())];
        headers.extend(origin.map(|origin| ("origin", origin.to_owned())));
        assert_eq!(try_upgrade(&guest.tcp(), &headers).await, expected, "{origin:?} to {host}");
    }
    guest.stop().await;
}

#[tokio::test]
async fn pushed_config_reaches_its_module_alone() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut snoop = guest.join().await;
    for pattern in [
        "/**",
        "/cloudinit/**",
        &format!("/cloudinit/{INSTANCE}/config/set/**"),
        &format!("/cloudinit/{INSTANCE}/config/set/cc_set_passwords"),
        "/service/**",
    ] {
        let reply = snoop.request(json!({"channel": "/meta/subscribe", "subscription": pattern})).await;
        // It may be refused; if it is not, it must bring nothing.
        assert!(reply["successful"].is_boolean(), "{reply}");
    }
    let mut peer = guest.join().await;
    peer.subscribe("/cloudinit/**").await;
    peer.push_through("cc_set_passwords", "reset", password(HASH)).await;
    peer.push_through("network", "card", card(0, 1400)).await;
    let get = format!("/cloudinit/{INSTANCE}/config/get/network");
    assert_accepted(&peer.publish(&get, "ask", json!({})).await);
    peer.answer("ask").await;
    // What is no config goes to who subscribes.
    assert_accepted(&peer.publish("/custom/foobar", "custom", json!({"x": 1})).await);
    snoop.event("the custom message", |event| channel(event) == "/custom/foobar").await;
    let configs: Vec<&Value> =
        snoop.events().iter().filter(|event| channel(event).contains("/config/")).collect();
    assert!(configs.is_empty(), "{configs:?}");
    nothing_secret_in("what the snoop heard", &json!(snoop.events()).to_string());
    guest.stop().await;
}

#[tokio::test]
async fn no_secret_comes_out_anywhere() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut peer = guest.follow().await;
    let user = |entry: Value| json!({"chpasswd": {"expire": false, "users": [entry]}});
    let mut said = Vec::new();
    // Good ones: hash, text and made up.
    for (id, entry) in [
        ("hash", json!({"name": "root", "password": HASH})),
        ("text", json!({"name": "root", "password": PLAIN, "type": "text"})),
        ("random", json!({"name": "ubuntu", "type": "RANDOM"})),
        ("yescrypt", json!({"name": "root", "password": YESCRYPT})),
    ] {
        said.push(peer.push_through("cc_set_passwords", id, user(entry)).await.to_string());
    }
    // Bad ones, with the secret in every wrong place.
    let set = |module: &str| format!("/cloudinit/{INSTANCE}/config/set/{module}");
    for (channel, data) in [
        (set("cc_set_passwords"), user(json!({"name": "nobody-here", "password": PLAIN, "type": "text"}))),
        (set("cc_set_passwords"), user(json!({"name": "root", "password": format!("{HASH}:x")}))),
        (set("cc_set_passwords"), user(json!({"name": HASH, "password": HASH}))),
        (set("cc_set_passwords"), user(json!({"name": format!("root:{PLAIN}"), "password": HASH}))),
        (set("cc_set_passwords"), user(json!({"name": "root", "password": HASH, "type": PLAIN}))),
        (set("cc_set_passwords"), user(json!({"name": "root", "passwd": HASH}))),
        (set("cc_set_passwords"), json!({"chpasswd": {"list": [HASH, PLAIN]}})),
        (set("cc_set_passwords"), json!({"chpasswd": {"list": format!("root:{PLAIN}\nevil")}})),
        (set("cc_set_passwords"), json!({"chpasswd": PLAIN})),
        (set("cc_set_passwords"), json!(HASH)),
        (set("nothing_here"), json!({"password": PLAIN})),
        ("/cloudinit/elsewhere/config/set/cc_set_passwords".to_owned(), password(HASH)),
    ] {
        let reply = peer.request(json!({"channel": channel, "data": data})).await;
        assert_refused(&reply, &[]);
        said.push(reply.to_string());
    }
    // Cut off in the middle of a secret.
    let text =
        format!(r#"[{{"channel":"{}","data":{{"chpasswd":{{"list":["root:{HASH}"#, set("cc_set_passwords"));
    peer.send_frame(tokio_tungstenite::tungstenite::Message::text(text)).await;
    let reply = peer.reply("the refusal of half a frame", |reply| reply["successful"] == false).await;
    said.push(reply.to_string());
    said.push(peer.status().await.to_string());
    said.push(json!(peer.events()).to_string());
    said.push(String::from_utf8(guest.command(&["status"]).await.stdout).unwrap());
    said.push(sandbox.log());
    said.push(std::fs::read_to_string(format!("/proc/{}/cmdline", guest.pid().as_raw_nonzero())).unwrap());

    let console = sandbox.read("dev/console");
    let made_up =
        console.split_whitespace().max_by_key(|word| word.len()).unwrap().rsplit(':').next().unwrap();
    assert!(made_up.len() >= 16, "no made-up password on the console: {console}");
    let shadow = sandbox.shadow("ubuntu")[1].clone();
    for text in &said {
        nothing_secret_in("what was said", text);
        assert!(!text.contains(made_up) && !text.contains(&shadow), "the made-up password came out");
    }
    // Where it has to be, only its owner reads it.
    let parts = [&HASH[20..40], &YESCRYPT[10..30], PLAIN, made_up, &shadow];
    let holders: Vec<_> = sandbox
        .whole_tree()
        .into_iter()
        .filter(|(_, text)| parts.iter().any(|part| text.contains(part)))
        .collect();
    assert!(holders.iter().any(|(path, _)| path.ends_with("shadow")), "the scan finds what is there");
    for (path, text) in holders {
        assert!(text.starts_with("0600 "), "{} holds a secret with mode {:.4}", path.display(), text);
    }
    guest.stop().await;
}
