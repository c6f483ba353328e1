//! From queues to frames: what is written to a stream, and what becomes of it.

use std::sync::Arc;

use super::io::Output;
use super::queue::QueuedEvent;
use super::session::SessionKey;
use super::{ConnectionId, Now, Server};
use crate::channel::ChannelKind;
use crate::ext::raw;
use crate::ids::{ClientId, MessageId};
use crate::publication::Publication;
use crate::server::reply::Reply;

impl Server {
    /// Publishes to every remote session that has subscribed and may receive. Encoded once, shared by all.
    /// What is on a service channel is for the server alone, also where `/**` would match it.
    pub(super) fn deliver(
        &mut self,
        now: Now,
        publication: &Publication,
        encode: fn(&Publication) -> Arc<str>,
        receipt: Option<u64>,
    ) {
        if publication.channel.kind() != ChannelKind::Broadcast {
            return;
        }
        let subscribers = self.subscriptions.subscribers(&publication.channel);
        if subscribers.is_empty() {
            return;
        }
        let event = QueuedEvent::new(encode(publication), receipt);
        for key in subscribers {
            let Some(session) = self.sessions.get(key) else { continue };
            if self.policy.may_receive(&session.principal, &publication.channel) {
                self.enqueue(now, key, event.clone());
            }
        }
    }

    pub(super) fn tell(
        &mut self,
        now: Now,
        client: ClientId,
        publication: &Publication,
        receipt: Option<u64>,
    ) {
        if let Some(key) = self.sessions.find(client) {
            self.enqueue(now, key, QueuedEvent::new(publication.encode(), receipt));
        }
    }

    fn enqueue(&mut self, now: Now, key: SessionKey, event: QueuedEvent) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        self.stats.delivered += 1;
        self.stats.dropped += session.queue.push(event, &self.config.limits);
        if !session.pushes_events() {
            self.answer_held(now, key);
        } else if let Some(connection) = session.connection {
            self.connections.mark_dirty(connection);
        }
    }

    /// Answers a held connect; nothing if none is held.
    pub(super) fn answer_held(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (Some(held), Some(connection)) = (session.held.take(), session.connection) else { return };
        self.answer_connect(now, key, connection, held.id.as_ref());
    }

    /// Writes a connect reply, with the events that it carries if the session acknowledges, and starts the clock
    /// for the client's next one.
    pub(super) fn answer_connect(
        &mut self,
        now: Now,
        key: SessionKey,
        connection: ConnectionId,
        id: Option<&MessageId>,
    ) {
        let expires = self.expiry(now);
        let limits = &self.config.limits;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.expires = expires;
        let first = !std::mem::replace(&mut session.connected, true);
        let mut reply = Reply::success("/meta/connect", id);
        if first {
            reply = reply.with_advice(self.config.advice);
        }
        let mut events = Vec::new();
        if let Some(ack) = session.ack.as_mut() {
            let room = ack.room(limits);
            let new = if room > 0 { session.queue.take(room) } else { Vec::new() };
            let (batch, unseen) = ack.close(new);
            reply.ext = Some(raw(&format!(r#"{{"ack":{batch}}}"#)));
            events = unseen;
        }
        if let Some(stream) = self.connections.get_mut(connection) {
            for event in events {
                stream.push(event.json.to_string());
            }
        }
        self.reply(connection, &reply);
        self.arm(key);
    }

    /// Makes one frame of what waits for a stream, no larger than what we would take ourselves (unless a single
    /// message is). The rest follows when it is written.
    pub(super) fn flush(&mut self, id: ConnectionId) {
        let Some(stream) = self.connections.get_mut(id) else { return };
        if !stream.writable || stream.closing {
            return;
        }
        // Each message comes with a comma or the opening bracket.
        let frame = self.config.limits.batch_bytes.saturating_sub(1);
        let replies = stream.take_outgoing(frame);
        let room = frame.saturating_sub(replies.iter().map(|reply| reply.len() + 1).sum());
        let session = stream.session.and_then(|key| self.sessions.get_mut(key));
        let events = match session {
            Some(session) if session.pushes_events() && !session.queue.is_empty() => {
                let fits = replies.is_empty() || session.queue.next_size() <= room;
                if fits { session.queue.take(room) } else { Vec::new() }
            }
            _ => Vec::new(),
        };
        if replies.is_empty() && events.is_empty() {
            return;
        }
        let texts = replies.iter().map(String::as_str).chain(events.iter().map(|event| &*event.json));
        let batch = join(texts);
        stream.writable = false;
        stream.in_flight = events;
        stream.in_flight_of = stream.session;
        self.outputs.push_back(Output::Transmit { connection: id, batch: batch.into(), understood: true });
    }

    /// A frame has been written: its events have arrived as far as we can know without the ack extension.
    pub(super) fn written(&mut self, id: ConnectionId) {
        let Some(stream) = self.connections.get_mut(id) else { return };
        stream.writable = true;
        let arrived = std::mem::take(&mut stream.in_flight);
        self.connections.mark_dirty(id);
        self.receipts(&arrived);
    }

    pub(super) fn receipts(&mut self, arrived: &[QueuedEvent]) {
        self.outputs.extend(arrived.iter().filter_map(|event| event.receipt).map(Output::Receipt));
    }
}

/// A JSON array of texts that are JSON.
fn join<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> String {
    let size: usize = texts.clone().map(|text| text.len() + 1).sum();
    let mut batch = String::with_capacity(size + 1);
    for text in texts {
        batch.push(if batch.is_empty() { '[' } else { ',' });
        batch.push_str(text);
    }
    batch.push(']');
    batch
}
