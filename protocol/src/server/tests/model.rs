//! A model beside the server: what each session is to hear, and what each request is to be answered. What must hold
//! inside the server after every step is in `invariants`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;

use super::super::probe::Probe;
use super::super::queue::QueuedEvent;
use super::super::session::SessionKey;
use super::super::{Carrier, Input, OfferId, Output, PeerAddress, Server, ServerConfig};
use super::driver::{Counter, Rules};
use crate::channel::ChannelName;
use crate::ids::{ClientId, ConnectionId};
use crate::limits::Limits;
use crate::time::Now;

/// What one session is to hear, and how far it has.
#[derive(Debug, Default)]
struct Trace {
    /// The number of every event for it, in order.
    expected: Vec<u64>,
    /// How many of them it has been given or told that they are missing.
    heard: usize,
    ack: bool,
    /// The last batch that it has received.
    batch: u64,
}

/// One item of what a session hears.
#[derive(Debug, Clone, Copy)]
enum Heard {
    Event(u64),
    Gap(u64),
}

#[derive(Debug)]
struct Request {
    connection: u64,
    session: Option<SessionKey>,
    replies: u32,
}

pub(super) struct Model {
    pub(super) server: Server,
    pub(super) now: Duration,
    /// All that ever were, the last one newest.
    pub(super) clients: Vec<ClientId>,
    pub(super) offers: VecDeque<OfferId>,
    traces: BTreeMap<SessionKey, Trace>,
    requests: BTreeMap<u64, Request>,
    stalled: BTreeSet<u64>,
    /// Requests of clients that poll, without a response yet.
    pub(super) exchanges: BTreeSet<u64>,
    /// The reply part of a frame that is being written.
    writing: BTreeMap<u64, Vec<Value>>,
    /// Cut, or told to close: what it asked may stay unanswered.
    pub(super) over: BTreeSet<u64>,
    last_number: u64,
    last_request: u64,
}

impl Model {
    pub(super) fn new() -> Self {
        let limits = Limits {
            batch_bytes: 1_500,
            sessions: 3,
            sessions_per_peer: 2,
            unbound_connections: 3,
            subscriptions_per_session: 3,
            queued_messages: 4,
            queued_bytes: 120,
            reply_bytes: 3_000,
            pending_offers: 2,
            ..Limits::default()
        };
        let config = ServerConfig { limits, ..ServerConfig::default() };
        Self {
            server: Server::new(config, Box::new(Rules), Box::new(Counter::default())),
            now: Duration::ZERO,
            clients: Vec::new(),
            offers: VecDeque::new(),
            traces: BTreeMap::new(),
            requests: BTreeMap::new(),
            stalled: BTreeSet::new(),
            exchanges: BTreeSet::new(),
            writing: BTreeMap::new(),
            over: BTreeSet::new(),
            last_number: 0,
            last_request: 0,
        }
    }

