//! Clients of other makes against the daemon, each over each of its transports: the same scenarios for all.

use cloud_channel_tests::clients::{Client, Kind, Make, Transport};
use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, Sandbox};
use serde_json::{Value, json};

use crate::payloads::card;

/// Makes a test of each scenario for each client and transport.
macro_rules! for_each_client {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use cloud_channel_tests::clients::{Kind, Make, Transport};

            $crate::clients::for_each_client! { @ $scenario
                cometd_over_websocket: CometD WebSocket,
                cometd_over_long_polling: CometD LongPolling,
                faye_over_websocket: Faye WebSocket,
                faye_over_long_polling: Faye LongPolling,
                aiocometd_over_websocket: Aiocometd WebSocket,
                aiocometd_over_long_polling: Aiocometd LongPolling,
            }
        }
    )+};
    (@ $scenario:ident $($name:ident: $make:ident $transport:ident,)+) => {$(
        #[tokio::test]
        async fn $name() {
            let kind = Kind { make: Make::$make, transport: Transport::$transport };
            if kind.is_installed() {
                super::$scenario(kind).await;
            }
        }
    )+};
}
pub(crate) use for_each_client;

for_each_client! {
    names_and_patterns_are_heard,
    unsubscribed_is_unheard,
    refusals_are_told_and_do_no_harm,
    any_value_and_any_character_arrive,
    large_messages_arrive_whole,
    batches_keep_their_order,
    connects_go_round,
    questions_and_pushes_are_answered,
    who_leaves_is_gone,
    a_refused_handshake_is_final,
}

async fn start(sandbox: &Sandbox) -> Guest<'_> {
    Launch::on(sandbox).dev().tcp().start().await
}

/// All data that came on a channel over the wire.
fn data_on(client: &Client, channel: &str) -> Vec<Value> {
    client.events_on(channel).into_iter().map(|event| event["data"].clone()).collect()
}

async fn names_and_patterns_are_heard(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut clients = [(); 4].map(|()| kind.start(&guest.tcp(), &sandbox));
    for client in &mut clients {
        client.open().await;
    }
    let [mut publisher, mut exact, mut one_segment, mut all] = clients;
    exact.subscribe("/custom/a").await;
    one_segment.subscribe("/custom/*").await;
    // By three patterns: still one copy of each event.
    for pattern in ["/custom/**", "/custom/*", "/custom/a", "/last"] {
        all.subscribe(pattern).await;
    }
    for client in [&mut exact, &mut one_segment, &mut publisher] {
        client.subscribe("/last").await;
    }
    for channel in ["/custom/a", "/custom/b", "/custom/a/deep", "/other/a", "/custom", "/last"] {
        publisher.publish(channel, json!({"on": channel})).await;
    }
    for (client, expected) in [
        (&mut exact, vec!["/custom/a"]),
        (&mut one_segment, vec!["/custom/a", "/custom/b"]),
        (&mut all, vec!["/custom/a", "/custom/b", "/custom/a/deep"]),
        (&mut publisher, vec![]),
    ] {
        client.hears("/last").await;
        let events = client.wire().filter(|message| message.get("successful").is_none());
        let heard: Vec<&str> = events.filter_map(|event| event["channel"].as_str()).collect();
        assert_eq!(heard, [expected, vec!["/last"]].concat(), "{:?}", client.driver.told());
    }
    // The application gets them by whichever subscription its library finds.
    assert_eq!(all.hears("/custom/a/deep").await, json!({"on": "/custom/a/deep"}));
    guest.stop().await;
}

async fn unsubscribed_is_unheard(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    client.subscribe("/last").await;
    client.publish("/custom/a", json!(1)).await;
    assert_eq!(client.hears("/custom/a").await, 1);
    client.unsubscribe("/custom/*").await;
    client.publish("/custom/a", json!(2)).await;
    client.publish("/last", json!(1)).await;
    client.hears("/last").await;
    assert_eq!(data_on(&client, "/custom/a"), [1]);
    // And again.
    client.subscribe("/custom/*").await;
    client.publish("/custom/a", json!(3)).await;
    client.hears_what("/custom/a", |data| *data == 3).await;
    assert_eq!(data_on(&client, "/custom/a"), [1, 3]);
    guest.stop().await;
}

