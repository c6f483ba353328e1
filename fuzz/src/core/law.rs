//! What must hold of all that comes out of the core.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cloud_channel_protocol::server::{Carrier, LocalId, OfferId, Output, Stats};
use cloud_channel_protocol::{ChannelPattern, ClientId, Limits, Publication};
use serde_json::Value;

/// The local session that is asked about `/accepted/…` and hears everything else.
pub(super) const LOCAL: LocalId = LocalId(1);
/// Ids of requests begin here, so that nothing in a script's raw bytes is taken for one.
pub(super) const FIRST_REQUEST: u64 = 1_000_000_000;

/// A connection as the shell knows it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) carrier: Carrier,
    /// A frame was given and is not written yet.
    pub(super) writing: bool,
    /// How many frames it was given in all.
    frames: u32,
    /// The core wants it closed.
    told_to_close: bool,
    /// How many frames came from it.
    pub(super) received: u32,
    /// The number of the last event.
    heard: u64,
}

impl Connection {
    pub(super) const fn new(carrier: Carrier) -> Self {
        Self { carrier, writing: false, frames: 0, told_to_close: false, received: 0, heard: 0 }
    }

    /// An exchange is one request.
    pub(super) const fn may_send(&self) -> bool {
        matches!(self.carrier, Carrier::Stream) || self.received == 0
    }

    /// True until the core has done with it.
    const fn is_open(&self) -> bool {
        !self.told_to_close && (matches!(self.carrier, Carrier::Stream) || self.frames == 0)
    }

    /// True for a request that still has no response.
    pub(super) fn waits(&self) -> bool {
        self.carrier == Carrier::Exchange && self.received > 0 && self.frames == 0 && !self.told_to_close
    }
}

/// One subscription that wants what is retained.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) client: ClientId,
    pub(super) pattern: ChannelPattern,
}

/// What has come out so far, as far as it decides what may come.
pub(super) struct Law {
    pub(super) limits: Limits,
    pub(super) connections: BTreeMap<u64, Connection>,
    /// Gone since the outputs were last looked at: the core may have written to them before it knew.
    pub(super) just_gone: BTreeSet<u64>,
    /// All that ever were, the last one newest.
    pub(super) clients: Vec<ClientId>,
    pub(super) alive: BTreeSet<ClientId>,
    /// What waits for a verdict, and the replays that it grants.
    pub(super) offers: VecDeque<(OfferId, Vec<Replay>)>,
    /// Where each request came from that has no reply yet.
    requests: BTreeMap<u64, u64>,
    /// Some event may come again or late, by right: then numbers need not rise.
    pub(super) unordered: bool,
    /// Where each session began.
    begun_at: BTreeMap<ClientId, u64>,
    /// The highest batch that any client was told.
    pub(super) batch: u64,
    last_offer: Option<OfferId>,
    stats: Stats,
}

