//! From what has come in to the rule that answers it.

use super::extensions::Incoming;
use super::io::{Carrier, EndReason};
use super::reply::{Origin, Refusal};
use super::session::SessionKey;
use super::{ConnectionId, HANDSHAKE, Server};
use crate::advice::Reconnect;
use crate::channel::{ChannelKind, ChannelName};
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::{ClientId, MessageId};
use crate::wire::{self, Envelope, Fields, Json, Message};

impl Server {
    pub(super) fn received(&mut self, connection: ConnectionId, bytes: &[u8]) {
        if !self.is_open(connection) {
            return;
        }
        match wire::split_requests(bytes, &self.config.limits) {
            Ok(messages) if messages.is_empty() => self.received_nothing(connection),
            Ok(messages) => self.messages(connection, messages),
            Err(error) => self.refuse_whole(connection, error),
        }
        // An exchange is due when all of it has been looked at, not before.
        self.connections.mark_dirty(connection);
    }

    /// An empty array is how old Faye clients keep a WebSocket alive. As a request it has to be answered, and an
    /// empty answer would be a failure to CometD's clients.
    fn received_nothing(&mut self, connection: ConnectionId) {
        if self.connections.get(connection).is_some_and(|stream| stream.carrier == Carrier::Exchange) {
            let text = "expected at least one message, got an empty array";
            self.refuse_whole(connection, BayeuxError::new(ErrorCode::Malformed, "", text));
        }
    }

    /// What cannot be told apart counts as one message.
    fn refuse_whole(&mut self, connection: ConnectionId, error: BayeuxError) {
        self.stats.received += 1;
        if let Some(stream) = self.connections.get_mut(connection) {
            stream.understood = false;
        }
        self.refuse_unreadable(connection, &Envelope::default(), error);
    }

    fn messages(&mut self, connection: ConnectionId, messages: Vec<Message<'_>>) {
        self.stats.received += messages.len() as u64;
        let alone = messages.len() == 1;
        // A handshake stands alone: what came with it must be ignored (Bayeux 1.0, "handshake").
        let handshake = messages.iter().position(is_handshake);
        for (at, message) in messages.into_iter().enumerate() {
            if !self.is_open(connection) {
                break;
            }
            match message {
                _ if handshake.is_some_and(|only| only != at) => {}
                Ok(fields) => self.message(connection, &fields, alone),
                Err(message) => self.refuse_unreadable(connection, &message.envelope, message.error),
            }
        }
    }

