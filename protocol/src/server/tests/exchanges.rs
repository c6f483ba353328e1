//! Sessions by long-polling: each request has one response, and at most one connect waits.

use serde_json::{Value, json};

use super::super::{CloseReason, Input, LocalId, Output};
use super::{Driver, NOTHING, assert_success, channels, connect, data, error, publish, subscribe};

/// A session that has handshaken, connected and subscribed by requests 1 to 3.
fn polling(ext: &Value) -> (Driver, String) {
    let mut driver = Driver::new();
    let handshake = json!({"channel": "/meta/handshake", "version": "1.0",
        "supportedConnectionTypes": ["long-polling"], "ext": ext});
    let reply = driver.poll(1, &handshake);
    assert_success(&reply[0]);
    let client = reply[0]["clientId"].as_str().unwrap().to_owned();
    let first = driver.poll(2, &connect(&client));
    assert_eq!(first[0]["advice"]["timeout"], 30_000, "the first connect is answered at once");
    assert_success(&driver.poll(3, &subscribe(&client, &json!("/a")))[0]);
    (driver, client)
}

#[test]
fn an_event_answers_the_held_connect() {
    let (mut driver, client) = polling(&json!({}));
    driver.request(4, &connect(&client));
    assert_eq!(driver.take(4), NOTHING, "held");
    driver.publish_burst("/a", 1..4);
    let response = driver.take_frames(4);
    assert_eq!(response.len(), 1);
    assert_eq!(channels(&response[0]), ["/meta/connect", "/a", "/a", "/a"]);
    assert_eq!(driver.receipts(), [1, 2, 3]);
    driver.cut(4);
    driver.publish("/a", 9);
    assert_eq!(data(&driver.poll(5, &connect(&client))), [9], "what came in between is not waited for");
}

#[test]
fn without_events_it_is_held_for_as_long_as_said_and_no_longer() {
    let (mut driver, client) = polling(&json!({}));
    for (id, asked, seconds) in [(4, Value::Null, 30.0), (5, json!(2_000), 2.0), (6, json!(3_600_000), 30.0)]
    {
        let mut message = connect(&client);
        message["advice"] = json!({"timeout": asked});
        driver.request(id, &message);
        driver.advance(seconds - 0.1);
        assert_eq!(driver.take(id), NOTHING);
        driver.advance(0.2);
        assert_eq!(channels(&driver.take(id)), ["/meta/connect"]);
        driver.cut(id);
    }
    let mut at_once = connect(&client);
    at_once["advice"] = json!({"timeout": 0});
    assert_eq!(driver.poll(7, &at_once).len(), 1);
    let batch = json!([connect(&client), subscribe(&client, &json!("/b"))]);
    assert_eq!(
        channels(&driver.poll(8, &batch)),
        ["/meta/connect", "/meta/subscribe"],
        "not held in a batch"
    );
}

#[test]
fn waiting_events_ride_on_the_next_response() {
    let (mut driver, client) = polling(&json!({}));
    driver.request(4, &connect(&client));
    // The publisher hears itself: with the reply, so that the held connect is left in peace.
    let response = driver.poll(5, &publish(&client, "/a", &json!(7)));
    assert_eq!(channels(&response), ["/a", "/a"]);
    assert_eq!((&response[0]["successful"], &response[1]["data"]), (&json!(true), &json!(7)));
    assert_eq!(driver.take(4), NOTHING, "still held");
    driver.publish("/a", 8);
    assert_eq!(data(&driver.take(4)), [8]);
}

#[test]
fn with_ack_events_travel_with_connects_alone() {
    let (mut driver, client) = polling(&json!({"ack": true}));
    driver.request(4, &connect(&client));
    let response = driver.poll(5, &publish(&client, "/a", &json!(7)));
    assert_eq!(response.len(), 1, "no event beside the reply: {response:?}");
    let response = driver.take(4);
    assert_eq!((channels(&response), &response[1]["ext"]["ack"]), (vec!["/a", "/meta/connect"], &json!(2)));
    driver.cut(4);
    let mut again = connect(&client);
    again["ext"] = json!({"ack": 1});
    assert_eq!(data(&driver.poll(6, &again)), [7], "not acknowledged: sent again");
}

