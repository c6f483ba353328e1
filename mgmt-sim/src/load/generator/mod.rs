//! The generator at work: one thread, one loop, all sessions.
//!
//! What the clients cost comes out of the same machine as what the server costs. So there are no tasks and no channels
//! here: connections are read into one buffer, events are found by their stamps without parsing JSON, and everything that
//! became possible in one turn of the loop leaves in one write for each connection.

mod traffic;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use memchr::memmem;

use super::course::Course;
use super::error::LoadError;
use super::outbox::Outbox;
use super::plan::Plan;
use super::poller::{Poller, Ready, Token};
use super::session::{Effect, Session};
use super::socket::Socket;
use super::stamp::Stamps;
use super::target::Transport;
use super::wire::{Address, Wire};
use super::workload::Layout;

/// What is read from a connection at once.
const READ: usize = 256 << 10;

/// One session and its connections.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) session: Session,
    first: Wire,
    /// Opened by the first message that may not wait behind a held connect.
    second: Option<Wire>,
    outbox: Outbox,
    /// Goodbye, when the second connection is free.
    goodbye: Option<Vec<u8>>,
}

/// All sessions of a run.
pub(crate) struct Generator<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) layout: Layout,
    pub(crate) course: Course,
    pub(crate) clients: Vec<Client>,
    pub(crate) open: usize,
    pub(crate) left: usize,
    pub(crate) heartbeats: u64,
    address: Address,
    stamps: Stamps,
    poller: Poller,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
    effects: Vec<Effect>,
    /// Connects that are sent after a pause.
    later: BinaryHeap<Reverse<(Instant, usize)>>,
    /// For each stream, a message up to its id.
    heads: Vec<Vec<u8>>,
    start: Instant,
}

impl<'a> Generator<'a> {
    /// Without sessions yet. `run` tells its events from those of others.
    pub(crate) fn new(plan: &'a Plan, run: u32) -> Result<Self, LoadError> {
        let layout = Layout::new(plan.workload, plan.sessions, plan.prefix.as_str(), run);
        let poller =
            Poller::new().map_err(|source| LoadError::System { what: "create an epoll instance", source })?;
        Ok(Self {
            course: Course::new(layout.clone(), plan.in_flight),
            clients: Vec::with_capacity(layout.sessions()),
            open: 0,
            left: 0,
            heartbeats: 0,
            address: Address::of(&plan.target),
            stamps: Stamps::new(run, plan.size),
            poller,
            ready: Vec::new(),
            buffer: vec![0; READ],
            effects: Vec::new(),
            later: BinaryHeap::new(),
            heads: Vec::new(),
            start: Instant::now(),
            plan,
            layout,
        })
    }

    /// Connects the next session and begins its handshake.
    pub(crate) fn connect(&mut self) -> Result<(), LoadError> {
        let session = self.clients.len();
        let socket = self.dial(Token { session, second: false })?;
        let transport = self.plan.target.transport();
        self.clients.push(Client {
            session: Session::new(transport, self.layout.subscription(session)),
            first: Wire::new(socket, transport, &self.address),
            second: None,
            outbox: Outbox::default(),
            goodbye: None,
        });
        if transport == Transport::LongPolling {
            self.greet(session)?;
        }
        self.flush(Token { session, second: false })
    }

    /// Ends a session in good order.
    pub(crate) fn leave(&mut self, session: usize) -> Result<(), LoadError> {
        let client = &mut self.clients[session];
        let goodbye = client.session.leave();
        match self.plan.target.transport() {
            Transport::WebSocket => self.send(Token { session, second: false }, &goodbye),
            Transport::LongPolling => {
                client.goodbye = Some(goodbye);
                self.post(session)
            }
        }
    }

