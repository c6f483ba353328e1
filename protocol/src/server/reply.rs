//! Replies: what is answered to one request, as JSON text, and how it gets to its stream.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::connection::Connection;
use super::extensions::{Outgoing, ReplyPart};
use super::{Carrier, CloseReason, HANDSHAKE, Server};
use crate::advice::{Advice, Reconnect};
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::{ConnectionId, MessageId};
use crate::time::Now;
use crate::wire::{self, Envelope};

/// The channel of a reply to something that named none: what came was no message, or had no channel.
pub(super) const NO_CHANNEL: &str = "/meta/unsuccessful";

/// A reply under construction. It repeats the request's channel, id and subscription, so that every client can
/// tell whose answer it is.
pub(super) struct Reply<'a> {
    channel: &'a str,
    id: Option<&'a MessageId>,
    successful: bool,
    pub(super) client_id: Option<String>,
    connection_types: Option<&'static [&'static str]>,
    subscription: Option<&'a RawValue>,
    error: Option<String>,
    advice: Option<Advice>,
    /// Names and their JSON.
    pub(super) ext: Vec<(&'static str, String)>,
    /// What extensions will add to `ext` when it goes out.
    parts: Vec<ReplyPart>,
}

impl<'a> Reply<'a> {
    /// A success.
    pub(super) fn success(origin: &'a mut Origin) -> Self {
        let parts = std::mem::take(&mut origin.parts);
        Self {
            channel: &origin.channel,
            id: origin.id.as_ref(),
            successful: true,
            client_id: None,
            connection_types: None,
            subscription: None,
            error: None,
            advice: None,
            ext: Vec::new(),
            parts,
        }
    }

    /// A refusal.
    pub(super) fn failure(origin: &'a mut Origin, error: &BayeuxError) -> Self {
        Self { successful: false, error: Some(error.to_string()), ..Self::success(origin) }
    }

    /// Adds what a handshake reply must say, successful or not.
    pub(super) fn with_version(mut self, connection_types: &'static [&'static str]) -> Self {
        self.connection_types = Some(connection_types);
        self
    }

    pub(super) fn with_advice(mut self, advice: Advice) -> Self {
        self.advice = Some(advice);
        self
    }

    pub(super) fn with_subscription(mut self, subscription: Option<&'a RawValue>) -> Self {
        self.subscription = subscription;
        self
    }

    /// As JSON text. By hand, since every publish has one and nearly all of them are three members.
    fn into_json(mut self, now: Now, outgoing: Outgoing) -> String {
        self.ext.extend(self.parts.drain(..).map(|part| part.finish(now)));
        let mut json = Members::with_room_for(self.channel);
        json.text("channel", self.channel);
        if let Some(id) = self.id {
            json.raw("id", id.json());
        }
        json.raw("successful", if self.successful { "true" } else { "false" });
        if let Some(client_id) = &self.client_id {
            json.text("clientId", client_id);
        }
        if let Some(types) = self.connection_types {
            json.text("version", "1.0");
            json.raw("supportedConnectionTypes", &json_of(types));
        }
        if let Some(subscription) = self.subscription {
            json.raw("subscription", subscription.get());
        }
        if let Some(error) = &self.error {
            json.text("error", error);
        }
        if let Some(advice) = self.advice {
            json.raw("advice", &advice.to_json());
        }
        if !self.ext.is_empty() {
            let mut ext = Members::default();
            for (name, value) in &self.ext {
                ext.raw(name, value);
            }
            json.raw("ext", &ext.close());
        }
        if let Some(timestamp) = &outgoing.timestamp {
            json.text("timestamp", timestamp);
        }
        json.close()
    }
}

/// A JSON object that is being written.
#[derive(Default)]
struct Members(String);

impl Members {
    fn with_room_for(channel: &str) -> Self {
        Self(String::with_capacity(channel.len() + 96))
    }

    /// A member whose value is JSON already. Its name needs no escapes.
    fn raw(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(json);
    }

