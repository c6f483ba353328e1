//! The meta channels: handshake, connect, subscribe, unsubscribe, disconnect (Bayeux 1.0, "Meta Channels").

use super::io::{EndReason, Output};
use super::policy::Principal;
use super::queue::SessionQueue;
use super::reply::{Origin, Reply};
use super::session::{HeldConnect, Session, SessionKey};
use super::{ConnectionId, Now, Server};
use crate::advice::{ReceivedAdvice, Reconnect};
use crate::channel::{ChannelKind, ChannelPattern};
use crate::error::{BayeuxError, ErrorCode};
use crate::ext::{AckExt, raw};
use crate::wire::Fields;

/// What this server speaks.
pub(super) const CONNECTION_TYPES: &[&str] = &["websocket"];

impl Server {
    pub(super) fn handshake(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fields: &Fields<'_>,
        origin: &Origin,
    ) {
        let admitted = self.admit(connection, fields);
        let reply = match admitted {
            Ok(principal) => {
                let ack = AckExt::from_ext(fields.ext) == Some(AckExt::Enabled);
                let client = self.begin_session(now, connection, principal, ack);
                let mut reply = Reply::success(&origin.channel, origin.id.as_ref());
                reply.client_id = Some(client.reveal());
                reply.ext = ack.then(|| raw(r#"{"ack":true}"#));
                reply.with_advice(self.config.advice)
            }
            Err(error) => {
                let next =
                    if error.code() == ErrorCode::Busy { Reconnect::Handshake } else { Reconnect::None };
                Reply::failure(&origin.channel, origin.id.as_ref(), &error)
                    .with_advice(self.config.advice.with(next))
            }
        };
        self.reply(connection, &reply.with_version(CONNECTION_TYPES));
    }

    /// Everything that can stand against a session.
    fn admit(&self, connection: ConnectionId, fields: &Fields<'_>) -> Result<Principal, BayeuxError> {
        let version = fields.version.ok_or_else(|| BayeuxError::missing("version"))?;
        let text: String = serde_json::from_str(version.get())
            .map_err(|_| BayeuxError::wrong("version", "expected the string 1.0", version.get()))?;
        if text.split('.').next() != Some("1") {
            return Err(BayeuxError::new(ErrorCode::Malformed, "version", "expected 1.0"));
        }
        let field = "supportedConnectionTypes";
        let types = fields.supported_connection_types.ok_or_else(|| BayeuxError::missing(field))?;
        let types: Vec<String> = serde_json::from_str(types.get())
            .map_err(|_| BayeuxError::wrong(field, "expected an array of strings", types.get()))?;
        if !types.iter().any(|offered| CONNECTION_TYPES.contains(&offered.as_str())) {
            let text = format!("Connection types not supported, expected {}", CONNECTION_TYPES.join(" or "));
            return Err(BayeuxError::new(ErrorCode::ConnectionTypes, types.join(" "), text));
        }
        let stream = self.connections.get(connection).ok_or_else(BayeuxError::unknown_client)?;
        let others = self.sessions.len() - usize::from(stream.session.is_some());
        if others >= self.config.limits.sessions {
            return Err(BayeuxError::busy("Too many sessions, come back later"));
        }
        self.policy.admit(&stream.peer, fields.ext)
    }

    /// Begins a session on a stream. One that the stream had before is over: its client has given it up.
    fn begin_session(
        &mut self,
        now: Now,
        connection: ConnectionId,
        principal: Principal,
        ack: bool,
    ) -> crate::ids::ClientId {
        let client = self.ids.next_client_id();
        let Some(stream) = self.connections.get(connection) else { return client };
        let peer = stream.peer.clone();
        if let Some(former) = stream.session {
            self.answer_held(now, former);
            self.end_session(now, former, EndReason::Replaced);
        }
        let key = self.sessions.insert(Session {
            client,
            principal: principal.clone(),
            peer,
            connected: false,
            connection: None,
            subscriptions: Vec::new(),
            queue: SessionQueue::default(),
            held: None,
            expires: self.expiry(now),
            ack: ack.then(Default::default),
            armed: None,
        });
        self.bind(connection, key);
        self.arm(key);
        self.outputs.push_back(Output::SessionBegun { client, principal, connection });
        client
    }

    pub(super) fn connect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fields: &Fields<'_>,
        origin: &Origin,
        alone: bool,
    ) -> Result<(), BayeuxError> {
        let key = self.resolve(now, connection, fields)?;
        // A second connect replaces the first, which gets a normal empty answer.
        self.answer_held(now, key);
        let advice = fields.advice.map(|raw| ReceivedAdvice::from_json(raw.get())).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(key) else { return Err(BayeuxError::unknown_client()) };
        let mut carries_events = false;
        let mut seen = Vec::new();
        if let Some(ack) = session.ack.as_mut() {
            if let Some(AckExt::Batch(batch)) = AckExt::from_ext(fields.ext) {
                seen = ack.seen(batch);
            }
            carries_events = ack.has_unseen() || !session.queue.is_empty();
        }
        // Never longer than we would by ourselves, whatever the client asks.
        let hold = advice.timeout.map_or(self.config.advice.timeout, |t| t.min(self.config.advice.timeout));
        if session.connected && alone && !carries_events && !hold.is_zero() {
            session.held = Some(HeldConnect { id: origin.id.clone(), until: now.uptime + hold });
            self.arm(key);
        } else {
            self.answer_connect(now, key, connection, origin.id.as_ref());
        }
        self.receipts(&seen);
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fields: &Fields<'_>,
        origin: &Origin,
    ) -> Result<(), BayeuxError> {
        let key = self.resolve(now, connection, fields)?;
        let patterns = read_subscription(fields)?;
        let added = self.check_subscriptions(key, patterns)?;
        let Some(session) = self.sessions.get_mut(key) else { return Err(BayeuxError::unknown_client()) };
        let had = session.subscriptions.clone();
        session.subscriptions.extend(added.iter().cloned());
        let (client, principal) = (session.client, session.principal.clone());
        for pattern in &added {
            self.subscriptions.insert(pattern, key);
        }
        let reply =
            Reply::success(&origin.channel, origin.id.as_ref()).with_subscription(fields.subscription);
        self.reply(connection, &reply);
        if !added.is_empty() {
            self.outputs.push_back(Output::Subscribed { client, principal, added, had });
        }
        Ok(())
    }

    /// Decides all before any is applied. Returns the ones to record: new, and not of `/service/`.
    fn check_subscriptions(
        &self,
        key: SessionKey,
        patterns: Vec<ChannelPattern>,
    ) -> Result<Vec<ChannelPattern>, BayeuxError> {
        let session = self.sessions.get(key).ok_or_else(BayeuxError::unknown_client)?;
        let limit = self.config.limits.subscriptions_per_session;
        let mut added: Vec<ChannelPattern> = Vec::new();
        for pattern in patterns {
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
            if !session.subscriptions.contains(&pattern) && !added.contains(&pattern) {
                added.push(pattern);
            }
            // At once, since each is compared with all before it.
            if session.subscriptions.len() + added.len() > limit {
                let text = format!("Too many subscriptions, the limit is {limit} a session");
                return Err(BayeuxError::forbidden("", &text));
            }
        }
        Ok(added)
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fields: &Fields<'_>,
        origin: &Origin,
    ) -> Result<(), BayeuxError> {
        let key = self.resolve(now, connection, fields)?;
        let patterns = read_subscription(fields)?;
        let Some(session) = self.sessions.get_mut(key) else { return Err(BayeuxError::unknown_client()) };
        session.subscriptions.retain(|pattern| !patterns.contains(pattern));
        for pattern in &patterns {
            self.subscriptions.remove(pattern, key);
        }
        let reply =
            Reply::success(&origin.channel, origin.id.as_ref()).with_subscription(fields.subscription);
        self.reply(connection, &reply);
        Ok(())
    }

    pub(super) fn disconnect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fields: &Fields<'_>,
        origin: &Origin,
    ) -> Result<(), BayeuxError> {
        let key = self.resolve(now, connection, fields)?;
        let held = self.sessions.get_mut(key).and_then(|session| session.held.take());
        if let Some(held) = held {
            let reply = Reply::success("/meta/connect", held.id.as_ref());
            self.reply(connection, &reply.with_advice(self.config.advice.with(Reconnect::None)));
        }
        self.reply(connection, &Reply::success(&origin.channel, origin.id.as_ref()));
        // What waits for the client still goes out with the replies.
        self.flush(connection);
        self.end_session(now, key, EndReason::Disconnected);
        Ok(())
    }
}

/// One pattern, or an array of them.
fn read_subscription(fields: &Fields<'_>) -> Result<Vec<ChannelPattern>, BayeuxError> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let raw = fields.subscription.ok_or_else(|| BayeuxError::missing("subscription"))?;
    let texts = match serde_json::from_str(raw.get()) {
        Ok(OneOrMany::One(text)) => vec![text],
        Ok(OneOrMany::Many(texts)) => texts,
        Err(_) => {
            let expected = "expected a channel or an array of channels";
            return Err(BayeuxError::wrong("subscription", expected, raw.get()));
        }
    };
    texts
        .iter()
        .map(|text| {
            ChannelPattern::parse(text).map_err(|error| {
                let text = format!("Invalid channel, expected {}", error.expected());
                BayeuxError::new(ErrorCode::InvalidChannel, error.given(), text)
            })
        })
        .collect()
}
