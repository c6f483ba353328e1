//! What clients of other makes do when the daemon, their session or their stream is gone for a while: they come back by
//! themselves, and hear what there is to hear.

use cloud_channel_tests::clients::{Client, Kind};
use cloud_channel_tests::guest::{Guest, Launch, SOCKET};
use cloud_channel_tests::relay::Relay;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::stream::Address;
use serde_json::{Value, json};

use crate::clients::for_each_client;

for_each_client! {
    a_restart_is_survived,
    an_expired_session_begins_anew,
    a_cut_stream_loses_nothing,
}

/// Waits until the client has a new session, with its subscription, told after so many lines.
async fn back_again(client: &mut Client, mark: usize) {
    let granted = |channel: &'static str| {
        move |message: &Value| message["channel"] == channel && message["successful"] == true
    };
    client.received(mark, "another handshake", granted("/meta/handshake")).await;
    client.received(mark, "another subscription", granted("/meta/subscribe")).await;
}

async fn publish(guest: &Guest<'_>, channel: &str, data: Value) {
    let reply = guest.join().await.publish(channel, "published", data).await;
    assert_eq!(reply["successful"], true, "{reply}");
}

async fn a_restart_is_survived(kind: Kind) {
    let sandbox = Sandbox::machine();
    let mut guest = Launch::on(&sandbox).dev().tcp().start().await;
    let Address::Tcp(address) = guest.tcp() else { unreachable!("it is an address of TCP") };
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    publish(&guest, "/custom/before", json!(1)).await;
    client.hears("/custom/before").await;
    for round in 0..2 {
        let mark = client.driver.mark();
        // Killed, and then asked to end, which it says to its clients.
        if round == 0 {
            guest.crash().await;
        } else {
            guest.stop().await;
        }
        let unix = format!("unix://{}", sandbox.path(SOCKET).display());
        let launch = Launch::on(&sandbox).dev().argument("--listen").argument(unix);
        guest = launch.argument("--listen").argument(format!("ws://{address}/events")).start().await;
        back_again(&mut client, mark).await;
        let channel = format!("/custom/after-{round}");
        publish(&guest, &channel, json!(round)).await;
        assert_eq!(client.hears(&channel).await, round);
        assert_eq!(client.events_on(&channel).len(), 1);
    }
    guest.stop().await;
}

async fn an_expired_session_begins_anew(kind: Kind) {
    let sandbox = Sandbox::machine();
    sandbox.write("etc/cloud-channel/config.yaml", "advice: {timeout: 1s, max-interval: 1s}\n");
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut client = kind.join(&guest.tcp(), &sandbox).await;
    client.subscribe("/custom/*").await;
    let mut watcher = guest.join().await;
    assert_eq!(watcher.status().await["sessions"], 2);
    let mark = client.driver.mark();
    client.driver.freeze();
    watcher.status_when("the session to expire", |status| status["sessions"] == 1).await;
    publish(&guest, "/custom/missed", json!(1)).await;
    client.driver.thaw();
    let lost = |message: &Value| message["channel"] == "/meta/connect" && message["successful"] == false;
    let reply = client.received(mark, "the loss of the session", lost).await;
    assert!(reply["error"].as_str().unwrap().starts_with("402:"), "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
    back_again(&mut client, mark).await;
    publish(&guest, "/custom/after", json!(1)).await;
    client.hears("/custom/after").await;
    assert!(client.events_on("/custom/missed").is_empty(), "another session's event");
    guest.stop().await;
}

async fn a_cut_stream_loses_nothing(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let relay = Relay::to(&guest.tcp()).await;
    let mut client = kind.join(relay.address(), &sandbox).await;
    client.subscribe("/custom/*").await;
    let mut watcher = guest.join().await;
    for round in 0..3 {
        relay.close();
        watcher.status_when("the stream to be gone", |status| status["connections"] == 1).await;
        let reply = watcher.publish("/custom/n", &format!("n-{round}"), json!(round)).await;
        assert_eq!(reply["successful"], true, "{reply}");
        relay.open();
        client.hears_what("/custom/n", |data| *data == round).await;
    }
    assert_eq!(client.events_on("/custom/n").len(), 3, "each once");
    let handshakes = client.wire().filter(|message| message["channel"] == "/meta/handshake");
    assert_eq!(handshakes.count(), 1, "the session goes on over each new stream");
    guest.stop().await;
}
