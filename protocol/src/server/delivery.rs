//! From queues to frames: what is written to a connection, and what becomes of it.

use std::collections::VecDeque;

use super::batch::Batch;
use super::connection::Connections;
use super::io::{Carrier, Output};
use super::policy::Principal;
use super::probe::Probe;
use super::queue::QueuedEvent;
use super::reply::{Origin, Reply};
use super::session::{Session, SessionKey};
use super::{ConnectionId, Server, Stats};
use crate::channel::{ChannelKind, ChannelName, ChannelPattern};
use crate::ids::ClientId;
use crate::limits::Limits;
use crate::publication::Publication;

impl Server {
    /// A local session publishes: its events keep their ids.
    pub(super) fn publish_own(&mut self, publication: &Publication, receipt: Option<u64>) {
        let timestamp = self.extensions.outgoing(self.now).timestamp;
        self.deliver(&publication.channel, receipt, || publication.encode_at(timestamp.as_deref()));
    }

    /// Gives an event to every remote session that has subscribed and may receive. Encoded once, shared by all.
    /// What is on a service channel is for the server alone, also where `/**` would match it.
    pub(super) fn deliver(
        &mut self,
        channel: &ChannelName,
        receipt: Option<u64>,
        encode: impl FnOnce() -> String,
    ) {
        if channel.kind() != ChannelKind::Broadcast {
            return;
        }
        let Self { subscriptions, sessions, policy, connections, ripe, stats, config, .. } = self;
        let mut outlet = Outlet { connections, ripe, stats, limits: &config.limits };
        let mut encode = Some(encode);
        let mut event = None;
        let mut known = Decisions::default();
        subscriptions.for_each(channel, |key| {
            let Some(session) = sessions.get_mut(key) else { return };
            if known.of(&session.principal, |principal| policy.may_receive(principal, channel)) {
                event =
                    event.take().or_else(|| encode.take().map(|encode| QueuedEvent::new(encode(), receipt)));
                if let Some(event) = &event {
                    outlet.enqueue(key, session, event.clone());
                }
            }
        });
    }

    pub(super) fn tell(&mut self, client: ClientId, publication: &Publication, receipt: Option<u64>) {
        if let Some(key) = self.sessions.find(client) {
            let timestamp = self.extensions.outgoing(self.now).timestamp;
            self.enqueue(key, QueuedEvent::new(publication.encode_at(timestamp.as_deref()), receipt));
        }
    }

    pub(super) fn replayed(
        &mut self,
        client: ClientId,
        pattern: &ChannelPattern,
        publication: &Publication,
        receipt: Option<u64>,
    ) {
        let session = self.sessions.find(client).and_then(|key| self.sessions.get(key));
        let wanted = session.is_some_and(|session| {
            session.catching_up.contains(pattern)
                && self.policy.may_receive(&session.principal, &publication.channel)
        });
        if wanted {
            self.tell(client, publication, receipt);
        } else {
            self.outputs.extend(receipt.map(Output::Receipt));
        }
    }

    pub(super) fn caught_up(&mut self, client: ClientId, pattern: &ChannelPattern) {
        let Some(key) = self.sessions.find(client) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(at) = session.catching_up.iter().position(|behind| behind == pattern) {
            session.catching_up.swap_remove(at);
            self.subscriptions.insert(pattern, key);
        }
    }

    pub(super) fn enqueue(&mut self, key: SessionKey, event: QueuedEvent) {
        let Self { sessions, connections, ripe, stats, config, .. } = self;
        if let Some(session) = sessions.get_mut(key) {
            Outlet { connections, ripe, stats, limits: &config.limits }.enqueue(key, session, event);
        }
    }

    /// Something waits for a session again: sees to it that it goes out in this turn, if it can.
    pub(super) fn stir(&mut self, key: SessionKey) {
        let Self { sessions, connections, ripe, stats, config, .. } = self;
        if let Some(session) = sessions.get_mut(key) {
            session.stirred = false;
            Outlet { connections, ripe, stats, limits: &config.limits }.stir(key, session);
        }
    }

    pub(super) fn answer_ripe(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.stirred = false;
        if !session.queue.is_empty() {
            self.answer_held(key);
        }
    }