    fn time(&self) -> Now {
        Now { uptime: self.now, wall: Duration::ZERO }
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.time(), input);
        self.pump();
    }

    /// A new request on a connection. Gives its id, which no other has.
    pub(super) fn request(&mut self, connection: u64, client: Option<ClientId>) -> u64 {
        self.last_request += 1;
        let session = client.and_then(|client| self.server.sessions.find(client));
        self.requests.insert(self.last_request, Request { connection, session, replies: 0 });
        self.last_request
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The last batch that a client has received.
    pub(super) fn batch(&self, client: ClientId) -> u64 {
        self.server.sessions.find(client).and_then(|key| self.traces.get(&key)).map_or(0, |trace| trace.batch)
    }

    /// Handles a publish. If it was accepted, all who are subscribed and allowed are to hear it.
    pub(super) fn publish(&mut self, channel: &ChannelName, number: u64, input: Input<'_>) {
        let secret = channel.segments().next() == Some("secret");
        let hears = |key: &SessionKey| {
            let session = self.server.sessions.get(*key).unwrap();
            let allowed = !secret || session.principal.as_str() == "admin";
            allowed && session.subscriptions.iter().any(|pattern| pattern.matches(channel))
        };
        let hearers: Vec<SessionKey> = self.server.sessions.keys().into_iter().filter(hears).collect();
        let before = self.server.stats().delivered;
        self.server.handle(self.time(), input);
        let delivered = self.server.stats().delivered - before;
        assert!(delivered == 0 || delivered == hearers.len() as u64, "{delivered} for {hearers:?}");
        if delivered > 0 {
            self.expect(&hearers, number);
        }
        self.pump();
    }

    pub(super) fn tell(&mut self, client: ClientId, number: u64, input: Input<'_>) {
        let hearer = self.server.sessions.find(client);
        self.server.handle(self.time(), input);
        self.expect(hearer.as_slice(), number);
        self.pump();
    }

    fn expect(&mut self, hearers: &[SessionKey], number: u64) {
        for key in hearers {
            self.traces.get_mut(key).unwrap().expected.push(number);
        }
    }

    pub(super) fn stall(&mut self, id: u64) {
        self.stalled.insert(id);
    }

    pub(super) fn unstall(&mut self, id: u64) {
        self.stalled.remove(&id);
        if self.writing.contains_key(&id) {
            self.written(id);
            self.pump();
        }
    }

    pub(super) fn cut(&mut self, id: u64) {
        self.over.insert(id);
        self.stalled.remove(&id);
        self.writing.remove(&id);
        self.exchanges.remove(&id);
        self.input(Input::Closed { connection: ConnectionId(id) });
    }

    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.server.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.time());
            assert!(
                self.server.next_timeout().is_none_or(|next| next > self.now),
                "a deadline that stays due"
            );
            self.pump();
        }
        self.now = until;
    }

    fn pump(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit { connection, batch, .. } => self.transmit(connection, &batch),
                Output::Close { connection, .. } if self.exchanges.remove(&connection.0) => {
                    self.over.insert(connection.0);
                    self.server.handle(self.time(), Input::Closed { connection });
                }
                Output::Close { connection, .. } => {
                    assert!(self.over.insert(connection.0), "told to close twice");
                }
                Output::Offer { offer, .. } => self.offers.push_back(offer),
                Output::SessionBegun { client, .. } => {
                    let key = self.server.sessions.find(client).unwrap();
                    let ack = self.server.sessions.get(key).unwrap().ack.is_some();
                    self.traces.insert(key, Trace { ack, ..Trace::default() });
                    self.clients.push(client);
                }
                _ => {}
            }
        }
    }

    fn transmit(&mut self, connection: ConnectionId, batch: &[u8]) {
        assert!(batch.len() <= self.server.config.limits.batch_bytes, "{} bytes", batch.len());
        let mut messages: Vec<Value> = serde_json::from_slice(batch).unwrap();
        let events = self
            .server
            .connections
            .get(connection)
            .unwrap()
            .in_flight
            .as_ref()
            .map_or(0, |events| events.len());
        messages.truncate(messages.len() - events);
        let former = self.writing.insert(connection.0, messages);
        assert!(former.is_none(), "a second frame before the first was written");
        if self.exchanges.contains(&connection.0) {
            self.response(connection.0);
        } else if !self.stalled.contains(&connection.0) {
            self.written(connection.0);
        }
    }

    /// A request of a client that polls; its client may be gone by the time it is answered.
    pub(super) fn exchange(&mut self, id: u64, uid: u32, dies: bool, bytes: &[u8]) {
        self.exchanges.insert(id);
        if dies {
            self.over.insert(id);
        }
        let connection = ConnectionId(id);
        let (peer, carrier) = (PeerAddress::Unix { uid }.into(), Carrier::Exchange);
        self.input(Input::Opened { connection, peer, carrier });
        self.input(Input::Received { connection, bytes });
    }

    /// An exchange has its response: it is written and the exchange over, or it is cut and the response lost.
    fn response(&mut self, id: u64) {
        if self.over.insert(id) {
            self.written(id);
        } else {
            self.writing.remove(&id);
        }
        self.exchanges.remove(&id);
        self.server.handle(self.time(), Input::Closed { connection: ConnectionId(id) });
    }

    /// A frame has reached its client: notes what it brings.
    fn written(&mut self, id: u64) {
        let mut carried = Vec::new();
        for message in self.writing.remove(&id).unwrap() {
            match heard(&message) {
                Some(item) => carried.push(item),
                None => self.replied(id, &message, &mut carried),
            }
        }
        assert!(carried.is_empty(), "events without a connect reply behind them");
        let connection = ConnectionId(id);
        if let Some(stream) = self.server.connections.get(connection) {
            let items: Vec<Heard> =
                stream.in_flight.iter().flat_map(|events| events.iter()).filter_map(of_event).collect();
            if let Some(trace) = stream.in_flight_of.and_then(|key| self.traces.get_mut(&key)) {
                trace.walk(trace.heard, &items);
            }
        }
        self.server.handle(self.time(), Input::Writable { connection });
    }

    fn replied(&mut self, connection: u64, reply: &Value, carried: &mut Vec<Heard>) {
        assert!(reply["successful"].is_boolean(), "{reply}");
        let Some(request) = reply["id"].as_u64().and_then(|id| self.requests.get_mut(&id)) else { return };
        request.replies += 1;
        assert_eq!(request.replies, 1, "{reply}");
        // A verdict may find its session elsewhere.
        assert!(request.connection == connection || self.over.contains(&request.connection), "{reply}");
        let Some(batch) = reply["ext"]["ack"].as_u64().filter(|_| reply["channel"] == "/meta/connect") else {
            return;
        };
        let trace = self.traces.get_mut(&request.session.unwrap()).unwrap();
        trace.batch = trace.batch.max(batch);
        trace.batch_came(&std::mem::take(carried));
    }

    /// Everything is written, settled and waited for: then everything has been answered and heard.
    pub(super) fn finish(&mut self) {
        let over = self.over.clone();
        for id in self.stalled.clone() {
            self.unstall(id);
        }
        while let Some(offer) = self.offers.pop_front() {
            self.input(Input::Settled { offer, verdict: Ok(()) });
        }
        for (key, trace) in &self.traces {
            let Some(session) = self.server.sessions.get(*key) else { continue };
            let open = session.stream.is_some_and(|id| !over.contains(&id.0));
            // What waits for an answer to a probe waits on.
            if open && !trace.ack && session.probe == Probe::Idle {
                assert_eq!(trace.heard, trace.expected.len(), "{trace:?}");
            }
        }
        self.advance(Duration::from_secs(60));
        for (id, request) in self.requests.iter().filter(|(_, request)| !over.contains(&request.connection)) {
            assert_eq!(request.replies, 1, "request {id}: {request:?}");
        }
        assert_eq!(self.server.stats().sessions, 0, "all have expired");
        assert_eq!(
            format!("{:?}", self.server.subscriptions),
            format!("{:?}", super::super::SubscriptionIndex::default())
        );
        assert_eq!(self.server.next_timeout(), None);
    }
}