async fn refusals_are_told_and_do_no_harm(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    for pattern in ["/meta/*", "/meta/connect", "/meta/**"] {
        let answer = client.ask_subscribe(pattern).await;
        assert_eq!(answer["successful"], false, "{pattern}: {answer}");
        assert!(answer["error"].as_str().unwrap().starts_with("403:/meta/"), "{answer}");
    }
    for (channel, code) in [
        ("/cloudinit/another/config/set/network", "403:"),
        (&*format!("/cloudinit/{INSTANCE}/config/set/nothing_here"), "404:"),
        (&*format!("/cloudinit/{INSTANCE}/config/set/network"), "400:"),
    ] {
        let answer = client.ask_publish(channel, json!({"bad": true})).await;
        assert_eq!(answer["successful"], false, "{channel}: {answer}");
        assert!(answer["error"].as_str().unwrap().starts_with(code), "{code} {answer}");
    }
    client.publish("/custom/after", json!(1)).await;
    client.hears("/custom/after").await;
    let handshakes = client.wire().filter(|message| message["channel"] == "/meta/handshake");
    assert_eq!(handshakes.count(), 1, "a refusal is no end of a session");
    guest.stop().await;
}

async fn any_value_and_any_character_arrive(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    let mut other = kind.join(&guest.tcp(), &sandbox).await;
    other.subscribe("/custom/**").await;
    let controls: String = (0..32u8).map(char::from).collect();
    let values = [
        json!(null),
        json!(false),
        json!(0),
        json!(""),
        json!([]),
        json!({}),
        json!(-1.5e-7),
        json!(9_007_199_254_740_991_u64),
        json!(controls),
        json!("\"quoted\" \\ / <tag> & \u{7f} \u{2028} \u{2029} \u{feff}"),
        json!("ž ø 中文 עברית العربية हिन्दी e\u{301} 👩‍👩‍👧 \u{1f9ff} \u{10ffff}"),
        json!({"schlüssel": {"키": ["значение", {"🔑": null}]}, "": 1}),
    ];
    for (number, value) in values.iter().enumerate() {
        client.publish(&format!("/custom/{number}"), value.clone()).await;
    }
    for (number, value) in values.iter().enumerate() {
        assert_eq!(other.hears(&format!("/custom/{number}")).await, *value, "value {number}");
    }
    guest.stop().await;
}

async fn large_messages_arrive_whole(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    // With the envelope below the limit of 256 KiB, and above it.
    for (name, length) in [("small", 10), ("page", 70_000), ("large", 250_000)] {
        let text: String = (0..length).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let channel = format!("/custom/{name}");
        client.publish(&channel, json!(text)).await;
        assert!(client.hears(&channel).await == text, "{name} is not as it was sent");
    }
    guest.stop().await;
}

async fn batches_keep_their_order(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    let mut other = kind.join(&guest.tcp(), &sandbox).await;
    other.subscribe("/custom/*").await;
    let messages: Vec<Value> = (0..12).map(|n| json!({"channel": "/custom/n", "data": n})).collect();
    let answer = client.driver.ask(json!({"do": "batch", "messages": messages})).await;
    assert_eq!(answer["successful"], true, "{answer}");
    other.hears_what("/custom/n", |data| *data == 11).await;
    assert_eq!(data_on(&other, "/custom/n"), (0..12).collect::<Vec<_>>());
    guest.stop().await;
}

