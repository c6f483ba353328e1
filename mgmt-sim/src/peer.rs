//! A client that dials a guest and keeps a session there, and one task that owns it.

use std::time::Duration;

use cloud_channel_protocol::client::{
    Backoff, Client, ClientConfig, ClientOutput, InvalidExt, PublishFailure,
};
use cloud_channel_protocol::{
    ChannelPattern, CloudinitExt, ConnectionId, Endpoint, InstanceId, Limits, Publication, error_chain,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::dial::{Socket, dial};
use crate::fault::Fault;
use crate::line::{self, LineOrder, LineOrders, LineReport, Reported};
use crate::notice::{Notice, Notices};
use crate::random::random_u64;

/// Reports of the connection, and orders of the owner, that may wait.
const QUEUE: usize = 256;
/// First and longest pause between attempts to dial.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whom to dial, and what to listen to.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Where the guest listens.
    pub endpoint: Endpoint,
    /// What is subscribed to in every session; [`Notice::Ready`] follows when all of it stands.
    pub subscribe: Vec<ChannelPattern>,
    /// Speak as this guest, for trying out a management server.
    pub as_guest: Option<InstanceId>,
    /// The core's limits.
    pub limits: Limits,
}

/// The owner's end of a running client. Dropping it ends the client.
#[derive(Debug)]
pub struct Peer {
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

/// The client has ended.
#[derive(Debug, thiserror::Error)]
#[error("the client has ended")]
pub struct Ended;

impl Peer {
    /// Dials, and dials again when the connection is lost, in a task of the current runtime.
    ///
    /// # Errors
    /// Never with today's configuration: the handshake's `ext` is our own.
    pub fn start(config: PeerConfig) -> Result<Self, InvalidExt> {
        let clock = Clock::start();
        let handshake_ext = config
            .as_guest
            .clone()
            .map(|instance| CloudinitExt { instance: Some(instance), ..CloudinitExt::default() }.to_ext());
        let limits = config.limits.clone();
        let client_config = ClientConfig { limits, handshake_ext, ack: true, ..ClientConfig::default() };
        let mut client = Client::new(client_config)?;
        for pattern in &config.subscribe {
            client.subscribe(clock.now(), pattern.clone());
        }
        let (orders, inbox) = mpsc::channel(QUEUE);
        let (notices, outbox) = Notices::new();
        let shell = Shell {
            client,
            config,
            clock,
            orders: inbox,
            notices,
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            unsubscribed: 0,
            away_until: Duration::ZERO,
            last_line: 0,
        };
        Ok(Self { orders, notices: outbox, task: tokio::spawn(shell.run()) })
    }

    /// The next notice; nothing more once the client has ended. May be abandoned.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// Publishes; one [`Notice::Reply`] follows, whatever happens. The message needs an id.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn publish(&self, publication: Publication) -> Result<(), Ended> {
        self.orders.send(Order::Publish(publication)).await.map_err(|_| Ended)
    }

    /// Does something to the connection, if there is one.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn fault(&self, fault: Fault) -> Result<(), Ended> {
        self.orders.send(Order::Fault(fault)).await.map_err(|_| Ended)
    }

    /// Ends the session and the client.
    ///
    /// # Errors
    /// If it had ended already.
    pub async fn stop(self) -> Result<(), Ended> {
        self.orders.send(Order::Stop).await.map_err(|_| Ended)?;
        self.task.await.map_err(|_| Ended)
    }
}

struct Shell {
    client: Client,
    config: PeerConfig,
    clock: Clock,
    orders: mpsc::Receiver<Order>,
    notices: Notices,
    backoff: Backoff,
    /// Subscriptions that the present session still lacks.
    unsubscribed: usize,
    /// Nobody is dialled until then.
    away_until: Duration,
    last_line: u64,
}

/// Why a connection was left.
enum Left {
    /// Dial again.
    Lost,
    Stopped,
}

/// A connection while it lasts.
struct Line {
    orders: LineOrders,
    reports: mpsc::Receiver<Reported>,
}

impl Shell {
    async fn run(mut self) {
        loop {
            let Some(socket) = self.reach().await else { return };
            if matches!(self.talk(socket).await, Left::Stopped) {
                return;
            }
        }
    }

    /// Dials until someone answers; nothing if we are to stop.
    async fn reach(&mut self) -> Option<Socket> {
        loop {
            let pause = self.away_until.saturating_sub(self.clock.now().uptime);
            if !pause.is_zero() && self.stopped_during(pause).await {
                return None;
            }
            match dial(&self.config.endpoint.clone(), &self.config.limits).await {
                Ok(socket) => return Some(socket),
                Err(error) => {
                    let reason = error_chain(&error);
                    self.notices.tell(Notice::LineDown { line: self.config.endpoint.to_string(), reason });
                }
            }
            let pause = self.backoff.next(random_u64());
            if self.stopped_during(pause).await {
                return None;
            }
        }
    }

    /// Waits. Who publishes meanwhile is told that there is no session; a fault has nothing to act on.
    async fn stopped_during(&mut self, pause: Duration) -> bool {
        let wake = tokio::time::sleep(pause);
        tokio::pin!(wake);
        loop {
            tokio::select! {
                () = &mut wake => return false,
                order = self.orders.recv() => match order {
                    Some(Order::Publish(publication)) => self.publish(&publication),
                    Some(Order::Fault(_)) => {}
                    Some(Order::Stop) | None => return true,
                },
            }
        }
    }

