//! Replies: what is answered to one request, as JSON text, and how it gets to its stream.

use std::borrow::Cow;
use std::sync::Arc;

use super::connection::Connection;
use super::extensions::{Outgoing, ReplyPart};
use super::{Carrier, CloseReason, HANDSHAKE, Server};
use crate::advice::{Advice, Reconnect};
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::{ConnectionId, MessageId};
use crate::limits::Limits;
use crate::time::Now;
use crate::wire::{self, Envelope, Json};

/// The channel of a reply to something that named none: what came was no message, or had no channel.
pub(super) const NO_CHANNEL: &str = "/meta/unsuccessful";

/// Room for a reply that is being written that is kept for the next: all but the longest fit.
const DRAFT: usize = 1024;

/// A reply under construction. It repeats the request's channel, id and subscription, so that every client can
/// tell whose answer it is.
pub(super) struct Reply<'a> {
    channel: &'a str,
    id: Option<&'a MessageId>,
    successful: bool,
    pub(super) client_id: Option<String>,
    connection_types: Option<&'static [&'static str]>,
    subscription: Option<&'a str>,
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

    pub(super) fn with_subscription(mut self, subscription: Option<&'a str>) -> Self {
        self.subscription = subscription;
        self
    }

    /// Appends it as JSON text. By hand, since every publish has one and nearly all of them are three members.
    fn write(mut self, draft: &mut String, now: Now, outgoing: Outgoing) {
        self.ext.extend(self.parts.drain(..).map(|part| part.finish(now)));
        let mut json = Members::new(draft);
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
            json.raw("subscription", subscription);
        }
        if let Some(error) = &self.error {
            json.text("error", error);
        }
        if let Some(advice) = self.advice {
            json.raw("advice", &advice.to_json());
        }
        if !self.ext.is_empty() {
            let mut text = String::new();
            let mut ext = Members::new(&mut text);
            for (name, value) in &self.ext {
                ext.raw(name, value);
            }
            ext.close();
            json.raw("ext", &text);
        }
        if let Some(timestamp) = &outgoing.timestamp {
            json.text("timestamp", timestamp);
        }
        json.close();
    }
}

/// A JSON object that is being written.
struct Members<'a> {
    json: &'a mut String,
    /// What comes before the next member.
    before: &'static str,
}

impl<'a> Members<'a> {
    /// One with a member at least.
    const fn new(json: &'a mut String) -> Self {
        Self { json, before: "{\"" }
    }

    /// A member whose value is JSON already. Its name needs no escapes.
    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.json.push_str(json);
    }

    fn text(&mut self, name: &str, text: &str) {
        if wire::is_plain(text) {
            self.name(name);
            self.json.push('"');
            self.json.push_str(text);
            self.json.push('"');
        } else {
            self.raw(name, &json_of(text));
        }
    }

    fn name(&mut self, name: &str) {
        self.json.push_str(std::mem::replace(&mut self.before, ",\""));
        self.json.push_str(name);
        self.json.push_str("\":");
    }

    fn close(self) {
        self.json.push('}');
    }
}

fn json_of(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("texts serialise")
}

impl Server {
    pub(super) fn reply(&mut self, connection: ConnectionId, reply: Reply<'_>) {
        let outgoing = self.extensions.outgoing(self.now);
        let limits = &self.config.limits;
        let Some(stream) = self.connections.touch(connection).filter(|stream| !stream.closing) else {
            return;
        };
        reply.write(&mut self.draft, self.now, outgoing);
        stream.push(limits, &self.draft);
        self.draft.clear();
        self.draft.shrink_to(DRAFT);
        if is_full(stream, limits) {
            self.flush(connection);
            let limits = &self.config.limits;
            if self.connections.get(connection).is_some_and(|stream| is_full(stream, limits)) {
                self.close(connection, CloseReason::StuckReader);
            }
        }
    }

    /// Answers a request with a refusal, and with the advice that belongs to it.
    pub(super) fn refuse(
        &mut self,
        connection: ConnectionId,
        origin: &mut Origin,
        subscription: Option<&str>,
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

/// True if more waits than may. An exchange's response is bounded by its one request.
fn is_full(connection: &Connection, limits: &Limits) -> bool {
    let limit = if connection.session.is_some() { limits.reply_bytes } else { limits.unbound_reply_bytes };
    connection.carrier == Carrier::Stream && connection.outgoing.bytes() > limit.min(limits.reply_bytes)
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
        let channel = envelope.channel.and_then(Json::text);
        Self {
            channel: channel.map_or_else(|| NO_CHANNEL.into(), echo),
            id: envelope.id.and_then(|id| MessageId::from_json(id.get()).ok()),
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
