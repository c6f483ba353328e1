//! Requests: the client's side of the meta channels and of publishing, as JSON text.

use serde::Serialize;
use serde_json::value::RawValue;

use super::connection_type::ConnectionType;
use crate::ids::MessageId;
use crate::publication::Publication;
use crate::server::ReplayFrom;

/// The one version that there is.
const VERSION: &str = "1.0";

/// The id of one of the core's own requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId(pub(super) u64);

impl RequestId {
    /// True if a reply with this id answers the request. Replies have to repeat the id, but one without any can
    /// only be meant for what is outstanding.
    pub(super) fn is_answered_by(self, id: Option<&MessageId>) -> bool {
        id.is_none_or(|id| id.text() == self.0.to_string())
    }
}

/// A session's id as a server has given it: opaque, and a credential. No `Debug`.
#[derive(Clone)]
pub(super) struct ForeignClientId(String);

impl ForeignClientId {
    /// Longest that is accepted, in bytes.
    const MAX: usize = 256;

    /// Takes any text of 1 to 256 bytes.
    pub(super) fn parse(text: String) -> Option<Self> {
        (1..=Self::MAX).contains(&text.len()).then_some(Self(text))
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supported_connection_types: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<ConnectAdvice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ext: Option<&'a RawValue>,
}

/// Asks for an answer at once.
#[derive(Serialize)]
struct ConnectAdvice {
    timeout: u64,
}

pub(super) fn handshake(id: RequestId, connection: ConnectionType, ext: Option<&RawValue>) -> String {
    let message = Message {
        channel: "/meta/handshake",
        version: Some(VERSION),
        minimum_version: Some(VERSION),
        supported_connection_types: Some([connection.as_str()]),
        ext,
        ..Message::default()
    };
    write(message, &own_id(id))
}

/// `batch` is the last confirmed one, where the ack extension is spoken.
pub(super) fn connect(
    id: RequestId,
    client: &ForeignClientId,
    connection: ConnectionType,
    at_once: bool,
    batch: Option<u64>,
) -> String {
    let ext = batch.map(|batch| crate::ext::raw(&format!(r#"{{"ack":{batch}}}"#)));
    let message = Message {
        channel: "/meta/connect",
        client_id: Some(&client.0),
        connection_type: Some(connection.as_str()),
        advice: at_once.then_some(ConnectAdvice { timeout: 0 }),
        ext: ext.as_deref(),
        ..Message::default()
    };
    write(message, &own_id(id))
}

/// A subscribe, or an unsubscribe. `from` asks for what was before, where the replay extension is spoken.
pub(super) fn subscription(
    id: RequestId,
    client: &ForeignClientId,
    pattern: &str,
    wanted: bool,
    from: Option<ReplayFrom>,
) -> String {
    let ext = from.map(|from| {
        let number = match from {
            ReplayFrom::Oldest => "-2".to_owned(),
            ReplayFrom::After(number) => number.to_string(),
        };
        // A pattern holds nothing that JSON would escape.
        crate::ext::raw(&format!(r#"{{"replay":{{"{pattern}":{number}}}}}"#))
    });
    let message = Message {
        channel: if wanted { "/meta/subscribe" } else { "/meta/unsubscribe" },
        client_id: Some(&client.0),
        subscription: Some(pattern),
        ext: ext.as_deref(),
        ..Message::default()
    };
    write(message, &own_id(id))
}

pub(super) fn disconnect(id: RequestId, client: &ForeignClientId) -> String {
    let message = Message { channel: "/meta/disconnect", client_id: Some(&client.0), ..Message::default() };
    write(message, &own_id(id))
}

pub(super) fn publish(id: &MessageId, client: &ForeignClientId, publication: &Publication) -> String {
    let message = Message {
        channel: publication.channel.as_str(),
        client_id: Some(&client.0),
        data: Some(&publication.data),
        ext: publication.ext.as_deref(),
        ..Message::default()
    };
    write(message, id)
}

fn own_id(id: RequestId) -> MessageId {
    MessageId::from_text(&id.0.to_string())
}

fn write<'a>(mut message: Message<'a>, id: &'a MessageId) -> String {
    message.id = Some(serde_json::from_str(id.json()).expect("a message id is JSON"));
    serde_json::to_string(&message).expect("strings and raw values serialise")
}
