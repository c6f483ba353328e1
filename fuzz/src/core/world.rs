//! A shell without sockets, which plays a script to a server.

use std::collections::VecDeque;
use std::time::Duration;

use cloud_channel_protocol::server::extensions::{Activity, Timestamp, Timesync};
use cloud_channel_protocol::server::{Carrier, Input, LocalSession, PeerAddress, Server, ServerConfig};
use cloud_channel_protocol::{
    BayeuxError, ChannelName, ChannelPattern, ClientId, ConnectionId, Limits, Now, Publication,
};
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::law::{Connection, FIRST_REQUEST, LOCAL, Law, Replay};
use super::message::{Message, Spoilt, channel, data};
use super::script::Script;
use super::shell::{Counter, Rules};

/// So many connections at a time; then the oldest makes room.
const MOST_CONNECTIONS: usize = 8;

pub(super) struct World {
    server: Server,
    law: Law,
    now: Duration,
    last_connection: u64,
    last_request: u64,
    last_number: u64,
    /// Granted, and not caught up.
    replays: VecDeque<Replay>,
    readers_stall: bool,
    neglect: u8,
    spoilt: Option<Spoilt>,
    /// Messages that wait for their frame, and for how many more it waits.
    frame: (Vec<(Value, Option<ClientId>)>, u8),
}

impl World {
    pub(super) fn new() -> Self {
        let limits = Limits {
            message_bytes: 1_000,
            batch_bytes: 2_000,
            batch_messages: 20,
            sessions: 4,
            unbound_connections: 4,
            subscriptions_per_session: 3,
            queued_messages: 5,
            queued_bytes: 800,
            reply_bytes: 4_000,
            pending_offers: 3,
            ..Limits::default()
        };
        let config = ServerConfig { limits: limits.clone(), replay: true, ..ServerConfig::default() };
        let mut server = Server::new(config, Box::new(Rules), Box::<Counter>::default());
        server.extend(Box::new(Timesync));
        server.extend(Box::new(Timestamp));
        server.extend(Box::new(Activity::new(Duration::from_secs(40))));
        let patterns = |text| vec![ChannelPattern::parse(text).expect("it is written here")];
        server.attach(LocalSession {
            id: LOCAL,
            accepts: patterns("/accepted/*"),
            subscribes: patterns("/**"),
        });
        Self {
            server,
            law: Law::new(limits),
            now: Duration::ZERO,
            last_connection: 0,
            last_request: FIRST_REQUEST,
            last_number: 0,
            replays: VecDeque::new(),
            readers_stall: false,
            neglect: 0,
            spoilt: None,
            frame: (Vec::new(), 0),
        }
    }

    pub(super) fn play(&mut self, letter: u8, script: &mut Script<'_>) {
        match letter {
            b'o' => drop(self.open(Carrier::Stream, script.digit())),
            b'x' => drop(self.open(Carrier::Exchange, script.digit())),
            b'c' => self.at(script.digit()).into_iter().for_each(|id| self.close(id)),
            b'w' => self.at(script.digit()).into_iter().for_each(|id| self.written(id)),
            b's' => self.readers_stall = true,
            b'u' => self.readers_stall = false,
            b'z' => self.pass(Duration::from_millis(10 << script.digit())),
            b'g' => self.neglect = script.digit(),
            b'v' => self.settle(script.digit() & 1 == 0),
            b'l' => self.publish(script.digit(), script.digit(), script.digit()),
            b'f' => self.feed(script.digit(), script.digit()),
            b't' => self.tell(script.digit()),
            b'n' => {
                let client = self.client(script.digit()).unwrap_or(ClientId::from_random(u128::MAX));
                self.handle(Input::Probe { client });
            }
            b'y' if script.digit() == 9 => self.handle(Input::Drain),
            b'j' => self.whole_session(script),
            b'm' => self.frame.1 = script.digit(),
            b'e' => self.spoilt = Some(Spoilt::read(script)),
            b'r' => {
                let to = script.digit();
                let bytes = self.fill_in(script.line());
                self.receive(to, &bytes);
            }
            b'h' | b'k' | b'a' | b'b' | b'd' | b'q' | b'p' | b'i' => self.message(letter, script),
            // Whatever else there is, a space above all, may stand between.
            _ => {}
        }
        self.neglect = self.neglect.saturating_sub(1);
        if self.neglect == 0 {
            self.look();
        }
    }

