//! The extensions of CometD's client, over both its transports.

use cloud_channel_tests::clients::{Client, Kind, Make, Transport};
use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::message::channel;
use cloud_channel_tests::relay::Relay;
use cloud_channel_tests::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::extensions::{assert_between, utc};

macro_rules! for_cometd {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use super::{Kind, Make, Transport};

            for_cometd! { @ $scenario over_websocket: WebSocket, over_long_polling: LongPolling }
        }
    )+};
    (@ $scenario:ident $($name:ident: $transport:ident),+) => {$(
        #[tokio::test]
        async fn $name() {
            let kind = Kind { make: Make::CometD, transport: Transport::$transport };
            if kind.is_installed() {
                super::$scenario(kind).await;
            }
        }
    )+};
}

for_cometd! {
    what_was_swallowed_comes_again,
    acknowledged_events_come_once_through_any_cut,
    bytes_pass_untouched,
    a_reloaded_page_keeps_its_session,
    clocks_are_compared,
    timestamps_are_taken,
}

/// Every reply on a meta channel so far.
fn replies(client: &Client, name: &str) -> Vec<Value> {
    client.wire().filter(|message| channel(message) == name).cloned().collect()
}

async fn what_was_swallowed_comes_again(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let relay = Relay::to(&guest.tcp()).await;
    let mut client = kind.start_with(&["ack"], relay.address(), &sandbox);
    client.open().await;
    assert_eq!(replies(&client, "/meta/handshake")[0]["ext"]["ack"], true);
    client.subscribe("/custom/*").await;
    let mut watcher = guest.join().await;
    for round in 0..3 {
        // The daemon has written it, and its client never reads it.
        relay.swallow();
        let reply = watcher.publish("/custom/n", &format!("n-{round}"), json!(round)).await;
        assert_eq!(reply["successful"], true, "{reply}");
        relay.swallowed().await;
        relay.cut();
        client.hears_what("/custom/n", |data| *data == round).await;
    }
    watcher.publish("/custom/last", "last", json!(0)).await;
    client.hears("/custom/last").await;
    let heard: Vec<&Value> = client.events_on("/custom/n").into_iter().map(|event| &event["data"]).collect();
    assert_eq!(heard, [0, 1, 2], "each once, in order");
    let connects = replies(&client, "/meta/connect");
    let batches = connects.iter().filter_map(|reply| reply["ext"]["ack"].as_u64());
    let batches: Vec<u64> = batches.collect();
    assert!(batches.len() >= 4 && batches.is_sorted(), "{batches:?}");
    let handshakes = replies(&client, "/meta/handshake");
    assert_eq!(handshakes.len(), 1, "{handshakes:?}");
    guest.stop().await;
}

async fn acknowledged_events_come_once_through_any_cut(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let relay = Relay::to(&guest.tcp()).await;
    let mut client = kind.start_with(&["ack"], relay.address(), &sandbox);
    client.open().await;
    client.subscribe("/custom/*").await;
    let mut publisher = guest.join().await;
    for round in 0..8 {
        for number in round * 20..round * 20 + 20 {
            let reply = publisher.publish("/custom/n", &format!("n-{number}"), json!(number)).await;
            assert_eq!(reply["successful"], true, "{reply}");
        }
        // Anywhere on its way.
        client.hears_what("/custom/n", |data| *data == round * 20).await;
        relay.cut();
    }
    client.hears_what("/custom/n", |data| *data == 159).await;
    let heard: Vec<&Value> = client.events_on("/custom/n").into_iter().map(|event| &event["data"]).collect();
    assert_eq!(heard, (0..160).collect::<Vec<_>>(), "each once, in order");
    guest.stop().await;
}

async fn bytes_pass_untouched(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut sender = kind.start_with(&["binary"], &guest.tcp(), &sandbox);
    let mut hearer = kind.start_with(&["binary"], &guest.tcp(), &sandbox);
    sender.open().await;
    hearer.open().await;
    let answer = hearer.driver.ask(json!({"do": "hear_binary", "channel": "/custom/*"})).await;
    assert_eq!(answer["successful"], true, "{answer}");
    let bytes: Vec<u8> = (0..=255).rev().collect();
    let send = json!({"do": "binary", "channel": "/custom/bytes", "bytes": bytes});
    let answer = sender.driver.ask(send).await;
    assert_eq!(answer["successful"], true, "{answer}");
    let line = hearer.driver.line("the bytes", |line| line.get("bytes").is_some()).await;
    assert_eq!(line["bytes"], json!(bytes));
    guest.stop().await;
}