    /// Answers a held connect; nothing if none is held.
    pub(super) fn answer_held(&mut self, key: SessionKey) {
        let held = self.sessions.get_mut(key).and_then(|session| session.held.take());
        if let Some(mut held) = held {
            self.owes_less(held.on);
            self.answer_connect(key, held.on, &mut held.origin);
        }
    }

    /// Writes a connect reply, with the events that it carries if the session acknowledges. The clock for the
    /// client's next one starts when it has been written.
    pub(super) fn answer_connect(&mut self, key: SessionKey, connection: ConnectionId, origin: &mut Origin) {
        let expires = self.expiry();
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.expires = expires;
        session.answering = Some(connection);
        if session.probe == Probe::Asked {
            session.probe = Probe::Sent;
        }
        let first = !std::mem::replace(&mut session.connected, true);
        let mut reply = Reply::success(origin);
        if first {
            reply = reply.with_advice(self.config.advice);
        }
        if let Some(stream) = self.connections.get_mut(connection) {
            stream.starts_clock = true;
            if let Some(ack) = session.ack.as_mut() {
                let room = ack.room(&self.config.limits);
                let new =
                    room.map(|(events, bytes)| session.queue.take_some(events, bytes)).unwrap_or_default();
                let (batch, unseen) = ack.close(new);
                reply.ext.push(("ack", batch.to_string()));
                for event in unseen {
                    stream.push(&self.config.limits, event.json());
                }
            }
        }
        self.reply(connection, reply);
        self.arm(key);
    }

    /// Makes one frame of what waits for a connection.
    pub(super) fn flush(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        if !connection.writable || connection.closing {
            return;
        }
        let ends = connection.close_after.is_some();
        match connection.carrier {
            Carrier::Stream => self.flush_stream(id),
            Carrier::Exchange if connection.owed == 0 => self.respond(id),
            Carrier::Exchange => {}
        }
        if ends {
            self.close_if_done(id);
        }
    }

    /// One frame. The rest follows when it is written.
    fn flush_stream(&mut self, id: ConnectionId) {
        let Some(stream) = self.connections.get_mut(id) else { return };
        let replies = stream.outgoing.take_frame();
        let session = stream.session.and_then(|key| self.sessions.get_mut(key));
        let of = stream.session.filter(|_| stream.parting.is_none());
        let queue = stream.parting.as_deref_mut().or_else(|| {
            let session = session.filter(|session| session.pushes_events())?;
            session.stirred = false;
            Some(&mut session.queue)
        });
        let batch = match queue {
            Some(queue) if replies.is_empty() && self.shared.is_all_of(queue) => {
                queue.clear();
                self.shared.clone()
            }
            Some(queue) if !queue.is_empty() => {
                let room = self.config.limits.batch_bytes.saturating_sub(1 + replies.len());
                let alone = replies.is_empty();
                let events = if alone || queue.next_size() <= room { queue.take(room) } else { Vec::new() };
                let batch = Batch::of(replies, events);
                if alone {
                    self.shared = batch.clone();
                }
                batch
            }
            _ if replies.is_empty() => return,
            _ => Batch::of(replies, Vec::new()),
        };
        self.transmit(id, batch, of);
    }

    /// An exchange's only frame: all its replies, and what of its session's events fits beside them.
    fn respond(&mut self, id: ConnectionId) {
        let Some(exchange) = self.connections.get_mut(id) else { return };
        let replies = exchange.outgoing.take_frame();
        if replies.is_empty() {
            // Nothing has been received yet.
            return;
        }
        let room = self.config.limits.batch_bytes.saturating_sub(1 + replies.len());
        let session = exchange.session.and_then(|key| self.sessions.get_mut(key));
        let of = exchange.session.filter(|_| exchange.parting.is_none());
        let events = match (exchange.parting.take(), session) {
            (Some(mut parting), _) => parting.take(usize::MAX),
            // The first may be larger than all room: without it the session would never move on.
            (None, Some(session)) if session.lends_events() && !session.queue.is_empty() => {
                session.queue.take(room)
            }
            (None, _) => Vec::new(),
        };
        self.transmit(id, Batch::of(replies, events), of);
        self.disarm(id);
        self.connections.begin_closing(id);
    }

