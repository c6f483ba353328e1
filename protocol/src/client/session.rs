//! The session's life: which replies move it from phase to phase.

use std::time::Duration;

use super::Client;
use super::connection_type::ConnectionType;
use super::heartbeat::Heartbeat;
use super::output::{ClientOutput, CloseReason, EndReason, PublishFailure};
use super::replies::{HandshakeAck, Incoming, Reply, ReplyTo, is_unknown_client};
use super::request::{self, ForeignClientId, RequestId};
use super::subscriptions::Answer;
use crate::advice::Reconnect;
use crate::ids::MessageId;
use crate::wire;

/// Handshakes on one stream before it is given up, unless a session has lasted in between.
const MAX_HANDSHAKES: u8 = 3;
/// Streams in a row that did not resume the session before it is given up, once they have failed for some time: some
/// servers drop a stream where others answer that they know of no such session, and others again are merely away.
const MAX_RESUMPTIONS: u8 = 3;
/// That time. A server keeps sessions for about as long.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);
/// A session that is still connected this long after its handshake has lasted.
const LASTING: Duration = Duration::from_secs(10);

/// Where the session stands. All but `Away` have a stream.
#[derive(Debug)]
pub(super) enum Phase {
    Away,
    Handshaking {
        id: RequestId,
        deadline: Duration,
    },
    /// The server asked for a pause before the next handshake.
    Pausing {
        until: Duration,
    },
    /// The first connect on a new stream is under way.
    Resuming,
    Connected,
    Disconnecting {
        id: RequestId,
        deadline: Duration,
    },
}

/// A session that the server is believed to hold.
pub(super) struct Session {
    pub(super) client: ForeignClientId,
}

/// What the end of a frame brings: events of a batch stand before or behind the connect reply that closes it.
#[derive(Default)]
struct FrameEnd {
    connected: bool,
    batch: Option<u64>,
}

impl Client {
    /// A stream is there.
    pub(super) fn begin(&mut self, connection: ConnectionType) {
        self.connection = connection;
        self.outbox.begin(connection);
        self.handshakes = 0;
        if self.session.is_none() {
            self.subscriptions.session_lost();
            return self.handshake();
        }
        self.phase = Phase::Resuming;
        self.acks.resume();
        self.connect(true);
    }

    /// Reads one frame.
    pub(super) fn read(&mut self, frame: &[u8]) {
        let messages = match wire::split(frame, &self.limits) {
            Ok(messages) => messages,
            Err(error) => return self.outbox.tell(ClientOutput::Unreadable(error.to_string())),
        };
        let mut end = FrameEnd::default();
        // One line a frame: a hostile one must not fill the log.
        let mut unreadable: Option<(String, usize)> = None;
        for message in messages {
            match message.and_then(|fields| Incoming::sort(&fields)) {
                Ok(Incoming::Event(publication)) => {
                    self.acks.event();
                    self.heartbeat.event();
                    self.subscriptions.seen(&publication);
                    self.outbox.tell(ClientOutput::Event(publication));
                }
                Ok(Incoming::Reply(reply)) => self.replied(reply, &mut end),
                Ok(Incoming::Unknown) => {}
                Err(error) => unreadable.get_or_insert_with(|| (error.to_string(), 0)).1 += 1,
            }
            if matches!(self.phase, Phase::Away) {
                break;
            }
        }
        if let Some((first, count)) = unreadable {
            let text = if count == 1 { first } else { format!("{first}, the first of {count} in one frame") };
            self.outbox.tell(ClientOutput::Unreadable(text));
        }
        self.end_frame(&end);
    }

    fn end_frame(&mut self, end: &FrameEnd) {
        if !self.is_connected() {
            return;
        }
        if end.connected {
            self.heartbeat.succeeded(self.now);
        }
        if let Some(batch) = end.batch.and_then(|batch| self.acks.close(batch)) {
            self.outbox.tell(ClientOutput::BatchEnd(batch));
        }
    }

    fn replied(&mut self, reply: Reply, end: &mut FrameEnd) {
        match reply.to {
            ReplyTo::Handshake { client, ack, replay } => {
                let Phase::Handshaking { id, .. } = self.phase else { return };
                if id.is_answered_by(reply.id.as_ref()) {
                    self.can_replay = replay;
                    self.handshake_answered(reply.outcome.map(|()| client), reply.advice, ack, end);
                }
            }
            ReplyTo::Connect { batch } => {
                if self.heartbeat.is_answered_by(reply.id.as_ref()) {
                    self.connect_answered(reply.outcome, reply.advice, batch, end);
                }
            }
            ReplyTo::Subscription { wanted } => self.subscription_answered(&reply, wanted),
            ReplyTo::Disconnect => self.disconnect_answered(&reply),
            ReplyTo::Publish => self.publish_answered(reply),
        }
    }

