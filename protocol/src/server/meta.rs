//! The meta channels: handshake, connect, subscribe, unsubscribe, disconnect (Bayeux 1.0, "Meta Channels").

use std::collections::HashSet;

use super::extensions::replay;
use super::io::{Carrier, EndReason, Output};
use super::policy::Principal;
use super::probe::Probe;
use super::reply::{Origin, Reply};
use super::session::{HeldConnect, SessionKey};
use super::source::Source;
use super::subscriptions::Granted;
use super::{ConnectionId, Server};
use crate::advice::{ReceivedAdvice, Reconnect};
use crate::channel::{ChannelKind, ChannelPattern};
use crate::error::{BayeuxError, ErrorCode};
use crate::ext::AckExt;
use crate::wire::{Fields, Json};

impl Server {
    pub(super) fn handshake(
        &mut self,
        connection: ConnectionId,
        fields: &Fields<'_>,
        origin: &mut Origin,
    ) -> Result<(), BayeuxError> {
        let principal = self.admit(connection, fields)?;
        let ack = AckExt::from_ext(fields.ext) == Some(AckExt::Enabled);
        let client = self.begin_session(connection, principal, ack);
        let mut reply = Reply::success(origin);
        reply.client_id = Some(client.reveal());
        if ack {
            reply.ext.push(("ack", "true".to_owned()));
        }
        if self.config.replay && replay::is_wanted(fields.ext) {
            reply.ext.push(("replay", "true".to_owned()));
        }
        let reply = reply.with_advice(self.config.advice).with_version(self.config.connection_types);
        self.reply(connection, reply);
        Ok(())
    }

    /// Everything that can stand against a session.
    fn admit(&self, connection: ConnectionId, fields: &Fields<'_>) -> Result<Principal, BayeuxError> {
        let version = fields.version.ok_or_else(|| BayeuxError::missing("version"))?;
        let wrong = || BayeuxError::wrong("version", "expected the string 1.0", version.get());
        let text = version.text().ok_or_else(wrong)?;
        if text.split('.').next() != Some("1") {
            return Err(BayeuxError::new(ErrorCode::Malformed, "version", "expected 1.0"));
        }
        let field = "supportedConnectionTypes";
        let types = fields.supported_connection_types.ok_or_else(|| BayeuxError::missing(field))?;
        let types: Vec<String> = serde_json::from_str(types.get())
            .map_err(|_| BayeuxError::wrong(field, "expected an array of strings", types.get()))?;
        let ours = self.config.connection_types;
        if !types.iter().any(|offered| ours.contains(&offered.as_str())) {
            let text = format!("Connection types not supported, expected {}", ours.join(" or "));
            return Err(BayeuxError::new(ErrorCode::ConnectionTypes, types.join(" "), text));
        }
        let stream = self.connections.get(connection).ok_or_else(BayeuxError::unknown_client)?;
        // The one that it would replace is one of the same peer.
        let former = usize::from(stream.session.is_some_and(|key| self.sessions.get(key).is_some()));
        if self.sessions.len() - former >= self.config.limits.sessions {
            return Err(BayeuxError::busy("Too many sessions, come back later"));
        }
        let limit = self.config.limits.sessions_per_peer;
        if self.sessions.of_source(Source::of(&stream.peer.address)) - former >= limit {
            let text =
                format!("Too many sessions of one peer, the limit is {limit}: end one, or come back later");
            return Err(BayeuxError::busy(&text));
        }
        self.policy.admit(&stream.peer, fields.ext)
    }

    pub(super) fn connect(
        &mut self,
        connection: ConnectionId,
        key: SessionKey,
        fields: &Fields<'_>,
        origin: &mut Origin,
        alone: bool,
    ) {
        self.note_connect(key);
        // A second connect replaces the first, which gets a normal empty answer.
        self.answer_held(key);
        if self.connections.get(connection).is_some_and(|stream| stream.carrier == Carrier::Exchange) {
            // Whoever polls does not listen on the stream any more.
            self.leave_stream(key);
        }
        let advice = fields.advice.map(|raw| ReceivedAdvice::from_json(raw.get())).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut seen = Vec::new();
        let mut carries_events = session.lends_events() && !session.queue.is_empty();
        if let Some(ack) = session.ack.as_mut() {
            if let Some(AckExt::Batch(batch)) = AckExt::from_ext(fields.ext) {
                seen = ack.seen(batch);
            }
            carries_events = ack.has_unseen() || !session.queue.is_empty();
        }
        // Never longer than we would by ourselves, whatever the client asks.
        let hold = advice.timeout.map_or(self.config.advice.timeout, |t| t.min(self.config.advice.timeout));
        let is_probed = session.probe == Probe::Asked;
        if session.connected && alone && !carries_events && !is_probed && !hold.is_zero() {
            let until = self.now.uptime + hold;
            session.held = Some(Box::new(HeldConnect { origin: origin.take(), until, on: connection }));
            if let Some(connection) = self.connections.get_mut(connection) {
                connection.owed += 1;
            }
            self.arm(key);
        } else {
            self.answer_connect(key, connection, origin);
        }
        self.receipts(&seen);
    }

