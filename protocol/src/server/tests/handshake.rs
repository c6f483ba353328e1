//! How sessions begin, and what stands against it.

use serde_json::{Value, json};

use super::super::{CloseReason, EndReason, Output, PeerAddress};
use super::{Driver, NOTHING, assert_success, connect, data, error, publish, subscribe};

fn handshake() -> Value {
    json!({"channel": "/meta/handshake", "id": 1, "version": "1.0", "supportedConnectionTypes": ["websocket"]})
}

#[test]
fn the_reply_has_all_that_clients_need() {
    let mut driver = Driver::new();
    driver.open(1);
    let reply = driver.ask_one(1, &handshake());
    let client = "00000000000000000000000000000001";
    let expected = json!({"channel": "/meta/handshake", "id": 1, "successful": true, "clientId": client,
        "version": "1.0", "supportedConnectionTypes": ["websocket", "long-polling"],
        "advice": {"reconnect": "retry", "interval": 0, "timeout": 30000}});
    assert_eq!(reply, expected);
    let begun: Vec<String> = driver.outputs.iter().map(|output| format!("{output:?}")).collect();
    assert_eq!(begun, ["SessionBegun(00000000…, guest, c1)"]);
}

#[test]
fn what_comes_with_a_handshake_is_ignored() {
    // `\/` is another way to write `/` in JSON.
    for name in ["/meta/handshake", r"\/meta\/handshake"] {
        let handshake = handshake().to_string().replace("/meta/handshake", name);
        for batch in [
            format!(r#"[{{"channel":"/a","data":1}},{handshake},{{"channel":"/meta/connect"}}]"#),
            format!(r#"[7,{handshake},{{}}]"#),
            format!("[{handshake},{handshake}]"),
            format!("[{handshake},7]"),
        ] {
            let mut driver = Driver::new();
            driver.open(1);
            driver.send_text(1, &batch);
            let replies = driver.take(1);
            assert_eq!(replies.len(), 1, "{batch}: {replies:?}");
            assert_success(&replies[0]);
            assert_eq!(driver.server.stats().sessions, 1);
        }
    }
}

#[test]
fn a_refused_handshake_says_why_and_to_stop() {
    let cases = [
        ("version", Value::Null, "400:version:expected the string 1.0, got null"),
        ("version", json!("2.0"), "400:version:expected 1.0"),
        ("version", json!(1.0), "400:version:expected the string 1.0, got a number"),
        ("supportedConnectionTypes", json!("websocket"), "got a string"),
        ("supportedConnectionTypes", json!([1]), "expected an array of strings"),
        ("supportedConnectionTypes", json!([]), "301::Connection types not supported, expected websocket"),
        ("supportedConnectionTypes", json!(["a", "b"]), "301:a b:Connection types not supported"),
        ("ext", json!({"user": "stranger"}), "403::Not known here"),
        ("ext", json!([]), "400:ext:expected an object, got an array"),
        ("id", json!(true), "400:id:expected a string or a number, got a boolean"),
    ];
    for (field, value, expected) in cases {
        let mut driver = Driver::new();
        driver.open(1);
        let mut message = handshake();
        message[field] = value;
        let reply = driver.ask_one(1, &message);
        assert!(error(&reply).contains(expected), "{reply}");
        assert_eq!(reply["channel"], "/meta/handshake");
        assert_eq!(reply["advice"], json!({"reconnect": "none", "interval": 0, "timeout": 30000}), "{reply}");
        assert_eq!(reply["version"], "1.0");
        assert_eq!(reply["supportedConnectionTypes"], json!(["websocket", "long-polling"]));
        assert_eq!(reply.get("clientId"), None, "never in a failed handshake");
        assert_eq!(driver.server.stats().sessions, 0);
        // The stream is as good as before.
        assert_success(&driver.ask_one(1, &handshake()));
    }
    for field in ["version", "supportedConnectionTypes"] {
        let mut driver = Driver::new();
        driver.open(1);
        let mut message = handshake();
        message.as_object_mut().unwrap().remove(field);
        let reply = driver.ask_one(1, &message);
        assert_eq!(error(&reply), format!("400:{field}:Missing required field"));
    }
}

#[test]
fn over_the_session_limit_a_client_is_told_to_come_back() {
    let mut driver = Driver::with(|config| config.limits.sessions = 1);
    let first = driver.begin(1, &json!({}));
    driver.open(2);
    let reply = driver.ask_one(2, &handshake());
    assert!(error(&reply).starts_with("503::"), "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    // One that replaces its own session takes no more than it had.
    let second = driver.handshake(1, &json!({}));
    assert_eq!(driver.ended(), [(first, EndReason::Replaced)]);
    assert_success(&driver.ask_one(1, &json!({"channel": "/meta/disconnect", "clientId": second})));
    assert_success(&driver.ask_one(2, &handshake()));
}

#[test]
fn a_new_handshake_on_the_same_stream_ends_the_former_session() {
    let mut driver = Driver::new();
    let first = driver.ready(1, &json!({}), &json!("/a"));
    let second = driver.handshake(1, &json!({}));
    assert_eq!(driver.ended(), [(first.clone(), EndReason::Replaced)]);
    assert_eq!(driver.server.stats().sessions, 1);
    driver.publish("/a", 1);
    assert_eq!(driver.take(1), NOTHING, "its subscriptions are gone");
    let reply = driver.ask_one(1, &connect(&first));
    assert!(error(&reply).starts_with("402::"), "{reply}");
    assert_success(&driver.ask_one(1, &connect(&second)));
    // The stream has a session: the deadline of the first one's end is void.
    driver.send(1, &connect(&second));
    driver.advance(25.0);
    assert_eq!(driver.closes(), []);
}

#[test]
fn a_held_connect_is_answered_when_its_session_is_replaced() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    assert_eq!(driver.ask(1, &connect(&client)), NOTHING);
    let replies = driver.ask(1, &handshake());
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert_eq!(replies[0], json!({"channel": "/meta/connect", "id": "c", "successful": true}));
    assert_eq!(replies[1]["channel"], "/meta/handshake");
}

/// Credentials may differ between two sessions on one stream: what was on its way to the first is not the second's.
#[test]
fn unwritten_events_do_not_pass_to_the_next_session_on_the_stream() {
    let mut driver = Driver::new();
    driver.ready(1, &json!({"user": "admin"}), &json!("/secret/a"));
    driver.stall(1);
    driver.publish("/secret/a", 1);
    assert_eq!(data(&driver.take(1)), [1]);
    driver.send(1, &handshake());
    let client = "00000000000000000000000000000002";
    driver.cut(1);
    driver.open(2);
    let replies = driver.ask(2, &publish(client, "/b", &json!(0)));
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_success(&replies[0]);
}

#[test]
fn credentials_and_frames_are_not_in_debug() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/**"));
    driver.server.handle(
        crate::time::Now { uptime: driver.now, wall: driver.now },
        super::super::Input::Publish {
            publication: &super::driver::publication("/a", 123_456_789),
            receipt: None,
        },
    );
    let output = driver.server.poll_output().unwrap();
    assert!(
        matches!(&output, Output::Transmit { batch, .. } if batch.windows(9).any(|part| part == b"123456789"))
    );
    let bytes = format!("{client} 123456789");
    let input =
        super::super::Input::Received { connection: crate::ids::ConnectionId(1), bytes: bytes.as_bytes() };
    for text in [format!("{output:?}"), format!("{input:?}"), format!("{:?}", driver.outputs)] {
        assert!(!text.contains("123456789") && !text.contains(&client), "{text}");
    }
}

#[test]
fn a_stream_has_until_the_deadline_to_begin_a_session() {
    let mut driver = Driver::new();
    driver.open(1);
    driver.advance(9.9);
    assert_eq!(driver.closes(), []);
    driver.advance(0.2);
    assert_eq!(driver.closes(), [(1, CloseReason::NoSession)]);
    // What was under way meanwhile is passed over.
    assert_eq!(driver.ask(1, &handshake()), NOTHING);
    driver.cut(1);
    assert_eq!(driver.server.next_timeout(), None);
}

#[test]
fn after_a_session_the_deadline_begins_anew() {
    let mut driver = Driver::new();
    driver.open(1);
    driver.advance(1.0);
    let client = driver.handshake(1, &json!({}));
    driver.advance(8.0);
    driver.send(1, &json!({"channel": "/meta/disconnect", "clientId": client}));
    driver.advance(9.9);
    assert_eq!(driver.closes(), [], "10 s after the end of the session, not of the opening");
    driver.advance(0.2);
    assert_eq!(driver.closes(), [(1, CloseReason::NoSession)]);
}

/// However often a client begins anew, or opens and cuts, it leaves nothing behind.
#[test]
fn deadlines_do_not_pile_up() {
    let mut driver = Driver::new();
    driver.open(1);
    for _ in 0..100 {
        driver.handshake(1, &json!({}));
    }
    for id in 2..100 {
        driver.open(id);
        driver.cut(id);
    }
    assert_eq!(driver.server.timers.len(), 1);
}

#[test]
fn streams_without_session_are_limited_and_the_oldest_goes() {
    let mut driver = Driver::with(|config| config.limits.unbound_connections = 2);
    driver.begin(1, &json!({}));
    for id in 2..=4 {
        driver.open(id);
    }
    assert_eq!(driver.closes(), [(2, CloseReason::TooManyUnbound)]);
    assert_eq!(driver.ask(2, &handshake()), NOTHING);
    driver.open(5);
    assert_eq!(driver.closes(), [(3, CloseReason::TooManyUnbound)], "the second counts as gone already");
    assert_success(&driver.ask_one(4, &handshake()));
    driver.open(6);
    assert_eq!(driver.closes(), []);
}

#[test]
fn strangers_of_one_family_and_requests_take_no_place_from_others() {
    let mut driver = Driver::with(|config| config.limits.unbound_connections = 2);
    let client = driver.begin(1, &json!({}));
    for id in 10..20 {
        driver.open_as(id, PeerAddress::Tcp(([192, 0, 2, 1], 4_000).into()));
    }
    assert_eq!(driver.closes().len(), 8);
    driver.open(2);
    driver.open(3);
    for id in 30..40 {
        assert_eq!(driver.poll(id, &handshake()).len(), 1);
    }
    driver.cut(1);
    assert_success(&driver.poll(4, &connect(&client))[0]);
    assert_eq!(driver.closes(), []);
    assert_success(&driver.ask_one(2, &handshake()));
}

#[test]
fn nothing_but_a_handshake_works_without_a_session() {
    for client in [json!(null), json!("00000000000000000000000000000009"), json!("x"), json!("")] {
        let mut driver = Driver::new();
        driver.open(1);
        let client_text = client.as_str().unwrap_or_default().to_owned();
        for mut message in [
            connect(&client_text),
            subscribe(&client_text, &json!("/a")),
            json!({"channel": "/meta/unsubscribe", "subscription": "/a"}),
            json!({"channel": "/meta/disconnect"}),
            publish(&client_text, "/a", &json!(1)),
            publish(&client_text, "/service/a", &json!(1)),
        ] {
            message["clientId"] = client.clone();
            let reply = driver.ask_one(1, &message);
            assert_eq!(error(&reply), "402::Unknown client", "{message}");
            assert_eq!(reply["advice"], json!({"reconnect": "handshake", "interval": 0, "timeout": 30000}));
            assert_eq!(reply["channel"], message["channel"]);
            assert_eq!(reply.get("id"), message.get("id"));
        }
    }
}
