//! Publishing: replies by id, failures, limits.

use super::*;
use crate::client::PublishError;

#[test]
fn a_publish_keeps_its_data_and_ext() {
    let mut script = Script::connected();
    let mut message = publication("p");
    message.ext = Some(raw(r#"{"cloudinit":{"generation":3}}"#));
    script.client.publish(script.now(), &message).unwrap();
    assert_eq!(
        script.outputs(),
        [
            r#"[{"channel":"/a","id":"p","clientId":"abc","data":{"x":12345678901234567890},"ext":{"cloudinit":{"generation":3}}}]"#
        ]
    );
}

#[test]
fn replies_are_known_by_id_in_any_order() {
    let mut script = Script::connected();
    for id in ["p", "q", "r"] {
        script.publish(id);
    }
    let frame = r#"[{"channel":"/a","id":"r","successful":true},{"channel":"/a","id":"x","successful":true},
        {"channel":"/a","id":"p","data":"an event under our own id"},
        {"channel":"/a","id":"p","successful":false,"error":"403:/a:not\nallowed"}]"#;
    assert_eq!(
        script.receive(frame),
        [
            r#"PublishReply("r", Ok(()))"#,
            r#"/a "an event under our own id""#,
            r#"PublishReply("p", Err(Refused("403:/a:not allowed")))"#,
        ]
    );
    assert_eq!(script.close(), [r#"PublishReply("q", Err(Lost))"#]);
}

#[test]
fn what_is_not_taken() {
    let mut script = Script::new(ClientConfig { max_in_flight: 2, ..ClientConfig::default() });
    let now = script.now();
    let publish =
        |script: &mut Script, message: &Publication| script.client.publish(now, message).unwrap_err();
    assert!(matches!(publish(&mut script, &publication("p")), PublishError::NotConnected(_)));
    script.open();
    assert!(matches!(publish(&mut script, &publication("p")), PublishError::NotConnected(_)));
    script.receive(SHAKEN);
    script.publish("p");
    assert!(matches!(publish(&mut script, &publication("p")), PublishError::IdInFlight(_)));
    let anonymous = Publication { id: None, ..publication("q") };
    assert!(matches!(publish(&mut script, &anonymous), PublishError::NoId(_)));
    let meta = Publication { channel: ChannelName::parse("/meta/connect").unwrap(), ..publication("q") };
    assert!(matches!(publish(&mut script, &meta), PublishError::Meta(_)));
    script.publish("q");
    assert!(matches!(publish(&mut script, &publication("r")), PublishError::Busy { limit: 2, .. }));
    script.receive(r#"[{"channel":"/a","id":"p","successful":true}]"#);
    script.publish("p");
}

#[test]
fn one_turn_shares_a_frame() {
    let mut script = Script::connected();
    for id in ["p", "q"] {
        script.client.publish(script.now(), &publication(id)).unwrap();
    }
    let outputs = script.outputs();
    assert_eq!(outputs.len(), 1);
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&outputs[0]).unwrap().len(), 2);
}

#[test]
fn what_was_not_sent_does_not_go_to_the_next_stream() {
    let mut script = Script::connected();
    script.client.publish(script.now(), &publication("p")).unwrap();
    assert_eq!(script.close(), [r#"PublishReply("p", Err(Lost))"#]);
    assert_eq!(script.open(), [connect_at_once(3)]);
}

#[test]
fn an_unanswered_publish_closes_the_stream() {
    let mut script = Script::connected();
    script.now += secs(1);
    script.publish("p");
    script.receive(&good("connect", 2));
    script.now += secs(20);
    script.receive(&good("connect", 3));
    assert_eq!(
        script.pass(secs(60)),
        [r#"PublishReply("p", Err(Lost))"#, "Close(no reply to a publish in time)"]
    );
    assert_eq!(script.now, secs(141));
}

#[test]
fn a_session_unknown_to_a_publish_is_replaced_once() {
    let mut script = Script::connected();
    script.publish("p");
    script.publish("q");
    let gone = |id: &str| {
        format!(r#"[{{"channel":"/a","id":"{id}","successful":false,"error":"402::Unknown client"}}]"#)
    };
    assert_eq!(script.receive(&gone("p")), [r#"PublishReply("p", Err(Lost))"#, &handshake(3)]);
    script.receive(&shaken(3, "abc"));
    assert_eq!(script.receive(&gone("q")), [r#"PublishReply("q", Err(Lost))"#], "it was the old session's");
    assert!(script.client.is_connected());
}

#[test]
fn the_pause_before_a_new_handshake_is_kept_here_too() {
    let mut script = Script::connected();
    script.publish("p");
    let gone = r#"[{"channel":"/a","id":"p","successful":false,"error":"402::Unknown client",
        "advice":{"reconnect":"handshake","interval":3000}}]"#;
    assert_eq!(script.receive(gone), [r#"PublishReply("p", Err(Lost))"#]);
    assert_eq!(script.pass(secs(60)), [handshake(3)]);
    assert_eq!(script.now, secs(103));
}
