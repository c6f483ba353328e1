//! Random sequences of everything that can happen, checked against the model after each step.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Carrier, Input, LocalId, LocalSession, PeerAddress};
use super::driver::publication;
use super::model::Model;
use crate::channel::{ChannelName, ChannelPattern};
use crate::error::BayeuxError;
use crate::ids::{ClientId, ConnectionId};

/// At most so many streams at a time.
const STREAMS: usize = 4;

const CHANNELS: [&str; 5] = ["/a", "/a/b", "/secret/a", "/service/a", "/accepted/a"];

/// What may be wrong with a frame.
const JUNK: [&str; 9] = [
    "",
    "[]",
    "[7,{}]",
    "[[]]",
    "{",
    r#"{"channel":"/a","channel":"/b"}"#,
    r#"{"channel":"/meta/connect","clientId":null}"#,
    r#"[{"channel":"/meta/handshake"},{"channel":"/a","data":1}]"#,
    r#"[7,{"channel":"\/meta\/handshake","version":"1.0","supportedConnectionTypes":["websocket"]},{}]"#,
];

/// One message of a client.
#[derive(Debug, Clone)]
enum Request {
    Handshake {
        ack: bool,
        admin: bool,
    },
    /// Acknowledges what it has seen, or nonsense, or nothing; may ask for an answer at once.
    Connect {
        ack: u8,
        at_once: bool,
    },
    Subscribe(Vec<String>),
    Unsubscribe(String),
    Disconnect,
    Unknown,
}

#[derive(Debug, Clone)]
enum Step {
    Open(usize, u32),
    Cut(usize),
    Stall(usize),
    Unstall(usize),
    /// One frame on a stream, for the n-th newest session.
    Send(usize, usize, Vec<Request>),
    /// A request of its own, of the n-th newest session. What answers it may be lost.
    Exchange(u32, bool, usize, Vec<Request>),
    CutExchange(usize),
    Publish(usize, usize, usize),
    Junk(usize, usize),
    LocalPublish(usize),
    Burst(usize, usize),
    Tell(usize),
    Settle(bool),
    Wait(u64),
    /// Asks the n-th newest session to show that it is there.
    Probe(usize),
    Drain,
}

fn pattern() -> impl Strategy<Value = String> {
    "/a|/a/b|/a/\\*|/a/\\*\\*|/\\*\\*|/secret/\\*|/service/a|/meta/\\*|/private|x"
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        2 => (any::<bool>(), any::<bool>()).prop_map(|(ack, admin)| Request::Handshake { ack, admin }),
        5 => (0..4_u8, any::<bool>()).prop_map(|(ack, at_once)| Request::Connect { ack, at_once }),
        4 => prop::collection::vec(pattern(), 1..3).prop_map(Request::Subscribe),
        1 => pattern().prop_map(Request::Unsubscribe),
        1 => Just(Request::Disconnect),
        1 => Just(Request::Unknown),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (stream, session, channel) = (0..STREAMS, 0..4_usize, 0..CHANNELS.len());
    prop_oneof![
        60 => (stream.clone(), 0..20_u32).prop_map(|(stream, uid)| Step::Open(stream, uid / 16)),
        20 => stream.clone().prop_map(Step::Cut),
        30 => stream.clone().prop_map(Step::Stall),
        40 => stream.clone().prop_map(Step::Unstall),
        200 => (stream.clone(), session.clone(), prop::collection::vec(request(), 1..4))
            .prop_map(|(stream, session, requests)| Step::Send(stream, session, requests)),
        120 => (0..20_u32, any::<bool>(), session.clone(), prop::collection::vec(request(), 1..4))
            .prop_map(|(uid, dies, session, requests)| Step::Exchange(uid / 16, dies, session, requests)),
        20 => (0..4_usize).prop_map(Step::CutExchange),
        100 => (stream.clone(), session.clone(), channel.clone())
            .prop_map(|(stream, session, channel)| Step::Publish(stream, session, channel)),
        20 => (stream, 0..JUNK.len()).prop_map(|(stream, junk)| Step::Junk(stream, junk)),
        80 => channel.clone().prop_map(Step::LocalPublish),
        40 => (channel, 1..9_usize).prop_map(|(channel, count)| Step::Burst(channel, count)),
        30 => session.prop_map(Step::Tell),
        30 => any::<bool>().prop_map(Step::Settle),
        20 => (0..4_usize).prop_map(Step::Probe),
        40 => prop_oneof![0..2_000_u64, 0..40_000_u64].prop_map(Step::Wait),
        1 => Just(Step::Drain),
    ]
}

/// Plays steps: chooses streams and sessions, and writes what clients write.
struct Player {
    model: Model,
    streams: [Option<u64>; STREAMS],
    last: u64,
}

impl Player {
    fn new() -> Self {
        let mut model = Model::new();
        model.server.attach(LocalSession {
            id: LocalId(1),
            accepts: vec![ChannelPattern::parse("/accepted/*").unwrap()],
            subscribes: vec![ChannelPattern::parse("/**").unwrap()],
        });
        Self { model, streams: [None; STREAMS], last: 0 }
    }

