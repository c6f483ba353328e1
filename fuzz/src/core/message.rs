//! What clients write: near enough to Bayeux to get far into the core, and wrong in most of the ways there are.

use cloud_channel_protocol::ClientId;
use serde_json::{Map, Value, json};

use super::script::Script;

/// Channels that are published to.
const CHANNELS: [&str; 6] = ["/a", "/a/b", "/secret/a", "/service/a", "/accepted/a", "/readonly"];

/// What is subscribed to.
const PATTERNS: [&str; 12] = [
    "/**",
    "/a",
    "/a/*",
    "/a/**",
    "/secret/*",
    "/service/a",
    "/a/b",
    "/private",
    "/meta/*",
    "/x/**/y",
    "/*",
    "/accepted/a",
];

/// What one message is made of, besides its clientId and id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Message {
    /// Bits: 1 ack, 2 as `admin`, 4 replay and timesync; 8 and more are nobody who is let in.
    Handshake {
        features: u8,
    },
    /// Bits: 1 answer at once, 2 acknowledges what it has heard; 4 and more acknowledge nonsense.
    Connect {
        features: u8,
        heard: u64,
    },
    Subscribe {
        pattern: u8,
    },
    /// Subscribes, and wants what is retained.
    Replay {
        pattern: u8,
    },
    Unsubscribe {
        pattern: u8,
    },
    Disconnect,
    Publish {
        channel: u8,
        number: u64,
        length: u8,
    },
    Unknown,
}

impl Message {
    pub(super) fn json(self, client: Option<ClientId>, id: u64) -> Map<String, Value> {
        let message = match self {
            Self::Handshake { features } => json!({"channel": "/meta/handshake", "version": "1.0",
                "supportedConnectionTypes": ["websocket", "long-polling"], "ext": credentials(features)}),
            Self::Connect { features, heard } => connect(features, heard),
            Self::Subscribe { pattern } => {
                json!({"channel": "/meta/subscribe", "subscription": patterns(pattern)})
            }
            Self::Replay { pattern } => {
                let pattern = PATTERNS[usize::from(pattern) % PATTERNS.len()];
                json!({"channel": "/meta/subscribe", "subscription": pattern, "ext": {"replay": {pattern: -2}}})
            }
            Self::Unsubscribe { pattern } => {
                json!({"channel": "/meta/unsubscribe", "subscription": patterns(pattern)})
            }
            Self::Disconnect => json!({"channel": "/meta/disconnect"}),
            Self::Publish { channel: number_of, number, length } => {
                json!({"channel": channel(number_of), "data": data(number, length)})
            }
            Self::Unknown => json!({"channel": "/meta/unknown"}),
        };
        let Value::Object(mut message) = message else { unreachable!("each is written as an object") };
        if let Some(client) = client {
            message.insert("clientId".into(), client.reveal().into());
        }
        message.insert("id".into(), id.into());
        message
    }
}

fn credentials(features: u8) -> Value {
    let user = match features {
        8.. => "stranger",
        bits if bits & 2 != 0 => "admin",
        _ => "guest",
    };
    let mut ext = json!({"ack": features & 1 != 0, "user": user});
    if features & 4 != 0 {
        ext["replay"] = json!(true);
        ext["timesync"] = json!({"tc": 1_700_000_000_000_u64, "l": 3, "o": -7});
    }
    ext
}

fn connect(features: u8, heard: u64) -> Value {
    let mut connect = json!({"channel": "/meta/connect", "connectionType": "websocket"});
    if features & 1 != 0 {
        connect["advice"] = json!({"timeout": 0});
    }
    match features >> 1 {
        0 => {}
        1 => connect["ext"] = json!({"ack": heard}),
        more => {
            let nonsense = [json!(1), json!(999_999), json!(-1), json!("x")];
            connect["ext"] = json!({"ack": &nonsense[usize::from(more % 4)]});
        }
    }
    connect
}

/// One of them alone, or two in an array.
fn patterns(number: u8) -> Value {
    let at = usize::from(number);
    match PATTERNS.get(at) {
        Some(pattern) => json!(pattern),
        None => json!([PATTERNS[at % 4], PATTERNS[(at * 5) % PATTERNS.len()]]),
    }
}

pub(super) fn channel(number: u8) -> &'static str {
    CHANNELS[usize::from(number) % CHANNELS.len()]
}

/// An event's data: its number, and so many times 16 bytes.
pub(super) fn data(number: u64, length: u8) -> Value {
    json!([number, "0123456789abcdef".repeat(usize::from(length))])
}

/// A field that is not what it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spoilt {
    field: u8,
    value: u8,
}

impl Spoilt {
    pub(super) fn read(script: &mut Script<'_>) -> Self {
        Self { field: script.digit(), value: script.digit() }
    }

    pub(super) fn spoil(self, message: &mut Map<String, Value>) {
        const FIELDS: [&str; 10] = [
            "channel",
            "clientId",
            "version",
            "supportedConnectionTypes",
            "connectionType",
            "subscription",
            "data",
            "advice",
            "ext",
            "id",
        ];
        let values = [
            Value::Null,
            json!(-1),
            json!("/meta/handshake"),
            json!("/a"),
            json!("0123456789abcdef0123456789abcdef"),
            json!([]),
            json!({"timeout": "x"}),
            json!(["/a", 7]),
            json!({"ack": {"enabled": true}, "timeout": -1}),
            json!(["/a", "/a/b", "/a/*", "/a/**", "/x"]),
            json!({"replay": {"/a": -3, "/**": 18_446_744_073_709_551_615_u64}, "timesync": 7}),
        ];
        let field = FIELDS[usize::from(self.field) % FIELDS.len()];
        message.insert(field.to_owned(), values[usize::from(self.value) % values.len()].clone());
    }
}
