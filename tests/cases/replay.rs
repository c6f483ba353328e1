//! Replays: what was before comes first, in order, each event once, whatever happens meanwhile.

use std::collections::HashSet;

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::message::{assert_accepted, assert_refused, channel, error, seq};
use cloud_channel_tests::patience::{PATIENCE, PAUSE};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

pub(crate) const CONFIG: &str = "etc/cloud-channel/config.yaml";
pub(crate) const EVERYTHING: &str = "/cloudinit/**";
/// Publishes in one frame.
const FRAME: u64 = 100;

fn hotplug(subsystem: &str) -> String {
    format!("/cloudinit/{INSTANCE}/hotplug/{subsystem}")
}

fn plug(number: u64) -> Value {
    json!({"subsystem": "block", "action": "add", "attrs": {"name": format!("vd{number}"), "serial": "x".repeat(200)}})
}

/// Publishes so many events, in frames, and waits until they are recorded.
pub(crate) async fn publish(peer: &mut Peer, first: u64, count: u64) {
    let channel = hotplug("block");
    let mut number = first;
    while number < first + count {
        let end = (number + FRAME).min(first + count);
        let frame: Vec<Value> = (number..end)
            .map(|n| json!({"channel": channel, "id": format!("p-{n}"), "clientId": peer.client(), "data": plug(n)}))
            .collect();
        peer.send_frame(Message::text(Value::from(frame).to_string())).await;
        for n in number..end {
            let id = format!("p-{n}");
            assert_accepted(&peer.reply(&format!("the reply to {id}"), |reply| reply["id"] == id).await);
        }
        number = end;
    }
}

/// A daemon whose journal has so many events, numbered from 1 on, all of them taken.
pub(crate) async fn with_past<'s>(launch: &Launch<'s>, events: u64) -> Guest<'s> {
    let guest = launch.start().await;
    let mut peer = guest.follow().await;
    publish(&mut peer, 1, events).await;
    peer.waiting(0).await;
    peer.leave().await;
    guest
}

async fn subscribe_from(peer: &mut Peer, pattern: &str, from: i64) -> Value {
    let ext = json!({"replay": {pattern: from}});
    peer.request(json!({"channel": "/meta/subscribe", "subscription": pattern, "ext": ext})).await
}

/// The numbers of all events so far.
fn numbers(peer: &Peer) -> Vec<u64> {
    peer.events().iter().filter_map(seq).collect()
}

/// Reads until the event with this number.
async fn read_to(peer: &mut Peer, number: u64) -> Vec<u64> {
    peer.event(&format!("event {number}"), |event| seq(event) == Some(number)).await;
    numbers(peer)
}

fn range(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

#[tokio::test]
async fn a_subscriber_gets_what_it_asks_for_and_then_what_happens() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 5).await;
    let mut all = Peer::open(&guest.unix()).await;
    let reply = all.handshake_with(json!({"replay": true})).await;
    assert_eq!(reply["ext"]["replay"], true, "{reply}");
    all.hold_connect().await;
    let reply = subscribe_from(&mut all, EVERYTHING, -2).await;
    assert_accepted(&reply);
    assert_eq!(reply["subscription"], EVERYTHING);
    let (mut some, mut none, mut new, mut plain) =
        (guest.join().await, guest.join().await, guest.join().await, guest.join().await);
    assert_accepted(&subscribe_from(&mut some, &hotplug("*"), 3).await);
    assert_accepted(&subscribe_from(&mut none, &hotplug("block"), 5).await);
    assert_accepted(&subscribe_from(&mut new, EVERYTHING, -1).await);
    plain.subscribe(EVERYTHING).await;

    publish(&mut plain, 6, 1).await;
    assert_eq!(read_to(&mut all, 6).await, range(1, 6));
    assert_eq!(read_to(&mut some, 6).await, range(4, 6));
    for peer in [&mut none, &mut new, &mut plain] {
        assert_eq!(read_to(peer, 6).await, [6]);
    }
    // As they were, and their number beside the data.
    let third = all.event("the third event", |event| seq(event) == Some(3)).await;
    assert_eq!((channel(&third), &third["data"]), (hotplug("block").as_str(), &plug(3)));
    assert_eq!(third["ext"], json!({"cloudinit": {"seq": 3}}));
    guest.stop().await;
}

