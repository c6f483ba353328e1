//! The dialled link: keeps one session at a management server, over whichever endpoint of an ordered list works.

mod handle;
mod report;

use std::sync::Arc;
use std::time::Duration;

use cloud_channel_protocol::client::{Backoff, Client, ClientConfig, ClientOutput, PublishFailure};
use cloud_channel_protocol::{
    Branch, ChannelPattern, CloudinitExt, Endpoint, InstanceId, Topic, error_chain,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

pub(crate) use self::handle::{LinkHandle, LinkOrder};
pub(crate) use self::report::LinkReport;
use crate::clock::Clock;
use crate::conversation::Conversation;
use crate::happening::{DriverEnded, DriverHandle, Happening};
use crate::ids::random_u64;
use crate::transport::dial::Dialler;

/// Publishes that await their reply: the driver's window of events and as many answers, with room to spare.
const MAX_IN_FLIGHT: usize = 256;
/// First and longest pause between rounds of dialling.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The task's own state.
pub(crate) struct Link {
    client: Client,
    endpoints: Vec<Endpoint>,
    /// Why each endpoint could not be used, as it was last told.
    complaints: Vec<String>,
    /// The line that is or was last open has carried a session.
    was_up: bool,
    dialler: Arc<Dialler>,
    orders: mpsc::Receiver<LinkOrder>,
    driver: DriverHandle,
    clock: Clock,
    backoff: Backoff,
    /// What it was asked for as a probe.
    probing: Option<ChannelPattern>,
}

/// Why a line was left.
enum Left {
    /// Dial on: the next endpoint, or all of them again after a back-off.
    Redial(String),
    /// The server does not want us now: dial again after the longest pause, since it may change its mind and nobody
    /// else can tell us.
    Dismissed(String),
    /// The daemon ends.
    Stopped,
}

impl Link {
    /// Prepares a link that will subscribe to this instance's config and hotplug channels.
    pub(crate) fn new(
        instance: &InstanceId,
        endpoints: Vec<Endpoint>,
        dialler: Arc<Dialler>,
        driver: DriverHandle,
        clock: Clock,
    ) -> (LinkHandle, Self) {
        let ext = CloudinitExt { instance: Some(instance.clone()), ..CloudinitExt::default() };
        let config = ClientConfig {
            limits: dialler.limits().clone(),
            handshake_ext: Some(ext.to_ext()),
            ack: true,
            max_in_flight: MAX_IN_FLIGHT,
            ..ClientConfig::default()
        };
        let mut client = Client::new(config).expect("our own ext is an object without `ack`");
        for branch in [Branch::Config, Branch::Hotplug] {
            client.subscribe(clock.now(), Topic::branch(instance, branch));
        }
        let (handle, orders) = LinkHandle::new(&endpoints);
        let backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let complaints = vec![String::new(); endpoints.len()];
        (
            handle,
            Self {
                client,
                endpoints,
                complaints,
                was_up: false,
                dialler,
                orders,
                driver,
                clock,
                backoff,
                probing: None,
            },
        )
    }

    /// Runs until it is stopped or the driver has ended.
    pub(crate) async fn run(mut self) {
        // Whichever of the two has ended, there is nobody left to tell.
        let _ended: Result<(), DriverEnded> = self.keep_up().await;
    }

    async fn keep_up(&mut self) -> Result<(), DriverEnded> {
        loop {
            let mut reason = String::new();
            let mut dismissed = false;
            for (number, endpoint) in self.endpoints.clone().into_iter().enumerate() {
                self.was_up = false;
                match self.talk(&endpoint).await? {
                    Left::Redial(why) => reason = why,
                    Left::Dismissed(why) => (reason, dismissed) = (why, true),
                    Left::Stopped => {
                        return self.tell(LinkReport::Down { reason: "stopped".to_owned() }).await;
                    }
                }
                self.complain(number, &reason);
                self.tell(LinkReport::Down { reason: reason.clone() }).await?;
            }
            let pause = if dismissed { BACKOFF.1 } else { self.backoff.next(random_u64()) };
            tracing::debug!(%reason, pause_ms = pause.as_millis(), "the link is not up, dialling again later");
            if self.stopped_during(pause).await {
                return self.tell(LinkReport::Down { reason: "stopped".to_owned() }).await;
            }
        }
    }

    /// Says why an endpoint could not be used; the same reason once, however often it is tried. What ends a link
    /// that was up, the driver tells.
    fn complain(&mut self, number: usize, reason: &str) {
        if self.was_up {
            self.complaints[number].clear();
        } else if self.complaints[number] != reason {
            let endpoint = &self.endpoints[number];
            tracing::warn!(%endpoint, reason, "cannot use an endpoint of the link, trying on");
            reason.clone_into(&mut self.complaints[number]);
        }
    }

    /// One line's life.
    async fn talk(&mut self, endpoint: &Endpoint) -> Result<Left, DriverEnded> {
        let line = match self.dialler.open(endpoint).await {
            Ok(line) => line,
            Err(error) => return Ok(Left::Redial(error_chain(&error))),
        };
        let mut conversation = Conversation::begin(&mut self.client, line, self.clock);
        let left = loop {
            match conversation.next_output().await {
                Ok(Some(output)) => {
                    let report = match output {
                        ClientOutput::Connected { resumed, .. } => {
                            self.backoff.reset();
                            self.was_up = true;
                            self.probing = None;
                            LinkReport::Up { endpoint: endpoint.to_string(), resumed }
                        }
                        ClientOutput::Subscribed(pattern) if self.probing.as_ref() == Some(&pattern) => {
                            self.probing = None;
                            LinkReport::Proven
                        }
                        ClientOutput::Close(reason) => break Left::Redial(reason.to_string()),
                        ClientOutput::Ended(reason) => break Left::Dismissed(reason.to_string()),
                        other => match concerns_driver(other) {
                            Some(report) => report,
                            None => continue,
                        },
                    };
                    self.driver.tell(Happening::Link(report)).await?;
                }
                Ok(None) => {
                    let waited = tokio::select! {
                        order = self.orders.recv() => match order {
                            Some(LinkOrder::Stop) | None => break Left::Stopped,
                            Some(order) => {
                                if matches!(order, LinkOrder::Probe) {
                                    self.probing = conversation.client.probe(self.clock.now());
                                } else if let Some(report) = obey(conversation.client, &self.clock, order) {
                                    self.driver.tell(Happening::Link(report)).await?;
                                }
                                Ok(())
                            }
                        },
                        waited = conversation.wait() => waited,
                    };
                    if let Err(gone) = waited {
                        break Left::Redial(error_chain(&gone));
                    }
                }
                Err(gone) => break Left::Redial(error_chain(&gone)),
            }
        };
        match left {
            Left::Stopped => conversation.leave().await,
            Left::Redial(_) | Left::Dismissed(_) => conversation.end().await,
        }
        Ok(left)
    }

    /// Waits out a pause. Orders that come now are for a stream that is gone; the driver has been told.
    async fn stopped_during(&mut self, pause: Duration) -> bool {
        let wake = tokio::time::sleep(pause);
        tokio::pin!(wake);
        loop {
            tokio::select! {
                () = &mut wake => break,
                order = self.orders.recv() => match order {
                    Some(LinkOrder::Stop) | None => return true,
                    Some(_) => {}
                },
            }
        }
        loop {
            match self.orders.try_recv() {
                Ok(LinkOrder::Stop) | Err(TryRecvError::Disconnected) => return true,
                Ok(_) => {}
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    async fn tell(&self, report: LinkReport) -> Result<(), DriverEnded> {
        self.driver.tell(Happening::Link(report)).await
    }
}

/// Passes an order to the core. What it cannot publish now comes back as lost, to be sent again.
fn obey(client: &mut Client, clock: &Clock, order: LinkOrder) -> Option<LinkReport> {
    match order {
        LinkOrder::Publish(publication) => {
            let error = client.publish(clock.now(), &publication).err()?;
            tracing::debug!(%error, "cannot publish over the link now");
            publication.id.map(|id| LinkReport::Reply { id, result: Err(None) })
        }
        LinkOrder::Confirm(batch) => {
            client.confirm(clock.now(), batch);
            None
        }
        LinkOrder::Probe | LinkOrder::Stop => None,
    }
}

/// Outputs that the driver has to hear of; the others are for the log.
fn concerns_driver(output: ClientOutput) -> Option<LinkReport> {
    match output {
        ClientOutput::Event(publication) => Some(LinkReport::Event(publication)),
        ClientOutput::BatchEnd(batch) => Some(LinkReport::BatchEnd(batch)),
        ClientOutput::PublishReply { id, result } => {
            let result = result.map_err(|failure| match failure {
                PublishFailure::Refused(text) => Some(text),
                PublishFailure::Lost => None,
            });
            Some(LinkReport::Reply { id, result })
        }
        ClientOutput::SubscribeRefused { pattern, error } => {
            tracing::error!(%pattern, %error, "the management server refuses a subscription");
            None
        }
        ClientOutput::Subscribed(pattern) => {
            tracing::debug!(%pattern, "subscribed at the management server");
            None
        }
        ClientOutput::Unreadable(error) => {
            tracing::warn!(%error, "the management server sent what cannot be read");
            None
        }
        ClientOutput::Transmit(_)
        | ClientOutput::Hold(_)
        | ClientOutput::Connected { .. }
        | ClientOutput::Close(_)
        | ClientOutput::Ended(_) => None,
    }
}
