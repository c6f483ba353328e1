//! Extensions at work in the server.

use std::time::Duration;

use serde_json::json;

use super::super::extensions::{Activity, Timestamp, Timesync};
use super::{Driver, assert_success, connect, error, publish, subscribe};

#[test]
fn timesync_answers_handshakes_and_tells_how_long_a_connect_was_held() {
    let mut driver = Driver::new();
    driver.server.extend(Box::new(Timesync));
    driver.open(1);
    let handshake = json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"],
        "ext": {"timesync": {"tc": 5, "l": 0, "o": 0}}});
    let reply = driver.ask_one(1, &handshake);
    assert_eq!(reply["ext"], json!({"timesync": {"tc": 5, "ts": 0, "p": 0, "a": 5}}));
    let client = reply["clientId"].as_str().unwrap().to_owned();
    driver.ask_one(1, &connect(&client));
    let mut held = connect(&client);
    held["ext"] = json!({"timesync": {"tc": 900, "l": 7, "o": 1}, "com.example": 1});
    driver.send(1, &held);
    driver.advance(31.0);
    let reply = &driver.take(1)[0];
    assert_eq!(reply["ext"], json!({"timesync": {"tc": 900, "ts": 0, "p": 30_000, "a": 908}}));
}

#[test]
fn timestamp_is_on_everything_that_goes_out() {
    let mut driver = Driver::new();
    driver.server.extend(Box::new(Timestamp));
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.publish("/a", 1);
    let messages = driver.ask(1, &publish(&client, "/a", &json!({"x": 1})));
    assert_eq!(messages.len(), 3);
    for message in &messages {
        assert_eq!(message["timestamp"], "1970-01-01T00:00:00.000Z", "{message}");
    }
}

#[test]
fn activity_ends_a_session_that_only_heartbeats() {
    let mut driver = Driver::new();
    driver.server.extend(Box::new(Activity::new(Duration::from_secs(60))));
    let client = driver.ready(1, &json!({}), &json!("/a"));
    for _ in 0..2 {
        driver.send(1, &connect(&client));
        driver.advance(30.1);
        assert_success(&driver.take(1)[0]);
    }
    let told = driver.ask_one(1, &connect(&client));
    assert!(error(&told).contains("it only sent heartbeats for 60 s"), "{told}");
    assert_eq!(told["advice"]["reconnect"], "none");
    assert_eq!(driver.server.stats().sessions, 0);
    let another = driver.handshake(1, &json!({}));
    assert_success(&driver.ask_one(1, &subscribe(&another, &json!("/a"))));
}
