//! What happens, on its way to the driver.

use std::pin::Pin;
use std::task::{Context, Poll};

use cloud_channel_protocol::server::{Carrier, Peer};
use cloud_channel_protocol::{ConnectionId, ReportingEvent};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::clerk::Report;
use crate::hotplug::Observed;
use crate::job::JobReport;
use crate::link::LinkReport;
use crate::metrics::Reader;
use crate::transport::messages::Messages;

/// Waiting happenings. Whoever has one more waits with it, which is what slows a flooding peer down.
pub(crate) const QUEUE: usize = 256;

/// Something the driver has to know.
#[derive(Debug)]
pub(crate) enum Happening {
    Opened {
        connection: ConnectionId,
        /// Boxed: it is the largest of all that can happen, and the rarest.
        peer: Box<Peer>,
        carrier: Carrier,
    },
    /// All that one read has brought.
    Received {
        connection: ConnectionId,
        messages: Messages,
    },
    /// What the connection's task had to write is written.
    Writable {
        connection: ConnectionId,
    },
    /// The same for an exchange, which is closed by that.
    Answered {
        connection: ConnectionId,
    },
    Closed {
        connection: ConnectionId,
    },
    /// An event of cloud-init, by webhook.
    Reported(Box<ReportingEvent>),
    Clerk(Vec<Report>),
    Job(Box<JobReport>),
    Link(LinkReport),
    /// Cards and disks have come, gone or changed.
    Hardware(Box<Observed>),
    /// The kernel's links differ from what they were.
    KernelLinksChanged,
    /// Somebody wants to know how things are in figures.
    Figures(Box<Reader>),
    /// End well: what is under way is finished, nothing new is begun.
    Stop,
}

/// The driver has ended, and with it everything it could be told.
#[derive(Debug, thiserror::Error)]
#[error("the driver has ended")]
pub(crate) struct DriverEnded;

/// A happening on its way to the driver. Small, as it is part of every connection's task, and waiting is seldom.
#[must_use = "what waits is not told"]
pub(crate) enum Telling {
    Told(Result<(), DriverEnded>),
    Waiting(Pin<Box<dyn Future<Output = Result<(), DriverEnded>> + Send>>),
}

impl Future for Telling {
    type Output = Result<(), DriverEnded>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Told(told) => Poll::Ready(std::mem::replace(told, Ok(()))),
            Self::Waiting(waiting) => waiting.as_mut().poll(cx),
        }
    }
}

/// How others reach the driver.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle(mpsc::Sender<Happening>);

/// The driver's end of its queue.
#[derive(Debug)]
pub(crate) struct Happenings(mpsc::Receiver<Happening>);

impl DriverHandle {
    pub(crate) fn new() -> (Self, Happenings) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), Happenings(receiver))
    }

    /// Tells the driver, at once if its queue has room; what is returned waits while it has none.
    pub(crate) fn tell(&self, happening: Happening) -> Telling {
        match self.0.try_send(happening) {
            Ok(()) => Telling::Told(Ok(())),
            Err(TrySendError::Closed(_)) => Telling::Told(Err(DriverEnded)),
            Err(TrySendError::Full(happening)) => {
                let sender = self.0.clone();
                Telling::Waiting(Box::pin(
                    async move { sender.send(happening).await.map_err(|_| DriverEnded) },
                ))
            }
        }
    }

    /// The same from a plain thread.
    pub(crate) fn tell_blocking(&self, happening: Happening) -> Result<(), DriverEnded> {
        self.0.blocking_send(happening).map_err(|_| DriverEnded)
    }
}

impl Happenings {
    /// Waits for the next; `None` once nobody is left to tell any.
    pub(crate) async fn next(&mut self) -> Option<Happening> {
        self.0.recv().await
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// One that is there already.
    pub(crate) fn try_next(&mut self) -> Option<Happening> {
        self.0.try_recv().ok()
    }
}
