//! Drives a server as a shell would: every frame is written at once, unless the test stalls its stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::{
    Carrier, CloseReason, EndReason, Input, LocalSession, Output, Peer, PeerAddress, Principal,
    SecurityPolicy, Server, ServerConfig,
};
use crate::channel::{ChannelName, ChannelPattern};
use crate::error::BayeuxError;
use crate::ids::{ClientId, ConnectionId, IdSource};
use crate::publication::Publication;
use crate::time::Now;

/// Whom `Driver::open` takes for the peer.
pub(in super::super) const UNIX_USER: PeerAddress = PeerAddress::Unix { uid: 1000 };

/// Rules that can be read off the names: `/private` cannot be subscribed to, `/readonly` not published to, and
/// `/secret/…` is received by `admin` alone, who says so in `ext.user`. Uid 0 may publish without a session.
pub(super) struct Rules;

impl SecurityPolicy for Rules {
    fn admit(&self, _peer: &Peer, ext: Option<&RawValue>) -> Result<Principal, BayeuxError> {
        let ext: Value = ext.map_or(Value::Null, |ext| serde_json::from_str(ext.get()).unwrap());
        match ext["user"].as_str() {
            Some("stranger") => Err(BayeuxError::forbidden("", "Not known here")),
            Some(user) => Ok(Principal::new(user)),
            None => Ok(Principal::new("guest")),
        }
    }

    fn admit_unconnected(&self, peer: &Peer) -> Result<Principal, BayeuxError> {
        if peer.address == (PeerAddress::Unix { uid: 0 }) {
            Ok(Principal::new("root"))
        } else {
            Err(BayeuxError::unknown_client())
        }
    }

    fn may_subscribe(&self, _principal: &Principal, pattern: &ChannelPattern) -> bool {
        pattern.to_string() != "/private"
    }

    fn may_publish(&self, _principal: &Principal, channel: &ChannelName) -> bool {
        channel.as_str() != "/readonly"
    }

    fn may_receive(&self, principal: &Principal, channel: &ChannelName) -> bool {
        principal.as_str() == "admin" || channel.segments().next() != Some("secret")
    }
}

#[derive(Default)]
pub(super) struct Counter(u128);

impl IdSource for Counter {
    fn next_client_id(&mut self) -> ClientId {
        self.0 += 1;
        ClientId::from_random(self.0)
    }
}

pub(in super::super) struct Driver {
    pub(in super::super) server: Server,
    pub(in super::super) now: Duration,
    frames: BTreeMap<u64, Vec<Vec<Value>>>,
    stalled: BTreeSet<u64>,
    writing: BTreeSet<u64>,
    /// Everything but frames, in order.
    pub(in super::super) outputs: Vec<Output>,
}

impl Driver {
    pub(in super::super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(in super::super) fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::default();
        change(&mut config);
        Self {
            server: Server::new(config, Box::new(Rules), Box::new(Counter::default())),
            now: Duration::from_secs(1_000),
            frames: BTreeMap::new(),
            stalled: BTreeSet::new(),
            writing: BTreeSet::new(),
            outputs: Vec::new(),
        }
    }

    pub(in super::super) fn attach(&mut self, id: u16, accepts: &[&str], subscribes: &[&str]) {
        let parse = |texts: &[&str]| texts.iter().map(|text| ChannelPattern::parse(text).unwrap()).collect();
        self.server.attach(LocalSession {
            id: super::super::LocalId(id),
            accepts: parse(accepts),
            subscribes: parse(subscribes),
        });
    }

    fn time(&self) -> Now {
        Now { uptime: self.now, wall: Duration::ZERO }
    }

