//! A peer that does not read: it delays nobody, costs no more than its limits, and hears exactly what it missed.

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::message::channel;
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::stream::Address;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Events published, and the size of each: together far more than sockets hold and than the limits allow, and yet published
/// before the daemon gives the stuck one up, on a machine that is busy with other things.
const EVENTS: u64 = 1_000;
const SIZE: usize = 8 * 1024;
/// Events in one batch of the publisher.
const BATCH: u64 = 20;
/// What the daemon may grow by: one session's queue, one frame on its way, and slack.
const GROWTH: u64 = 5 << 20;

/// The daemon's resident memory (proc_pid_status(5)), in bytes.
fn memory(guest: &Guest<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", guest.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

fn number(event: &Value) -> Option<u64> {
    (channel(event) == "/custom/flood").then(|| event["data"]["number"].as_u64().unwrap())
}

async fn one_reader_is_stuck(address: Address, guest: &Guest<'_>) {
    let mut stuck = Peer::join(&address).await;
    stuck.subscribe("/custom/**").await;
    let mut good = Peer::join(&address).await;
    good.subscribe("/custom/**").await;
    let mut publisher = Peer::join(&address).await;
    let client = publisher.client().to_owned();
    let filler = "x".repeat(SIZE);
    let before = memory(guest);
    for first in (0..EVENTS).step_by(usize::try_from(BATCH).unwrap()) {
        let last = first + BATCH - 1;
        let batch: Vec<Value> = (first..=last)
            .map(|number| {
                let data = json!({"number": number, "filler": filler});
                json!({"channel": "/custom/flood", "id": number.to_string(), "clientId": client, "data": data})
            })
            .collect();
        publisher.send_frame(Message::text(json!(batch).to_string())).await;
        let id = json!(last.to_string());
        publisher.reply("the last reply of a batch", |reply| reply["id"] == id).await;
        // The good one never has to wait for the other.
        good.event("a batch", |event| number(event) == Some(last)).await;
    }
    let numbers: Vec<u64> = good.events().iter().filter_map(number).collect();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<u64>>(), "each once, and in order");
    let growth = memory(guest).saturating_sub(before);
    assert!(growth < GROWTH, "the daemon grew by {growth} bytes");

    // It reads again: the newest are there, and a marker says how many are not.
    stuck.event("the last event", |event| number(event) == Some(EVENTS - 1)).await;
    let numbers: Vec<u64> = stuck.events().iter().filter_map(number).collect();
    assert!(numbers.is_sorted(), "in order: {numbers:?}");
    let gaps = stuck.events().iter().filter(|event| channel(event) == "/service/gap");
    let missed: u64 = gaps.map(|gap| gap["data"]["dropped"].as_u64().unwrap()).sum();
    assert!(missed > 0, "so much cannot have waited: {} of {EVENTS} came", numbers.len());
    assert_eq!(missed + numbers.len() as u64, EVENTS, "the marker is exact");
    stuck.status().await;
}

#[tokio::test]
async fn over_a_unix_socket() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    one_reader_is_stuck(guest.unix(), &guest).await;
    guest.stop().await;
}

#[tokio::test]
async fn over_tcp() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    one_reader_is_stuck(guest.tcp(), &guest).await;
    guest.stop().await;
}
