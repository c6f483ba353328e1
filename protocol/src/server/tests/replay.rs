//! Subscriptions that want what is retained.

use serde_json::{Value, json};

use super::super::{Input, OfferId, Output, ReplayFrom, ServerConfig};
use super::driver::publication;
use super::{Driver, NOTHING, assert_success, data, error};
use crate::channel::ChannelPattern;
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::ClientId;

fn with_store() -> (Driver, String) {
    let mut driver = Driver::with(|config| config.replay = true);
    let client = driver.ready(1, &json!({"replay": true}), &json!("/other"));
    driver.outputs.clear();
    (driver, client)
}

fn subscribe(client: &str, from: i64) -> Value {
    json!({"channel": "/meta/subscribe", "clientId": client, "subscription": "/a", "ext": {"replay": {"/a": from}}})
}

fn asked(driver: &mut Driver) -> Option<(OfferId, ReplayFrom)> {
    let asked = driver.outputs.iter().find_map(|output| match output {
        Output::Replay { offer, wanted, .. } => Some((*offer, wanted[0].1)),
        _ => None,
    });
    driver.outputs.clear();
    asked
}

fn replayed(driver: &mut Driver, client: &str, number: u64) {
    let (client, pattern) = (ClientId::parse(client).unwrap(), ChannelPattern::parse("/a").unwrap());
    let publication = publication("/a", number);
    let (pattern, publication) = (&pattern, &publication);
    driver.input(Input::Replayed { client, pattern, publication, receipt: Some(number) });
}

fn caught_up(driver: &mut Driver, client: &str) {
    let (client, pattern) = (ClientId::parse(client).unwrap(), ChannelPattern::parse("/a").unwrap());
    driver.input(Input::CaughtUp { client, pattern: &pattern });
}

#[test]
fn old_events_come_first_and_none_twice() {
    let (mut driver, client) = with_store();
    assert_eq!(driver.ask(1, &subscribe(&client, 7)), NOTHING, "the store is asked");
    let (offer, from) = asked(&mut driver).unwrap();
    assert_eq!(from, ReplayFrom::After(7));
    driver.input(Input::Settled { offer, verdict: Ok(()) });
    let reply = driver.take(1).remove(0);
    assert_success(&reply);
    assert_eq!(reply["subscription"], "/a");
    replayed(&mut driver, &client, 8);
    // Recorded after the store was asked: it will come by the replay.
    driver.publish("/a", 9);
    replayed(&mut driver, &client, 9);
    caught_up(&mut driver, &client);
    driver.publish("/a", 10);
    assert_eq!(data(&driver.take(1)), [8, 9, 10]);
    assert_eq!(driver.receipts(), [8, 9, 10]);
}

#[test]
fn a_number_that_is_gone_is_a_clear_refusal() {
    let (mut driver, client) = with_store();
    driver.send(1, &subscribe(&client, 3));
    let (offer, _) = asked(&mut driver).unwrap();
    let gone = BayeuxError::new(ErrorCode::Malformed, "3", "expected a number from 10 on, or -1 or -2");
    driver.input(Input::Settled { offer, verdict: Err(gone) });
    let reply = driver.take(1).remove(0);
    assert_eq!(error(&reply), "400:3:expected a number from 10 on, or -1 or -2");
    assert_eq!(reply["subscription"], "/a");
    driver.publish("/a", 11);
    assert_eq!(driver.take(1), NOTHING, "not subscribed");
}

#[test]
fn new_events_only_is_an_ordinary_subscription() {
    let (mut driver, client) = with_store();
    assert_success(&driver.ask_one(1, &subscribe(&client, -1)));
    assert_eq!(asked(&mut driver), None);
    driver.send(1, &subscribe(&client, -2));
    assert_eq!(asked(&mut driver), None, "it is subscribed already: there is nothing to catch up with");
    driver.publish("/a", 1);
    assert_eq!(data(&driver.take(1)[1..]), [1]);
}

#[test]
fn unsubscribing_ends_it_and_receipts_go_on() {
    let (mut driver, client) = with_store();
    driver.send(1, &subscribe(&client, -2));
    let (offer, from) = asked(&mut driver).unwrap();
    assert_eq!(from, ReplayFrom::Oldest);
    driver.input(Input::Settled { offer, verdict: Ok(()) });
    let gone = json!({"channel": "/meta/unsubscribe", "clientId": client, "subscription": "/a"});
    assert_success(&driver.ask(1, &gone)[1]);
    replayed(&mut driver, &client, 1);
    caught_up(&mut driver, &client);
    driver.publish("/a", 2);
    assert_eq!(driver.take(1), NOTHING);
    assert_eq!(driver.receipts(), [1], "whoever replays is not left waiting");
}