    fn client(&self, nth: usize) -> ClientId {
        let nth_newest = self.model.clients.iter().rev().nth(nth);
        nth_newest.copied().unwrap_or(ClientId::from_random(u128::MAX))
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Open(stream, uid) => self.open(stream, uid),
            Step::Cut(stream) => {
                if let Some(id) = self.streams[stream].take() {
                    self.model.cut(id);
                }
            }
            Step::Stall(stream) => self.streams[stream].into_iter().for_each(|id| self.model.stall(id)),
            Step::Unstall(stream) => self.streams[stream].into_iter().for_each(|id| self.model.unstall(id)),
            Step::Send(stream, session, requests) => self.send(stream, session, &requests),
            Step::Exchange(uid, dies, session, requests) => {
                self.last += 1;
                let id = self.last;
                let text = self.requests(id, session, &requests);
                self.model.exchange(id, uid, dies, text.as_bytes());
            }
            Step::CutExchange(nth) => {
                if let Some(id) = self.model.exchanges.iter().copied().nth(nth) {
                    self.model.cut(id);
                }
            }
            Step::Publish(stream, session, channel) => self.publish(stream, session, CHANNELS[channel]),
            Step::Junk(stream, junk) => self.frame(stream, JUNK[junk]),
            Step::LocalPublish(channel) => self.local_publish(CHANNELS[channel]),
            Step::Burst(channel, count) => (0..count).for_each(|_| self.local_publish(CHANNELS[channel])),
            Step::Tell(session) => {
                let (client, number) = (self.client(session), self.model.next_number());
                let publication = publication("/service/told", number);
                self.model.tell(
                    client,
                    number,
                    Input::Tell { client, publication: &publication, receipt: None },
                );
            }
            Step::Settle(accepted) => {
                let verdict = if accepted { Ok(()) } else { Err(BayeuxError::busy("not now")) };
                if let Some(offer) = self.model.offers.pop_front() {
                    self.model.input(Input::Settled { offer, verdict });
                }
            }
            Step::Wait(millis) => self.model.advance(Duration::from_millis(millis)),
            Step::Probe(session) => {
                let client = self.client(session);
                self.model.input(Input::Probe { client });
            }
            Step::Drain => self.model.input(Input::Drain),
        }
    }

    fn open(&mut self, stream: usize, uid: u32) {
        if let Some(id) = self.streams[stream].take() {
            self.model.cut(id);
        }
        self.last += 1;
        self.streams[stream] = Some(self.last);
        let connection = ConnectionId(self.last);
        self.model.input(Input::Opened {
            connection,
            peer: PeerAddress::Unix { uid }.into(),
            carrier: Carrier::Stream,
        });
    }

    fn frame(&mut self, stream: usize, text: &str) {
        if let Some(id) = self.streams[stream] {
            self.model.input(Input::Received { connection: ConnectionId(id), bytes: text.as_bytes() });
        }
    }

    fn local_publish(&mut self, channel: &str) {
        let number = self.model.next_number();
        let publication = publication(channel, number);
        let input = Input::Publish { publication: &publication, receipt: Some(number) };
        self.model.publish(&publication.channel, number, input);
    }

    fn publish(&mut self, stream: usize, session: usize, channel: &str) {
        let Some(id) = self.streams[stream] else { return };
        let (client, number) = (self.client(session), self.model.next_number());
        let request = self.model.request(id, Some(client));
        let text = json!({"channel": channel, "clientId": client.reveal(), "data": number, "id": request})
            .to_string();
        let input = Input::Received { connection: ConnectionId(id), bytes: text.as_bytes() };
        self.model.publish(&ChannelName::parse(channel).unwrap(), number, input);
    }

    fn send(&mut self, stream: usize, session: usize, requests: &[Request]) {
        let Some(id) = self.streams[stream] else { return };
        let text = self.requests(id, session, requests);
        self.frame(stream, &text);
    }

    fn requests(&mut self, id: u64, session: usize, requests: &[Request]) -> String {
        let client = self.client(session);
        // What stands beside a handshake is ignored: it is no request.
        let handshake = requests.iter().find(|request| matches!(request, Request::Handshake { .. }));
        let answered = handshake.map_or(requests, std::slice::from_ref);
        let messages: Vec<Value> = answered.iter().map(|request| self.message(id, client, request)).collect();
        Value::from(messages).to_string()
    }

    fn message(&mut self, connection: u64, client: ClientId, request: &Request) -> Value {
        let channel = match request {
            Request::Handshake { .. } => "handshake",
            Request::Connect { .. } => "connect",
            Request::Subscribe(_) => "subscribe",
            Request::Unsubscribe(_) => "unsubscribe",
            Request::Disconnect => "disconnect",
            Request::Unknown => "unknown",
        };
        let id = self.model.request(connection, Some(client));
        let mut message =
            json!({"channel": format!("/meta/{channel}"), "id": id, "clientId": client.reveal()});
        match request {
            Request::Handshake { ack, admin } => {
                message["version"] = json!("1.0");
                message["supportedConnectionTypes"] = json!(["websocket"]);
                message["ext"] = json!({"ack": ack, "user": if *admin { "admin" } else { "guest" }});
            }
            Request::Connect { ack, at_once } => {
                let batch = self.model.batch(client);
                let seen = [json!(batch), json!(batch.min(1)), json!(999_999), json!("x")];
                message["ext"] = json!({"ack": seen[usize::from(*ack)]});
                if *at_once {
                    message["advice"] = json!({"timeout": 0});
                }
            }
            Request::Subscribe(patterns) => message["subscription"] = json!(patterns),
            Request::Unsubscribe(pattern) => message["subscription"] = json!(pattern),
            Request::Disconnect | Request::Unknown => {}
        }
        message
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// No sequence of inputs panics, breaks a limit, loses or repeats an event, leaves a request without its answer,
    /// or leaves anything behind.
    #[test]
    fn whatever_happens(steps in prop::collection::vec(step(), 1..120)) {
        let mut player = Player::new();
        for step in steps {
            player.play(step);
            player.model.check();
        }
        player.model.finish();
        player.model.check();
    }
}
