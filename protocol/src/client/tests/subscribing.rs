//! Subscriptions: batched, remembered, taken back, refused.

use super::*;
use crate::server::ReplayFrom;

/// The subscribe or unsubscribe with this id.
fn asks(what: &str, id: u64, pattern: &str) -> String {
    format!(r#"{{"channel":"/meta/{what}","id":"{id}","clientId":"abc","subscription":"{pattern}"}}"#)
}

fn refused(what: &str, id: u64) -> String {
    format!(
        r#"[{{"channel":"/meta/{what}","id":"{id}","successful":false,"error":"403::no","subscription":"/a"}}]"#
    )
}

#[test]
fn asked_for_beforehand_they_follow_the_handshake_in_one_frame() {
    let mut script = Script::new(ClientConfig::default());
    assert_eq!(script.subscribe(&["/a", "/b/**"]), [""; 0]);
    script.open();
    let frame = format!("[{},{}]", asks("subscribe", 2, "/a"), asks("subscribe", 3, "/b/**"));
    assert_eq!(script.receive(SHAKEN), ["Connected(resumed false, ack false)", &frame, &connect(4)]);
    let replies = r#"[{"channel":"/meta/subscribe","id":"3","successful":true,"subscription":"/b/**"},
        {"channel":"/meta/subscribe","id":"2","successful":false,"error":"403:/a:no","subscription":"/a"}]"#;
    assert_eq!(script.receive(replies), ["Subscribed(/b/**)", "SubscribeRefused(/a, 403:/a:no)"]);
    assert_eq!(script.subscribe(&["/b/**"]), ["Subscribed(/b/**)"], "known already");
}

#[test]
fn a_new_session_gets_those_that_are_wanted() {
    let mut script = Script::connected();
    script.subscribe(&["/a", "/b", "/c"]);
    script.receive(&good("subscribe", 3));
    script.receive(&refused("subscribe", 4));
    script.client.unsubscribe(script.now(), &pattern("/c"));
    let gone = r#"[{"channel":"/meta/connect","id":"2","successful":false,"error":"402::Unknown client",
        "advice":{"reconnect":"handshake","interval":0}}]"#;
    assert_eq!(script.receive(gone), [handshake(6)]);
    let again = format!("[{}]", asks("subscribe", 7, "/a"));
    assert_eq!(
        script.receive(&shaken(6, "abc")),
        ["Connected(resumed false, ack false)", &again, &connect(8)]
    );
}

#[test]
fn a_resumed_session_is_asked_what_is_open() {
    let mut script = Script::connected();
    script.subscribe(&["/a", "/b", "/c"]);
    script.receive(&good("subscribe", 3));
    script.receive(&good("subscribe", 5));
    script.close();
    script.client.unsubscribe(script.now(), &pattern("/c"));
    script.subscribe(&["/d"]);
    assert_eq!(script.open(), [connect_at_once(6)]);
    let frame = format!(
        "[{},{},{}]",
        asks("subscribe", 7, "/b"),
        asks("unsubscribe", 8, "/c"),
        asks("subscribe", 9, "/d")
    );
    let outputs = script.receive(&good("connect", 6));
    assert_eq!(outputs, ["Connected(resumed true, ack false)", &frame, &connect(10)]);
}

#[test]
fn a_wish_may_change_while_it_is_asked() {
    let mut script = Script::connected();
    script.subscribe(&["/a"]);
    script.client.unsubscribe(script.now(), &pattern("/a"));
    assert_eq!(script.outputs(), [""; 0]);
    assert_eq!(script.receive(&good("subscribe", 3)), [format!("[{}]", asks("unsubscribe", 4, "/a"))]);
    assert_eq!(script.subscribe(&["/a"]), [""; 0]);
    assert_eq!(script.receive(&good("unsubscribe", 4)), [format!("[{}]", asks("subscribe", 5, "/a"))]);
    script.client.unsubscribe(script.now(), &pattern("/a"));
    assert_eq!(script.receive(&refused("subscribe", 5)), [""; 0], "no longer wanted anyway");
    assert_eq!(script.subscribe(&["/a"]), [format!("[{}]", asks("subscribe", 6, "/a"))]);
}

#[test]
fn there_is_a_limit() {
    let limits = crate::Limits { subscriptions_per_session: 2, ..crate::Limits::default() };
    let mut script = Script::new(ClientConfig { limits, ..ClientConfig::default() });
    assert_eq!(
        script.subscribe(&["/a", "/b", "/a", "/c"]),
        ["SubscribeRefused(/c, 2 subscriptions are remembered already, expected fewer)"]
    );
    script.client.unsubscribe(script.now(), &pattern("/a"));
    assert_eq!(script.subscribe(&["/c"]), [""; 0]);
}

