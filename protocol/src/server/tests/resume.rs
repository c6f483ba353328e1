//! A session that goes on over another stream.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::super::{CloseReason, EndReason, PeerAddress};
use super::{Driver, NOTHING, assert_success, channels, connect, data, error, publish, subscribe};

fn resume(client: &str) -> Value {
    let mut message = connect(client);
    message["advice"] = json!({"timeout": 0});
    message
}

#[test]
fn queued_and_unwritten_events_come_once_and_in_order() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.publish("/a", 1);
    assert_eq!(data(&driver.take(1)), [1]);
    driver.stall(1);
    driver.publish("/a", 2);
    driver.publish("/a", 3);
    assert_eq!(driver.receipts(), [1]);
    driver.cut(1);
    driver.publish("/a", 4);
    driver.open(2);
    driver.take(1);
    let messages = driver.ask(2, &resume(&client));
    assert_eq!(data(&messages), [2, 3, 4]);
    assert_eq!(channels(&messages)[0], "/meta/connect");
    assert_eq!(driver.receipts(), [2, 3, 4]);
    driver.publish("/a", 5);
    assert_eq!(data(&driver.take(2)), [5], "subscriptions go on");
    assert_eq!(driver.ended(), []);
}

#[test]
fn a_stream_that_still_stands_is_closed_and_hears_no_more() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.send(1, &connect(&client));
    driver.stall(1);
    driver.publish("/a", 1);
    driver.publish("/a", 2);
    driver.take(1);
    driver.open(2);
    let messages = driver.ask(2, &resume(&client));
    assert_eq!(data(&messages), [1, 2]);
    assert_eq!(driver.closes(), [(1, CloseReason::Moved)]);
    driver.unstall(1);
    driver.publish("/a", 3);
    assert_eq!(driver.take(1), NOTHING);
    assert_eq!(data(&driver.take(2)), [3]);
    driver.cut(1);
    assert_eq!(driver.server.stats().sessions, 1);
    assert_eq!(driver.receipts(), [1, 2, 3], "once each");
}

/// What the old stream had sent before it was closed must not take the session back.
#[test]
fn a_closed_stream_cannot_take_the_session_back() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.open(2);
    assert_success(&driver.ask_one(2, &resume(&client)));
    assert_eq!(driver.ask(1, &resume(&client)), NOTHING);
    assert_eq!(driver.closes(), [(1, CloseReason::Moved)]);
    driver.publish("/a", 1);
    assert_eq!(data(&driver.take(2)), [1]);
}

#[test]
fn a_held_connect_of_the_old_stream_does_not_keep_the_session() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.send(1, &connect(&client));
    // The expiry set before the connect has fired: only the held connect's deadline is left.
    driver.advance(12.0);
    driver.open(2);
    assert_success(&driver.ask_one(2, &publish(&client, "/b", &json!(1))));
    driver.advance(10.1);
    assert_eq!(driver.ended(), [(client, EndReason::Expired)]);
}

#[test]
fn any_message_that_names_the_session_resumes_it() {
    for message in [
        resume as fn(&str) -> Value,
        |client| subscribe(client, &json!("/b")),
        |client| publish(client, "/b", &json!(1)),
        |client| json!({"channel": "/meta/unsubscribe", "clientId": client, "subscription": "/b"}),
    ] {
        let mut driver = Driver::new();
        let client = driver.ready(1, &json!({}), &json!("/a"));
        driver.cut(1);
        driver.publish("/a", 1);
        driver.open(2);
        let messages = driver.ask(2, &message(&client));
        assert_success(&messages[0]);
        assert_eq!(data(&messages), [1]);
    }
}

#[test]
fn another_party_cannot_have_it() {
    let tcp = |last: u8, port: u16| PeerAddress::Tcp(SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), port)));
    let vsock = |cid: u32, port: u32| PeerAddress::Vsock { cid, port };
    let unix = |uid: u32| PeerAddress::Unix { uid };
    let cases = [
        (unix(1), unix(1), true),
        (unix(1), unix(2), false),
        (unix(1), unix(0), false),
        (tcp(1, 1_000), tcp(1, 2_000), true),
        (tcp(1, 1_000), tcp(2, 1_000), false),
        (vsock(2, 500), vsock(2, 501), true),
        (vsock(2, 500), vsock(3, 500), false),
        (unix(1), tcp(1, 1), false),
    ];
    for (owner, other, same) in cases {
        let mut driver = Driver::new();
        driver.open_as(1, owner.clone());
        let client = driver.handshake(1, &json!({}));
        driver.open_as(2, other.clone());
        let reply = driver.ask_one(2, &resume(&client));
        if same {
            assert_success(&reply);
        } else {
            assert_eq!(error(&reply), "402::Unknown client", "{owner:?} {other:?}");
            assert_eq!(reply["advice"]["reconnect"], "handshake");
            assert_eq!(driver.closes(), [], "the owner is not disturbed");
            assert_success(&driver.ask_one(1, &resume(&client)));
        }
    }
}

#[test]
fn a_stream_speaks_for_one_session_only() {
    let mut driver = Driver::new();
    let first = driver.ready(1, &json!({}), &json!("/a"));
    let second = driver.ready(2, &json!({}), &json!("/a"));
    for message in [connect(&second), publish(&second, "/b", &json!(1)), subscribe(&second, &json!("/b"))] {
        let reply = driver.ask_one(1, &message);
        assert_eq!(error(&reply), "402::Unknown client");
    }
    let disconnect = json!({"channel": "/meta/disconnect", "clientId": second});
    assert_eq!(error(&driver.ask_one(1, &disconnect)), "402::Unknown client");
    assert_success(&driver.ask_one(2, &publish(&second, "/b", &json!(1))));
    assert_success(&driver.ask_one(1, &publish(&first, "/b", &json!(1))));
}

#[test]
fn replies_that_had_not_been_written_are_lost_with_the_stream_and_events_are_not() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    driver.publish("/a", 1);
    driver.send(1, &publish(&client, "/a", &json!(2)));
    driver.cut(1);
    driver.take(1);
    driver.open(2);
    let messages = driver.ask(2, &resume(&client));
    assert_eq!(channels(&messages), ["/meta/connect", "/a", "/a"]);
    assert_eq!(data(&messages), [1, 2]);
}

#[test]
fn a_client_that_is_gone_for_long_begins_anew() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.cut(1);
    driver.advance(10.1);
    driver.open(2);
    let reply = driver.ask_one(2, &resume(&client));
    assert_eq!(error(&reply), "402::Unknown client");
    assert_eq!(reply["advice"], json!({"reconnect": "handshake", "interval": 0, "timeout": 30000}));
    assert_ne!(driver.handshake(2, &json!({})), client);
}