    pub(super) fn subscribe(
        &mut self,
        connection: ConnectionId,
        key: SessionKey,
        fields: &Fields<'_>,
        origin: &mut Origin,
    ) -> Result<(), BayeuxError> {
        let patterns = read_subscription(fields)?;
        let added = self.check_subscriptions(key, patterns)?;
        let wanted = if self.config.replay { replay::wanted(fields.ext, &added)? } else { Vec::new() };
        let granted = Granted::new(added, &wanted, fields.subscription.map(Json::get));
        if wanted.is_empty() {
            self.subscribe_granted(connection, key, granted, origin);
            return Ok(());
        }
        let client = self.sessions.get(key).ok_or_else(BayeuxError::unknown_client)?.client;
        let offer = self.offer(connection, Some(key), origin, Some(granted))?;
        self.outputs.push_back(Output::Replay { offer, client, wanted });
        Ok(())
    }

    /// Records what has been granted, and says so.
    pub(super) fn subscribe_granted(
        &mut self,
        connection: ConnectionId,
        key: SessionKey,
        granted: Granted,
        origin: &mut Origin,
    ) {
        if granted.is_empty() {
            return self.reply(connection, Reply::success(origin).with_subscription(Some(granted.asked())));
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let had = session.subscriptions.clone();
        let new = |pattern: &&ChannelPattern| !had.contains(pattern);
        let added: Vec<ChannelPattern> = granted.live.iter().filter(new).cloned().collect();
        let behind = granted.replayed.iter().filter(new);
        session.subscriptions.extend(added.iter().chain(behind.clone()).cloned());
        session.catching_up.extend(behind.cloned());
        if !session.catching_up.is_empty() && !self.behind.contains(&key) {
            self.behind.push(key);
        }
        let (client, principal) = (session.client, session.principal.clone());
        for pattern in &added {
            self.subscriptions.insert(pattern, key);
        }
        self.reply(connection, Reply::success(origin).with_subscription(Some(granted.asked())));
        if !added.is_empty() {
            self.outputs.push_back(Output::Subscribed { client, principal, added, had });
        }
    }

    /// Decides all before any is applied. Returns the ones to record: new, and not of `/service/`.
    pub(super) fn check_subscriptions(
        &self,
        key: SessionKey,
        patterns: Vec<ChannelPattern>,
    ) -> Result<Vec<ChannelPattern>, BayeuxError> {
        let session = self.sessions.get(key).ok_or_else(BayeuxError::unknown_client)?;
        let limit = self.config.limits.subscriptions_per_session;
        let mut added: Vec<ChannelPattern> = Vec::new();
        // Asked again is granted again, and is looked at once: the rest below has its price.
        let mut seen = HashSet::new();
        let is_known = |pattern: &ChannelPattern| {
            self.subscriptions.contains(pattern, key) || session.catching_up.contains(pattern)
        };
        for pattern in patterns {
            if is_known(&pattern) || !seen.insert(pattern.clone()) {
                continue;
            }
            match pattern.kind() {
                ChannelKind::Meta => {
                    return Err(BayeuxError::forbidden(
                        &pattern.to_string(),
                        "Meta channels cannot be subscribed to",
                    ));
                }
                // Accepted and recorded nowhere: clients subscribe to route the replies to themselves.
                ChannelKind::Service => continue,
                ChannelKind::Broadcast => {}
            }
            if !self.policy.may_subscribe(&session.principal, &pattern) {
                return Err(BayeuxError::forbidden(&pattern.to_string(), "Subscribing here is not allowed"));
            }
            added.push(pattern);
            if session.subscriptions.len() + added.len() > limit {
                let text = format!("Too many subscriptions, the limit is {limit} a session");
                return Err(BayeuxError::forbidden("", &text));
            }
        }
        Ok(added)
    }

    pub(super) fn unsubscribe(
        &mut self,
        connection: ConnectionId,
        key: SessionKey,
        fields: &Fields<'_>,
        origin: &mut Origin,
    ) -> Result<(), BayeuxError> {
        let patterns = read_subscription(fields)?;
        let patterns: HashSet<ChannelPattern> = patterns.into_iter().collect();
        let Some(session) = self.sessions.get_mut(key) else { return Err(BayeuxError::unknown_client()) };
        session.subscriptions.retain(|pattern| !patterns.contains(pattern));
        session.catching_up.retain(|pattern| !patterns.contains(pattern));
        for pattern in &patterns {
            self.subscriptions.remove(pattern, key);
        }
        self.reply(connection, Reply::success(origin).with_subscription(fields.subscription.map(Json::get)));
        Ok(())
    }

    pub(super) fn disconnect(&mut self, connection: ConnectionId, key: SessionKey, origin: &mut Origin) {
        self.release_held(key, Reconnect::None);
        self.reply(connection, Reply::success(origin));
        // What waits for the client still goes out with the replies, of which an exchange may owe some.
        self.part(connection, key);
        if self.connections.get(connection).is_some_and(|stream| stream.carrier == Carrier::Stream) {
            self.flush(connection);
        }
        self.end_session(key, EndReason::Disconnected);
    }
}

/// One pattern, or an array of them.
fn read_subscription(fields: &Fields<'_>) -> Result<Vec<ChannelPattern>, BayeuxError> {
    let raw = fields.subscription.ok_or_else(|| BayeuxError::missing("subscription"))?;
    let texts = match raw.text() {
        Some(text) => vec![text.into_owned()],
        None => serde_json::from_str::<Vec<String>>(raw.get()).map_err(|_| {
            let expected = "expected a channel or an array of channels";
            BayeuxError::wrong("subscription", expected, raw.get())
        })?,
    };
    let parse =
        |text: &String| ChannelPattern::parse(text).map_err(|error| BayeuxError::invalid_channel(&error));
    texts.iter().map(parse).collect()
}
