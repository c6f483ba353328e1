//! What happens, on its way to the driver.

use axum::body::Bytes;
use cloud_channel_protocol::server::{Carrier, Peer};
use cloud_channel_protocol::{ConnectionId, ReportingEvent};
use tokio::sync::mpsc;

use crate::clerk::Report;
use crate::job::JobReport;
use crate::link::LinkReport;

/// Waiting happenings. Whoever has one more waits with it, which is what slows a flooding peer down.
const QUEUE: usize = 256;

/// Something the driver has to know.
#[derive(Debug)]
pub(crate) enum Happening {
    Opened {
        connection: ConnectionId,
        peer: Peer,
        carrier: Carrier,
    },
    Received {
        connection: ConnectionId,
        bytes: Bytes,
    },
    Writable {
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
    /// End well: what is under way is finished, nothing new is begun.
    Stop,
}

/// The driver has ended, and with it everything it could be told.
#[derive(Debug, thiserror::Error)]
#[error("the driver has ended")]
pub(crate) struct DriverEnded;

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

    /// Tells the driver; waits while its queue is full.
    pub(crate) async fn tell(&self, happening: Happening) -> Result<(), DriverEnded> {
        self.0.send(happening).await.map_err(|_| DriverEnded)
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

    /// One that is there already.
    pub(crate) fn try_next(&mut self) -> Option<Happening> {
        self.0.try_recv().ok()
    }
}
