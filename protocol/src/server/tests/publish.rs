//! Publishing: what the publisher reads, and what the others do.

use serde_json::{Value, json};

use super::super::{Output, PeerAddress};
use super::{Driver, NOTHING, UNIX_USER, assert_success, channels, data, error, publish};

#[test]
fn the_reply_repeats_id_and_channel_and_has_no_data() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    for id in [json!("a-1"), json!(7), json!("ü/\u{1f600}"), json!(-1.5)] {
        let mut message = publish(&client, "/a", &json!({"x": 1}));
        message["id"] = id.clone();
        let reply = driver.ask_one(1, &message);
        assert_eq!(reply, json!({"channel": "/a", "id": id, "successful": true}));
    }
    for id in [json!(null), Value::Null] {
        let mut message = publish(&client, "/a", &json!(1));
        message["id"] = id;
        assert_eq!(driver.ask_one(1, &message), json!({"channel": "/a", "successful": true}));
    }
    driver.send_text(
        1,
        format!(r#"{{"channel":"/a","clientId":"{client}","data":1,"id":12345678901234567890.10}}"#),
    );
    let Some(reply) = driver.take(1).pop() else { panic!("no reply") };
    assert_success(&reply);
}

#[test]
fn events_have_the_data_as_it_was_written_and_nothing_of_the_publisher() {
    let mut driver = Driver::new();
    driver.ready(2, &json!({}), &json!("/a"));
    let client = driver.begin(1, &json!({}));
    for text in [
        "null",
        "0",
        "false",
        r#""""#,
        "[]",
        "{}",
        r#"{"ü":"\ud83d\ude00\u2028"}"#,
        r#"{ "b":1, "a":[ 1.0 ] }"#,
    ] {
        let message =
            format!(r#"{{"channel":"/a","clientId":"{client}","data":{text},"id":"own","ext":{{"x":1}}}}"#);
        driver.send_text(1, message);
        assert_success(&driver.take(1)[0]);
        let expected =
            json!({"channel": "/a", "data": serde_json::from_str::<Value>(text).unwrap(), "ext": {"x": 1}});
        assert_eq!(driver.take(2), [expected]);
    }
}

#[test]
fn digits_survive() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    let digits = r#"{"n":12345678901234567890123,"x":1.10,"s":"\u00e9"}"#;
    let text = format!(r#"{{"channel":"/a","clientId":"{client}","data":{digits}}}"#);
    let now = crate::time::Now { uptime: driver.now, wall: driver.now };
    let connection = crate::ids::ConnectionId(1);
    driver.server.handle(now, super::super::Input::Received { connection, bytes: text.as_bytes() });
    let Some(Output::Transmit { batch, .. }) = driver.server.poll_output() else { panic!("no frame") };
    assert_eq!(
        batch,
        format!(r#"[{{"channel":"/a","successful":true}},{{"channel":"/a","data":{digits}}}]"#)
    );
}

#[test]
fn what_the_server_itself_publishes_keeps_its_id() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    let id = Some(crate::ids::MessageId::from_text("push-1"));
    let publication = crate::publication::Publication { id, ..super::driver::publication("/a", 1) };
    driver.input(super::super::Input::Publish { publication: &publication, receipt: None });
    driver.tell(&client, "/service/b", 2);
    assert_eq!(
        driver.take(1),
        [json!({"channel": "/a", "data": 1, "id": "push-1"}), json!({"channel": "/service/b", "data": 2})]
    );
}

#[test]
fn refused_publishes_say_why_and_go_nowhere() {
    let mut driver = Driver::new();
    driver.ready(2, &json!({}), &json!("/**"));
    let client = driver.begin(1, &json!({}));
    let cases = [
        ("/readonly", "403:/readonly:Publishing here is not allowed"),
        ("/meta/unknown", "403:/meta/unknown:Unknown meta channel"),
        ("/meta/subscribe/x", "403:/meta/subscribe/x:Unknown meta channel"),
        ("/meta", "403:/meta:Unknown meta channel"),
        ("/a/*", "405:/a/*:Invalid channel, expected a name without wildcards"),
        ("/a b", "405:/a b:Invalid channel"),
        ("a", "405:a:Invalid channel"),
        ("", "405::Invalid channel"),
    ];
    for (channel, expected) in cases {
        let reply = driver.ask_one(1, &publish(&client, channel, &json!(1)));
        assert!(error(&reply).starts_with(expected), "{reply}");
        assert_eq!(reply["channel"], channel);
        assert_eq!(reply["id"], "p");
    }
    let reply = driver.ask_one(1, &json!({"channel": "/a", "clientId": client, "id": 3}));
    assert_eq!(
        reply,
        json!({"channel": "/a", "id": 3, "successful": false, "error": "400:data:Missing required field"})
    );
    assert_eq!(driver.take(2), NOTHING);
}

#[test]
fn without_a_session_the_policy_decides() {
    let mut driver = Driver::new();
    driver.ready(3, &json!({}), &json!("/a"));
    driver.open_as(1, PeerAddress::Unix { uid: 0 });
    driver.open(2);
    let message = json!({"channel": "/a", "data": 1, "id": 1});
    assert_success(&driver.ask_one(1, &message));
    let mut with_null = message.clone();
    with_null["clientId"] = Value::Null;
    assert_success(&driver.ask_one(1, &with_null));
    assert_eq!(error(&driver.ask_one(2, &message)), "402::Unknown client");
    assert_eq!(data(&driver.take(3)), [1, 1]);
    // Publishing counts as a sign of life; a refused attempt does not.
    driver.send(3, &super::connect("00000000000000000000000000000001"));
    driver.advance(6.0);
    driver.send(1, &message);
    driver.send(2, &message);
    driver.advance(6.0);
    assert_eq!(driver.closes(), [(2, super::super::CloseReason::NoSession)]);
    driver.advance(4.1);
    assert_eq!(driver.closes(), [(1, super::super::CloseReason::NoSession)]);
}

#[test]
fn a_subscribed_publisher_gets_its_own_event() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    let messages = driver.ask(1, &publish(&client, "/a", &json!(5)));
    assert_eq!(
        messages,
        [json!({"channel": "/a", "id": "p", "successful": true}), json!({"channel": "/a", "data": 5})]
    );
}

