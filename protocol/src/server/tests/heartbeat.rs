//! Connects: answered at once, held, replaced; and how long a session lives between them.

use serde_json::{Value, json};

use super::super::{CloseReason, EndReason, Input, Output};
use super::{Driver, NOTHING, assert_success, channels, connect, data, error, publish, subscribe};
use crate::ids::ClientId;

fn connect_with(client: &str, id: &str, timeout: &Value) -> Value {
    let mut message = connect(client);
    message["id"] = json!(id);
    message["advice"] = json!({"timeout": timeout});
    message
}

/// A session whose first connect is answered.
fn connected(driver: &mut Driver) -> String {
    let client = driver.begin(1, &json!({}));
    assert_success(&driver.ask_one(1, &connect(&client)));
    client
}

#[test]
fn the_first_is_answered_at_once_with_advice_and_the_second_is_held() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    let advice = json!({"reconnect": "retry", "interval": 0, "timeout": 30000});
    let expected = json!({"channel": "/meta/connect", "id": "c", "successful": true, "advice": advice});
    assert_eq!(driver.ask_one(1, &connect(&client)), expected);
    assert_eq!(driver.ask(1, &connect(&client)), NOTHING);
    driver.advance(29.9);
    assert_eq!(driver.take(1), NOTHING);
    driver.advance(0.2);
    assert_eq!(driver.take(1), [json!({"channel": "/meta/connect", "id": "c", "successful": true})]);
}

#[test]
fn a_client_may_ask_for_less_time_and_never_gets_more() {
    let cases = [
        (json!(0), 0.0),
        (json!(5000), 5.0),
        (json!(3_600_000), 30.0),
        (json!(u64::MAX), 30.0),
        (json!(-1), 30.0),
        (json!("5000"), 30.0),
        (json!(null), 30.0),
        (json!({"a": [1]}), 30.0),
        (json!(1e300), 30.0),
    ];
    for (timeout, held) in cases {
        let mut driver = Driver::new();
        let client = connected(&mut driver);
        driver.send(1, &connect_with(&client, "x", &timeout));
        if held > 0.0 {
            driver.advance(held - 0.1);
            assert_eq!(driver.take(1), NOTHING, "{timeout}");
            driver.advance(0.2);
        }
        assert_eq!(driver.take(1).len(), 1, "{timeout}");
    }
    for advice in [json!(null), json!(7), json!("x"), json!([])] {
        let mut driver = Driver::new();
        let client = connected(&mut driver);
        let mut message = connect(&client);
        message["advice"] = advice;
        assert_eq!(driver.ask(1, &message), NOTHING, "held as if there were none: {message}");
    }
}

#[test]
fn a_second_connect_replaces_the_first() {
    let mut driver = Driver::new();
    let client = connected(&mut driver);
    assert_eq!(driver.ask(1, &connect_with(&client, "a", &json!(null))), NOTHING);
    driver.advance(5.0);
    let replies = driver.ask(1, &connect_with(&client, "b", &json!(null)));
    assert_eq!(replies, [json!({"channel": "/meta/connect", "id": "a", "successful": true})]);
    driver.advance(29.9);
    assert_eq!(driver.take(1), NOTHING);
    driver.advance(0.2);
    assert_eq!(driver.take(1)[0]["id"], "b");
}

#[test]
fn a_connect_in_company_is_not_held() {
    let mut driver = Driver::new();
    let client = connected(&mut driver);
    for other in [publish(&client, "/a", &json!(1)), json!(7)] {
        let replies = driver.ask(1, &json!([connect(&client), other]));
        assert_eq!(replies.len(), 2, "{replies:?}");
        assert_success(&replies[0]);
    }
    assert_eq!(driver.ask(1, &json!([connect(&client)])), NOTHING, "an array of one is alone");
}

#[test]
fn events_do_not_wake_a_held_connect() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.send(1, &connect(&client));
    driver.publish("/a", 1);
    assert_eq!(channels(&driver.take(1)), ["/a"]);
    driver.advance(30.0);
    assert_eq!(channels(&driver.take(1)), ["/meta/connect"]);
}

#[test]
fn a_disconnect_releases_the_held_connect_and_says_to_stop() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.send(1, &connect_with(&client, "held", &json!(null)));
    let disconnect = json!({"channel": "/meta/disconnect", "clientId": client, "id": "d"});
    let replies = driver.ask(1, &disconnect);
    assert_eq!(channels(&replies), ["/meta/connect", "/meta/disconnect"]);
    assert_eq!(replies[0]["id"], "held");
    assert_eq!(replies[0]["advice"]["reconnect"], "none");
    assert_eq!(replies[1], json!({"channel": "/meta/disconnect", "id": "d", "successful": true}));
    assert_eq!(driver.ended(), [(client.clone(), EndReason::Disconnected)]);
    driver.publish("/a", 1);
    assert_eq!(driver.take(1), NOTHING);
    assert!(error(&driver.ask_one(1, &disconnect)).starts_with("402::"), "only once");
    // The stream may begin another session.
    assert_ne!(driver.handshake(1, &json!({})), client);
}

#[test]
fn what_was_queued_goes_out_before_a_disconnect() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    let disconnect = json!({"channel": "/meta/disconnect", "clientId": client});
    let replies = driver.ask(1, &json!([publish(&client, "/a", &json!(1)), disconnect]));
    assert_eq!(channels(&replies), ["/a", "/meta/disconnect", "/a"]);
    assert_eq!(data(&replies), [1]);
}