    fn handshake_answered(
        &mut self,
        outcome: Result<Option<ForeignClientId>, String>,
        advice: crate::ReceivedAdvice,
        ack: Option<HandshakeAck>,
        end: &mut FrameEnd,
    ) {
        let client = match outcome {
            Ok(Some(client)) => client,
            Ok(None) => {
                let text = "it succeeded without a clientId of 1 to 256 bytes".to_owned();
                return self.close(CloseReason::HandshakeRefused(text));
            }
            Err(error) if advice.reconnect == Some(Reconnect::None) => {
                return self.end(EndReason::Dismissed(Some(error)));
            }
            Err(error) => return self.close(CloseReason::HandshakeRefused(error)),
        };
        if advice.reconnect == Some(Reconnect::None) {
            return self.end(EndReason::Dismissed(None));
        }
        self.session = Some(Session { client });
        self.resumptions = 0;
        self.session_number += 1;
        self.phase = Phase::Connected;
        self.last_handshake = self.now;
        let ack = ack.filter(|_| self.ack);
        self.acks.begin(ack.is_some());
        end.batch = ack.and_then(|ack| ack.batch);
        self.heartbeat = Heartbeat::new();
        self.heartbeat.advise(advice);
        self.heartbeat.schedule(self.now);
        self.outbox.tell(ClientOutput::Connected { resumed: false, ack: self.acks.is_enabled() });
    }

    fn connect_answered(
        &mut self,
        outcome: Result<(), String>,
        advice: crate::ReceivedAdvice,
        batch: Option<u64>,
        end: &mut FrameEnd,
    ) {
        self.heartbeat.advise(advice);
        match (advice.reconnect, outcome) {
            (Some(Reconnect::None), outcome) => self.end(EndReason::Dismissed(outcome.err())),
            (Some(Reconnect::Handshake), _) => self.rehandshake(),
            (_, Ok(())) => {
                if matches!(self.phase, Phase::Resuming) {
                    self.phase = Phase::Connected;
                    self.resumptions = 0;
                    self.outbox.tell(ClientOutput::Connected { resumed: true, ack: self.acks.is_enabled() });
                }
                if self.now.saturating_sub(self.last_handshake) >= LASTING {
                    self.handshakes = 0;
                }
                end.connected = true;
                end.batch = batch.or(end.batch);
            }
            (_, Err(error)) => {
                if matches!(self.phase, Phase::Resuming) || is_unknown_client(&error) {
                    self.rehandshake();
                } else if !self.heartbeat.failed(self.now) {
                    self.session = None;
                    self.close(CloseReason::ConnectRefused(error));
                }
            }
        }
    }

    fn subscription_answered(&mut self, reply: &Reply, wanted: bool) {
        let id = reply.id.as_ref();
        if !self.subscriptions.is_answered_by(id) || self.session_is_unknown(reply) {
            return;
        }
        match self.subscriptions.answered(id, wanted, reply.outcome.is_ok()) {
            Answer::Settled => {}
            Answer::Subscribed(pattern) => self.outbox.tell(ClientOutput::Subscribed(pattern)),
            Answer::Refused(pattern) => {
                let error = reply.outcome.clone().err().unwrap_or_default();
                self.outbox.tell(ClientOutput::SubscribeRefused { pattern, error });
            }
        }
    }

    fn publish_answered(&mut self, reply: Reply) {
        let Some(flight) = self.publishes.answered(reply.id.as_ref()) else { return };
        let unknown = is_session_lost(&reply);
        let result = match reply.outcome {
            Ok(()) => Ok(()),
            Err(_) if unknown => Err(PublishFailure::Lost),
            Err(ref error) => Err(PublishFailure::Refused(error.clone())),
        };
        self.outbox.tell(ClientOutput::PublishReply { id: flight.id, result });
        if flight.session == self.session_number {
            self.session_is_unknown(&reply);
        }
    }