    async fn talk(&mut self, socket: Socket) -> Left {
        self.last_line += 1;
        let id = ConnectionId(self.last_line);
        let (orders, inbox) = LineOrders::new();
        let (sender, reports) = mpsc::channel(QUEUE);
        tokio::spawn(line::run(id, socket, inbox, sender));
        let mut line = Line { orders, reports };
        self.notices.tell(Notice::LineUp { line: id.to_string(), other: self.config.endpoint.to_string() });
        self.client.opened(self.clock.now());
        let (left, reason) = loop {
            if let Some(reason) = self.pump(&line) {
                break (Left::Lost, reason);
            }
            tokio::select! {
                report = line.reports.recv() => match report {
                    Some((_, LineReport::Received(bytes))) => self.client.received(self.clock.now(), &bytes),
                    Some((_, LineReport::Gone(reason))) => break (Left::Lost, reason),
                    Some((_, LineReport::Written | LineReport::Opened { .. })) => {}
                    None => break (Left::Lost, "its task has ended".to_owned()),
                },
                order = self.orders.recv() => match order {
                    Some(Order::Publish(publication)) => self.publish(&publication),
                    Some(Order::Fault(fault)) => self.fault(&line, fault),
                    Some(Order::Stop) | None => {
                        self.say_goodbye(&mut line).await;
                        break (Left::Stopped, "closed by us".to_owned());
                    }
                },
                () = self.clock.wait_until(self.client.next_timeout()) => {
                    self.client.handle_timeout(self.clock.now());
                }
            }
        };
        self.client.closed(self.clock.now());
        // What was in flight is given back.
        self.pump(&line);
        self.notices.tell(Notice::LineDown { line: id.to_string(), reason });
        left
    }

    async fn say_goodbye(&mut self, line: &mut Line) {
        self.client.disconnect(self.clock.now());
        while self.pump(line).is_none() {
            tokio::select! {
                report = line.reports.recv() => match report {
                    Some((_, LineReport::Received(bytes))) => self.client.received(self.clock.now(), &bytes),
                    Some((_, LineReport::Written | LineReport::Opened { .. })) => {}
                    Some((_, LineReport::Gone(_))) | None => return,
                },
                () = self.clock.wait_until(self.client.next_timeout()) => {
                    self.client.handle_timeout(self.clock.now());
                }
            }
        }
        line.orders.give(LineOrder::Close { code: 1000, reason: "goodbye".to_owned() });
    }

    fn publish(&mut self, publication: &Publication) {
        if let Err(error) = self.client.publish(self.clock.now(), publication) {
            let remark = error.to_string();
            match publication.id.clone() {
                Some(id) => self.notices.tell(Notice::Reply { id, result: Err(remark) }),
                None => self.notices.tell(Notice::Remark(remark)),
            }
        }
    }

    fn fault(&mut self, line: &Line, fault: Fault) {
        if let Fault::Cut { away } = &fault {
            self.away_until = self.clock.now().uptime + *away;
        }
        // A connection that takes no orders is gone, and says so itself.
        line.orders.give(LineOrder::Fault(fault));
    }

    /// Carries out what the core wants; says why if the connection is to be left.
    fn pump(&mut self, line: &Line) -> Option<String> {
        let mut leave = None;
        while let Some(output) = self.client.poll_output() {
            match output {
                // Over a stream the client holds nothing apart.
                ClientOutput::Transmit(frame) | ClientOutput::Hold(frame) => {
                    line.orders.give(LineOrder::Frame(frame.into()));
                }
                ClientOutput::Connected { resumed, .. } => self.connected(resumed),
                ClientOutput::Subscribed(_) => {
                    self.unsubscribed = self.unsubscribed.saturating_sub(1);
                    if self.unsubscribed == 0 {
                        self.notices.tell(Notice::Ready { instance: None });
                    }
                }
                ClientOutput::SubscribeRefused { pattern, error } => {
                    self.notices.tell(Notice::Remark(format!("the guest refuses {pattern}: {error}")));
                }
                ClientOutput::Event(publication) => self.notices.tell(Notice::Event(publication)),
                // Nothing here outlives the process, so having it is all there is to confirm.
                ClientOutput::BatchEnd(batch) => self.client.confirm(self.clock.now(), batch),
                ClientOutput::PublishReply { id, result } => {
                    let result = result.map_err(|failure| match failure {
                        PublishFailure::Refused(text) => text,
                        lost @ PublishFailure::Lost => lost.to_string(),
                    });
                    self.notices.tell(Notice::Reply { id, result });
                }
                ClientOutput::Unreadable(why) => self.notices.tell(Notice::Remark(why)),
                ClientOutput::Close(reason) => leave = Some(reason.to_string()),
                ClientOutput::Ended(reason) => {
                    self.notices.tell(Notice::Down { instance: None, reason: reason.to_string() });
                    leave = Some(reason.to_string());
                }
            }
        }
        leave
    }

    fn connected(&mut self, resumed: bool) {
        self.backoff.reset();
        self.notices.tell(Notice::Up { instance: None, resumed });
        if resumed || self.config.subscribe.is_empty() {
            self.notices.tell(Notice::Ready { instance: None });
        } else {
            self.unsubscribed = self.config.subscribe.len();
        }
    }
}
