//! kill -9 at any moment: what was acknowledged is done once, files are whole, and events wait for somebody.

use std::time::Duration;

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::message::{assert_accepted, channel, finish_numbers, result, seq};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, OLD_HASH, Sandbox};
use cloud_channel_tests::say;
use serde_json::{Value, json};

use crate::payloads::{HASH, YESCRYPT, card, password};

/// Crashes at random moments.
const ROUNDS: u64 = 20;
/// Pushes sent in each round. All of them together are fewer than may wait, so none is refused.
const PUSHES: u64 = 12;

#[tokio::test]
async fn a_push_is_done_though_the_guest_dies_right_after_its_reply() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    for round in 0..4u8 {
        let guest = launch.start().await;
        let mut peer = guest.join().await;
        let (network, users) = (format!("n-{round}"), format!("u-{round}"));
        assert_accepted(&peer.push("network", &network, card(round, 1400)).await);
        let hash = if round % 2 == 0 { HASH } else { YESCRYPT };
        assert_accepted(&peer.push("cc_set_passwords", &users, password(hash)).await);
        guest.crash().await;

        let guest = launch.start().await;
        let mut peer = guest.follow().await;
        assert_eq!(result(&peer.finish(&network).await), "SUCCESS");
        assert_eq!(result(&peer.finish(&users).await), "SUCCESS");
        assert!(sandbox.read(NETPLAN).contains(&format!("nic{round}")));
        assert_eq!(sandbox.shadow("root")[1], hash);
        let starts = peer.events().iter().filter(|event| event["data"][0]["event_type"] == "start").count();
        assert_eq!(starts, 2, "each push has one start, before or after: {:?}", peer.events());
        guest.stop().await;
    }
}

#[tokio::test]
async fn events_wait_for_a_subscriber_over_crashes() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let mut peer = guest.join().await;
    let hotplug = format!("/cloudinit/{INSTANCE}/hotplug/block");
    for number in 0..5 {
        let data = json!({"subsystem": "block", "action": "add", "attrs": {"name": format!("vd{number}")}});
        assert_accepted(&peer.publish(&hotplug, &format!("plug-{number}"), data).await);
    }
    assert_accepted(&peer.push("network", "pushed", card(0, 1400)).await);
    peer.waiting(7).await;
    guest.crash().await;

    let guest = launch.start().await;
    let mut peer = guest.join().await;
    assert_eq!(peer.status().await["events"]["waiting"], 7);
    peer.subscribe(&format!("/cloudinit/{INSTANCE}/hotplug/*")).await;
    peer.subscribe("/cloudinit/**").await;
    peer.finish("pushed").await;
    let events: Vec<&Value> = peer.events().iter().filter(|event| seq(event).is_some()).collect();
    let names: Vec<&Value> = events.iter().map(|event| &event["data"]["attrs"]["name"]).take(5).collect();
    assert_eq!(
        names,
        ["vd0", "vd1", "vd2", "vd3", "vd4"],
        "in order, and once though two subscriptions cover them"
    );
    assert_eq!(events.len(), 7, "{events:?}");
    peer.waiting(0).await;
    guest.stop().await;

    // They were delivered: nobody else gets them.
    let guest = launch.start().await;
    let mut peer = guest.follow().await;
    let status = peer.status().await;
    assert_eq!(status["events"]["waiting"], 0);
    assert!(peer.events().iter().all(|event| seq(event).is_none()), "{:?}", peer.events());
    guest.stop().await;
}

/// What is known of the pushes sent so far.
#[derive(Default)]
struct Ledger {
    /// Ids of acknowledged pushes.
    acknowledged: Vec<String>,
    /// The values that the files may have, by push: from the last acknowledged on.
    sent: u64,
    events: Vec<Value>,
}