#[tokio::test]
async fn a_number_that_is_gone_is_refused_and_the_refusal_says_what_there_is() {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "replay:\n  events: 3\n");
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 6).await;
    let mut peer = guest.join().await;
    let rest = "expected 3 to 6, or -2 for all that are retained, or -1 for new ones only";
    for (from, problem) in
        [(0, "Events 1 to 3 are gone"), (2, "Events 3 to 3 are gone"), (7, "There is no such event yet")]
    {
        let reply = subscribe_from(&mut peer, EVERYTHING, from).await;
        assert_refused(&reply, &[]);
        assert_eq!(error(&reply), format!("400:{from}:{problem}, {rest}"));
        assert_eq!(reply["subscription"], EVERYTHING);
    }
    assert_refused(&subscribe_from(&mut peer, EVERYTHING, -3).await, &["400:ext.replay:"]);
    // None of that is a subscription; and one below the oldest is good.
    publish(&mut peer, 7, 1).await;
    peer.status().await;
    assert_eq!(numbers(&peer), [0_u64; 0]);
    assert_accepted(&subscribe_from(&mut peer, EVERYTHING, 3).await);
    assert_eq!(read_to(&mut peer, 7).await, range(4, 7));

    guest.stop().await;
}

#[tokio::test]
async fn patterns_of_one_subscribe_bring_each_event_once() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 4).await;
    let mut peer = guest.join().await;
    let patterns = [hotplug("block"), hotplug("*"), EVERYTHING.to_owned(), "/elsewhere".to_owned()];
    let ext =
        json!({"replay": {patterns[0].clone(): 3, patterns[1].clone(): 2, EVERYTHING: 1, "/elsewhere": -2}});
    let wanted = json!({"channel": "/meta/subscribe", "subscription": patterns, "ext": ext});
    assert_accepted(&peer.request(wanted).await);
    publish(&mut peer, 5, 1).await;
    assert_eq!(read_to(&mut peer, 5).await, range(2, 5));
    guest.stop().await;
}

#[tokio::test]
async fn thousands_of_events_come_once_each_while_others_happen() {
    const BEFORE: u64 = 2_500;
    const MEANWHILE: u64 = 1_200;
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "replay:\n  events: 10000\n  bytes: 8 MiB\n");
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, BEFORE).await;
    let last = BEFORE + MEANWHILE;
    let (mut publisher, mut reader, mut overlapping) =
        (guest.join().await, guest.join().await, guest.join().await);
    // This one hears what happens already; its replay must not bring that again.
    overlapping.subscribe(&hotplug("*")).await;
    let replay = json!({"channel": "/meta/subscribe", "subscription": EVERYTHING, "ext": {"replay": {EVERYTHING: -2}}});
    let reading = async |peer: &mut Peer| {
        assert_accepted(&peer.request(replay.clone()).await);
        read_to(peer, last).await;
        // What is still on its way comes before the answer.
        peer.status_when("no replay to be left", |status| status["replays"] == 0).await;
        assert!(peer.events().iter().all(|event| channel(event) != "/service/gap"), "nothing was dropped");
        numbers(peer)
    };
    let ((), in_order, mut overlapped) = tokio::join!(
        publish(&mut publisher, BEFORE + 1, MEANWHILE),
        reading(&mut reader),
        reading(&mut overlapping)
    );
    assert_eq!(in_order, range(1, last));
    // What it heard before it asked, it has asked for once more.
    let beginning = overlapped.iter().position(|number| *number == 1).unwrap();
    let mut since = overlapped.split_off(beginning);
    since.sort_unstable();
    assert_eq!(since, range(1, last), "each once");
    publisher.waiting(0).await;
    guest.stop().await;
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_delays_nobody() {
    const EVENTS: u64 = 4_000;
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "replay:\n  events: 10000\n  bytes: 8 MiB\nlimits:\n  queued-messages: 400\n");
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, EVENTS).await;
    let mut slow = guest.join().await;
    // Its reply is read, and not one frame more.
    assert_accepted(&subscribe_from(&mut slow, EVERYTHING, -2).await);
    let mut fast = guest.join().await;
    assert_accepted(&subscribe_from(&mut fast, EVERYTHING, -2).await);
    assert_eq!(read_to(&mut fast, EVENTS).await, range(1, EVENTS));
    let status = fast.status_when("one replay to be left", |status| status["replays"] == 1).await;
    let queued = status["queues"]["sessions"]["messages"].as_u64().unwrap();
    assert!(queued <= 64, "a page at most, not {queued}");

    assert_eq!(read_to(&mut slow, EVENTS).await, range(1, EVENTS));
    assert!(slow.events().iter().all(|event| channel(event) != "/service/gap"));
    fast.status_when("no replay to be left", |status| status["replays"] == 0).await;
    guest.stop().await;
}

