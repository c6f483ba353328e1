//! The extensions that the configuration switches on, in the daemon as a process.

use std::process::Command;
use std::time::{Duration, SystemTime};

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::message::{assert_accepted, assert_refused, channel};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::Sandbox;
use serde_json::{Value, json};

const CONFIG: &str = "etc/cloud-channel/config.yaml";

/// Now, as date(1) has it: `YYYY-MM-DDThh:mm:ss`.
pub(crate) fn utc() -> String {
    let output = Command::new("date").args(["-u", "+%FT%T"]).output().expect("there is date(1)");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Checks that a message says when it was sent, and that it was between two times.
#[track_caller]
pub(crate) fn assert_between(begin: &str, message: &Value, end: &str) {
    let stamp = message["timestamp"].as_str().unwrap_or_default();
    let seconds = stamp.get(..begin.len()).unwrap_or_default();
    let rest: Vec<char> = stamp.chars().skip(begin.len()).collect();
    assert!(
        matches!(rest.as_slice(), ['.', a, b, c, 'Z'] if [a, b, c].iter().all(|digit| digit.is_ascii_digit())),
        "no timestamp: {message}"
    );
    assert!(begin <= seconds && seconds <= end, "not between {begin} and {end}: {message}");
}

/// What a session is told: one reply of each kind, and an event.
async fn conversation(sandbox: &Sandbox) -> Vec<Value> {
    let guest = Launch::on(sandbox).dev().start().await;
    let mut peer = Peer::open(&guest.unix()).await;
    let handshake = peer.handshake_with(json!({"replay": true})).await;
    let connect = json!({"channel": "/meta/connect", "connectionType": "websocket", "advice": {"timeout": 0},
                         "clientId": peer.session()});
    let connect = peer.request_as_it_is(connect).await;
    let subscribe = peer.request(json!({"channel": "/meta/subscribe", "subscription": "/custom/*"})).await;
    let publish = peer.publish("/custom/a", "a", json!(1)).await;
    let event = peer.event("the event", |event| channel(event) == "/custom/a").await;
    peer.leave().await;
    guest.stop().await;
    for reply in [&handshake, &connect, &subscribe, &publish] {
        assert_accepted(reply);
    }
    vec![handshake, connect, subscribe, publish, event]
}

#[tokio::test]
async fn timestamps_are_on_everything_that_goes_out_if_they_are_switched_on() {
    let sandbox = Sandbox::machine();
    let messages = conversation(&sandbox).await;
    assert!(messages.iter().all(|message| message.get("timestamp").is_none()), "{messages:?}");
    assert_eq!(messages[0]["ext"]["replay"], true, "switched on by default");

    sandbox.write(CONFIG, "extensions: [timestamp]\n");
    let begin = utc();
    let messages = conversation(&sandbox).await;
    let end = utc();
    for message in &messages {
        assert_between(&begin, message, &end);
    }
    assert!(messages[0]["ext"]["replay"].is_null(), "the list is all that is on: {messages:?}");
}

#[tokio::test]
async fn a_session_that_only_heartbeats_is_ended_after_the_time_of_the_configuration() {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "activity: 3s\nadvice: {timeout: 200ms}\n");
    let guest = Launch::on(&sandbox).dev().start().await;
    let mut active = guest.join().await;
    let mut idle = guest.join().await;
    let begin = std::time::Instant::now();
    let refused = |reply: &Value| channel(reply) == "/meta/connect" && reply["successful"] == false;
    // One only connects, the other asks all the time.
    let (refusal, _) = tokio::join!(
        idle.reply("the end of the idle session", refused),
        active.status_when("the active session to be alone", |status| status["sessions"] == 1),
    );
    assert_refused(&refusal, &["402::", "only sent heartbeats for 3 s"]);
    assert_eq!(refusal["advice"]["reconnect"], "none", "{refusal}");
    assert!(begin.elapsed() >= Duration::from_secs(2), "after {:?}", begin.elapsed());
    active.leave().await;
    guest.stop().await;
}

fn milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_by_how_much() {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "advice: {timeout: 300ms}\n");
    let guest = Launch::on(&sandbox).dev().start().await;
    let mut peer = Peer::open(&guest.unix()).await;
    // An hour slow, and it says that it is a minute fast.
    let (lag, offset) = (7, -60_000);
    let begin = milliseconds();
    let ask = |client: i64| json!({"timesync": {"tc": client, "l": lag, "o": offset}});
    let handshake = peer.handshake_with(ask(begin - 3_600_000)).await;
    let connect = |ext: Value, client: Value| json!({"channel": "/meta/connect", "connectionType": "websocket", "clientId": client, "ext": ext});
    // The first is answered at once, the second is held.
    let first = peer.request_as_it_is(connect(json!({}), peer.session())).await;
    assert!(first["ext"].is_null(), "who does not ask is told nothing: {first}");
    let held = peer.request_as_it_is(connect(ask(begin - 3_600_000), peer.session())).await;
    let end = milliseconds();
    for (reply, at_least) in [(&handshake, 0), (&held, 300)] {
        assert_accepted(reply);
        let told = &reply["ext"]["timesync"];
        let number = |name: &str| told[name].as_i64().unwrap_or_else(|| panic!("no {name} in {reply}"));
        assert_eq!(number("tc"), begin - 3_600_000);
        assert!((begin..=end).contains(&number("ts")), "{begin} to {end}: {reply}");
        assert_eq!(number("a"), number("tc") + offset + lag - number("ts"), "{reply}");
        assert!((at_least..=end - begin + 1).contains(&number("p")), "{reply}");
    }
    peer.leave().await;
    guest.stop().await;
}