async fn a_reloaded_page_keeps_its_session(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut client = kind.start_with(&["reload"], &guest.tcp(), &sandbox);
    client.open().await;
    client.subscribe("/custom/*").await;
    let mut watcher = guest.join().await;
    let answer = client.driver.ask(json!({"do": "reload"})).await;
    assert_eq!(answer["successful"], true, "{answer}");
    // The page comes back with the session, and so with the subscription that the daemon knows of.
    watcher.publish("/custom/after", "after", json!(1)).await;
    client.received(0, "the event", |message| message["channel"] == "/custom/after").await;
    assert_eq!(watcher.status().await["sessions"], 2);
    let connects = client.driver.told().iter().filter(|line| line["out"]["channel"] == "/meta/connect");
    let mut ids: Vec<&Value> = connects.map(|line| &line["out"]["clientId"]).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    guest.stop().await;
}

/// Requests on a meta channel that have been answered, each with its reply.
fn answered(client: &Client, name: &str) -> Vec<(Value, Value)> {
    let requests: Vec<&Value> = client.driver.told().iter().filter_map(|line| line.get("out")).collect();
    let of = |reply: Value| {
        let request = requests.iter().find(|request| request["id"] == reply["id"])?;
        Some(((*request).clone(), reply))
    };
    replies(client, name).into_iter().filter_map(of).collect()
}

async fn clocks_are_compared(kind: Kind) {
    let sandbox = Sandbox::machine();
    sandbox.write("etc/cloud-channel/config.yaml", "advice: {timeout: 300ms}\n");
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut client = kind.start_with(&["timesync"], &guest.tcp(), &sandbox);
    client.open().await;
    for _ in 0..3 {
        let any = |message: &Value| message["channel"] == "/meta/connect";
        client.received(client.driver.mark(), "a connect's reply", any).await;
    }
    let mut exchanges = answered(&client, "/meta/handshake");
    assert!(!exchanges[0].1["ext"]["timesync"].is_null(), "who knows nothing yet is told: {exchanges:?}");
    exchanges.extend(answered(&client, "/meta/connect"));
    assert!(exchanges.len() >= 4, "{exchanges:?}");
    for (request, reply) in exchanges {
        let (asked, told) = (&request["ext"]["timesync"], &reply["ext"]["timesync"]);
        let number = |value: &Value| value.as_f64().unwrap_or_default().round();
        let (tc, lag, offset, ts) =
            (number(&asked["tc"]), number(&asked["l"]), number(&asked["o"]), number(&told["ts"]));
        assert!(tc > 0.0, "the client asks: {request}");
        if told.is_null() {
            assert!(lag != 0.0, "only a good estimate needs no answer: {request}");
            continue;
        }
        assert_eq!(number(&told["tc"]), tc, "what the client said comes back: {reply}");
        assert_eq!(number(&told["a"]), tc + offset + lag - ts, "{request} {reply}");
        assert!((ts - tc).abs() < 20_000.0, "one machine has one clock: {request} {reply}");
        assert!(told["p"].as_u64().is_some_and(|held| held < 20_000), "{reply}");
    }
    guest.stop().await;
}

async fn timestamps_are_taken(kind: Kind) {
    let sandbox = Sandbox::machine();
    sandbox.write("etc/cloud-channel/config.yaml", "extensions: [timestamp]\n");
    let begin = utc();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut client = kind.start_with(&["timestamp", "ack"], &guest.tcp(), &sandbox);
    client.open().await;
    client.subscribe("/custom/*").await;
    client.publish("/custom/a", json!(1)).await;
    client.hears("/custom/a").await;
    let end = utc();
    for name in ["/meta/handshake", "/meta/connect", "/meta/subscribe", "/custom/a"] {
        let messages = replies(&client, name);
        assert!(!messages.is_empty(), "nothing on {name}");
        for message in messages {
            assert_between(&begin, &message, &end);
        }
    }
    guest.stop().await;
}