/// Acknowledges what came with the last connect's reply, and gets what waits.
async fn acknowledge(peer: &mut Peer, reply: &Value) -> Value {
    let ack = reply["ext"]["ack"].clone();
    let connect = json!({"channel": "/meta/connect", "clientId": peer.session(), "connectionType": "websocket",
                         "id": format!("connect-{ack}"), "ext": {"ack": ack}});
    peer.request_as_it_is(connect).await
}

#[tokio::test]
async fn a_replay_goes_on_though_a_flood_has_dropped_its_page() {
    const EVENTS: u64 = 100;
    const FLOOD: u64 = 60;
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    with_past(&launch, EVENTS).await.stop().await;
    sandbox.write(CONFIG, "limits:\n  queued-messages: 16\n");
    let guest = launch.start().await;
    // With the ack extension events come when the client says so, and not before.
    let mut slow = Peer::open(&guest.unix()).await;
    let mut reply = slow.handshake_with(json!({"ack": true, "replay": true})).await;
    reply = acknowledge(&mut slow, &reply).await;
    slow.subscribe("/custom/flood").await;
    assert_accepted(&subscribe_from(&mut slow, EVERYTHING, 0).await);
    let mut other = guest.join().await;
    other.status_when("a page to wait", |status| status["queues"]["sessions"]["messages"] == 4).await;
    let flood = |number| json!({"channel": "/custom/flood", "id": format!("f-{number}"), "data": number});
    for number in 1..=FLOOD {
        assert_accepted(&other.request(flood(number)).await);
    }

    while !slow.events().iter().any(|event| seq(event) == Some(EVENTS)) {
        reply = acknowledge(&mut slow, &reply).await;
    }
    let numbers = numbers(&slow);
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice: {numbers:?}");
    let gaps = slow.events().iter().filter(|event| channel(event) == "/service/gap");
    let missed: u64 = gaps.map(|gap| gap["data"]["dropped"].as_u64().unwrap()).sum();
    let flooded = slow.events().iter().filter(|event| channel(event) == "/custom/flood").count() as u64;
    assert_eq!(numbers.len() as u64 + flooded + missed, EVENTS + FLOOD, "what is missing was told");
    assert!(!numbers.contains(&1), "the flood has dropped the first page: {numbers:?}");
    other.status_when("no replay to be left", |status| status["replays"] == 0).await;
    guest.stop().await;
}

