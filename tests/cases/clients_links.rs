//! Servers of other makes as the management side that a guest dials.

use std::time::Duration;

use cloud_channel_tests::clients::{ForeignServer, HOLD, ServerMake};
use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::message::{channel, description, is_finish, result, seq};
use cloud_channel_tests::relay::Relay;
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, Sandbox};
use cloud_channel_tests::stream::Address;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::payloads::{HASH, card, nothing_secret_in, password};

macro_rules! for_each_server {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use super::ServerMake;

            for_each_server! { @ $scenario
                faye_over_websocket: Faye "ws",
                faye_over_long_polling: Faye "http",
                cometd_over_long_polling: CometD "http",
            }
        }
    )+};
    (@ $scenario:ident $($name:ident: $make:ident $scheme:literal,)+) => {$(
        #[tokio::test]
        async fn $name() {
            if ServerMake::$make.is_installed() {
                super::$scenario(ServerMake::$make, $scheme).await;
            }
        }
    )+};
}

for_each_server! {
    both_flows_go_through,
    a_refusal_is_a_failed_finish,
    questions_are_answered_once,
    a_restarted_server_gets_what_waited,
    an_expired_guest_begins_anew,
    a_cut_link_loses_no_event,
}

fn below(rest: &str) -> String {
    format!("/cloudinit/{INSTANCE}/{rest}")
}

async fn dialled<'s>(make: ServerMake, scheme: &str, sandbox: &'s Sandbox) -> (ForeignServer, Guest<'s>) {
    let mut server = make.start(sandbox).await;
    let guest = dial(&server.address(), scheme, sandbox).await;
    subscribed(&mut server, 0).await;
    (server, guest)
}

async fn dial<'s>(address: &Address, scheme: &str, sandbox: &'s Sandbox) -> Guest<'s> {
    let Address::Tcp(address) = address else { unreachable!("servers of other makes are reached over TCP") };
    Launch::on(sandbox).connect(&format!("{scheme}://{address}/events")).start().await
}

async fn subscribed(server: &mut ForeignServer, mark: usize) {
    for pattern in ["config/**", "hotplug/*"] {
        server.subscribed(mark, &below(pattern)).await;
    }
}

async fn plug(guest: &Guest<'_>, card: u8) {
    let output = guest.command(&["hotplug", "--nic", &format!("00:11:22:33:44:{card:02x}")]).await;
    assert!(output.status.success(), "{output:?}");
}

/// Waits for the hotplug event of a card.
async fn plugged(server: &mut ForeignServer, card: u8) {
    let address = format!("00:11:22:33:44:{card:02x}");
    let event = server.published("the hotplug", |event| event["data"]["attrs"]["address"] == *address).await;
    assert_eq!(event["channel"], below("hotplug/network"));
}

/// Pushes config and waits for its finish, the `nth` of its module.
async fn push(server: &mut ForeignServer, module: &str, data: Value, nth: usize) -> Value {
    server.publish(json!({"channel": below(&format!("config/set/{module}")), "data": data})).await;
    let results = below(&format!("modules-config/{module}"));
    // One by one: each is later than the one before.
    let mut last = 0;
    let mut finish = Value::Null;
    for _ in 0..nth {
        let later = |event: &Value| {
            channel(event) == results && is_finish(event) && seq(event).is_some_and(|number| number > last)
        };
        finish = server.published(&format!("finish {nth} of {module}"), later).await;
        last = seq(&finish).unwrap();
    }
    finish
}

/// The numbers of all events, in the order in which they came.
fn numbers(server: &ForeignServer) -> Vec<u64> {
    server.all_published().filter_map(seq).collect()
}

async fn both_flows_go_through(make: ServerMake, scheme: &str) {
    let sandbox = Sandbox::machine();
    let (mut server, guest) = dialled(make, scheme, &sandbox).await;
    for number in 0..3 {
        plug(&guest, number).await;
        plugged(&mut server, number).await;
        let finish = push(&mut server, "network", card(number, 1400), usize::from(number) + 1).await;
        assert_eq!(result(&finish), "SUCCESS", "{finish}");
        assert!(sandbox.read(NETPLAN).contains(&format!("nic{number}")));
    }
    let finish = push(&mut server, "cc_set_passwords", password(HASH), 1).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    assert_eq!(sandbox.shadow("root")[1], HASH);
    assert_eq!(numbers(&server).len(), 3 + 4 * 2, "each event once: {:?}", numbers(&server));
    let published: Vec<&Value> = server.all_published().filter(|event| seq(event).is_some()).collect();
    nothing_secret_in("what was published", &json!(published).to_string());
    guest.stop().await;
}

