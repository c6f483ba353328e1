//! The server through its public calls only: text in, messages out, on a clock that the test moves.

mod ack;
mod bad_input;
mod connections;
mod driver;
mod exchanges;
mod extensions;
mod handshake;
mod heartbeat;
mod invariants;
mod model;
mod offers;
mod overflow;
mod peers;
mod publish;
mod replay;
mod resume;
mod sequences;
mod subscriptions;

use serde_json::{Value, json};

pub(super) use driver::{Driver, UNIX_USER, channels, data};

/// No messages at all.
pub(super) const NOTHING: [Value; 0] = [];

/// What a client writes most often.
pub(super) fn connect(client: &str) -> Value {
    json!({"channel": "/meta/connect", "clientId": client, "connectionType": "websocket", "id": "c"})
}

pub(super) fn subscribe(client: &str, subscription: &Value) -> Value {
    json!({"channel": "/meta/subscribe", "clientId": client, "subscription": subscription, "id": "s"})
}

pub(super) fn publish(client: &str, channel: &str, data: &Value) -> Value {
    json!({"channel": channel, "clientId": client, "data": data, "id": "p"})
}

/// The error of a refusal; panics if it is none.
pub(super) fn error(reply: &Value) -> &str {
    assert_eq!(reply["successful"], json!(false), "{reply}");
    reply["error"].as_str().unwrap()
}

#[track_caller]
pub(super) fn assert_success(reply: &Value) {
    assert_eq!(reply["successful"], json!(true), "{reply}");
}
