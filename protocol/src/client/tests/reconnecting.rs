//! Resumption, new handshakes, advice, silence.

use super::*;

fn refused(channel: &str, id: u64, error: &str, advice: &str) -> String {
    format!(
        r#"[{{"channel":"/meta/{channel}","id":"{id}","successful":false,"error":"{error}","advice":{advice}}}]"#
    )
}

#[test]
fn a_new_stream_resumes_the_session() {
    let mut script = Script::connected();
    assert_eq!(script.close(), [""; 0]);
    assert_eq!(script.client.next_timeout(), None);
    assert_eq!(script.open(), [connect_at_once(3)]);
    assert!(!script.client.is_connected());
    assert_eq!(script.receive(&good("connect", 2)), [""; 0], "a stale reply says nothing");
    assert_eq!(script.receive(&good("connect", 3)), ["Connected(resumed true, ack false)", &connect(4)]);
}

#[test]
fn a_resumption_that_fails_becomes_a_handshake() {
    for (error, advice) in [
        ("402::Unknown client", r#"{"reconnect":"handshake","interval":0}"#),
        ("402::session_unknown", "{}"),
        ("401:abc:Unknown client", "{}"),
        ("500::oops", "{}"),
    ] {
        let mut script = Script::connected();
        script.close();
        script.open();
        assert_eq!(script.receive(&refused("connect", 3, error, advice)), [handshake(4)], "{error}");
        assert_eq!(
            script.receive(&shaken(4, "new")),
            ["Connected(resumed false, ack false)", &connect(5).replace("abc", "new")]
        );
    }
}

#[test]
fn an_unannounced_new_stream_counts_as_the_end_of_the_old() {
    let mut script = Script::connected();
    script.publish("p");
    assert_eq!(script.open(), [r#"PublishReply("p", Err(Lost))"#, &connect_at_once(3)]);
}

#[test]
fn intervals_are_honoured() {
    let mut script = Script::connected();
    let advice = r#"[{"channel":"/meta/connect","id":"2","successful":true,
        "advice":{"reconnect":"retry","interval":2000,"timeout":5000}}]"#;
    assert_eq!(script.receive(advice), [""; 0]);
    assert_eq!(script.client.next_timeout(), Some(secs(102)));
    assert_eq!(script.pass(secs(60)), [connect(3)]);
    assert_eq!(script.client.next_timeout(), Some(secs(117)), "held 5 s, delayed 10 s");
    let gone = refused("connect", 3, "402::Unknown client", r#"{"reconnect":"handshake"}"#);
    assert_eq!(script.receive(&gone), [""; 0]);
    assert_eq!(script.pass(secs(60)), [handshake(4)]);
    assert_eq!(script.now, secs(104));
}

#[test]
fn silence_closes_the_stream() {
    let mut script = Script::new(ClientConfig { network_delay: secs(3), ..ClientConfig::default() });
    script.open();
    assert_eq!(script.pass(secs(60)), ["Close(no reply to a handshake in time)"]);
    assert_eq!(script.now, secs(103));
    let mut script = Script::connected();
    script.receive(&good("connect", 2));
    assert_eq!(script.pass(secs(60)), ["Close(no reply to a connect in time)"]);
    assert_eq!(script.now, secs(140));
    assert_eq!(script.receive(&good("connect", 3)), [""; 0], "nobody listens any more");
    assert_eq!(script.open(), [connect_at_once(4)], "the session may be alive");
    assert_eq!(script.pass(secs(60)), ["Close(no reply to a connect in time)"]);
    assert_eq!(script.now, secs(150), "an answer at once may be late by the network delay only");
}

#[test]
fn a_session_that_no_stream_resumes_is_given_up() {
    let mut script = Script::connected();
    script.close();
    for id in 3..9 {
        assert_eq!(
            script.open(),
            [connect_at_once(id)],
            "a server that is away for a moment is not given up"
        );
        assert_eq!(script.close(), [""; 0]);
        script.now += secs(2);
    }
    assert_eq!(script.open(), [handshake(9)]);
    // One that is resumed in between starts the count over.
    script.receive(&shaken(9, "abc"));
    for id in [11, 14, 17] {
        script.close();
        script.open();
        script.close();
        assert_eq!(script.open(), [connect_at_once(id + 1)]);
        assert_eq!(script.receive(&good("connect", id + 1)).len(), 2);
    }
}

#[test]
fn handshakes_end() {
    let mut script = Script::new(ClientConfig::default());
    script.open();
    let gone =
        |id| refused("connect", id, "402::Unknown client", r#"{"reconnect":"handshake","interval":0}"#);
    for id in [1, 3] {
        script.receive(&shaken(id, "abc"));
        assert_eq!(script.receive(&gone(id + 1)), [handshake(id + 2)]);
    }
    script.receive(&shaken(5, "abc"));
    assert_eq!(script.receive(&gone(6)), ["Close(3 handshakes on one stream without a lasting session)"]);
    assert_eq!(script.open(), [handshake(7)]);
    // A server that answers well in between, and at once asks for another handshake, is no better.
    for id in [7, 10, 13] {
        script.receive(&shaken(id, "abc"));
        script.receive(&good("connect", id + 1));
        let outputs = script.receive(&gone(id + 2));
        assert_eq!(outputs[0].starts_with("Close"), id == 13, "{outputs:?}");
    }
}

#[test]
fn sessions_that_last_may_be_replaced_for_ever() {
    let mut script = Script::new(ClientConfig::default());
    script.open();
    for round in 0..10 {
        let id = 1 + 3 * round;
        script.receive(&shaken(id, "abc"));
        script.now += secs(30);
        script.receive(&good("connect", id + 1));
        let gone = refused("connect", id + 2, "402::Unknown client", "{}");
        assert_eq!(script.receive(&gone), [handshake(id + 3)]);
    }
}

#[test]
fn a_refused_handshake() {
    let mut script = Script::new(ClientConfig::default());
    script.open();
    assert_eq!(
        script.receive(&refused("handshake", 1, "503::later", r#"{"reconnect":"handshake"}"#)),
        ["Close(the server refused the handshake: 503::later)"]
    );
    script.open();
    assert_eq!(
        script.receive(&refused("handshake", 2, "403::handshake_denied", r#"{"reconnect":"none"}"#)),
        ["Ended(the server asks not to come back: 403::handshake_denied)"]
    );
    script.open();
    let nameless = r#"[{"channel":"/meta/handshake","id":"3","successful":true}]"#;
    assert_eq!(
        script.receive(nameless),
        ["Close(the server refused the handshake: it succeeded without a clientId of 1 to 256 bytes)"]
    );
    script.open();
    let long = shaken(4, &"x".repeat(257));
    assert!(script.receive(&long)[0].starts_with("Close("));
}

#[test]
fn a_connect_that_fails_is_tried_again_and_given_up() {
    let mut script = Script::connected();
    for id in [2, 3] {
        assert_eq!(script.receive(&refused("connect", id, "500::oops", "{}")), [""; 0]);
        assert_eq!(script.pass(secs(60)), [connect(id + 1)]);
    }
    assert_eq!(script.now, secs(102));
    assert_eq!(
        script.receive(&refused("connect", 4, "500::oops", "{}")),
        ["Close(the server refuses to connect: 500::oops)"]
    );
    assert_eq!(script.open(), [handshake(5)]);
}

#[test]
fn the_server_ends_the_session() {
    let mut script = Script::connected();
    assert_eq!(script.receive(r#"[{"channel":"/meta/disconnect","successful":false}]"#), [""; 0]);
    assert_eq!(
        script.receive(r#"[{"channel":"/meta/disconnect","successful":true}]"#),
        ["Close(the server disconnected the session)"]
    );
    assert_eq!(script.open(), [handshake(3)]);
    script.receive(&shaken(3, "abc"));
    let dismissed = refused("connect", 4, "401::Authentication invalid", r#"{"reconnect":"none"}"#);
    assert_eq!(
        script.receive(&dismissed),
        ["Ended(the server asks not to come back: 401::Authentication invalid)"]
    );
}
