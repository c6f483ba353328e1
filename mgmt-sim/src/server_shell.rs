//! A management server: the server core, the sockets that guests dial, and one task that owns both.
//!
//! ```text
//! listener ─▶ line ─┐                    ┌─▶ notices ─▶ the owner
//! listener ─▶ line ─┴─▶ Shell (Server) ──┤
//!                  the owner's orders ─▶─┴─▶ lines
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cloud_channel_protocol::server::{
    Carrier, Input, LocalId, LocalSession, Output, Peer, Principal, Server, ServerConfig,
};
use cloud_channel_protocol::{
    ChannelPattern, ClientId, ConnectionId, EVENTS_PATH, Endpoint, Limits, MessageId, Module, Publication,
    Topic, Verb,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, WWW_AUTHENTICATE};

use crate::bearer::BearerFile;
use crate::clock::Clock;
use crate::dial::{Socket, socket_config};
use crate::fault::Fault;
use crate::guest_policy::{GuestPolicy, instance_of};
use crate::line::{self, LineOrder, LineOrders, LineReport, Reported};
use crate::listener::{ListenError, Listener};
use crate::notice::{Notice, Notices};
use crate::random::RandomIds;
use crate::stream::Stream;

/// Reports of connections, and orders of the owner, that may wait.
const QUEUE: usize = 256;
/// How long a newcomer may take for the upgrade.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);
/// How long connections may take to end when the server does.
const STOP_DEADLINE: Duration = Duration::from_secs(2);
/// Pushes whose ack is awaited; the oldest are forgotten first.
const PUSHES: usize = 4_096;

/// How a management server behaves.
#[derive(Debug, Clone, Default)]
pub struct ManagementConfig {
    /// Let clients in that name no instance, as observers.
    pub anyone: bool,
    /// What clients have to show, if anything.
    pub token: Option<BearerFile>,
    /// The core's limits and times.
    pub server: ServerConfig,
}

/// The owner's end of a running management server. Dropping it ends the server at once.
#[derive(Debug)]
pub struct Management {
    endpoints: Vec<String>,
    orders: mpsc::Sender<Order>,
    notices: mpsc::Receiver<Notice>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Publish(Publication),
    Fault(Fault),
    Stop,
}

/// The server has ended, which it does only when told to or when it has a fault.
#[derive(Debug, thiserror::Error)]
#[error("the management server has ended")]
pub struct Ended;

impl Management {
    /// Binds all endpoints and serves them in tasks of the current runtime.
    ///
    /// # Errors
    /// If one cannot be bound; then none is.
    pub async fn start(endpoints: &[Endpoint], config: ManagementConfig) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        for endpoint in endpoints {
            listeners.push(Listener::bind(endpoint).await?);
        }
        let endpoints = listeners.iter().map(|listener| listener.endpoint().to_owned()).collect();
        let (reports, incoming) = mpsc::channel(QUEUE);
        let (orders, inbox) = mpsc::channel(QUEUE);
        let (notices, outbox) = Notices::new();
        let door = Door {
            reports,
            limits: config.server.limits.clone(),
            token: config.token.clone(),
            last: Arc::new(AtomicU64::new(0)),
        };
        let doors = listeners.into_iter().map(|listener| tokio::spawn(door.clone().keep(listener))).collect();
        let shell = Shell::new(config, notices, doors);
        let task = tokio::spawn(shell.run(incoming, inbox));
        Ok(Self { endpoints, orders, notices: outbox, task })
    }

    /// Where guests dial, with the ports that were really given.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The next notice; nothing more once the server has ended. May be abandoned.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// Publishes to every session that subscribes and may receive. If the message has an id, a
    /// [`Notice::Reply`] follows once a guest has taken it, or at once if there is nobody.
    ///
    /// # Errors
    /// If the server has ended.
    pub async fn publish(&self, publication: Publication) -> Result<(), Ended> {
        self.orders.send(Order::Publish(publication)).await.map_err(|_| Ended)
    }

    /// Does something to every connection.
    ///
    /// # Errors
    /// If the server has ended.
    pub async fn fault(&self, fault: Fault) -> Result<(), Ended> {
        self.orders.send(Order::Fault(fault)).await.map_err(|_| Ended)
    }

    /// Closes every connection and ends.
    ///
    /// # Errors
    /// If the server had ended already.
    pub async fn stop(self) -> Result<(), Ended> {
        self.orders.send(Order::Stop).await.map_err(|_| Ended)?;
        self.task.await.map_err(|_| Ended)
    }
}