#[test]
fn what_is_kept_by_nobody_comes_meanwhile() {
    let (mut driver, client) = with_store();
    let other = driver.ready(2, &json!({}), &json!("/elsewhere"));
    driver.send(1, &subscribe(&client, -2));
    let (offer, _) = asked(&mut driver).unwrap();
    let publish = json!({"channel": "/a", "data": 1, "clientId": other});
    driver.send(2, &publish);
    driver.input(Input::Settled { offer, verdict: Ok(()) });
    driver.take(1);
    driver.send(2, &publish);
    assert_eq!(data(&driver.take(1)), [1], "published by a client, while the replay is under way");
    let id = ClientId::parse(&client).unwrap();
    let channel = |text| crate::channel::ChannelName::parse(text).unwrap();
    assert!(driver.server.is_kept_from(id, &channel("/a")));
    assert!(!driver.server.is_kept_from(id, &channel("/other")), "that it hears");
    caught_up(&mut driver, &client);
    driver.send(2, &publish);
    assert_eq!(data(&driver.take(1)), [1], "once");
    assert!(!driver.server.is_kept_from(id, &channel("/a")));
}

#[test]
fn a_page_that_was_dropped_is_missed() {
    let mut driver = Driver::with(|config| {
        config.replay = true;
        config.limits.queued_messages = 2;
    });
    let client = driver.ready(1, &json!({"replay": true}), &json!("/other"));
    driver.send(1, &subscribe(&client, -2));
    let (offer, _) = asked(&mut driver).unwrap();
    driver.input(Input::Settled { offer, verdict: Ok(()) });
    driver.take(1);
    let id = ClientId::parse(&client).unwrap();
    driver.stall(1);
    replayed(&mut driver, &client, 7);
    assert!(driver.server.is_underway(id, 7), "it is being written");
    replayed(&mut driver, &client, 8);
    assert!(driver.server.is_underway(id, 8), "it waits");
    let before = driver.server.dropped();
    for number in 1..=2 {
        driver.publish("/other", number);
    }
    assert_eq!(driver.server.dropped(), before + 1);
    assert!(!driver.server.is_underway(id, 8) && driver.server.is_underway(id, 7));
}

#[test]
fn without_a_store_the_wish_is_passed_over() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({"replay": true}));
    assert_success(&driver.ask_one(1, &subscribe(&client, -2)));
    assert_eq!(asked(&mut driver), None);
}

#[test]
fn a_grant_that_comes_after_the_sessions_end_is_a_refusal() {
    let (mut driver, client) = with_store();
    driver.send(1, &subscribe(&client, -2));
    let (offer, _) = asked(&mut driver).unwrap();
    // Another handshake on the stream takes the session's place.
    driver.handshake(1, &json!({}));
    driver.input(Input::Settled { offer, verdict: Ok(()) });
    assert_eq!(error(&driver.take(1).remove(0)), "402::Unknown client");
}

#[test]
fn grants_together_keep_the_limit() {
    let (mut driver, client) = with_store();
    let limit = ServerConfig::default().limits.subscriptions_per_session;
    let many: Vec<String> = (2..limit).map(|number| format!("/more/{number}")).collect();
    let more = json!({"channel": "/meta/subscribe", "clientId": client, "subscription": many});
    assert_success(&driver.ask_one(1, &more));
    // One place is left, and two subscribes look at it before either is granted.
    let mut offers = Vec::new();
    for channel in ["/a", "/b"] {
        let wanted = json!({"channel": "/meta/subscribe", "clientId": client, "subscription": channel,
            "ext": {"replay": {channel: -2}}});
        driver.send(1, &wanted);
        offers.push(asked(&mut driver).unwrap().0);
    }
    driver.input(Input::Settled { offer: offers[0], verdict: Ok(()) });
    assert_success(&driver.take(1).remove(0));
    driver.input(Input::Settled { offer: offers[1], verdict: Ok(()) });
    assert!(error(&driver.take(1).remove(0)).starts_with("403:"));
}