#[test]
fn a_session_expires_ten_seconds_after_its_last_message() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.advance(9.0);
    driver.send(1, &publish(&client, "/b", &json!(1)));
    driver.advance(9.0);
    assert_eq!(driver.ended(), [], "other traffic extends it");
    driver.advance(1.1);
    assert_eq!(driver.ended(), [(client.clone(), EndReason::Expired)]);
    driver.take(1);
    driver.publish("/a", 1);
    assert_eq!(driver.take(1), NOTHING);
    let reply = driver.ask_one(1, &connect(&client));
    assert_eq!(error(&reply), "402::Unknown client");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    driver.advance(10.0);
    assert_eq!(driver.closes(), [(1, CloseReason::NoSession)]);
}

#[test]
fn a_session_that_never_connects_expires_too() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    driver.advance(9.9);
    assert_eq!(driver.ended(), []);
    driver.advance(0.2);
    assert_eq!(driver.ended(), [(client, EndReason::Expired)]);
}

#[test]
fn a_session_does_not_expire_while_a_connect_is_held() {
    let mut driver = Driver::new();
    let client = connected(&mut driver);
    for _ in 0..5 {
        driver.send(1, &connect(&client));
        driver.advance(30.0);
        assert_eq!(driver.take(1).len(), 1);
        driver.advance(9.0);
    }
    assert_eq!(driver.ended(), []);
    driver.advance(1.1);
    assert_eq!(driver.ended().len(), 1, "the clock starts with the reply");
}

#[test]
fn a_session_outlives_its_stream_by_ten_seconds() {
    let mut driver = Driver::new();
    let client = connected(&mut driver);
    driver.send(1, &connect(&client));
    driver.advance(3.0);
    driver.cut(1);
    driver.advance(9.9);
    assert_eq!(driver.ended(), []);
    driver.advance(0.2);
    assert_eq!(driver.ended(), [(client, EndReason::Expired)], "also though a connect was held for 30 s");
    assert_eq!(driver.server.next_timeout(), None);
}

#[test]
fn an_idle_server_has_no_deadline_but_those_of_held_connects() {
    let mut driver = Driver::new();
    assert_eq!(driver.server.next_timeout(), None);
    let client = connected(&mut driver);
    driver.send(1, &connect(&client));
    // The expiry that was set before may fire once; after it there is only the held connect's own.
    driver.advance(11.0);
    let left = driver.server.next_timeout().unwrap() - driver.now;
    assert!((18.9..=19.1).contains(&left.as_secs_f64()), "{left:?}");
}

#[test]
fn who_reads_slowly_keeps_its_session() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    driver.publish("/a", 1);
    driver.send(1, &connect(&client));
    driver.advance(125.0);
    driver.publish("/a", 2);
    driver.unstall(1);
    assert_eq!(data(&driver.take(1)), [1, 2]);
    driver.advance(9.9);
    assert_success(&driver.ask_one(1, &subscribe(&client, &json!("/b"))));
}

/// The clients that have shown that they are there.
fn proven(driver: &Driver) -> usize {
    driver.outputs.iter().filter(|output| matches!(output, Output::Proven { .. })).count()
}

#[test]
fn a_probe_is_answered_by_the_connect_after_a_reply() {
    let mut driver = Driver::new();
    let client = connected(&mut driver);
    driver.send(1, &connect(&client));
    let probe = Input::Probe { client: ClientId::parse(&client).unwrap() };
    driver.input(probe);
    assert_eq!(driver.take(1).len(), 1, "the held connect is answered at once");
    driver.send(1, &publish(&client, "/x", &json!(1)));
    assert_eq!(proven(&driver), 0, "what else comes may have been on its way");
    driver.take(1);
    assert_eq!(driver.ask(1, &connect(&client)), NOTHING, "and the next is held again");
    assert_eq!(proven(&driver), 1);
    driver.advance(30.1);
    driver.send(1, &connect(&client));
    assert_eq!(proven(&driver), 1, "once");
}

#[test]
fn a_probe_waits_for_a_connect_that_is_under_way() {
    let mut driver = Driver::new();
    let client = connected(&mut driver);
    driver.input(Input::Probe { client: ClientId::parse(&client).unwrap() });
    assert_success(&driver.ask_one(1, &connect(&client)));
    assert_eq!(proven(&driver), 0, "it may have been sent before");
    assert_eq!(driver.ask(1, &connect(&client)), NOTHING);
    assert_eq!(proven(&driver), 1);
    driver.input(Input::Probe { client: ClientId::from_random(7) });
}

#[test]
fn events_wait_for_who_is_asked_whether_it_is_there() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.send(1, &connect(&client));
    driver.publish("/a", 1);
    assert_eq!(data(&driver.take(1)), [1]);
    let probe = Input::Probe { client: ClientId::parse(&client).unwrap() };
    driver.input(probe);
    driver.publish("/a", 2);
    driver.publish("/a", 3);
    assert_eq!(channels(&driver.take(1)), ["/meta/connect"], "a dead stream must not swallow them");
    driver.send(1, &publish(&client, "/x", &json!(1)));
    assert_eq!(channels(&driver.take(1)), ["/x"]);
    assert_eq!(data(&driver.ask(1, &connect(&client))), [2, 3]);
    driver.publish("/a", 4);
    assert_eq!(data(&driver.take(1)), [4]);
}

#[test]
fn what_waited_for_an_answer_that_did_not_come_is_not_had() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.input(Input::Probe { client: ClientId::parse(&client).unwrap() });
    driver.publish("/a", 1);
    assert_eq!(driver.take(1), NOTHING);
    // It comes back over another stream, where it has to say the same.
    driver.open(2);
    driver.send(2, &connect(&client));
    assert_eq!(channels(&driver.take(2)), ["/meta/connect"]);
    assert_eq!(data(&driver.ask(2, &connect(&client))), [1]);
}