#[test]
fn overlapping_subscriptions_bring_one_copy() {
    let mut driver = Driver::new();
    driver.ready(1, &json!({}), &json!(["/a/b", "/a/*", "/a/**", "/**", "/a/b"]));
    driver.publish("/a/b", 1);
    assert_eq!(data(&driver.take(1)), [1]);
}

#[test]
fn what_may_be_received_is_decided_for_each_channel() {
    let mut driver = Driver::new();
    driver.ready(1, &json!({}), &json!(["/**", "/secret/a", "/secret/*"]));
    driver.ready(2, &json!({"user": "admin"}), &json!("/**"));
    for (channel, number) in [("/secret/a", 1), ("/open", 2), ("/secret/b/c", 3), ("/service/secret", 4)] {
        driver.publish(channel, number);
    }
    assert_eq!(data(&driver.take(1)), [2]);
    assert_eq!(data(&driver.take(2)), [1, 2, 3], "and no service channel, whatever the pattern");
}

#[test]
fn service_channels_reach_local_sessions_only() {
    let mut driver = Driver::new();
    driver.attach(7, &[], &["/service/**", "/a"]);
    driver.ready(2, &json!({}), &json!("/**"));
    let client = driver.begin(1, &json!({}));
    driver.outputs.clear();
    for channel in ["/service/x", "/a", "/b"] {
        assert_success(&driver.ask_one(1, &publish(&client, channel, &json!(1))));
    }
    assert_eq!(channels(&driver.take(2)), ["/a", "/b"]);
    let delivered: Vec<String> = driver.outputs.iter().map(|output| format!("{output:?}")).collect();
    assert_eq!(delivered.len(), 2, "{delivered:?}");
    assert!(delivered[0].contains("Publication(/service/x, id Some(\"p\"), 1 bytes)"), "{delivered:?}");
    assert!(delivered[1].contains("Publication(/a,"), "{delivered:?}");
}

#[test]
fn tell_reaches_one_client_only() {
    let mut driver = Driver::new();
    let first = driver.ready(1, &json!({}), &json!("/a"));
    driver.ready(2, &json!({}), &json!("/a"));
    driver.tell(&first, "/a", 1);
    assert_eq!((data(&driver.take(1)), data(&driver.take(2))), (vec![1], vec![]));
    driver.tell("000000000000000000000000000000ff", "/a", 2);
    assert_eq!((driver.take(1).len(), driver.take(2).len()), (0, 0));
    assert_eq!(driver.server.stats().delivered, 1);
}

#[test]
fn a_batch_of_fifty_thousand_is_refused_whole_and_the_stream_goes_on() {
    let mut driver = Driver::new();
    driver.open_as(1, UNIX_USER);
    driver.send_text(1, format!("[{}0]", "0,".repeat(49_999)));
    let reply = driver.take(1).pop().unwrap();
    assert_eq!(error(&reply), "413::50000 messages in one batch, the limit is 4096");
    driver.handshake(1, &json!({}));
}