async fn connects_go_round(kind: Kind) {
    let sandbox = Sandbox::machine();
    // Faye's client and aiocometd give up after 1.2 times of it, which has to be enough for a busy machine.
    sandbox.write("etc/cloud-channel/config.yaml", "advice: {timeout: 1s}\n");
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    let connected = |message: &Value| message["channel"] == "/meta/connect";
    for _ in 0..2 {
        let reply = client.received(client.driver.mark(), "a connect's reply", connected).await;
        assert_eq!(reply["successful"], true, "{reply}");
    }
    let mut publisher = kind.join(&guest.tcp(), &sandbox).await;
    publisher.publish("/custom/a", json!(1)).await;
    client.hears("/custom/a").await;
    let ids: Vec<&Value> = client.wire().filter(|m| connected(m)).map(|m| &m["id"]).collect();
    let mut once = ids.clone();
    once.dedup();
    assert_eq!(ids, once, "each connect has one reply");
    let handshakes = client.wire().filter(|message| message["channel"] == "/meta/handshake");
    assert_eq!(handshakes.count(), 1);
    guest.stop().await;
}

async fn questions_and_pushes_are_answered(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    let status = "/service/cloud-channel/status";
    client.subscribe(status).await;
    client.publish(status, json!({})).await;
    assert_eq!(client.hears(status).await["instance"], INSTANCE);

    let get = format!("/cloudinit/{INSTANCE}/config/get/network");
    client.subscribe(&get).await;
    client.publish(&get, json!({})).await;
    assert_eq!(client.hears(&get).await["renderer"], "netplan");

    let results = format!("/cloudinit/{INSTANCE}/modules-config/network");
    client.subscribe(&results).await;
    client.publish(&format!("/cloudinit/{INSTANCE}/config/set/network"), card(0, 1400)).await;
    let finish = client.hears_what(&results, |data| data[0]["event_type"] == "finish").await;
    assert_eq!(finish[0]["result"], "SUCCESS", "{finish}");
    assert!(sandbox.read(NETPLAN).contains("nic0"));
    assert_eq!(client.events_on(&results).len(), 2, "a start and a finish, once each");
    guest.stop().await;
}

async fn who_leaves_is_gone(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    let mut watcher = guest.join().await;
    assert_eq!(watcher.status().await["sessions"], 2);
    client.leave().await;
    watcher.status_when("the session to be gone", |status| status["sessions"] == 1).await;
    guest.stop().await;
}

async fn a_refused_handshake_is_final(kind: Kind) {
    let sandbox = Sandbox::machine();
    // Without `--dev` a peer over TCP is nobody.
    let guest = Launch::on(&sandbox).tcp().start().await;
    let mut client = kind.start(&guest.tcp(), &sandbox);
    client.driver.order(json!({"do": "open"})).await;
    let handshake = |message: &Value| message["channel"] == "/meta/handshake";
    let reply = client.received(0, "the refusal", handshake).await;
    assert_eq!(reply["successful"], false, "{reply}");
    assert!(reply["error"].as_str().unwrap().starts_with("403:"), "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "none", "{reply}");
    assert!(reply["clientId"].is_null(), "{reply}");
    assert_eq!(guest.join().await.status().await["sessions"], 1);
    guest.stop().await;
}

#[tokio::test]
async fn all_makes_hear_one_another() {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut clients = Vec::new();
    for make in [Make::CometD, Make::Faye, Make::Aiocometd] {
        for transport in [Transport::WebSocket, Transport::LongPolling] {
            let kind = Kind { make, transport };
            if kind.is_installed() {
                clients.push(kind.start(&guest.tcp(), &sandbox));
            }
        }
    }
    for client in &mut clients {
        client.open().await;
        client.subscribe("/custom/*").await;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.publish(&format!("/custom/{number}"), json!({"from": number})).await;
    }
    let count = clients.len();
    for client in &mut clients {
        for number in 0..count {
            let channel = format!("/custom/{number}");
            assert_eq!(client.hears(&channel).await, json!({"from": number}));
            assert_eq!(client.events_on(&channel).len(), 1);
        }
    }
    guest.stop().await;
}