#[test]
fn a_response_that_could_not_be_written_gives_its_events_back() {
    let (mut driver, client) = polling(&json!({}));
    driver.stall(4);
    driver.request(4, &connect(&client));
    driver.publish_burst("/a", 1..3);
    assert_eq!(data(&driver.take(4)), [1, 2], "given to the shell");
    driver.publish("/a", 3);
    driver.cut(4);
    assert!(driver.receipts().is_empty(), "nobody has them");
    assert_eq!(data(&driver.poll(5, &connect(&client))), [1, 2, 3]);
    // Or to the connect that waits already.
    driver.stall(6);
    driver.request(6, &json!([connect(&client), publish(&client, "/a", &json!(4))]));
    driver.request(7, &connect(&client));
    assert_eq!(driver.take(7), NOTHING);
    driver.cut(6);
    assert_eq!(data(&driver.take(7)), [4]);
}

#[test]
fn a_second_connect_releases_the_first() {
    let (mut driver, client) = polling(&json!({}));
    driver.request(4, &connect(&client));
    driver.request(5, &connect(&client));
    assert_eq!(channels(&driver.take(4)), ["/meta/connect"], "a normal empty answer");
    driver.cut(4);
    driver.publish("/a", 1);
    assert_eq!(data(&driver.take(5)), [1]);
}

#[test]
fn hanging_up_lets_go_of_the_connect_and_starts_the_clock() {
    let (mut driver, client) = polling(&json!({}));
    driver.request(4, &connect(&client));
    driver.advance(5.0);
    driver.cut(4);
    driver.publish("/a", 1);
    driver.advance(9.9);
    assert_eq!(data(&driver.poll(5, &connect(&client))), [1], "nothing was swallowed");
    driver.advance(10.1);
    let reply = &driver.poll(6, &connect(&client))[0];
    assert_eq!(error(reply), "402::Unknown client");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
}

#[test]
fn the_clock_starts_when_the_response_is_written() {
    let (mut driver, client) = polling(&json!({}));
    driver.stall(4);
    driver.request(4, &connect(&client));
    driver.publish("/a", 1);
    // However slowly it is read.
    driver.advance(125.0);
    driver.write_one(4);
    driver.cut(4);
    driver.advance(9.9);
    assert_success(&driver.poll(5, &subscribe(&client, &json!("/b")))[0]);
    // Or when it is known that it never will be.
    driver.stall(6);
    driver.request(6, &connect(&client));
    driver.publish("/a", 2);
    driver.advance(125.0);
    driver.cut(6);
    driver.advance(10.1);
    assert_eq!(error(&driver.poll(7, &connect(&client))[0]), "402::Unknown client");
}

#[test]
fn what_follows_a_disconnect_is_answered_too() {
    let (mut driver, client) = polling(&json!({}));
    let mut unconnected = publish(&client, "/b", &json!(1));
    unconnected.as_object_mut().unwrap().remove("clientId");
    let batch =
        json!([{"channel": "/meta/disconnect", "clientId": client}, unconnected, {"channel": "/meta/x"}]);
    let response = driver.poll(4, &batch);
    assert_eq!(channels(&response), ["/meta/disconnect", "/b", "/meta/x"]);
}

#[test]
fn what_waits_goes_out_with_a_disconnect_whatever_it_owes() {
    let (mut driver, client) = polling(&json!({}));
    driver.attach(7, &["/offered"], &[]);
    driver.publish("/a", 1);
    let disconnect = json!({"channel": "/meta/disconnect", "clientId": client});
    driver.request(4, &json!([publish(&client, "/offered", &json!(0)), disconnect]));
    assert_eq!(driver.take(4), NOTHING, "the publish is not settled");
    let of = |output: &Output| if let Output::Offer { offer, .. } = output { Some(*offer) } else { None };
    let offer = driver.outputs.iter().find_map(of).unwrap();
    driver.input(Input::Settled { offer, verdict: Ok(()) });
    let response = driver.take(4);
    assert_eq!(channels(&response), ["/meta/disconnect", "/offered", "/a"]);
    assert_eq!(driver.receipts(), [1]);
    // And over a stream that is busy.
    let client = driver.ready(5, &json!({}), &json!("/a"));
    driver.stall(5);
    driver.publish("/a", 2);
    driver.publish("/a", 3);
    driver.send(5, &json!({"channel": "/meta/disconnect", "clientId": client}));
    driver.unstall(5);
    assert_eq!(channels(&driver.take(5)), ["/a", "/meta/disconnect", "/a"]);
    assert_eq!(driver.receipts(), [2, 3]);
}

