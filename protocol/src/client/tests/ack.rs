//! The ack extension: batches, confirmation, resumption, duplicates.

use super::*;

const SHAKEN_ACK: &str = r#"[{"channel":"/meta/handshake","id":"1","successful":true,"clientId":"abc",
    "ext":{"ack":true},"advice":{"reconnect":"retry","interval":0,"timeout":30000}}]"#;

fn acking() -> Script {
    let mut script = Script::new(ClientConfig { ack: true, ..ClientConfig::default() });
    script.open();
    assert_eq!(script.receive(SHAKEN_ACK), ["Connected(resumed false, ack true)", &connect_ack(2, 0)]);
    script
}

fn connect_ack(id: u64, batch: u64) -> String {
    format!(
        r#"[{{"channel":"/meta/connect","id":"{id}","clientId":"abc","connectionType":"websocket","ext":{{"ack":{batch}}}}}]"#
    )
}

fn resume_ack(id: u64, batch: u64) -> String {
    connect_ack(id, batch).replace(r#""ext""#, r#""advice":{"timeout":0},"ext""#)
}

/// A connect reply that closes a batch, with one event before it and one behind it if `events`.
fn closing(id: u64, batch: u64, events: bool) -> String {
    let reply =
        format!(r#"{{"channel":"/meta/connect","id":"{id}","successful":true,"ext":{{"ack":{batch}}}}}"#);
    if events {
        format!(r#"[{{"channel":"/a","data":1}},{reply},{{"channel":"/a","data":2}}]"#)
    } else {
        format!("[{reply}]")
    }
}

#[test]
fn the_next_connect_waits_for_the_application() {
    let mut script = acking();
    assert_eq!(script.receive(&closing(2, 7, true)), ["/a 1", "/a 2", "BatchEnd(1)"]);
    assert_eq!(script.client.next_timeout(), None, "nothing to wait for but the application");
    assert_eq!(script.pass(secs(5)), [""; 0]);
    assert_eq!(script.publish("p").len(), 1, "publishing goes on");
    assert_eq!(script.confirm(1), [connect_ack(3, 7)]);
    assert_eq!(script.confirm(1), [""; 0]);
}

#[test]
fn events_may_come_in_frames_of_their_own_before_the_reply() {
    let mut script = acking();
    assert_eq!(script.receive(r#"[{"channel":"/a","data":1}]"#), ["/a 1"]);
    assert_eq!(script.receive(&closing(2, 3, false)), ["BatchEnd(1)"]);
    assert_eq!(script.confirm(1), [connect_ack(3, 3)]);
    assert_eq!(
        script.receive(&closing(3, 4, false)),
        [connect_ack(4, 4)],
        "an empty batch needs no confirmation"
    );
}

#[test]
fn without_the_servers_consent_nothing_is_awaited() {
    let mut script = Script::new(ClientConfig { ack: true, ..ClientConfig::default() });
    script.open();
    assert_eq!(script.receive(SHAKEN), ["Connected(resumed false, ack false)", &connect(2)]);
    assert_eq!(script.receive(&closing(2, 7, true)), ["/a 1", "/a 2", &connect(3)]);
}

#[test]
fn nor_without_our_own_offer() {
    let mut script = Script::new(ClientConfig::default());
    script.open();
    assert_eq!(script.receive(SHAKEN_ACK), ["Connected(resumed false, ack false)", &connect(2)]);
}

#[test]
fn the_newer_answer_names_a_batch() {
    let mut script = Script::new(ClientConfig { ack: true, ..ClientConfig::default() });
    script.open();
    let reply = SHAKEN_ACK.replace(r#""ack":true"#, r#""ack":{"enabled":true,"batch":5}"#);
    assert_eq!(script.receive(&reply), ["Connected(resumed false, ack true)", &connect_ack(2, 5)]);
}

#[test]
fn events_beside_the_handshake_are_a_batch_too() {
    let mut script = Script::new(ClientConfig { ack: true, ..ClientConfig::default() });
    script.open();
    let reply = SHAKEN_ACK.replace(r#""ack":true"#, r#""ack":{"enabled":true,"batch":5}"#).replacen(
        '[',
        r#"[{"channel":"/a","data":1},"#,
        1,
    );
    assert_eq!(script.receive(&reply), ["/a 1", "Connected(resumed false, ack true)", "BatchEnd(1)"]);
    assert_eq!(script.confirm(1), [connect_ack(2, 5)]);
}

#[test]
fn a_lost_connect_reply_brings_its_events_again() {
    let mut script = acking();
    assert_eq!(script.receive(r#"[{"channel":"/a","data":1}]"#), ["/a 1"]);
    script.close();
    assert_eq!(script.open(), [resume_ack(3, 0)]);
    assert_eq!(
        script.receive(&closing(3, 1, true)),
        ["/a 1", "Connected(resumed true, ack true)", "/a 2", "BatchEnd(1)"]
    );
    assert_eq!(script.confirm(1), [connect_ack(4, 1)]);
}

#[test]
fn confirmed_while_the_stream_was_gone() {
    let mut script = acking();
    script.receive(&closing(2, 7, true));
    script.close();
    assert_eq!(script.confirm(1), [""; 0]);
    assert_eq!(script.open(), [resume_ack(3, 7)]);
}

#[test]
fn confirmed_after_the_resumption_is_too_late() {
    let mut script = acking();
    script.receive(&closing(2, 7, true));
    script.close();
    assert_eq!(script.open(), [resume_ack(3, 0)], "resumption does not wait for the application");
    // The same events come again, in a batch that the server may number alike and that may hold more.
    let again = script.receive(&closing(3, 7, true));
    assert_eq!(again.last().unwrap(), "BatchEnd(2)");
    assert_eq!(script.confirm(1), [""; 0]);
    assert_eq!(script.confirm(2), [connect_ack(4, 7)]);
}

#[test]
fn a_confirmation_never_reaches_the_next_session() {
    let mut script = acking();
    script.receive(&closing(2, 7, true));
    script.close();
    script.open();
    let gone = r#"[{"channel":"/meta/connect","id":"3","successful":false,"error":"402::Unknown client"}]"#;
    assert_eq!(script.receive(gone).len(), 1);
    let fresh = SHAKEN_ACK.replace(r#""id":"1""#, r#""id":"4""#);
    assert_eq!(script.receive(&fresh), ["Connected(resumed false, ack true)", &connect_ack(5, 0)]);
    assert_eq!(script.confirm(1), [""; 0]);
    assert_eq!(script.receive(&closing(5, 1, false)), [connect_ack(6, 1)]);
}
