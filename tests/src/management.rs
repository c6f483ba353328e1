//! A management server that guests dial, in this process, around the product's own server core.
//!
//! It takes down what guests publish, answers as it is told to, and can cut every stream or end altogether, to come
//! back later at the same address with or without its memory of sessions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloud_channel_protocol::server::{
    Carrier, Input, LocalId, LocalSession, Output, Peer, PeerAddress, Principal, SecurityPolicy, Server,
    ServerConfig,
};
use cloud_channel_protocol::{
    BayeuxError, ChannelName, ChannelPattern, ClientId, ConnectionId, ErrorCode, IdSource, MessageId, Now,
    Publication,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::patience::eventually;
use crate::sandbox::INSTANCE;

/// Frames on their way to one guest; the core gives the next only when one is written.
const FRAMES: usize = 4;
/// How often the core's deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);

/// What a guest's publish is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Taken.
    Accept,
    /// Refused for good.
    Refuse,
    /// Nothing at all: the reply never comes.
    Silence,
}

/// The server.
#[derive(Debug)]
pub struct Management {
    address: String,
    core: Arc<Mutex<Core>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Core {
    server: Server,
    started: Instant,
    streams: HashMap<ConnectionId, Stream>,
    answer: Answer,
    published: Vec<Value>,
    subscribed: Vec<String>,
    sessions_begun: usize,
}

#[derive(Debug)]
struct Stream {
    frames: mpsc::Sender<Bytes>,
    task: Option<JoinHandle<()>>,
}

impl Management {
    /// Begins on a free port of the loopback.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// Begins at an address.
    ///
    /// # Panics
    /// If it is taken.
    pub async fn start_at(address: &str) -> Self {
        let listener =
            TcpListener::bind(address).await.unwrap_or_else(|error| panic!("cannot bind {address}: {error}"));
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        let core = Arc::new(Mutex::new(Core::new()));
        let accepting = tokio::spawn(accept(listener, core.clone()));
        Self { address, core, accepting }
    }

    /// What guests dial.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/events", self.address)
    }

    /// Its address, to come back at.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How publishes are answered from now on.
    pub fn answer_with(&self, answer: Answer) {
        self.core().answer = answer;
    }

    /// Publishes to the guest.
    pub fn publish(&self, channel: &str, id: &str, data: &Value, ext: Option<&Value>) {
        let publication = Publication {
            channel: ChannelName::parse(channel).expect("the test names a channel"),
            id: Some(MessageId::from_text(id)),
            data: raw(data),
            ext: ext.map(raw),
        };
        self.core().input(Input::Publish { publication: &publication, receipt: None });
    }

    /// Pushes config to a module of the guest.
    pub fn push(&self, module: &str, id: &str, data: &Value) {
        self.publish(&format!("/cloudinit/{INSTANCE}/config/set/{module}"), id, data, None);
    }

    /// Waits until the guest has made its two subscriptions, `times` in all since the start.
    pub async fn guest_subscribed(&self, times: usize) {
        eventually("the guest's subscriptions", || (self.core().subscribed.len() >= 2 * times).then_some(()))
            .await;
    }

    /// The patterns the guest has subscribed to.
    #[must_use]
    pub fn subscribed(&self) -> Vec<String> {
        self.core().subscribed.clone()
    }

    /// How many sessions have begun.
    #[must_use]
    pub fn sessions_begun(&self) -> usize {
        self.core().sessions_begun
    }

