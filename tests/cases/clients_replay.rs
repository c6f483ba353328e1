//! Replays to clients of other makes, by a small replay extension for each: what was before, a number that is gone, and a
//! new session that goes on where the former was.

use cloud_channel_tests::clients::{Client, Kind};
use cloud_channel_tests::guest::{Guest, Launch, SOCKET};
use cloud_channel_tests::message::seq;
use cloud_channel_tests::relay::Relay;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use cloud_channel_tests::stream::Address;
use serde_json::Value;

use crate::replay::{CONFIG, EVERYTHING, publish, with_past};

macro_rules! for_each_replaying_client {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use cloud_channel_tests::clients::{Kind, Make, Transport};

            $crate::clients::for_each_client! { @ $scenario
                cometd_over_websocket: CometD WebSocket,
                cometd_over_long_polling: CometD LongPolling,
                aiocometd_over_websocket: Aiocometd WebSocket,
                aiocometd_over_long_polling: Aiocometd LongPolling,
            }
        }
    )+};
}

for_each_replaying_client! {
    a_client_gets_what_it_asks_for_and_then_what_happens,
    a_number_that_is_gone_is_a_clear_refusal,
    a_new_session_goes_on_where_the_former_was,
}

fn channel() -> String {
    format!("/cloudinit/{INSTANCE}/hotplug/block")
}

async fn open(kind: Kind, address: &Address, sandbox: &Sandbox) -> Client {
    let mut client = kind.start_with(&["replay"], address, sandbox);
    client.open().await;
    let shaken = client.wire().find(|message| message["channel"] == "/meta/handshake").expect("it is open");
    assert_eq!(shaken["ext"]["replay"], true, "{shaken}");
    client
}

/// A client that has subscribed from a number on.
async fn reader(kind: Kind, guest: &Guest<'_>, pattern: &str, from: i64) -> Client {
    let mut client = open(kind, &guest.tcp(), guest.sandbox()).await;
    let answer = client.ask_subscribe_from(pattern, from).await;
    assert_eq!(answer["successful"], true, "{answer}");
    client
}

/// Waits until the application has the event that was published as this one, and gives as which ones all were that
/// came. The journal's numbers rise with them, and may leave some out after a restart.
async fn read_to(client: &mut Client, last: u64) -> Vec<u64> {
    let name = format!("vd{last}");
    client.hears_what(&channel(), |data| data["attrs"]["name"] == *name).await;
    let events = client.events_on(&channel());
    assert!(events.is_sorted_by_key(|event| seq(event).expect("each has its number")), "{events:?}");
    let published =
        |event: &&Value| event["data"]["attrs"]["name"].as_str()?.strip_prefix("vd")?.parse().ok();
    events.iter().filter_map(published).collect()
}

async fn a_client_gets_what_it_asks_for_and_then_what_happens(kind: Kind) {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox).dev().tcp();
    let guest = with_past(&launch, 5).await;
    let mut all = reader(kind, &guest, EVERYTHING, -2).await;
    assert_eq!(read_to(&mut all, 5).await, [1, 2, 3, 4, 5]);
    let mut some = reader(kind, &guest, &channel(), 3).await;
    assert_eq!(read_to(&mut some, 5).await, [4, 5]);
    let mut new = reader(kind, &guest, EVERYTHING, -1).await;
    publish(&mut guest.join().await, 6, 1).await;
    assert_eq!(read_to(&mut all, 6).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(read_to(&mut some, 6).await, [4, 5, 6]);
    assert_eq!(read_to(&mut new, 6).await, [6]);
    for client in [all, some, new] {
        client.leave().await;
    }
    guest.stop().await;
}

async fn a_number_that_is_gone_is_a_clear_refusal(kind: Kind) {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "replay:\n  events: 3\n");
    let launch = Launch::on(&sandbox).dev().tcp();
    let guest = with_past(&launch, 6).await;
    let mut client = open(kind, &guest.tcp(), &sandbox).await;
    for (from, problem) in [(0, "Events 1 to 3 are gone"), (7, "There is no such event yet")] {
        let answer = client.ask_subscribe_from(EVERYTHING, from).await;
        assert_eq!(answer["successful"], false, "{answer}");
        let expected = format!(
            "400:{from}:{problem}, expected 3 to 6, or -2 for all that are retained, or -1 for new ones only"
        );
        assert_eq!(answer["error"], expected, "the application is told");
    }
    // It is no subscription, and the client goes on: as the refusal says, there is something left to ask for.
    let answer = client.ask_subscribe_from(EVERYTHING, 3).await;
    assert_eq!(answer["successful"], true, "{answer}");
    assert_eq!(read_to(&mut client, 6).await, [4, 5, 6]);
    client.leave().await;
    guest.stop().await;
}

async fn a_new_session_goes_on_where_the_former_was(kind: Kind) {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox).dev().tcp();
    let guest = with_past(&launch, 3).await;
    let Address::Tcp(address) = guest.tcp() else { unreachable!("it is an address of TCP") };
    let relay = Relay::to(&guest.tcp()).await;
    let mut client = open(kind, relay.address(), &sandbox).await;
    let answer = client.ask_subscribe_from(EVERYTHING, -2).await;
    assert_eq!(answer["successful"], true, "{answer}");
    assert_eq!(read_to(&mut client, 3).await, [1, 2, 3]);

    // The daemon forgets its sessions, and what happens then happens without the client.
    let mark = client.driver.mark();
    relay.close();
    guest.stop().await;
    let unix = format!("unix://{}", sandbox.path(SOCKET).display());
    let launch = Launch::on(&sandbox).dev().argument("--listen").argument(unix);
    let guest = launch.argument("--listen").argument(format!("ws://{address}/events")).start().await;
    let mut follower = guest.follow().await;
    publish(&mut follower, 4, 2).await;
    follower.waiting(0).await;
    relay.open();
    let again = |message: &Value| message["channel"] == "/meta/subscribe" && message["successful"] == true;
    client.received(mark, "another subscription", again).await;
    publish(&mut follower, 6, 1).await;
    assert_eq!(read_to(&mut client, 6).await, [1, 2, 3, 4, 5, 6], "each once, in order");
    client.leave().await;
    guest.stop().await;
}