    /// The letters that are messages.
    fn message(&mut self, letter: u8, script: &mut Script<'_>) {
        let to = script.digit();
        if letter == b'h' {
            return self.send(to, None, Message::Handshake { features: script.digit() });
        }
        let client = self.client(script.digit());
        let message = match letter {
            b'k' => Message::Connect { features: script.digit(), heard: self.law.batch },
            b'a' => Message::Replay { pattern: script.digit() },
            b'b' => Message::Subscribe { pattern: script.digit() },
            b'd' => Message::Unsubscribe { pattern: script.digit() },
            b'q' => Message::Disconnect,
            b'p' => {
                self.last_number += 1;
                let number = self.last_number;
                Message::Publish { channel: script.digit(), number, length: script.digit() }
            }
            _ => Message::Unknown,
        };
        self.send(to, client, message);
    }

    /// Lets all that is due be written, settled and waited for. Then nothing may be left.
    pub(super) fn finish(&mut self) {
        self.readers_stall = false;
        self.look();
        while !self.law.offers.is_empty() {
            self.settle(true);
            self.look();
        }
        for id in self.connections() {
            self.written(id);
            self.look();
        }
        self.pass(Duration::from_secs(300));
        for (id, connection) in &self.law.connections {
            assert!(!connection.waits(), "exchange {id} was never answered: {connection:?}");
        }
        self.connections().into_iter().for_each(|id| self.close(id));
        self.look();
        self.pass(Duration::from_secs(300));
        assert!(self.law.alive.is_empty(), "sessions that never expire: {:?}", self.law.alive);
        assert_eq!(self.server.next_timeout(), None, "a deadline for nothing");
    }

    fn connections(&self) -> Vec<u64> {
        self.law.connections.keys().copied().collect()
    }

    fn time(&self) -> Now {
        Now { uptime: self.now, wall: Duration::ZERO }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.server.handle(self.time(), input);
    }

    fn at(&self, nth: u8) -> Option<u64> {
        let count = self.law.connections.len().max(1);
        self.law.connections.keys().nth(usize::from(nth) % count).copied()
    }

    fn client(&self, nth: u8) -> Option<ClientId> {
        self.law.clients.iter().rev().nth(usize::from(nth)).copied()
    }

    fn open(&mut self, carrier: Carrier, uid: u8) -> u64 {
        if self.law.connections.len() >= MOST_CONNECTIONS {
            self.at(0).into_iter().for_each(|id| self.close(id));
        }
        self.last_connection += 1;
        let id = self.last_connection;
        self.law.connections.insert(id, Connection::new(carrier));
        let peer = PeerAddress::Unix { uid: u32::from(uid % 2) }.into();
        self.handle(Input::Opened { connection: ConnectionId(id), peer, carrier });
        id
    }

    fn close(&mut self, id: u64) {
        self.law.connections.remove(&id);
        self.law.just_gone.insert(id);
        self.handle(Input::Closed { connection: ConnectionId(id) });
    }

    fn written(&mut self, id: u64) {
        let Some(connection) = self.law.connections.get_mut(&id) else { return };
        if std::mem::take(&mut connection.writing) {
            self.handle(Input::Writable { connection: ConnectionId(id) });
        }
    }

    /// Sends a message alone, or puts it with those that wait for their frame.
    fn send(&mut self, to: u8, client: Option<ClientId>, message: Message) {
        self.law.unordered |= matches!(message, Message::Handshake { features } if features & 1 != 0);
        self.last_request += 1;
        let mut json = message.json(client, self.last_request);
        if let Some(spoilt) = self.spoilt.take() {
            spoilt.spoil(&mut json);
            self.law.unordered = true;
        }
        self.frame.0.push((json.into(), client));
        self.frame.1 = self.frame.1.saturating_sub(1);
        if self.frame.1 == 0 {
            self.send_frame(to);
        } else {
            // What is published before the frame goes is numbered higher.
            self.law.unordered = true;
        }
    }