    /// Puts as many messages on their way as may be in flight, at most `most`; says how many.
    pub(crate) fn publish(&mut self, most: u64) -> Result<u64, LoadError> {
        if self.heads.is_empty() {
            self.heads = (0..self.layout.streams()).map(|stream| self.head(stream)).collect();
        }
        let now = self.now();
        let (mut published, mut publishers) = (0, Vec::new());
        while published < most
            && let Some(stamp) = self.course.publish(now)
        {
            let stream = stamp.stream as usize;
            let publisher = self.layout.publisher(stream);
            let Self { clients, heads, stamps, .. } = self;
            let outbox = &mut clients[publisher].outbox;
            if outbox.is_empty() {
                publishers.push(publisher);
            }
            outbox.push(|out| {
                out.extend_from_slice(&heads[stream]);
                out.extend_from_slice(stamp.number.to_string().as_bytes());
                out.extend_from_slice(br#"","data":"#);
                stamps.write(&stamp, out);
                out.push(b'}');
            });
            published += 1;
        }
        for publisher in publishers {
            self.post(publisher)?;
        }
        Ok(published)
    }

    fn head(&self, stream: usize) -> Vec<u8> {
        let client = self.clients[self.layout.publisher(stream)].session.client().unwrap_or_default();
        let (channel, client) = (self.layout.channel(stream), serde_json::Value::from(client));
        format!(r#"{{"channel":"{channel}","clientId":{client},"id":""#).into_bytes()
    }

    /// One turn of the loop: waits for something to do, at most for so long, and does it.
    pub(crate) fn turn(&mut self, longest: Duration) -> Result<(), LoadError> {
        let until_connect =
            self.later.peek().map(|Reverse((due, _))| due.saturating_duration_since(Instant::now()));
        let longest = until_connect.map_or(longest, |pause| pause.min(longest));
        let mut ready = std::mem::take(&mut self.ready);
        self.poller
            .wait(longest, &mut ready)
            .map_err(|source| LoadError::System { what: "wait for connections (epoll)", source })?;
        for Ready { token, readable, writable } in &ready {
            if *writable {
                self.flush(*token)?;
            }
            if *readable {
                self.read(*token)?;
            }
        }
        self.ready = ready;
        while let Some(Reverse((due, session))) = self.later.peek().copied()
            && due <= Instant::now()
        {
            self.later.pop();
            self.heartbeat(session)?;
        }
        Ok(())
    }

    /// Nanoseconds since the run began.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("a run does not take five centuries")
    }

    fn dial(&self, token: Token) -> Result<Socket, LoadError> {
        let stream = self.plan.target.connect().map_err(|source| LoadError::Connect {
            session: token.session + 1,
            url: self.plan.target.endpoint().to_string(),
            source,
        })?;
        self.poller
            .watch(&stream, token)
            .map_err(|source| LoadError::System { what: "watch a connection (epoll)", source })?;
        Ok(Socket::new(stream))
    }

    fn wire(&mut self, token: Token) -> Option<&mut Wire> {
        let client = self.clients.get_mut(token.session)?;
        if token.second { client.second.as_mut() } else { Some(&mut client.first) }
    }

    fn gone(&self, session: usize, reason: impl ToString) -> LoadError {
        let doing = self.clients[session].session.doing();
        LoadError::Gone { session: session + 1, doing, reason: reason.to_string() }
    }

    fn unreadable(session: usize, problem: impl ToString) -> LoadError {
        LoadError::Unreadable { session: session + 1, problem: problem.to_string() }
    }

    fn greet(&mut self, session: usize) -> Result<(), LoadError> {
        let ext = self.plan.handshake_ext();
        let handshake = self.clients[session].session.handshake(ext.as_deref());
        self.send(Token { session, second: false }, &handshake)
    }

    fn heartbeat(&mut self, session: usize) -> Result<(), LoadError> {
        if !self.clients[session].session.is_open() {
            return Ok(());
        }
        let connect = self.clients[session].session.connect();
        self.send(Token { session, second: false }, &connect)
    }

    fn batch(&mut self, session: usize, batch: &[u8], now: u64) -> Result<(), LoadError> {
        let Self { stamps, course, .. } = self;
        for stamp in stamps.find(batch) {
            course.delivered(session, &stamp, now);
        }
        // Events have no such member, so most batches end here.
        if memmem::find(batch, b"\"successful\"").is_none() {
            return Ok(());
        }
        let mut effects = std::mem::take(&mut self.effects);
        let replies = self.clients[session].session.replies(batch, &mut effects);
        replies.map_err(|error| Self::unreadable(session, error))?.map_err(|refusal| LoadError::Refused {
            advice: advice(&refusal.error),
            request: refusal.request,
            session: session + 1,
            sessions: self.layout.sessions(),
            error: refusal.error,
        })?;
        for effect in effects.drain(..) {
            self.carry_out(session, effect)?;
        }
        self.effects = effects;
        Ok(())
    }

    fn carry_out(&mut self, session: usize, effect: Effect) -> Result<(), LoadError> {
        match effect {
            Effect::Ask(batch) => self.send(Token { session, second: false }, &batch),
            Effect::Opened => {
                self.open += 1;
                self.heartbeat(session)
            }
            Effect::Heartbeat(pause) => {
                self.heartbeats += 1;
                if pause.is_zero() {
                    return self.heartbeat(session);
                }
                self.later.push(Reverse((Instant::now() + pause, session)));
                Ok(())
            }
            Effect::Published(number) => {
                self.course.answered(number);
                Ok(())
            }
            Effect::Left => {
                self.left += 1;
                Ok(())
            }
        }
    }
}

/// What helps against a refusal.
fn advice(error: &str) -> &'static str {
    if error.starts_with("503") {
        "; raise the server's limit, or ask for fewer sessions (--sessions) or messages (--in-flight)"
    } else if error.starts_with("413") {
        "; ask for smaller messages (--size) or batches (--batch)"
    } else {
        ""
    }
}