impl Trace {
    /// What was heard is what was to be heard from there on: in order, nothing twice, gaps counted exactly.
    fn walk(&mut self, from: usize, items: &[Heard]) {
        let mut at = from;
        for item in items {
            match item {
                Heard::Event(number) => {
                    assert_eq!(self.expected.get(at), Some(number), "{items:?} at {at} of {self:?}");
                    at += 1;
                }
                Heard::Gap(missed) => at += usize::try_from(*missed).unwrap(),
            }
        }
        self.heard = self.heard.max(at);
    }

    /// A batch repeats what was not acknowledged, and skips nothing that was not heard.
    fn batch_came(&mut self, items: &[Heard]) {
        let index = |number: u64| self.expected.iter().position(|expected| *expected == number).unwrap();
        let start = match items {
            [] => return,
            [Heard::Event(number), ..] => index(*number),
            [Heard::Gap(missed), Heard::Event(number), ..] => {
                index(*number) - usize::try_from(*missed).unwrap()
            }
            _ => panic!("gaps without an event behind: {items:?}"),
        };
        assert!(start <= self.heard, "{items:?} skips events of {self:?}");
        self.walk(start, items);
    }
}

fn of_event(event: &QueuedEvent) -> Option<Heard> {
    heard(&serde_json::from_str(event.json()).unwrap())
}

/// An event or a gap; none for a reply.
fn heard(message: &Value) -> Option<Heard> {
    if message.get("successful").is_some() {
        return None;
    }
    assert_eq!(message.get("id"), None, "{message}");
    assert_eq!(message.get("clientId"), None, "{message}");
    match message["channel"].as_str() {
        Some("/service/gap") => Some(Heard::Gap(message["data"]["dropped"].as_u64().unwrap())),
        _ => Some(Heard::Event(message["data"].as_u64().unwrap())),
    }
}