#[tokio::test]
async fn nothing_is_lost_or_done_twice_by_crashes_at_random_moments() {
    // A fixed seed: the crashes still hit other instructions each time, since the machine's load differs.
    let mut random = Random(0x5eed_0fc4_a54e);
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let mut ledger = Ledger::default();
    for _ in 0..ROUNDS {
        let guest = launch.start().await;
        let mut peer = guest.join().await;
        if random.below(2) == 0 {
            peer.subscribe("/cloudinit/**").await;
        }
        push_and_crash(guest, &mut peer, &mut ledger, &mut random).await;
        ledger.events.extend(peer.events().iter().cloned());
        assert_files_are_whole(&sandbox, ledger.sent);
    }
    let guest = launch.start().await;
    let mut peer = guest.follow().await;
    assert_eq!(result(&peer.push_through("network", "last-n", card(0, 9000)).await), "SUCCESS");
    assert_eq!(result(&peer.push_through("cc_set_passwords", "last-u", password(HASH)).await), "SUCCESS");
    ledger.events.extend(peer.events().iter().cloned());
    for push in &ledger.acknowledged {
        let numbers = finish_numbers(&ledger.events, push);
        assert_eq!(numbers.len(), 1, "{push} has the finishes {numbers:?}");
    }
    let file: Value = serde_saphyr::from_str(&sandbox.read(NETPLAN)).unwrap();
    assert_eq!(file["network"]["ethernets"]["nic0"]["mtu"].to_string().trim_matches('"'), "9000");
    assert_eq!(sandbox.shadow("root")[1], HASH);
    say(&format!("{} of {} pushes acknowledged in {ROUNDS} crashes", ledger.acknowledged.len(), ledger.sent));
    assert!(ledger.acknowledged.len() as u64 > ROUNDS, "the crashes left no room for a push");
    guest.stop().await;
}

/// Sends a round's pushes at once, reads some replies, and kills.
async fn push_and_crash(guest: Guest<'_>, peer: &mut Peer, ledger: &mut Ledger, random: &mut Random) {
    for _ in 0..PUSHES {
        ledger.sent += 1;
        let number = ledger.sent;
        // The value is in the files, so that they can be read back.
        let (module, data) = if number.is_multiple_of(3) {
            ("cc_set_passwords", password(if number.is_multiple_of(2) { HASH } else { YESCRYPT }))
        } else {
            ("network", card(0, 1280 + number))
        };
        let channel = format!("/cloudinit/{INSTANCE}/config/set/{module}");
        let push = json!({"channel": channel, "id": format!("push-{number}"), "clientId": peer.client(), "data": data});
        peer.send(&push).await;
    }
    for _ in 0..random.below(PUSHES) {
        let reply =
            peer.reply("a push to be acknowledged", |reply| channel(reply).contains("/config/set/")).await;
        assert_accepted(&reply);
        ledger.acknowledged.push(reply["id"].as_str().unwrap().to_owned());
    }
    // The moment of the crash is what is random here; nothing is awaited by it.
    tokio::time::sleep(Duration::from_micros(random.below(40_000))).await;
    guest.crash().await;
    // Without the ack extension an event is delivered when it is written: what was, is still in the socket.
    peer.close().await;
}

/// Each file is as it was before some push, or after it.
fn assert_files_are_whole(sandbox: &Sandbox, sent: u64) {
    let file: Value = serde_saphyr::from_str(&sandbox.read(NETPLAN)).unwrap();
    let mtu = &file["network"]["ethernets"]["nic0"]["mtu"];
    let value = mtu.to_string().trim_matches('"').parse::<u64>().ok();
    assert!(mtu.is_null() || value.is_some_and(|mtu| (1281..=1280 + sent).contains(&mtu)), "{file}");
    assert!(file["network"]["ethernets"]["boot0"].is_object(), "{file}");
    let shadow = sandbox.shadow("root");
    assert!([OLD_HASH, HASH, YESCRYPT].contains(&shadow[1].as_str()), "{}", shadow[1]);
    assert_eq!((shadow.len(), sandbox.shadow("ubuntu")[1].as_str()), (9, "!"));
    assert_eq!((sandbox.mode(NETPLAN), sandbox.mode("etc/shadow")), (0o600, 0o600));
}

/// xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[tokio::test]
async fn a_repeated_message_after_a_crash_is_recognised() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let mut peer = guest.join().await;
    let generation = json!({"cloudinit": {"generation": 5}});
    let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
    let push = json!({"channel": channel, "id": "g5", "data": card(0, 1405), "ext": generation});
    assert_accepted(&peer.request(push).await);
    guest.crash().await;

    let guest = launch.start().await;
    let mut peer = guest.follow().await;
    assert_eq!(result(&peer.finish("g5").await), "SUCCESS");
    // A new session, so another sender: its id is its own, and its generation is old.
    let old = json!({"channel": channel, "id": "g4", "data": card(0, 1404), "ext": {"cloudinit": {"generation": 4}}});
    let reply = peer.request(old).await;
    cloud_channel_tests::message::assert_refused(&reply, &["409:ext.cloudinit.generation", "more than 5"]);
    let before = sandbox.tree();
    let finish = peer.push_through("network", "same-content", card(0, 1405)).await;
    assert!(finish["data"][0]["description"].as_str().unwrap().contains("nothing to change"), "{finish}");
    assert_eq!(sandbox.tree(), before);
    guest.stop().await;
}