/// What every listener needs.
#[derive(Debug, Clone)]
struct Door {
    reports: mpsc::Sender<Reported>,
    limits: Limits,
    token: Option<BearerFile>,
    last: Arc<AtomicU64>,
}

impl Door {
    async fn keep(self, mut listener: Listener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => drop(tokio::spawn(self.clone().serve(stream, peer))),
                // Out of descriptors passes when something is freed, and nothing tells us when.
                Err(_passing) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn serve(self, stream: Stream, peer: Peer) {
        let config = Some(socket_config(&self.limits));
        let token = self.token.clone();
        #[expect(clippy::result_large_err, reason = "the library's callback has this type")]
        let check = |request: &Request, response| check(request, response, token.as_ref());
        let upgrade = tokio_tungstenite::accept_hdr_async_with_config(stream, check, config);
        // Who does not get so far is nobody yet.
        let Ok(Ok(socket)) = timeout(UPGRADE_DEADLINE, upgrade).await else { return };
        self.begin(socket, peer).await;
    }

    async fn begin(self, socket: Socket, peer: Peer) {
        let id = ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let (orders, inbox) = LineOrders::new();
        if self.reports.send((id, LineReport::Opened { peer, orders })).await.is_ok() {
            line::run(id, socket, inbox, self.reports).await;
        }
    }
}

#[expect(clippy::result_large_err, reason = "the library's callback has this type")]
fn check(
    request: &Request,
    response: Response,
    token: Option<&BearerFile>,
) -> Result<Response, ErrorResponse> {
    let refused = |status: StatusCode, text: String| {
        let mut refusal = ErrorResponse::new(Some(text));
        *refusal.status_mut() = status;
        refusal
    };
    if request.uri().path() != EVENTS_PATH {
        return Err(refused(StatusCode::NOT_FOUND, format!("Bayeux is spoken on {EVENTS_PATH}\n")));
    }
    let Some(token) = token else { return Ok(response) };
    token.judge(request).map(|()| response).map_err(|unknown| {
        let mut refusal = refused(StatusCode::UNAUTHORIZED, format!("{unknown}\n"));
        refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        refusal
    })
}

/// The task that owns the core.
struct Shell {
    server: Server,
    clock: Clock,
    lines: HashMap<ConnectionId, LineOrders>,
    sessions: HashMap<ClientId, Principal>,
    pushes: HashMap<u64, MessageId>,
    last_push: u64,
    notices: Notices,
    doors: Vec<JoinHandle<()>>,
    /// Newcomers are turned away until then.
    shut_until: Duration,
}

impl Shell {
    fn new(config: ManagementConfig, notices: Notices, doors: Vec<JoinHandle<()>>) -> Self {
        let policy = GuestPolicy { anyone: config.anyone };
        // Its lines are WebSockets.
        let server = ServerConfig { connection_types: &["websocket"], ..config.server };
        let mut server = Server::new(server, Box::new(policy), Box::new(RandomIds));
        let all = ChannelPattern::parse("/**").expect("a constant is a pattern");
        server.attach(LocalSession { id: LocalId(0), accepts: Vec::new(), subscribes: vec![all] });
        Self {
            server,
            clock: Clock::start(),
            lines: HashMap::new(),
            sessions: HashMap::new(),
            pushes: HashMap::new(),
            last_push: 0,
            notices,
            doors,
            shut_until: Duration::ZERO,
        }
    }

