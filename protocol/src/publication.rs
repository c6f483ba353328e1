//! A message on a channel that is not meta: what is published and what is delivered.

use std::sync::Arc;

use serde::Serialize;
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

#[derive(Serialize)]
struct Event<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    ext: Option<&'a RawValue>,
}

impl Publication {
    /// The message that publishes it, as JSON text.
    ///
    /// # Panics
    /// Never: all parts are valid JSON by construction.
    #[must_use]
    pub fn encode(&self) -> Arc<str> {
        self.write(self.id.as_ref().map(|id| serde_json::from_str(id.json()).expect("a message id is JSON")))
    }

    /// The same without the id: a client's id is its own, and another client could take the event for the reply to
    /// a message of its own.
    #[must_use]
    pub(crate) fn encode_without_id(&self) -> Arc<str> {
        self.write(None)
    }

    fn write(&self, id: Option<&RawValue>) -> Arc<str> {
        let event = Event { channel: self.channel.as_str(), id, data: &self.data, ext: self.ext.as_deref() };
        serde_json::to_string(&event).expect("raw values serialise as they are").into()
    }
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publication({}, id {:?}, {} bytes)", self.channel, self.id, self.data.get().len())
    }
}