    /// Hands a batch to the shell; its events were waiting for this session, which has them back if they do not arrive.
    fn transmit(&mut self, id: ConnectionId, batch: Batch, of: Option<SessionKey>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.parting.take_if(|parting| parting.is_empty());
        connection.writable = false;
        connection.in_flight_of = of;
        let understood = connection.understood;
        connection.in_flight = batch.events;
        self.outputs.push_back(Output::Transmit { connection: id, batch: batch.bytes, understood });
    }

    /// The client of a session gives it up here: what waits for it is for this connection. With the ack extension it has
    /// all gone out with connects, or never will.
    pub(super) fn part(&mut self, id: ConnectionId, key: SessionKey) {
        let session = self.sessions.get_mut(key).filter(|session| session.ack.is_none());
        let waiting =
            session.filter(|session| !session.queue.is_empty()).map(|session| session.queue.take(usize::MAX));
        if let (Some(waiting), Some(connection)) = (waiting, self.connections.get_mut(id)) {
            let parting = connection.parting.get_or_insert_default();
            for event in waiting {
                self.stats.dropped += parting.push(event, &self.config.limits);
            }
        }
    }

    /// A frame has been written: its events have arrived as far as we can know without the ack extension.
    pub(super) fn written(&mut self, id: ConnectionId) {
        let expires = self.expiry();
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.writable = true;
        let arrived = connection.in_flight.take();
        let all_written = connection.outgoing.is_empty();
        let begins = all_written && std::mem::take(&mut connection.starts_clock);
        // Most have nothing more to write: to look at them again would be half the work of a delivery.
        let mut rests = all_written && connection.close_after.is_none() && connection.parting.is_none();
        let key = connection.session;
        if let Some(session) = key.and_then(|key| self.sessions.get_mut(key)) {
            rests = rests && !session.stirred && session.queue.is_empty();
            if begins {
                session.expires = expires;
            }
        }
        if begins && let Some(key) = key {
            self.arm(key);
        }
        if !rests {
            self.connections.mark_dirty(id);
        }
        if let Some(arrived) = arrived {
            self.receipts(&arrived);
        }
    }

    pub(super) fn receipts(&mut self, arrived: &[QueuedEvent]) {
        self.outputs.extend(arrived.iter().filter_map(QueuedEvent::receipt).map(Output::Receipt));
    }
}

/// Who may hear an event, as far as it has been asked: many sessions have few principals, and most events one receiver.
#[derive(Default)]
struct Decisions {
    first: Option<(Principal, bool)>,
    others: Vec<(Principal, bool)>,
}

impl Decisions {
    /// What has been decided about one, or is now.
    fn of(&mut self, principal: &Principal, decide: impl FnOnce(&Principal) -> bool) -> bool {
        let mut known = self.first.iter().chain(&self.others);
        if let Some((_, allowed)) = known.find(|(known, _)| known == principal) {
            return *allowed;
        }
        let decided = (principal.clone(), decide(principal));
        let allowed = decided.1;
        match &mut self.first {
            None => self.first = Some(decided),
            Some(_) => self.others.push(decided),
        }
        allowed
    }
}

/// Where a session's events go next: the parts of the server that hear of them.
struct Outlet<'a> {
    connections: &'a mut Connections,
    ripe: &'a mut VecDeque<SessionKey>,
    stats: &'a mut Stats,
    limits: &'a Limits,
}

impl Outlet<'_> {
    fn enqueue(&mut self, key: SessionKey, session: &mut Session, event: QueuedEvent) {
        self.stats.delivered += 1;
        self.stats.dropped += session.queue.push(event, self.limits);
        self.stats.fullest_queue = self.stats.fullest_queue.max(session.queue.len());
        self.stir(key, session);
    }

    /// Once for all that comes before the next flush: a fan-out does this for every delivery.
    fn stir(&mut self, key: SessionKey, session: &mut Session) {
        if session.stirred {
            return;
        }
        if let Some(stream) = session.stream.filter(|_| session.ack.is_none()) {
            session.stirred = true;
            self.connections.mark_dirty(stream);
        } else if session.held.is_some() {
            session.stirred = true;
            self.ripe.push_back(key);
        }
    }
}
