//! Whatever is wrong with a message: it is told, the others are served, the stream goes on.

use serde_json::{Value, json};

use super::{Driver, NOTHING, assert_success, error, publish};

/// Sends the text between two good messages; gives the replies to what lies between.
fn between(text: &str) -> Vec<Value> {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    let good = |channel: &str| publish(&client, channel, &json!(1)).to_string();
    driver.send_text(1, format!("[{},{text},{}]", good("/before"), good("/after")));
    let mut replies = driver.take(1);
    assert!(replies.len() >= 2, "{text}: {replies:?}");
    let (first, last) = (replies.remove(0), replies.pop().unwrap());
    assert_eq!((&first["channel"], &last["channel"]), (&json!("/before"), &json!("/after")), "{text}");
    assert_success(&first);
    assert_success(&last);
    assert_eq!(driver.closes(), [], "{text}");
    replies
}

#[test]
fn one_bad_message_among_good_ones() {
    let deep = format!(r#"{{"channel":"/x","data":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let long = "x".repeat(300);
    let cases: &[(&str, &str, &str, Value)] = &[
        (
            "7",
            "/meta/unsuccessful",
            "400::expected a message, which is a JSON object, got a number",
            Value::Null,
        ),
        ("null", "/meta/unsuccessful", "got null", Value::Null),
        ("[]", "/meta/unsuccessful", "got an array", Value::Null),
        (r#"["/meta/connect","1"]"#, "/meta/unsuccessful", "got an array", Value::Null),
        ("[1,[2,[3]]]", "/meta/unsuccessful", "got an array", Value::Null),
        ("{}", "/meta/unsuccessful", "400:channel:Missing required field", Value::Null),
        (r#"{"id":"5"}"#, "/meta/unsuccessful", "400:channel:Missing required field", json!("5")),
        (
            r#"{"channel":7,"id":5}"#,
            "/meta/unsuccessful",
            "400:channel:expected a string, got a number",
            json!(5),
        ),
        (r#"{"channel":null}"#, "/meta/unsuccessful", "400:channel:expected a string, got null", Value::Null),
        (r#"{"channel":"x:y,z","id":5}"#, "x:y,z", "405:x_y_z:Invalid channel", json!(5)),
        (
            r#"{"channel":"/a","id":[1]}"#,
            "/a",
            "400:id:expected a string or a number, got an array",
            Value::Null,
        ),
        (
            &format!(r#"{{"channel":"/a","id":"{long}"}}"#),
            "/a",
            "400:id:expected at most 256 bytes",
            Value::Null,
        ),
        (r#"{"channel":"/a","id":1,"ext":7}"#, "/a", "400:ext:expected an object, got a number", json!(1)),
        (
            r#"{"channel":"/a","id":1,"clientId":7}"#,
            "/a",
            "400:clientId:expected a string, got a number",
            json!(1),
        ),
        (r#"{"channel":"/a","channel":"/b","id":1}"#, "/b", "duplicate field `channel`", json!(1)),
        (r#"{"channel":"/a","id":1,"id":2}"#, "/a", "duplicate field `id`", json!(2)),
        (&deep, "/x", "402::Unknown client", Value::Null),
    ];
    for (text, channel, expected, id) in cases {
        let replies = between(text);
        assert_eq!(replies.len(), 1, "{text}: {replies:?}");
        assert!(error(&replies[0]).contains(expected), "{text}: {}", replies[0]);
        assert_eq!(replies[0]["channel"], *channel, "{text}");
        assert_eq!(replies[0]["id"], *id, "{text}");
    }
}

#[test]
fn a_message_that_is_too_large_is_named_in_its_reply() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    let large = publish(&client, "/large", &json!("x".repeat(300 * 1024)));
    let small = publish(&client, "/small", &json!(1));
    let replies = driver.ask(1, &json!([small, large, small]));
    assert_eq!(replies.len(), 3);
    assert_eq!((&replies[1]["channel"], &replies[1]["id"]), (&json!("/large"), &json!("p")));
    assert!(error(&replies[1]).starts_with("413::"), "{}", replies[1]);
    assert!(error(&replies[1]).contains("the limit is 262144"), "{}", replies[1]);
    let alone = driver.ask_one(1, &large);
    assert_eq!(alone, replies[1]);
}

#[test]
fn what_is_no_batch_at_all() {
    let many = format!("[{}{{}}]", "{},".repeat(5_000));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!(r#"[{{"channel":"/a","data":"{}"}}]"#, "x".repeat(1 << 20));
    let cases: &[(&[u8], &str)] = &[
        (b"", "400::cannot read the JSON"),
        (b"hello", "400::cannot read the JSON"),
        (b"[{}", "400::cannot read the JSON"),
        (b"[{}] x", "400::cannot read the JSON"),
        (b"{} {}", "400::cannot read the JSON"),
        (b"7", "400::expected a message, which is a JSON object, got a number"),
        (b"\"x\"", "400::expected a message, which is a JSON object, got a string"),
        (b"[\"\xff\"]", "400::not UTF-8 at byte 2"),
        (b"\x00\x01\x02", "400::cannot read the JSON"),
        (many.as_bytes(), "413::5001 messages in one batch, the limit is 4096"),
        (deep.as_bytes(), "400::nested deeper than 64 arrays and objects"),
        (huge.as_bytes(), "413::1048604 bytes in one batch, the limit is 1048576"),
    ];
    for (bytes, expected) in cases {
        let mut driver = Driver::new();
        let client = driver.begin(1, &json!({}));
        driver.send_text(1, bytes);
        let replies = driver.take(1);
        assert_eq!(replies.len(), 1, "{expected}: {replies:?}");
        assert!(error(&replies[0]).starts_with(expected), "{}", replies[0]);
        assert_eq!(replies[0]["channel"], "/meta/unsuccessful");
        assert_success(&driver.ask_one(1, &publish(&client, "/a", &json!(1))));
        assert_eq!(driver.closes(), []);
    }
}

#[test]
fn an_empty_batch_is_a_keep_alive_of_old_clients() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    for text in ["[]", " [ ] "] {
        driver.send_text(1, text);
        assert_eq!(driver.take(1), NOTHING);
    }
    assert_success(&driver.ask_one(1, &publish(&client, "/a", &json!(1))));
}

#[test]
fn a_bare_object_and_unknown_fields_are_fine() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    for extra in ["timestamp", "x-messages", "authSuccessful", "connectionId", "json-comment-filtered", ""] {
        let mut message = publish(&client, "/a", &json!(1));
        message[extra] = json!({"any": [1, null]});
        driver.send_text(1, format!("\n\t {message} \r\n"));
        assert_success(&driver.take(1)[0]);
    }
}

#[test]
fn errors_do_not_repeat_values_that_may_be_secret() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    for message in [
        json!({"channel": ["hunter2"], "clientId": client, "data": "hunter2"}),
        json!({"channel": "/a", "clientId": ["hunter2"], "data": "hunter2"}),
        json!({"channel": "/a", "clientId": client, "data": "hunter2", "ext": "hunter2"}),
        json!({"channel": "/a", "clientId": client, "data": "hunter2", "id": {"x": "hunter2"}}),
        json!({"channel": "/meta/subscribe", "clientId": "hunter2", "data": "hunter2"}),
        json!({"channel": "/readonly", "clientId": client, "data": "hunter2"}),
        json!("hunter2"),
    ] {
        let reply = driver.ask_one(1, &message);
        assert!(!reply.to_string().contains("hunter2"), "{reply}");
        assert!(!error(&reply).is_empty());
    }
    driver.send_text(1, r#"{"channel":"/a","data":"hunter2"#);
    let reply = driver.take(1).remove(0);
    assert!(!reply.to_string().contains("hunter2"), "{reply}");
}

#[test]
fn a_long_channel_is_shortened_in_the_answer() {
    let long = format!("/{}", "ä".repeat(10_000));
    let replies = between(&json!({"channel": long, "id": 1}).to_string());
    assert!(error(&replies[0]).starts_with("405:/ä"), "{}", replies[0]);
    assert!(replies[0].to_string().len() < 1_000, "{}", replies[0]);
}