impl Law {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            connections: BTreeMap::new(),
            just_gone: BTreeSet::new(),
            clients: Vec::new(),
            alive: BTreeSet::new(),
            offers: VecDeque::new(),
            requests: BTreeMap::new(),
            unordered: false,
            begun_at: BTreeMap::new(),
            batch: 0,
            last_offer: None,
            stats: Stats::default(),
        }
    }

    /// Judges one output. Gives the connection of a frame that is to be written.
    pub(super) fn judge(&mut self, output: Output) -> Option<u64> {
        match output {
            Output::Transmit { connection, batch, .. } => return self.transmit(connection.0, &batch),
            Output::Close { connection, .. } => {
                if let Some(found) = self.connections.get_mut(&connection.0) {
                    assert!(!found.told_to_close, "{connection} was told to close twice");
                    found.told_to_close = true;
                } else {
                    assert!(self.just_gone.contains(&connection.0), "{connection} is closed already");
                }
            }
            Output::Offer { offer, to, publication, .. } => {
                assert!(to == LOCAL && is_accepted(&publication), "{publication:?}");
                self.offered(offer, Vec::new());
            }
            Output::Replay { offer, client, wanted } => {
                assert!(!wanted.is_empty() && self.clients.contains(&client), "{client}: {wanted:?}");
                self.unordered = true;
                self.offered(
                    offer,
                    wanted.into_iter().map(|(pattern, _)| Replay { client, pattern }).collect(),
                );
            }
            Output::Deliver { to, .. } => assert_eq!(to, LOCAL),
            Output::Receipt(receipt) => assert!(receipt < FIRST_REQUEST),
            Output::Subscribed { client, added, .. } => {
                assert!(!added.is_empty() && self.clients.contains(&client), "{client}: {added:?}");
            }
            Output::Proven { client } => assert!(self.alive.contains(&client), "{client} is no more"),
            Output::SessionBegun { client, connection, .. } => {
                self.begun_at.insert(client, connection.0);
                assert!(!self.clients.contains(&client), "{client} began twice");
                self.clients.push(client);
                self.alive.insert(client);
            }
            Output::SessionEnded { client, .. } => {
                assert!(self.alive.remove(&client), "{client} has ended before");
            }
        }
        None
    }

    fn offered(&mut self, offer: OfferId, replays: Vec<Replay>) {
        assert!(self.last_offer < Some(offer), "{offer:?} after {:?}", self.last_offer);
        self.last_offer = Some(offer);
        self.offers.push_back((offer, replays));
        assert!(self.offers.len() <= self.limits.pending_offers, "{} offers", self.offers.len());
    }

    fn transmit(&mut self, id: u64, batch: &[u8]) -> Option<u64> {
        let messages: Vec<Value> = serde_json::from_slice(batch).expect("a frame is a JSON array");
        self.size(id, batch.len(), messages.len());
        messages.iter().for_each(|message| self.message(id, message));
        let Some(connection) = self.connections.get_mut(&id) else {
            assert!(self.just_gone.contains(&id), "a frame for c{id}, which is closed");
            return None;
        };
        assert!(!connection.told_to_close, "a frame for c{id} after it was told to close");
        assert!(!connection.writing, "a second frame for c{id} before the first was written");
        connection.frames += 1;
        connection.writing = true;
        match connection.carrier {
            Carrier::Stream => assert!(!messages.is_empty(), "an empty frame"),
            Carrier::Exchange => {
                assert!(connection.received > 0, "an answer to no request");
                assert_eq!(connection.frames, 1, "a second answer to c{id}");
            }
        }
        Some(id)
    }

    /// A frame is no larger than what the server would take itself, unless a single message is. An exchange has all
    /// its replies in one, and events in what room is left.
    fn size(&self, id: u64, bytes: usize, messages: usize) {
        let one_response =
            self.connections.get(&id).is_some_and(|connection| connection.carrier == Carrier::Exchange);
        let most = match messages {
            _ if one_response => self.limits.reply_bytes + self.limits.batch_bytes,
            1 => self.limits.message_bytes + 500,
            _ => self.limits.batch_bytes,
        };
        assert!(bytes <= most, "{messages} messages of {bytes} bytes in one frame for c{id}, at most {most}");
    }

    /// A reply says how it went; anything else is an event.
    fn message(&mut self, connection: u64, message: &Value) {
        assert!(message["channel"].is_string(), "{message}");
        match message.get("successful") {
            Some(Value::Bool(true)) => assert!(message.get("error").is_none(), "{message}"),
            Some(Value::Bool(false)) => {
                let error = message["error"].as_str().unwrap_or_default();
                let parts: Vec<&str> = error.splitn(3, ':').collect();
                assert!(parts.len() == 3 && parts[0].len() == 3 && !parts[2].is_empty(), "{message}");
            }
            Some(_) => panic!("neither true nor false: {message}"),
            None => return self.event(connection, message),
        }
        self.batch = self.batch.max(message["ext"]["ack"].as_u64().unwrap_or(0));
        let Some(id) = message["id"].as_u64().filter(|id| *id >= FIRST_REQUEST) else { return };
        let asked = self.requests.remove(&id).unwrap_or_else(|| panic!("a second reply: {message}"));
        // A verdict finds its session wherever that is by then.
        let moved = !self.connections.get(&asked).is_some_and(Connection::is_open);
        assert!(asked == connection || moved, "a reply to c{asked} on c{connection}: {message}");
    }

    /// An event carries nobody's id, and what is published later is heard later.
    fn event(&mut self, connection: u64, message: &Value) {
        assert!(message.get("clientId").is_none() && message.get("id").is_none(), "{message}");
        let data = message.get("data").unwrap_or_else(|| panic!("an event without data: {message}"));
        let (Some(number), false) = (data[0].as_u64(), self.unordered) else { return };
        let Some(connection) = self.connections.get_mut(&connection) else { return };
        assert!(connection.heard < number, "{number} after {}", connection.heard);
        connection.heard = number;
    }

    /// Notes that a request goes out.
    pub(super) fn asks(&mut self, connection: u64, id: Option<u64>, client: Option<ClientId>) {
        self.requests.extend(id.map(|id| (id, connection)));
        let elsewhere = |client| self.begun_at.get(&client) != Some(&connection);
        self.unordered |= client.is_some_and(elsewhere);
    }

    /// Counters count up, and say what is there.
    pub(super) fn compare(&mut self, stats: Stats) {
        let (sessions, limits) = (self.alive.len(), &self.limits);
        assert_eq!(stats.sessions, sessions);
        assert!(sessions <= limits.sessions && stats.streaming_sessions <= sessions);
        assert_eq!(stats.streams + stats.exchanges, self.connections.len());
        assert_eq!(stats.pending_offers, self.offers.len());
        assert!(stats.held_connects <= sessions, "{stats:?}");
        assert!(stats.queued_messages <= sessions * limits.queued_messages, "{stats:?}");
        assert!(stats.queued_bytes <= sessions * limits.queued_bytes, "{stats:?}");
        let before = std::mem::replace(&mut self.stats, stats);
        assert!(before.refused.total() <= stats.refused.total(), "{stats:?}");
        assert!(before.received <= stats.received && before.delivered <= stats.delivered, "{stats:?}");
        assert!(before.dropped <= stats.dropped && stats.dropped <= stats.delivered, "{stats:?}");
    }
}

fn is_accepted(publication: &Publication) -> bool {
    publication.channel.as_str().starts_with("/accepted/")
}