    pub(super) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.get(connection).is_some_and(|connection| !connection.closing)
    }

    fn message(&mut self, connection: ConnectionId, fields: &Fields<'_>, alone: bool) {
        let last = self.connections.get(connection).and_then(|stream| stream.last_channel.as_ref());
        let (mut origin, channel) = read_envelope(fields, last);
        let outcome = channel
            .map_err(Refusal::from)
            .and_then(|channel| self.dispatch(connection, channel, fields, &mut origin, alone));
        if let Err(refusal) = outcome {
            self.refuse(connection, &mut origin, fields.subscription.map(Json::get), &refusal);
        }
    }

    fn dispatch(
        &mut self,
        connection: ConnectionId,
        channel: ChannelName,
        fields: &Fields<'_>,
        origin: &mut Origin,
        alone: bool,
    ) -> Result<(), Refusal> {
        let session = match channel.kind() {
            _ if channel.as_str() == HANDSHAKE => None,
            ChannelKind::Meta => Some(self.resolve(connection, fields)?),
            _ if wire::given(fields.client_id).is_none() => None,
            _ => Some(self.resolve(connection, fields)?),
        };
        self.extend_request(&channel, session, fields, origin)?;
        match (channel.as_str(), session) {
            (HANDSHAKE, _) => self.handshake(connection, fields, origin)?,
            ("/meta/connect", Some(key)) => self.connect(connection, key, fields, origin, alone),
            ("/meta/subscribe", Some(key)) => self.subscribe(connection, key, fields, origin)?,
            ("/meta/unsubscribe", Some(key)) => self.unsubscribe(connection, key, fields, origin)?,
            ("/meta/disconnect", Some(key)) => self.disconnect(connection, key, origin),
            (name, _) if channel.kind() == ChannelKind::Meta => {
                return Err(BayeuxError::forbidden(name, "Unknown meta channel").into());
            }
            _ => self.publish(connection, session, channel, fields, origin)?,
        }
        Ok(())
    }

    /// Asks the extensions.
    fn extend_request(
        &mut self,
        channel: &ChannelName,
        session: Option<SessionKey>,
        fields: &Fields<'_>,
        origin: &mut Origin,
    ) -> Result<(), Refusal> {
        if self.extensions.is_empty() {
            return Ok(());
        }
        let client = session.and_then(|key| self.sessions.get(key)).map(|session| session.client);
        let ext = wire::given_raw(fields.ext);
        match self.extensions.received(self.now, &Incoming { channel, client, ext }) {
            Ok(parts) => {
                origin.parts = parts;
                Ok(())
            }
            Err(veto) => {
                if let (Some(key), Some(reconnect)) = (session, veto.ends_session) {
                    self.dismiss(key, reconnect, EndReason::Vetoed);
                }
                Err(Refusal { error: veto.error, reconnect: veto.ends_session })
            }
        }
    }

    /// Which session a message speaks for; ties the connection to it if it is free.
    fn resolve(&mut self, connection: ConnectionId, fields: &Fields<'_>) -> Result<SessionKey, BayeuxError> {
        let raw = wire::given(fields.client_id).ok_or_else(BayeuxError::unknown_client)?;
        let client = raw
            .parse(|text| ClientId::parse(text).ok_or_else(BayeuxError::unknown_client))
            .unwrap_or_else(|| Err(BayeuxError::wrong("clientId", "expected a string", raw.get())))?;
        let stream = self.connections.get(connection).ok_or_else(BayeuxError::unknown_client)?;
        let (bound, carrier) = (stream.session, stream.carrier);
        let key = bound.or_else(|| self.sessions.find(client)).ok_or_else(BayeuxError::unknown_client)?;
        let expires = self.expiry();
        let session = self.sessions.get_mut(key).ok_or_else(BayeuxError::unknown_client)?;
        // Who is at the other end of a connection does not change, so that it is asked once.
        if session.client != client || (bound.is_none() && !session.peer.same_party(&stream.peer)) {
            return Err(BayeuxError::unknown_client());
        }
        if let Err(error) = self.policy.may_continue(&session.principal) {
            // Nor is it to hear anything more.
            self.dismiss(key, Reconnect::None, EndReason::Revoked);
            return Err(error);
        }
        session.expires = session.expires.max(expires);
        let free = bound.is_none();
        match carrier {
            Carrier::Stream if free => {
                self.bind_stream(connection, key);
                // A connect that was held over the former stream no longer keeps it alive.
                self.arm(key);
            }
            Carrier::Exchange if free => self.bind_exchange(connection, key),
            Carrier::Stream | Carrier::Exchange => {}
        }
        Ok(key)
    }
}

fn is_handshake(message: &Message<'_>) -> bool {
    let channel = match message {
        Ok(fields) => fields.channel,
        Err(unreadable) => unreadable.envelope.channel,
    };
    // As text: JSON has more than one way to write it, and `\/` is what PHP makes of a slash.
    channel.is_some_and(|channel| channel.says(HANDSHAKE))
}

/// Checks the fields that every message may have, and reads its channel, which may be the same as the last. The origin has
/// as much as can be read.
fn read_envelope(
    fields: &Fields<'_>,
    last: Option<&ChannelName>,
) -> (Origin, Result<ChannelName, BayeuxError>) {
    let mut origin = Origin::default();
    let mut fault = None;
    if let Some(raw) = wire::given(fields.id) {
        match MessageId::from_json(raw.get()) {
            Ok(id) => origin.id = Some(id),
            Err(expected) => fault = Some(BayeuxError::wrong("id", expected, raw.get())),
        }
    }
    if let Some(ext) = wire::given_raw(fields.ext).filter(|ext| !ext.get().starts_with('{')) {
        fault = fault.or_else(|| Some(BayeuxError::wrong("ext", "expected an object", ext.get())));
    }
    let channel = read_channel(fields.channel, last);
    origin.channel = match &channel {
        Ok(name) => name.shared(),
        Err(_) => Origin::of(&fields.envelope()).channel,
    };
    (origin, fault.map_or(channel, Err))
}

fn read_channel(raw: Option<Json<'_>>, last: Option<&ChannelName>) -> Result<ChannelName, BayeuxError> {
    let raw = raw.ok_or_else(|| BayeuxError::missing("channel"))?;
    let parsed = raw.parse(|text| match last.filter(|last| last.as_str() == text) {
        Some(last) => Ok(last.clone()),
        None => ChannelName::parse(text),
    });
    let parsed = parsed.ok_or_else(|| BayeuxError::wrong("channel", "expected a string", raw.get()))?;
    parsed.map_err(|error| BayeuxError::invalid_channel(&error))
}
