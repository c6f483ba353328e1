//! Subscriptions: batched, remembered, taken back, refused.

use super::*;

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