    fn text(&mut self, name: &str, text: &str) {
        let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            self.raw(name, "\"");
            self.0.push_str(text);
            self.0.push('"');
        } else {
            self.raw(name, &json_of(text));
        }
    }

    fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn json_of(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("texts serialise")
}

impl Server {
    pub(super) fn reply(&mut self, connection: ConnectionId, reply: Reply<'_>) {
        let outgoing = self.extensions.outgoing(self.now);
        let Some(stream) = self.connections.get_mut(connection).filter(|stream| !stream.closing) else {
            return;
        };
        stream.push(reply.into_json(self.now, outgoing));
        self.connections.mark_dirty(connection);
        if self.has_full_stream(connection) {
            self.flush(connection);
        }
        if self.has_full_stream(connection) {
            self.close(connection, CloseReason::StuckReader);
        }
    }

    fn has_full_stream(&self, connection: ConnectionId) -> bool {
        // An exchange's response is bounded by its one request.
        let stream = self.connections.get(connection).filter(|stream| stream.carrier == Carrier::Stream);
        stream.map_or(0, Connection::outgoing_bytes) > self.config.limits.reply_bytes
    }

    /// Answers a request with a refusal, and with the advice that belongs to it.
    pub(super) fn refuse(
        &mut self,
        connection: ConnectionId,
        origin: &mut Origin,
        subscription: Option<&RawValue>,
        refusal: &Refusal,
    ) {
        self.stats.refused.count(refusal.error.code());
        let is_handshake = &*origin.channel == HANDSHAKE;
        let is_subscription = matches!(&*origin.channel, "/meta/subscribe" | "/meta/unsubscribe");
        let mut reply = Reply::failure(origin, &refusal.error);
        if is_subscription {
            reply = reply.with_subscription(subscription);
        }
        if is_handshake {
            reply = reply.with_version(self.config.connection_types);
        }
        let next = refusal.reconnect.or_else(|| match refusal.error.code() {
            ErrorCode::Busy if is_handshake => Some(Reconnect::Handshake),
            _ if is_handshake => Some(Reconnect::None),
            ErrorCode::UnknownClient => Some(Reconnect::Handshake),
            ErrorCode::Unauthenticated => Some(Reconnect::None),
            _ => None,
        });
        if let Some(next) = next {
            reply = reply.with_advice(self.config.advice.with(next));
        }
        self.reply(connection, reply);
    }

    pub(super) fn refuse_unreadable(
        &mut self,
        connection: ConnectionId,
        envelope: &Envelope<'_>,
        error: BayeuxError,
    ) {
        self.refuse(connection, &mut Origin::of(envelope), None, &error.into());
    }
}

/// Why a request is not done, and what the client is to do if not the usual.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: BayeuxError,
    pub(super) reconnect: Option<Reconnect>,
}

impl From<BayeuxError> for Refusal {
    fn from(error: BayeuxError) -> Self {
        Self { error, reconnect: None }
    }
}

/// What a reply needs of its request, kept while the request waits for its verdict.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) channel: Arc<str>,
    pub(super) id: Option<MessageId>,
    /// What extensions add to the reply.
    pub(super) parts: Vec<ReplyPart>,
}

impl Origin {
    /// Reads as much as can be read; a request so broken that nothing can be is answered without.
    pub(super) fn of(envelope: &Envelope<'_>) -> Self {
        let channel = envelope.channel.and_then(wire::text);
        Self {
            channel: channel.map_or_else(|| NO_CHANNEL.into(), echo),
            id: envelope.id.and_then(|raw| MessageId::from_raw(raw).ok()),
            parts: Vec::new(),
        }
    }

    /// For later: what is left has nothing to answer with.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A channel is repeated exactly, unless it is too long to be one.
fn echo(channel: Cow<'_, str>) -> Arc<str> {
    const LONGEST: usize = 512;
    if channel.len() <= LONGEST { channel.into() } else { crate::shorten(&channel).into() }
}