#[test]
fn an_unanswered_subscription_closes_the_stream() {
    let mut script = Script::connected();
    script.subscribe(&["/a"]);
    script.now += secs(30);
    script.receive(&good("connect", 2));
    assert_eq!(script.pass(secs(60)), ["Close(no reply to a subscription in time)"]);
    assert_eq!(script.open().len(), 1);
    let outputs = script.receive(&good("connect", 5));
    assert_eq!(outputs[1], format!("[{}]", asks("subscribe", 6, "/a")), "asked again");
}

#[test]
fn a_session_unknown_to_a_subscribe_does_not_forget_it() {
    let mut script = Script::connected();
    script.subscribe(&["/a"]);
    let gone = r#"[{"channel":"/meta/subscribe","id":"3","successful":false,"error":"401:abc:Unknown client",
        "advice":{"reconnect":"handshake"}}]"#;
    assert_eq!(script.receive(gone), [handshake(4)]);
    assert_eq!(script.receive(&shaken(4, "abc"))[1], format!("[{}]", asks("subscribe", 5, "/a")));
}

/// A subscribe that asks for the past.
fn asks_from(id: u64, pattern: &str, from: i64) -> String {
    let ext = format!(r#","ext":{{"replay":{{"{pattern}":{from}}}}}}}"#);
    asks("subscribe", id, pattern).trim_end_matches('}').to_owned() + &ext
}

#[test]
fn one_with_a_past_goes_on_in_the_next_session_after_what_has_come() {
    let mut script = Script::new(ClientConfig { replay: true, ..ClientConfig::default() });
    for (text, from) in [
        ("/a/*", ReplayFrom::Oldest),
        ("/b", ReplayFrom::After(7)),
        ("/c", ReplayFrom::After(3)),
        ("/c/*", ReplayFrom::Oldest),
        ("/c/**", ReplayFrom::After(2)),
    ] {
        script.client.subscribe_from(script.now(), pattern(text), from);
    }
    script.subscribe(&["/d"]);
    assert!(script.open()[0].ends_with(r#""ext":{"replay":true}}]"#));
    assert!(!script.client.can_replay());
    let frame = [
        asks_from(2, "/b", 7),
        asks_from(3, "/c", 3),
        asks("subscribe", 4, "/d"),
        asks_from(5, "/a/*", -2),
        asks_from(6, "/c/*", -2),
        asks_from(7, "/c/**", 2),
    ];
    let frame = format!("[{}]", frame.join(","));
    let answered = SHAKEN.replace(r#""version""#, r#""ext":{"replay":true},"version""#);
    assert_eq!(script.receive(&answered)[1..], [frame, connect(8)]);
    assert!(script.client.can_replay());

    // Out of order, below what was asked for, without a number, without a past.
    for (channel, ext) in [
        ("/a/x", r#"{"cloudinit":{"seq":9}}"#),
        ("/a/x", r#"{"cloudinit":{"seq":8}}"#),
        ("/b", r#"{"cloudinit":{"seq":6}}"#),
        ("/c", r#"{"other":1}"#),
        // It came for one of the two: nobody can tell for which.
        ("/c/x", r#"{"cloudinit":{"seq":9}}"#),
        ("/c/x/y", r#"{"cloudinit":{"seq":5}}"#),
        ("/d", r#"{"cloudinit":{"seq":10}}"#),
    ] {
        script.receive(&format!(r#"[{{"channel":"{channel}","data":1,"ext":{ext}}}]"#));
    }
    let gone = r#"[{"channel":"/meta/connect","id":"8","successful":false,"error":"402::Unknown client",
        "advice":{"reconnect":"handshake","interval":0}}]"#;
    script.receive(gone);
    let frame = [
        asks_from(10, "/b", 7),
        asks_from(11, "/c", 3),
        asks("subscribe", 12, "/d"),
        asks_from(13, "/a/*", 9),
        asks_from(14, "/c/*", -2),
        asks_from(15, "/c/**", 5),
    ];
    let frame = format!("[{}]", frame.join(","));
    assert_eq!(script.receive(&shaken(9, "abc"))[1..], [frame, connect(16)]);
    assert!(!script.client.can_replay(), "this server does not say so");
}