    fn send_frame(&mut self, to: u8) {
        let frame = std::mem::take(&mut self.frame.0);
        let connection = self.at(to);
        let messages = frame.into_iter().map(|(message, client)| {
            if let Some(connection) = connection {
                self.law.asks(connection, message["id"].as_u64(), client);
            }
            message
        });
        let text = messages.collect::<Value>().to_string();
        self.receive(to, text.as_bytes());
    }

    fn receive(&mut self, to: u8, bytes: &[u8]) {
        let Some(id) = self.at(to) else { return };
        let Some(connection) = self.law.connections.get_mut(&id).filter(|found| found.may_send()) else {
            return;
        };
        connection.received += 1;
        self.handle(Input::Received { connection: ConnectionId(id), bytes });
    }

    fn fill_in(&mut self, bytes: &[u8]) -> Vec<u8> {
        // What these bytes ask for is not known here.
        self.law.unordered = true;
        let client = self.law.clients.last().map(ClientId::reveal).unwrap_or_default();
        bytes.split(|byte| *byte == b'%').collect::<Vec<_>>().join(client.as_bytes())
    }

    fn whole_session(&mut self, script: &mut Script<'_>) {
        let id = self.open(Carrier::Stream, script.digit());
        let Some(at) = self.connections().iter().position(|other| *other == id) else { return };
        let at = u8::try_from(at).expect("there are few connections");
        self.send(at, None, Message::Handshake { features: script.digit() });
        self.look();
        let client = self.client(0);
        self.send(at, client, Message::Connect { features: 0, heard: 0 });
        self.send(at, client, Message::Subscribe { pattern: script.digit() });
    }

    fn settle(&mut self, accept: bool) {
        let Some((offer, replays)) = self.law.offers.pop_front() else { return };
        let verdict = if accept { Ok(()) } else { Err(BayeuxError::busy("not now")) };
        self.handle(Input::Settled { offer, verdict });
        if accept {
            self.replays.extend(replays);
        }
    }

    /// Hands so many retained events over to the oldest replay, or tells it that there are no more.
    fn feed(&mut self, to: u8, count: u8) {
        let Some(replay) = self.replays.pop_front() else { return };
        let Replay { client, pattern } = &replay;
        for _ in 0..count {
            let publication = self.publication(channel(to), 1);
            let receipt = Some(self.last_number);
            self.handle(Input::Replayed { client: *client, pattern, publication: &publication, receipt });
        }
        if count == 0 {
            self.handle(Input::CaughtUp { client: *client, pattern });
        } else {
            self.replays.push_front(replay);
        }
    }

    fn publish(&mut self, to: u8, count: u8, length: u8) {
        for _ in 0..count {
            let publication = self.publication(channel(to), length);
            self.handle(Input::Publish { publication: &publication, receipt: Some(self.last_number) });
        }
    }

    fn tell(&mut self, nth: u8) {
        let client = self.client(nth).unwrap_or(ClientId::from_random(u128::MAX));
        let publication = self.publication("/service/told", 0);
        self.handle(Input::Tell { client, publication: &publication, receipt: None });
    }

    fn publication(&mut self, to: &str, length: u8) -> Publication {
        self.last_number += 1;
        Publication {
            channel: ChannelName::parse(to).expect("it is written in a table"),
            id: None,
            data: to_raw_value(&data(self.last_number, length)).expect("a value is JSON"),
            ext: None,
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.server.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.time());
            let next = self.server.next_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that stays due");
            self.look();
        }
        self.now = until;
    }

    /// Takes what the server has to say.
    fn look(&mut self) {
        while let Some(output) = self.server.poll_output() {
            if let Some(id) = self.law.judge(output)
                && !self.readers_stall
            {
                self.written(id);
            }
        }
        self.law.just_gone.clear();
        self.law.compare(self.server.stats());
    }
}
