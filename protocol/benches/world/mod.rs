//! A server core and its members, driven as a shell does that writes every frame at once.

#[path = "../../tests/open/mod.rs"]
mod open;

use std::time::Duration;

use cloud_channel_protocol::server::{Carrier, Input, Output, PeerAddress, Server, ServerConfig};
use cloud_channel_protocol::{ClientId, ConnectionId, IdSource, Limits, Now};
use divan::black_box;
use open::Open;
use serde_json::Value;

/// Bytes of an event's data.
const DATA: usize = 300;

struct Counter(u128);

impl IdSource for Counter {
    fn next_client_id(&mut self) -> ClientId {
        self.0 += 1;
        // Spread as random ones would be.
        ClientId::from_random(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }
}

/// A session and its connection.
pub(crate) struct Member {
    pub(crate) connection: u64,
    client: String,
}

impl Member {
    /// A publish, as a batch of one.
    pub(crate) fn publish(&self, channel: &str) -> Vec<u8> {
        format!("[{}]", World::message(channel, &self.client)).into_bytes()
    }

    /// A connect, as a batch of one.
    pub(crate) fn connect(&self) -> Vec<u8> {
        let client = &self.client;
        format!(
            r#"[{{"channel":"/meta/connect","clientId":"{client}","connectionType":"websocket","id":"c"}}]"#
        )
        .into_bytes()
    }
}

/// A server under load.
pub(crate) struct World {
    server: Server,
    connections: u64,
    now: Now,
}

impl World {
    /// A server with room for what the benchmarks need.
    pub(crate) fn new() -> Self {
        let limits = Limits {
            sessions: 100_000,
            sessions_per_peer: 100_000,
            subscriptions_per_session: 1_000,
            ..Limits::default()
        };
        let config = ServerConfig { limits, ..ServerConfig::default() };
        let server = Server::new(config, Box::new(Open), Box::new(Counter(0)));
        Self { server, connections: 0, now: Now { uptime: Duration::from_secs(1), wall: Duration::ZERO } }
    }

    /// One message with its data.
    pub(crate) fn message(channel: &str, client: &str) -> String {
        let pad = "x".repeat(DATA - r#"{"pad":""}"#.len());
        format!(r#"{{"channel":"{channel}","clientId":"{client}","id":"17","data":{{"pad":"{pad}"}}}}"#)
    }

    /// A new connection.
    pub(crate) fn open(&mut self) -> u64 {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let peer = PeerAddress::Unix { uid: 0 }.into();
        self.server.handle(self.now, Input::Opened { connection, peer, carrier: Carrier::Stream });
        self.connections
    }

    /// A frame has come.
    pub(crate) fn receive(&mut self, connection: u64, bytes: &[u8]) {
        self.server.handle(self.now, Input::Received { connection: ConnectionId(connection), bytes });
    }

    /// Takes all outputs and writes their frames; says how many frames.
    pub(crate) fn pump(&mut self) -> usize {
        let mut frames = 0;
        while let Some(output) = self.server.poll_output() {
            if let Output::Transmit { connection, batch, .. } = output {
                black_box(&batch);
                frames += 1;
                self.server.handle(self.now, Input::Writable { connection });
            }
        }
        frames
    }

    /// A new session with these subscriptions and a held connect.
    pub(crate) fn join(&mut self, patterns: &[&str]) -> Member {
        let connection = self.open();
        let handshake =
            br#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}]"#;
        let reply = self.ask(connection, handshake);
        let client = reply[0]["clientId"].as_str().expect("a handshake is granted").to_owned();
        let member = Member { connection, client };
        // In parts that the limit of a message lets through.
        for some in patterns.chunks(500) {
            let subscription = serde_json::json!([{
                "channel": "/meta/subscribe", "clientId": member.client, "subscription": some
            }]);
            let reply = self.ask(connection, subscription.to_string().as_bytes());
            assert_eq!(reply[0]["successful"], true, "{reply}");
        }
        // The first connect is answered at once, the second one is held.
        self.receive(connection, &member.connect());
        self.pump();
        self.receive(connection, &member.connect());
        self.pump();
        member
    }

    /// A session and its connection end.
    pub(crate) fn leave(&mut self, member: Member) {
        let Member { connection, client } = member;
        let goodbye = format!(r#"[{{"channel":"/meta/disconnect","clientId":"{client}"}}]"#);
        self.receive(connection, goodbye.as_bytes());
        self.pump();
        self.server.handle(self.now, Input::Closed { connection: ConnectionId(connection) });
        self.pump();
    }

    /// The one frame that answers.
    fn ask(&mut self, connection: u64, batch: &[u8]) -> Value {
        self.receive(connection, batch);
        let mut reply = Value::Null;
        while let Some(output) = self.server.poll_output() {
            if let Output::Transmit { connection, batch, .. } = output {
                reply = serde_json::from_slice(&batch).expect("a frame is JSON");
                self.server.handle(self.now, Input::Writable { connection });
            }
        }
        reply
    }
}