#[test]
fn disconnecting_releases_the_held_connect() {
    let (mut driver, client) = polling(&json!({}));
    driver.request(4, &connect(&client));
    let disconnect = json!({"channel": "/meta/disconnect", "clientId": client, "id": "d"});
    assert_eq!(channels(&driver.poll(5, &disconnect)), ["/meta/disconnect"]);
    let released = driver.take(4);
    assert_eq!(released[0]["advice"]["reconnect"], "none");
    assert_eq!(driver.server.stats().sessions, 0);
}

#[test]
fn a_session_may_move_to_a_stream_and_back() {
    let (mut driver, client) = polling(&json!({}));
    driver.request(4, &connect(&client));
    driver.open(10);
    driver.send(10, &connect(&client));
    assert_eq!(
        channels(&driver.take(4)),
        ["/meta/connect"],
        "released, since events come over the stream now"
    );
    driver.cut(4);
    driver.publish("/a", 1);
    assert_eq!(data(&driver.take(10)), [1], "pushed");
    assert_success(&driver.poll(5, &subscribe(&client, &json!("/b")))[0]);
    assert_eq!(driver.closes(), [], "a request beside the stream does not disturb it");
    driver.stall(10);
    driver.publish("/a", 2);
    driver.take(10);
    driver.request(6, &connect(&client));
    assert_eq!(data(&driver.take(6)), [2], "what the stream had not written comes first");
    assert_eq!(driver.closes(), [(10, CloseReason::Moved)]);
}

#[test]
fn a_response_waits_for_the_verdict_of_its_publish() {
    let (mut driver, client) = polling(&json!({}));
    driver.attach(1, &["/accepted"], &[]);
    driver.request(4, &json!([publish(&client, "/accepted", &json!(1)), publish(&client, "/b", &json!(2))]));
    assert_eq!(driver.take(4), NOTHING);
    let Some(Output::Offer { offer, to: LocalId(1), .. }) = driver.outputs.pop() else { panic!("no offer") };
    driver.input(Input::Settled { offer, verdict: Ok(()) });
    assert_eq!(channels(&driver.take(4)), ["/b", "/accepted"], "one response with both");
}

#[test]
fn every_request_gets_a_response() {
    let mut driver = Driver::new();
    for (text, understood) in [
        ("[]", false),
        ("{", false),
        ("7", true),
        ("[7,{}]", true),
        (r#"{"channel":"/a","data":1}"#, true),
        (r#"[{"channel":"/meta/connect","clientId":"x"}]"#, true),
    ] {
        let connection = crate::ids::ConnectionId(1);
        let (peer, carrier) = (super::UNIX_USER.into(), super::super::Carrier::Exchange);
        let now = crate::time::Now { uptime: driver.now, wall: driver.now };
        driver.server.handle(now, Input::Opened { connection, peer, carrier });
        driver.server.handle(now, Input::Received { connection, bytes: text.as_bytes() });
        let Some(Output::Transmit { batch, understood: told, .. }) = driver.server.poll_output() else {
            panic!("no response to {text}")
        };
        let messages: Vec<Value> = serde_json::from_slice(&batch).unwrap();
        assert!(messages.iter().all(|message| message["successful"] == false), "{messages:?}");
        assert_eq!((told, messages.is_empty()), (understood, false), "{text}");
        driver.cut(1);
    }
    assert_eq!(driver.server.next_timeout(), None, "nothing is left behind");
}

#[test]
fn another_party_cannot_use_a_session() {
    let (mut driver, client) = polling(&json!({}));
    driver.request_as(4, super::super::PeerAddress::Unix { uid: 7 }, &connect(&client));
    assert_eq!(error(&driver.take(4)[0]), "402::Unknown client");
    let other =
        json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]});
    let other = driver.poll(5, &other)[0]["clientId"].as_str().unwrap().to_owned();
    let replies =
        driver.poll(6, &json!([publish(&client, "/b", &json!(1)), publish(&other, "/b", &json!(2))]));
    assert_success(&replies[0]);
    assert_eq!(error(&replies[1]), "402::Unknown client", "one request speaks for one session");
}

#[test]
fn a_large_event_does_not_block_the_session() {
    let mut driver = Driver::with(|config| config.limits.batch_bytes = 200);
    let handshake =
        json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]});
    let client = driver.poll(1, &handshake)[0]["clientId"].as_str().unwrap().to_owned();
    driver.poll(2, &connect(&client));
    driver.poll(3, &subscribe(&client, &json!("/**")));
    let channel = format!("/{}", "x".repeat(300));
    driver.publish(&channel, 1);
    driver.publish("/a", 2);
    assert_eq!(data(&driver.poll(4, &connect(&client))), [1]);
    assert_eq!(data(&driver.poll(5, &connect(&client))), [2]);
}
