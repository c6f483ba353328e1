//! Many events for clients of other makes: all in their order, and where that cannot be, an exact count of those that
//! are missing.

use cloud_channel_tests::clients::Kind;
use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::Sandbox;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::clients::for_each_client;

for_each_client! {
    many_events_come_in_their_order,
    what_a_frozen_client_misses_is_counted,
}

/// Messages in a frame.
const FRAME: usize = 50;

/// Number of the last event of many.
const LAST: u64 = 1599;

/// Publishes numbers, each padded to a size.
async fn publish(peer: &mut Peer, numbers: std::ops::Range<u64>, padding: usize) {
    let padding = "x".repeat(padding);
    let client = peer.client().to_owned();
    let numbers: Vec<u64> = numbers.collect();
    for frame in numbers.chunks(FRAME) {
        let message = |number: &u64| {
            json!({"channel": "/custom/n", "id": format!("n-{number}"), "clientId": client,
                   "data": {"number": number, "padding": padding}})
        };
        let messages: Vec<Value> = frame.iter().map(message).collect();
        peer.send_frame(Message::text(json!(messages).to_string())).await;
        for number in frame {
            let id = format!("n-{number}");
            let reply = peer.reply("the reply to a publish", |reply| reply["id"] == *id).await;
            assert_eq!(reply["successful"], true, "{reply}");
        }
    }
}

fn numbers<'m>(events: impl IntoIterator<Item = &'m Value>) -> Vec<u64> {
    events.into_iter().filter_map(|event| event["data"]["number"].as_u64()).collect()
}

async fn many_events_come_in_their_order(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    let mut peer = guest.join().await;
    // In portions that a session's queue bears, should the client be slow to come for them.
    for portion in 0..3 {
        publish(&mut peer, portion * 500..portion * 500 + 500, 100).await;
        client.hears_what("/custom/n", |data| data["number"] == portion * 500 + 499).await;
    }
    assert_eq!(numbers(client.events_on("/custom/n")), (0..1500).collect::<Vec<_>>());
    guest.stop().await;
}

async fn what_a_frozen_client_misses_is_counted(kind: Kind) {
    let sandbox = Sandbox::machine();
    // So that a busy machine's session does not expire meanwhile.
    sandbox.write("etc/cloud-channel/config.yaml", "advice: {max-interval: 2min}\n");
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    for channel in ["/custom/*", "/service/gap"] {
        client.subscribe(channel).await;
    }
    client.driver.freeze();
    let mut peer = guest.join().await;
    // Above what sockets hold and a session's queue keeps.
    publish(&mut peer, 0..LAST + 1, 6000).await;
    client.driver.thaw();
    client.hears_what("/custom/n", |data| data["number"] == LAST).await;
    let heard = numbers(client.events_on("/custom/n"));
    let gaps = client.events_on("/service/gap");
    let dropped: u64 = gaps.iter().filter_map(|gap| gap["data"]["dropped"].as_u64()).sum();
    assert!(dropped > 0, "all {} events came: this test needs more of them", heard.len());
    assert_eq!(heard.len() as u64 + dropped, LAST + 1, "{gaps:?}");
    assert!(heard.is_sorted_by(|one, next| one < next), "{heard:?}");
    // Each gap is told where it is.
    let mut expected = 0;
    for message in client.wire().filter(|message| message.get("successful").is_none()) {
        expected += message["data"]["dropped"].as_u64().unwrap_or_default();
        if let Some(number) = message["data"]["number"].as_u64() {
            assert_eq!(number, expected);
            expected += 1;
        }
    }
    guest.stop().await;
}