    fn disconnect_answered(&mut self, reply: &Reply) {
        match self.phase {
            Phase::Disconnecting { id, .. }
                if reply.outcome.is_ok() || id.is_answered_by(reply.id.as_ref()) =>
            {
                self.end(EndReason::Disconnected);
            }
            Phase::Connected | Phase::Resuming if reply.outcome.is_ok() => {
                self.session = None;
                self.close(CloseReason::Disconnected);
            }
            _ => {}
        }
    }

    /// If a failed reply of this session says that there is no such session, begins a new one.
    fn session_is_unknown(&mut self, reply: &Reply) -> bool {
        let lost = is_session_lost(reply);
        if lost && matches!(self.phase, Phase::Connected | Phase::Resuming) {
            self.heartbeat.advise(reply.advice);
            self.rehandshake();
        }
        lost
    }

    fn rehandshake(&mut self) {
        self.session = None;
        self.subscriptions.session_lost();
        let interval = self.heartbeat.interval();
        self.heartbeat.stop();
        if interval.is_zero() {
            self.handshake();
        } else {
            self.phase = Phase::Pausing { until: self.now + interval };
        }
    }

    pub(super) fn handshake(&mut self) {
        if self.handshakes >= MAX_HANDSHAKES {
            return self.close(CloseReason::HandshakeLoop(MAX_HANDSHAKES));
        }
        self.handshakes += 1;
        let id = self.next_request();
        self.outbox.send_alone(&request::handshake(id, self.connection, self.handshake_ext.as_deref()));
        self.phase = Phase::Handshaking { id, deadline: self.now.saturating_add(self.network_delay) };
    }

    fn connect(&mut self, at_once: bool) {
        let id = self.next_request();
        let Some(session) = &self.session else { return };
        let confirmed = self.acks.confirmed();
        self.outbox.hold(&request::connect(id, &session.client, self.connection, at_once, confirmed));
        self.heartbeat.sent(id, self.now, at_once);
    }

    /// Subscriptions that the server does not know, and the connect if its time has come.
    pub(super) fn send_what_is_due(&mut self) {
        if self.is_connected() {
            self.ask_for_subscriptions();
            if self.acks.is_settled() && self.heartbeat.due().is_some_and(|at| at <= self.now) {
                self.connect(false);
            }
        }
        self.outbox.end_turn();
    }

    fn ask_for_subscriptions(&mut self) {
        let Some(session) = &self.session else { return };
        loop {
            let id = RequestId(self.last_request + 1);
            let Some((pattern, wanted, from)) = self.subscriptions.ask(id, self.now) else { return };
            self.last_request += 1;
            self.outbox.send(&request::subscription(id, &session.client, &pattern.to_string(), wanted, from));
        }
    }

    /// The application wants to go.
    pub(super) fn say_goodbye(&mut self) {
        match (&self.phase, &self.session) {
            (Phase::Disconnecting { .. }, _) => {}
            (Phase::Connected | Phase::Resuming, Some(session)) => {
                let id = RequestId(self.last_request + 1);
                self.outbox.send_alone(&request::disconnect(id, &session.client));
                self.last_request = id.0;
                self.heartbeat.stop();
                self.phase =
                    Phase::Disconnecting { id, deadline: self.now.saturating_add(self.network_delay) };
            }
            _ => self.end(EndReason::Disconnected),
        }
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.leave();
        self.outbox.tell(ClientOutput::Close(reason));
    }

    pub(super) fn end(&mut self, reason: EndReason) {
        self.leave();
        self.session = None;
        self.outbox.tell(ClientOutput::Ended(reason));
    }

    /// The stream is of no use any more.
    pub(super) fn leave(&mut self) {
        if matches!(self.phase, Phase::Resuming) {
            if self.resumptions == 0 {
                self.unresumed_since = self.now;
            }
            self.resumptions = self.resumptions.saturating_add(1);
            let away = self.now.saturating_sub(self.unresumed_since);
            if self.resumptions >= MAX_RESUMPTIONS && away >= GIVEN_UP_AFTER {
                self.session = None;
            }
        }
        self.phase = Phase::Away;
        self.heartbeat.stop();
        self.subscriptions.stream_lost();
        self.outbox.drop_unsent();
        let lost: Vec<MessageId> = self.publishes.take_all().collect();
        for id in lost {
            self.outbox.tell(ClientOutput::PublishReply { id, result: Err(PublishFailure::Lost) });
        }
    }
}

/// True if a failed reply means that the session is gone.
fn is_session_lost(reply: &Reply) -> bool {
    let Err(error) = &reply.outcome else { return false };
    reply.advice.reconnect == Some(Reconnect::Handshake) || is_unknown_client(error)
}
