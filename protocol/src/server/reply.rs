//! Replies: what is answered to one request, as JSON text, and how it gets to its stream.

use serde::Serialize;
use serde_json::value::RawValue;

use super::connection::Connection;
use super::meta::CONNECTION_TYPES;
use super::{CloseReason, HANDSHAKE, Server};
use crate::advice::{Advice, Reconnect};
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::{ConnectionId, MessageId};
use crate::wire::Envelope;

/// The channel of a reply to something that named none: what came was no message, or had no channel.
pub(super) const NO_CHANNEL: &str = "/meta/unsuccessful";

/// A reply under construction. It repeats the request's channel, id and subscription, so that every client can
/// tell whose answer it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    successful: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supported_connection_types: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subscription: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ext: Option<Box<RawValue>>,
}

impl<'a> Reply<'a> {
    /// A success.
    pub(super) fn success(channel: &'a str, id: Option<&'a MessageId>) -> Self {
        Self {
            channel,
            id: id.map(|id| serde_json::from_str(id.json()).expect("a message id is JSON")),
            successful: true,
            client_id: None,
            version: None,
            supported_connection_types: None,
            subscription: None,
            error: None,
            advice: None,
            ext: None,
        }
    }

    /// A refusal.
    pub(super) fn failure(channel: &'a str, id: Option<&'a MessageId>, error: &BayeuxError) -> Self {
        Self { successful: false, error: Some(error.to_string()), ..Self::success(channel, id) }
    }

    /// Adds what a handshake reply must say, successful or not.
    pub(super) fn with_version(mut self, connection_types: &'static [&'static str]) -> Self {
        self.version = Some("1.0");
        self.supported_connection_types = Some(connection_types);
        self
    }

    pub(super) fn with_advice(mut self, advice: Advice) -> Self {
        self.advice = Some(crate::ext::raw(&advice.to_json()));
        self
    }

    pub(super) fn with_subscription(mut self, subscription: Option<&'a RawValue>) -> Self {
        self.subscription = subscription;
        self
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and raw values serialise")
    }
}

impl Server {
    pub(super) fn reply(&mut self, connection: ConnectionId, reply: &Reply<'_>) {
        let Some(stream) = self.connections.get_mut(connection).filter(|stream| !stream.closing) else {
            return;
        };
        stream.push(reply.to_json());
        self.connections.mark_dirty(connection);
        if self.has_full_stream(connection) {
            self.flush(connection);
        }
        if self.has_full_stream(connection) {
            self.close(connection, CloseReason::StuckReader);
        }
    }

    fn has_full_stream(&self, connection: ConnectionId) -> bool {
        let waiting = self.connections.get(connection).map_or(0, Connection::outgoing_bytes);
        waiting > self.config.limits.reply_bytes
    }

    pub(super) fn refuse(
        &mut self,
        connection: ConnectionId,
        origin: &Origin,
        subscription: Option<&RawValue>,
        error: &BayeuxError,
    ) {
        let mut reply = Reply::failure(&origin.channel, origin.id.as_ref(), error);
        match origin.channel.as_str() {
            "/meta/subscribe" | "/meta/unsubscribe" => reply = reply.with_subscription(subscription),
            HANDSHAKE => {
                let advice = self.config.advice.with(Reconnect::None);
                reply = reply.with_version(CONNECTION_TYPES).with_advice(advice);
            }
            _ => {}
        }
        if error.code() == ErrorCode::UnknownClient {
            reply = reply.with_advice(self.config.advice.with(Reconnect::Handshake));
        }
        self.reply(connection, &reply);
    }

    pub(super) fn refuse_unreadable(
        &mut self,
        connection: ConnectionId,
        envelope: &Envelope<'_>,
        error: &BayeuxError,
    ) {
        self.refuse(connection, &Origin::of(envelope), None, error);
    }
}

/// What a reply needs of its request, kept while the request waits for its verdict.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) channel: String,
    pub(super) id: Option<MessageId>,
}

impl Origin {
    /// Reads as much as can be read; a request so broken that nothing can be is answered without.
    pub(super) fn of(envelope: &Envelope<'_>) -> Self {
        let channel = envelope.channel.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        Self {
            channel: channel.map_or_else(|| NO_CHANNEL.to_owned(), echo),
            id: envelope.id.and_then(|raw| MessageId::from_raw(raw).ok()),
        }
    }
}

/// A channel is repeated exactly, unless it is too long to be one.
fn echo(channel: String) -> String {
    const LONGEST: usize = 512;
    if channel.len() <= LONGEST { channel } else { crate::shorten(&channel) }
}