    async fn run(mut self, mut reports: mpsc::Receiver<Reported>, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Publish(publication)) => self.publish(publication),
                    Some(Order::Fault(fault)) => self.fault(&fault),
                    Some(Order::Stop) | None => break,
                },
                Some((id, report)) = reports.recv() => self.reported(id, report),
                () = self.clock.wait_until(self.server.next_timeout()) => {
                    self.server.handle_timeout(self.clock.now());
                }
            }
            self.pump();
        }
        for door in self.doors.drain(..) {
            door.abort();
            // Aborted is all it can be; its socket is closed when this returns.
            let _aborted = door.await;
        }
        self.server.handle(self.clock.now(), Input::Drain);
        self.pump();
        let emptied = async {
            while !self.lines.is_empty() {
                let Some((id, report)) = reports.recv().await else { return };
                self.reported(id, report);
                self.pump();
            }
        };
        // Whoever does not close by then is closed by the end of this task.
        drop(timeout(STOP_DEADLINE, emptied).await);
    }

    fn reported(&mut self, id: ConnectionId, report: LineReport) {
        let now = self.clock.now();
        match report {
            LineReport::Opened { peer, orders } => {
                if now.uptime < self.shut_until {
                    // Its orders are dropped, which closes it.
                    return;
                }
                self.lines.insert(id, orders);
                self.notices.tell(Notice::LineUp { line: id.to_string(), other: peer.to_string() });
                self.server.handle(now, Input::Opened { connection: id, peer, carrier: Carrier::Stream });
            }
            LineReport::Received(bytes) => {
                self.server.handle(now, Input::Received { connection: id, bytes: &bytes });
            }
            LineReport::Written => self.server.handle(now, Input::Writable { connection: id }),
            LineReport::Gone(reason) => {
                if self.lines.remove(&id).is_some() {
                    self.server.handle(now, Input::Closed { connection: id });
                    self.notices.tell(Notice::LineDown { line: id.to_string(), reason });
                }
            }
        }
    }

    fn publish(&mut self, publication: Publication) {
        self.last_push += 1;
        let number = self.last_push;
        let id = publication.id.clone();
        let before = self.server.stats().delivered;

        let receipt = id.is_some().then_some(number);
        self.server.handle(self.clock.now(), Input::Publish { publication: &publication, receipt });
        let Some(id) = id else { return };
        if self.server.stats().delivered == before {
            let text = format!("nobody subscribes to {}", publication.channel);
            return self.notices.tell(Notice::Reply { id, result: Err(text) });
        }
        self.pushes.insert(number, id);
        if let Some(old) = number.checked_sub(PUSHES as u64) {
            self.pushes.remove(&old);
        }
    }

    fn fault(&mut self, fault: &Fault) {
        if let Fault::Cut { away } = fault {
            self.shut_until = self.clock.now().uptime + *away;
        }
        for orders in self.lines.values() {
            // One that takes no orders is gone, or about to be.
            orders.give(LineOrder::Fault(fault.clone()));
        }
    }

    /// Carries out what the core has decided.
    fn pump(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit { connection, batch, .. } => {
                    self.order(connection, LineOrder::Frame(batch));
                }
                Output::Close { connection, reason } => {
                    let reason = reason.as_str().to_owned();
                    self.order(connection, LineOrder::Close { code: 1000, reason });
                }
                Output::Deliver { publication, .. } => self.notices.tell(Notice::Event(publication)),
                Output::Receipt(number) => {
                    if let Some(id) = self.pushes.remove(&number) {
                        self.notices.tell(Notice::Reply { id, result: Ok(()) });
                    }
                }
                Output::SessionBegun { client, principal, .. } => {
                    let instance = instance_of(&principal);
                    self.sessions.insert(client, principal);
                    self.notices.tell(Notice::Up { instance, resumed: false });
                }
                Output::SessionEnded { client, reason } => {
                    let instance = self.sessions.remove(&client).as_ref().and_then(instance_of);
                    self.notices
                        .tell(Notice::Down { instance, reason: format!("{reason:?}").to_lowercase() });
                }
                Output::Subscribed { principal, added, .. } => self.subscribed(&principal, &added),
                // The local session accepts nothing and events are not kept, so nobody is asked.
                Output::Offer { .. } | Output::Replay { .. } => {}
                // Nobody is asked whether it is there either.
                Output::Proven { .. } => {}
            }
        }
    }

    fn subscribed(&mut self, principal: &Principal, added: &[ChannelPattern]) {
        let Some(instance) = instance_of(principal) else { return };
        let channel = Topic::Config(Verb::Set, Module::Network.into()).channel(&instance);
        if added.iter().any(|pattern| pattern.matches(&channel)) {
            self.notices.tell(Notice::Ready { instance: Some(instance) });
        }
    }

    fn order(&mut self, connection: ConnectionId, order: LineOrder) {
        let Some(orders) = self.lines.get(&connection) else { return };
        if !orders.give(order) {
            // Its task ends with its orders, and reports that it is gone.
            self.lines.remove(&connection);
            self.server.handle(self.clock.now(), Input::Closed { connection });
        }
    }
}