#[tokio::test]
async fn a_replay_ends_with_its_subscription_or_its_session() {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "replay:\n  events: 10000\n  bytes: 8 MiB\n");
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 4_000).await;
    let mut other = guest.join().await;
    let (mut leaving, mut turning, gone) = (guest.join().await, guest.join().await, guest.join().await);
    let mut gone = gone;
    for peer in [&mut leaving, &mut turning, &mut gone] {
        assert_accepted(&subscribe_from(peer, EVERYTHING, -2).await);
    }
    let under_way = other.status().await["replays"].as_u64().unwrap();
    assert_eq!(under_way, 3, "nobody has read that much");
    leaving.leave().await;
    drop(gone);
    let away = turning.request(json!({"channel": "/meta/unsubscribe", "subscription": EVERYTHING})).await;
    assert_accepted(&away);
    // The session of the one that is gone has to expire first.
    other.status_when("all replays to end", |status| status["replays"] == 0).await;
    let had: HashSet<u64> = numbers(&turning).into_iter().collect();
    assert!(had.len() < 4_000, "it was not read to the end: {}", had.len());
    // It may begin anew.
    assert_accepted(&subscribe_from(&mut turning, EVERYTHING, 3_990).await);
    read_to(&mut turning, 4_000).await;
    guest.stop().await;
}

#[tokio::test]
async fn what_waits_is_settled_by_who_replays_it() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let mut publisher = guest.join().await;
    publish(&mut publisher, 1, 300).await;
    publisher.waiting(300).await;
    let mut peer = guest.join().await;
    assert_accepted(&subscribe_from(&mut peer, EVERYTHING, 100).await);
    assert_eq!(read_to(&mut peer, 300).await, range(101, 300));
    publisher.waiting(100).await;
    // The others go to the first subscriber, and have not been lost.
    publisher.subscribe(EVERYTHING).await;
    assert_eq!(read_to(&mut publisher, 100).await, range(1, 100));
    publisher.waiting(0).await;
    let mut late = guest.join().await;
    assert_accepted(&subscribe_from(&mut late, EVERYTHING, -2).await);
    assert_eq!(read_to(&mut late, 300).await, range(1, 300));
    guest.stop().await;
}

#[tokio::test]
async fn events_are_replayed_by_the_next_daemon() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 5).await;
    guest.crash().await;

    let guest = launch.start().await;
    let mut peer = guest.join().await;
    assert_accepted(&subscribe_from(&mut peer, EVERYTHING, 2).await);
    let plug = peer.publish(&hotplug("block"), "new", plug(6)).await;
    assert_accepted(&plug);
    let new = peer.event("the new event", |event| seq(event).is_some_and(|seq| seq > 5)).await;
    assert_eq!(numbers(&peer)[..3], [3, 4, 5]);
    // A gap between numbers is none between events.
    let newest = seq(&new).unwrap();
    let mut late = guest.join().await;
    assert_accepted(&subscribe_from(&mut late, EVERYTHING, 5).await);
    assert_eq!(read_to(&mut late, newest).await, [newest]);
    guest.stop().await;
}

#[tokio::test]
async fn what_is_too_old_is_not_replayed() {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "replay:\n  age: 1s\n");
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 2).await;
    let mut peer = guest.join().await;
    // Each look asks whether they are gone by now; nothing is published meanwhile.
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let reply = subscribe_from(&mut peer, EVERYTHING, 0).await;
        let gone = |last: u8, first: u8| {
            format!(
                "400:0:Events 1 to {last} are gone, expected {first} to 2, or -2 for all that are retained, or -1 for \
                 new ones only"
            )
        };
        if reply["successful"] == false && error(&reply) == gone(2, 2) {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "the events are not let go");
        if reply["successful"] == false {
            assert_eq!(error(&reply), gone(1, 1), "one is a little older than the other");
        } else {
            let away = json!({"channel": "/meta/unsubscribe", "subscription": EVERYTHING});
            assert_accepted(&peer.request(away).await);
        }
        tokio::time::sleep(PAUSE).await;
    }
    guest.stop().await;
}
