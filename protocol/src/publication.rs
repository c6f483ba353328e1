//! A message on a channel that is not meta: what is published and what is delivered.

use serde_json::value::RawValue;

use crate::channel::ChannelName;
use crate::ids::MessageId;

/// A channel, its data, and what travels beside it. `data` and `ext` are kept as they were written.
///
/// `Debug` shows the channel and the id only: the data may be a password.
#[derive(Clone)]
pub struct Publication {
    /// Where it goes.
    pub channel: ChannelName,
    /// The publisher's id of it, if it has one.
    pub id: Option<MessageId>,
    /// The payload, any JSON value.
    pub data: Box<RawValue>,
    /// Extensions, passed through.
    pub ext: Option<Box<RawValue>>,
}

impl Publication {
    /// The message that publishes it, as JSON text.
    #[must_use]
    pub fn encode(&self) -> String {
        self.encode_at(None)
    }

    /// The same with a `timestamp`.
    pub(crate) fn encode_at(&self, timestamp: Option<&str>) -> String {
        let id = self.id.as_ref().map(MessageId::json);
        encode(&self.channel, id, self.data.get(), self.ext.as_deref().map(RawValue::get), timestamp)
    }
}

/// An event as JSON text, of texts that are JSON. One for other clients has no id: a client's id is its own, and another client could take
/// the event for the reply to a message of its own.
pub(crate) fn encode(
    channel: &ChannelName,
    id: Option<&str>,
    data: &str,
    ext: Option<&str>,
    timestamp: Option<&str>,
) -> String {
    let room = 96 + channel.as_str().len() + data.len() + ext.map_or(0, str::len);
    let mut json = String::with_capacity(room);
    // Neither a channel's alphabet nor a timestamp's needs escapes.
    json.push_str(r#"{"channel":""#);
    json.push_str(channel.as_str());
    if let Some(id) = id {
        json.push_str(r#"","id":"#);
        json.push_str(id);
        json.push_str(r#","data":"#);
    } else {
        json.push_str(r#"","data":"#);
    }
    json.push_str(data);
    if let Some(ext) = ext {
        json.push_str(r#","ext":"#);
        json.push_str(ext);
    }
    if let Some(timestamp) = timestamp {
        json.push_str(r#","timestamp":""#);
        json.push_str(timestamp);
        json.push('"');
    }
    json.push('}');
    json
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publication({}, id {:?}, {} bytes)", self.channel, self.id, self.data.get().len())
    }
}