    pub(in super::super) fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.time(), input);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(output) = self.server.poll_output() {
            let Output::Transmit { connection, batch, .. } = output else {
                self.outputs.push(output);
                continue;
            };
            let id = connection.0;
            assert!(self.writing.insert(id), "a second frame before the first was written");
            let messages: Vec<Value> = serde_json::from_slice(&batch).unwrap();
            assert!(!messages.is_empty(), "an empty frame");
            self.frames.entry(id).or_default().push(messages);
            if !self.stalled.contains(&id) {
                self.writing.remove(&id);
                self.server.handle(self.time(), Input::Writable { connection });
            }
        }
    }

    pub(in super::super) fn open(&mut self, id: u64) {
        self.open_as(id, UNIX_USER);
    }

    pub(in super::super) fn open_as(&mut self, id: u64, peer: PeerAddress) {
        self.input(Input::Opened {
            connection: ConnectionId(id),
            peer: peer.into(),
            carrier: Carrier::Stream,
        });
    }

    /// A client that polls makes a request. Its response, if there is one already, is in `take`.
    pub(in super::super) fn request(&mut self, id: u64, message: &Value) {
        self.request_as(id, UNIX_USER, message);
    }

    pub(in super::super) fn request_as(&mut self, id: u64, peer: PeerAddress, message: &Value) {
        let (connection, carrier) = (ConnectionId(id), Carrier::Exchange);
        self.input(Input::Opened { connection, peer: peer.into(), carrier });
        self.send(id, message);
    }

    /// A request whose response comes at once and reaches its client.
    #[track_caller]
    pub(in super::super) fn poll(&mut self, id: u64, message: &Value) -> Vec<Value> {
        self.request(id, message);
        let mut frames = self.take_frames(id);
        assert_eq!(frames.len(), 1, "one response: {frames:?}");
        self.cut(id);
        frames.remove(0)
    }

    pub(in super::super) fn cut(&mut self, id: u64) {
        self.stalled.remove(&id);
        self.writing.remove(&id);
        self.input(Input::Closed { connection: ConnectionId(id) });
    }

    /// From now on nothing given to this stream is written.
    pub(in super::super) fn stall(&mut self, id: u64) {
        self.stalled.insert(id);
    }

    /// Writes the one frame that a stalled stream was given; the next one stalls again.
    pub(in super::super) fn write_one(&mut self, id: u64) {
        assert!(self.writing.remove(&id), "nothing was given to c{id}");
        self.input(Input::Writable { connection: ConnectionId(id) });
    }

    /// Writes what has stalled, and again at once what comes.
    pub(in super::super) fn unstall(&mut self, id: u64) {
        self.stalled.remove(&id);
        if self.writing.remove(&id) {
            self.input(Input::Writable { connection: ConnectionId(id) });
        }
    }

    /// Sends a frame as it stands.
    pub(in super::super) fn send_text(&mut self, id: u64, text: impl AsRef<[u8]>) {
        self.input(Input::Received { connection: ConnectionId(id), bytes: text.as_ref() });
    }

    pub(in super::super) fn send(&mut self, id: u64, message: &Value) {
        self.send_text(id, message.to_string());
    }

    /// Sends a frame, and takes all that has come back on the stream since it was last looked at.
    pub(in super::super) fn ask(&mut self, id: u64, message: &Value) -> Vec<Value> {
        self.send(id, message);
        self.take(id)
    }

    /// As `ask`, for what has one answer.
    #[track_caller]
    pub(in super::super) fn ask_one(&mut self, id: u64, message: &Value) -> Value {
        let mut answers = self.ask(id, message);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// What has come on a stream since it was last looked at.
    pub(in super::super) fn take(&mut self, id: u64) -> Vec<Value> {
        self.take_frames(id).into_iter().flatten().collect()
    }

    pub(in super::super) fn take_frames(&mut self, id: u64) -> Vec<Vec<Value>> {
        self.frames.remove(&id).unwrap_or_default()
    }

    /// Lets time pass, stopping at every deadline.
    pub(in super::super) fn advance(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        while let Some(at) = self.server.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.time());
            self.pump();
        }
        self.now = until;
    }

    /// Opens a stream and begins a session on it. Gives its clientId.
    pub(in super::super) fn begin(&mut self, id: u64, ext: &Value) -> String {
        self.open(id);
        self.handshake(id, ext)
    }

    pub(in super::super) fn handshake(&mut self, id: u64, ext: &Value) -> String {
        let handshake = json!({"channel": "/meta/handshake", "version": "1.0",
            "supportedConnectionTypes": ["long-polling", "websocket"], "ext": ext});
        let reply = self.ask_one(id, &handshake);
        super::assert_success(&reply);
        reply["clientId"].as_str().unwrap().to_owned()
    }

    /// A session that has connected once and has its subscription.
    pub(in super::super) fn ready(&mut self, id: u64, ext: &Value, subscription: &Value) -> String {
        let client = self.begin(id, ext);
        super::assert_success(&self.ask_one(id, &super::connect(&client)));
        super::assert_success(&self.ask_one(id, &super::subscribe(&client, subscription)));
        client
    }

    /// A local session publishes a number.
    pub(in super::super) fn publish(&mut self, channel: &str, number: u64) {
        self.input(Input::Publish { publication: &publication(channel, number), receipt: Some(number) });
    }

    /// A local session publishes numbers, all handled before anything is polled.
    pub(in super::super) fn publish_burst(&mut self, channel: &str, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let publication = publication(channel, number);
            self.server
                .handle(self.time(), Input::Publish { publication: &publication, receipt: Some(number) });
        }
        self.pump();
    }

    pub(in super::super) fn tell(&mut self, client: &str, channel: &str, number: u64) {
        let client = ClientId::parse(client).unwrap();
        self.input(Input::Tell { client, publication: &publication(channel, number), receipt: Some(number) });
    }

    /// Receipts so far, taken out.
    pub(in super::super) fn receipts(&mut self) -> Vec<u64> {
        let of = |output: &Output| if let Output::Receipt(number) = output { Some(*number) } else { None };
        let receipts = self.outputs.iter().filter_map(of).collect();
        self.outputs.retain(|output| of(output).is_none());
        receipts
    }

    /// Closes so far, taken out. What was told to close is not cut by itself.
    pub(in super::super) fn closes(&mut self) -> Vec<(u64, CloseReason)> {
        let of = |output: &Output| match output {
            Output::Close { connection, reason } => Some((connection.0, *reason)),
            _ => None,
        };
        let closes = self.outputs.iter().filter_map(of).collect();
        self.outputs.retain(|output| of(output).is_none());
        closes
    }

    /// Sessions that have ended so far, taken out.
    pub(in super::super) fn ended(&mut self) -> Vec<(String, EndReason)> {
        let of = |output: &Output| match output {
            Output::SessionEnded { client, reason } => Some((client.reveal(), *reason)),
            _ => None,
        };
        let ended = self.outputs.iter().filter_map(of).collect();
        self.outputs.retain(|output| of(output).is_none());
        ended
    }
}

pub(in super::super) fn publication(channel: &str, number: u64) -> Publication {
    Publication {
        channel: ChannelName::parse(channel).unwrap(),
        id: None,
        data: RawValue::from_string(number.to_string()).unwrap(),
        ext: None,
    }
}

/// The data of all events among the messages, in order.
pub(in super::super) fn data(messages: &[Value]) -> Vec<u64> {
    messages.iter().filter_map(|message| message.get("data")?.as_u64()).collect()
}

pub(in super::super) fn channels(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["channel"].as_str().unwrap()).collect()
}