async fn a_refusal_is_a_failed_finish(make: ServerMake, scheme: &str) {
    let sandbox = Sandbox::machine();
    let (mut server, guest) = dialled(make, scheme, &sandbox).await;
    let before = sandbox.tree();
    let bad = json!({"network": {"ethernets": {"e0": {"dhcp": true}}}});
    let finish = push(&mut server, "network", bad, 1).await;
    assert_eq!(result(&finish), "FAIL", "{finish}");
    assert!(description(&finish).contains("did you mean `dhcp4`"), "{finish}");
    assert_eq!(sandbox.tree(), before);
    assert_eq!(result(&push(&mut server, "network", card(0, 1400), 2).await), "SUCCESS");
    guest.stop().await;
}

async fn questions_are_answered_once(make: ServerMake, scheme: &str) {
    let sandbox = Sandbox::machine();
    let (mut server, guest) = dialled(make, scheme, &sandbox).await;
    let get = below("config/get/network");
    server.publish(json!({"channel": get, "data": {}})).await;
    let answer = server.published("the answer", |event| channel(event) == get).await;
    assert_eq!(answer["data"]["renderer"], "netplan", "{answer}");
    // The server sends the guest its own answer too, since it subscribes to that channel: it is no question.
    let dry = json!({"cloudinit": {"dry_run": true}});
    server.publish(json!({"channel": below("config/set/network"), "data": card(0, 1400), "ext": dry})).await;
    let plan = |event: &Value| channel(event) == get && !event["data"]["plan"].is_null();
    let plan = server.published("the plan", plan).await;
    assert!(plan["data"]["plan"].to_string().contains(NETPLAN), "{plan}");
    assert_eq!(result(&push(&mut server, "network", card(0, 1400), 1).await), "SUCCESS");
    let answers = server.all_published().filter(|event| channel(event) == get);
    assert_eq!(answers.count(), 2, "{:?}", server.driver.told());
    guest.stop().await;
}

async fn a_restarted_server_gets_what_waited(make: ServerMake, scheme: &str) {
    let sandbox = Sandbox::machine();
    let (mut server, guest) = dialled(make, scheme, &sandbox).await;
    assert_eq!(result(&push(&mut server, "network", card(0, 1400), 1).await), "SUCCESS");
    let port = server.port();
    server.driver.crash().await;
    plug(&guest, 7).await;

    let mut server = make.start_at(port, HOLD, &sandbox).await;
    subscribed(&mut server, 0).await;
    plugged(&mut server, 7).await;
    // A server that begins anew counts its messages anew.
    let finish = push(&mut server, "network", card(1, 1400), 1).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    let numbers = numbers(&server);
    assert!(numbers.is_sorted(), "{numbers:?}");
    guest.stop().await;
}

async fn an_expired_guest_begins_anew(make: ServerMake, scheme: &str) {
    let sandbox = Sandbox::machine();
    let mut server = make.start_at(0, Duration::from_secs(1), &sandbox).await;
    let guest = dial(&server.address(), scheme, &sandbox).await;
    subscribed(&mut server, 0).await;
    kill_process(guest.pid(), Signal::STOP).unwrap();
    // Another one may have ended before: a machine that is too busy for a second is no fault.
    let mark = server.driver.mark();
    server.driver.line_since(mark, "the session to expire", |line| line.get("ended").is_some()).await;
    let mark = server.driver.mark();
    kill_process(guest.pid(), Signal::CONT).unwrap();
    subscribed(&mut server, mark).await;
    plug(&guest, 1).await;
    plugged(&mut server, 1).await;
    let finish = push(&mut server, "network", card(1, 1400), 1).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    guest.stop().await;
}

async fn a_cut_link_loses_no_event(make: ServerMake, scheme: &str) {
    let sandbox = Sandbox::machine();
    let mut server = make.start(&sandbox).await;
    let relay = Relay::to(&server.address()).await;
    let guest = dial(relay.address(), scheme, &sandbox).await;
    subscribed(&mut server, 0).await;
    for card in 0..6 {
        // Before, after or while it is on its way.
        if card % 2 == 0 {
            relay.cut();
        }
        plug(&guest, card).await;
        relay.cut();
    }
    for card in 0..6 {
        plugged(&mut server, card).await;
    }
    let mut peer = guest.join().await;
    peer.waiting(0).await;
    let finish = push(&mut server, "network", card(0, 1400), 1).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    guest.stop().await;
}