    /// How many streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.core().streams.len()
    }

    /// Everything guests have published, in order; refused and unanswered publishes too.
    #[must_use]
    pub fn published(&self) -> Vec<Value> {
        self.core().published.clone()
    }

    /// Waits for a publish.
    pub async fn event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || self.published().into_iter().find(|message| wanted(message))).await
    }

    /// Waits for the finish that a push caused.
    pub async fn finish(&self, push: &str) -> Value {
        self.event(&format!("the finish of {push}"), |message| crate::message::finishes(message, push)).await
    }

    /// Cuts every stream without a word. Sessions go on.
    pub fn cut(&self) {
        self.core().cut();
    }

    /// Ends without a word. Nothing is remembered.
    pub async fn crash(self) {
        self.accepting.abort();
        // The listener is gone when its task is; being cancelled is what it was told.
        let _cancelled = self.accepting.await;
        self.core.lock().unwrap_or_else(PoisonError::into_inner).cut();
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    fn new() -> Self {
        let config = ServerConfig { connection_types: &["websocket"], ..ServerConfig::default() };
        let mut server = Server::new(config, Box::new(Anybody), Box::new(CountedIds));
        let all = ChannelPattern::parse("/cloudinit/**").expect("a constant is a pattern");
        server.attach(LocalSession { id: LocalId(0), accepts: vec![all], subscribes: Vec::new() });
        Self {
            server,
            started: Instant::now(),
            streams: HashMap::new(),
            answer: Answer::Accept,
            published: Vec::new(),
            subscribed: Vec::new(),
            sessions_begun: 0,
        }
    }

    fn now(&self) -> Now {
        Now { uptime: self.started.elapsed(), wall: Duration::ZERO }
    }

    fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.now(), input);
        self.pump();
    }

    fn tick(&mut self) {
        self.server.handle_timeout(self.now());
        self.pump();
    }

    fn cut(&mut self) {
        for (connection, stream) in std::mem::take(&mut self.streams) {
            if let Some(task) = stream.task {
                task.abort();
            }
            self.input(Input::Closed { connection });
        }
    }

    fn pump(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit { connection, batch, .. } => {
                    if let Some(stream) = self.streams.get(&connection) {
                        stream.frames.try_send(batch).expect("the core gives one frame at a time");
                    }
                }
                Output::Close { connection, .. } => {
                    if let Some(Stream { task: Some(task), .. }) = self.streams.remove(&connection) {
                        task.abort();
                        self.server.handle(self.now(), Input::Closed { connection });
                    }
                }
                Output::Offer { offer, publication, .. } => {
                    let text = publication.encode();
                    self.published.push(serde_json::from_str(&text).expect("a publication is JSON"));
                    let verdict = match self.answer {
                        Answer::Accept => Ok(()),
                        Answer::Refuse => Err(BayeuxError::new(ErrorCode::Forbidden, "", "not wanted here")),
                        Answer::Silence => continue,
                    };
                    self.server.handle(self.now(), Input::Settled { offer, verdict });
                }
                Output::Subscribed { added, .. } => {
                    self.subscribed.extend(added.iter().map(ToString::to_string));
                }
                Output::SessionBegun { .. } => self.sessions_begun += 1,
                Output::Deliver { .. }
                | Output::Receipt(_)
                | Output::Replay { .. }
                | Output::Proven { .. }
                | Output::SessionEnded { .. } => {}
            }
        }
    }
}

async fn accept(listener: TcpListener, core: Arc<Mutex<Core>>) {
    let mut tick = tokio::time::interval(TICK);
    let lock = || core.lock().unwrap_or_else(PoisonError::into_inner);
    for number in 1.. {
        let (stream, peer) = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted.expect("a listener accepts"),
                _ = tick.tick() => lock().tick(),
            }
        };
        let connection = ConnectionId(number);
        let (frames, outgoing) = mpsc::channel(FRAMES);
        lock().streams.insert(connection, Stream { frames, task: None });
        lock().input(Input::Opened {
            connection,
            peer: PeerAddress::Tcp(peer).into(),
            carrier: Carrier::Stream,
        });
        let task = tokio::spawn(serve(stream, connection, outgoing, core.clone()));
        if let Some(stream) = lock().streams.get_mut(&connection) {
            stream.task = Some(task);
        }
    }
}

async fn serve(
    stream: TcpStream,
    connection: ConnectionId,
    mut outgoing: mpsc::Receiver<Bytes>,
    core: Arc<Mutex<Core>>,
) {
    let lock = || core.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(mut socket) = accept_async(stream).await {
        loop {
            tokio::select! {
                frame = outgoing.recv() => {
                    let Some(frame) = frame else { break };
                    if socket.send(Message::Text(frame.try_into().expect("the core writes JSON"))).await.is_err() {
                        break;
                    }
                    lock().input(Input::Writable { connection });
                }
                incoming = socket.next() => match incoming {
                    Some(Ok(Message::Text(text))) => {
                        lock().input(Input::Received { connection, bytes: text.as_bytes() });
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(_) | None => break,
                },
            }
        }
    }
    let mut core = lock();
    if core.streams.remove(&connection).is_some() {
        core.input(Input::Closed { connection });
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).expect("a JSON value is JSON")
}

/// Client ids that no server of this process has given before.
struct CountedIds;

impl IdSource for CountedIds {
    fn next_client_id(&mut self) -> ClientId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        ClientId::from_random((1 << 100) + u128::from(LAST.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Lets everybody do everything: what is under test is the guest.
struct Anybody;

impl SecurityPolicy for Anybody {
    fn admit(&self, _peer: &Peer, _ext: Option<&RawValue>) -> Result<Principal, BayeuxError> {
        Ok(Principal::new("guest"))
    }

    fn admit_unconnected(&self, _peer: &Peer) -> Result<Principal, BayeuxError> {
        Ok(Principal::new("guest"))
    }

    fn may_subscribe(&self, _principal: &Principal, _pattern: &ChannelPattern) -> bool {
        true
    }

    fn may_publish(&self, _principal: &Principal, _channel: &ChannelName) -> bool {
        true
    }

    fn may_receive(&self, _principal: &Principal, _channel: &ChannelName) -> bool {
        true
    }
}
