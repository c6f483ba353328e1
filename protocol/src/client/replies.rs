//! What a server sends, sorted: events, and replies to each kind of request.
//!
//! A message on a meta channel is a reply; so is any other that has `successful`. What is left is an event if it has
//! `data`. An event may carry an id that its publisher chose, hence a matching id alone makes no reply.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::request::ForeignClientId;
use crate::advice::ReceivedAdvice;
use crate::channel::ChannelName;
use crate::error::BayeuxError;
use crate::ext::AckExt;
use crate::ids::{MessageId, shorten};
use crate::object::Object;
use crate::publication::Publication;
use crate::wire::{Fields, Json};

/// Longest text of a server's that is passed on, in characters.
const MAX_ERROR: usize = 1_024;

/// One message of a server.
pub(super) enum Incoming {
    Event(Publication),
    Reply(Reply),
    /// On a meta channel that this core does not know.
    Unknown,
}

/// A reply, whatever to.
pub(super) struct Reply {
    pub(super) to: ReplyTo,
    pub(super) id: Option<MessageId>,
    pub(super) advice: ReceivedAdvice,
    /// The error's text if not successful.
    pub(super) outcome: Result<(), String>,
}

/// What it answers, with what only that answer has.
pub(super) enum ReplyTo {
    Handshake { client: Option<ForeignClientId>, ack: Option<HandshakeAck>, replay: bool },
    Connect { batch: Option<u64> },
    Subscription { wanted: bool },
    Disconnect,
    Publish,
}

/// The server speaks the ack extension.
pub(super) struct HandshakeAck {
    /// The batch that the handshake reply itself closes; newer servers say so.
    pub(super) batch: Option<u64>,
}

impl Incoming {
    /// Sorts a message.
    pub(super) fn sort(fields: &Fields<'_>) -> Result<Self, BayeuxError> {
        let channel = fields.channel.ok_or_else(|| BayeuxError::missing("channel"))?;
        let Some(name) = channel.text() else {
            return Err(BayeuxError::wrong("channel", "expected a string", channel.get()));
        };
        let to = match &*name {
            "/meta/handshake" => ReplyTo::Handshake {
                client: client_id(fields),
                ack: handshake_ack(fields),
                replay: speaks_replay(fields.ext),
            },
            "/meta/connect" => ReplyTo::Connect { batch: connect_batch(fields) },
            "/meta/subscribe" => ReplyTo::Subscription { wanted: true },
            "/meta/unsubscribe" => ReplyTo::Subscription { wanted: false },
            "/meta/disconnect" => ReplyTo::Disconnect,
            meta if meta.starts_with("/meta/") => return Ok(Self::Unknown),
            _ if fields.successful.is_some() => ReplyTo::Publish,
            event => return Self::event(event, fields),
        };
        Ok(Self::Reply(Reply {
            to,
            id: id(fields),
            advice: fields.advice.map(|advice| ReceivedAdvice::from_json(advice.get())).unwrap_or_default(),
            outcome: outcome(fields)?,
        }))
    }

    fn event(channel: &str, fields: &Fields<'_>) -> Result<Self, BayeuxError> {
        let wrong = |error: crate::InvalidChannel| {
            BayeuxError::new(crate::ErrorCode::InvalidChannel, shorten(channel), error.to_string())
        };
        let channel = ChannelName::parse(channel).map_err(wrong)?;
        let data = fields.data.ok_or_else(|| BayeuxError::missing("data"))?;
        Ok(Self::Event(Publication {
            channel,
            id: id(fields),
            data: data.to_raw()?,
            ext: fields.ext.map(RawValue::to_owned),
        }))
    }
}

fn outcome(fields: &Fields<'_>) -> Result<Result<(), String>, BayeuxError> {
    match fields.successful.map(Json::get) {
        Some("true") => Ok(Ok(())),
        Some("false") => Ok(Err(error_text(fields))),
        Some(other) => Err(BayeuxError::wrong("successful", "expected a boolean", other)),
        None => Err(BayeuxError::missing("successful")),
    }
}

/// An id that is none counts as absent: nothing depends on it that is not checked elsewhere.
fn id(fields: &Fields<'_>) -> Option<MessageId> {
    MessageId::from_json(fields.id?.get()).ok()
}

fn client_id(fields: &Fields<'_>) -> Option<ForeignClientId> {
    ForeignClientId::parse(fields.client_id?.text()?.into_owned())
}

fn connect_batch(fields: &Fields<'_>) -> Option<u64> {
    match AckExt::from_ext(fields.ext)? {
        AckExt::Batch(batch) => Some(batch),
        AckExt::Enabled => None,
    }
}

fn speaks_replay(ext: Option<&RawValue>) -> bool {
    #[derive(Deserialize)]
    struct Outer {
        replay: bool,
    }
    ext.and_then(|ext| Object::<Outer>::read(ext.get()).ok()).is_some_and(|ext| ext.replay)
}

fn handshake_ack(fields: &Fields<'_>) -> Option<HandshakeAck> {
    #[derive(Deserialize)]
    struct Outer {
        ack: Object<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        batch: u64,
    }
    match AckExt::from_ext(fields.ext)? {
        AckExt::Enabled => {
            let object = Object::<Outer>::read(fields.ext?.get()).ok();
            Some(HandshakeAck { batch: object.map(|outer| outer.ack.0.batch) })
        }
        AckExt::Batch(_) => None,
    }
}

/// A server's text goes to logs and terminals: short, and on one line.
fn error_text(fields: &Fields<'_>) -> String {
    let text = fields.error.and_then(Json::text).unwrap_or(Cow::Borrowed("no reason given"));
    text.chars().take(MAX_ERROR).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// True for an error that says the session is gone. Servers differ in the code, and in the words too.
pub(super) fn is_unknown_client(error: &str) -> bool {
    error.starts_with("402::")
        || error.to_ascii_lowercase().ends_with(":unknown client")
        || error.ends_with(":session_unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::raw;

    #[test]
    fn extensions_are_members_of_an_object() {
        let greeting = |ext: &str| {
            let ext = raw(ext);
            let fields = Fields { ext: Some(&ext), ..Fields::default() };
            (speaks_replay(fields.ext), handshake_ack(&fields).map(|ack| ack.batch))
        };
        assert_eq!(greeting(r#"{"replay":true,"ack":{"enabled":true,"batch":7}}"#), (true, Some(Some(7))));
        assert_eq!(greeting(r#"{"replay":true,"ack":true}"#), (true, Some(None)));
        assert_eq!(greeting("[true]"), (false, None));
        assert_eq!(greeting(r#"[[7]]"#), (false, None));
    }
}
