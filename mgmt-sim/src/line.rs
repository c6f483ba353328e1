//! One WebSocket connection as a task: frames and faults in, what happens on it out. Both shells use it.

use std::time::Duration;

use cloud_channel_protocol::ConnectionId;
use cloud_channel_protocol::server::Peer;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::dial::Socket;
use crate::fault::{Fault, raw_frame};

/// How long one frame may take to be written before the connection is given up.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Orders that may wait for one connection.
const ORDERS: usize = 256;

/// What a connection is told to do.
#[derive(Debug)]
pub(crate) enum LineOrder {
    /// Write a frame of the core.
    Frame(Bytes),
    /// Do something wrong.
    Fault(Fault),
    /// Close politely.
    Close { code: u16, reason: String },
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum LineReport {
    Opened {
        peer: Peer,
        orders: LineOrders,
    },
    Received(Bytes),
    /// A frame of the core has been written.
    Written,
    Gone(String),
}

/// A report and whose it is.
pub(crate) type Reported = (ConnectionId, LineReport);

/// The owner's end of a connection. Dropping it closes the connection.
#[derive(Debug, Clone)]
pub(crate) struct LineOrders(mpsc::Sender<LineOrder>);

impl LineOrders {
    pub(crate) fn new() -> (Self, mpsc::Receiver<LineOrder>) {
        let (sender, receiver) = mpsc::channel(ORDERS);
        (Self(sender), receiver)
    }

    /// False if the connection is gone, or so far behind that it should be.
    pub(crate) fn give(&self, order: LineOrder) -> bool {
        self.0.try_send(order).is_ok()
    }
}

/// Runs a connection until either side ends it.
pub(crate) async fn run(
    id: ConnectionId,
    socket: Socket,
    mut orders: mpsc::Receiver<LineOrder>,
    reports: mpsc::Sender<Reported>,
) {
    let mut line = Line { id, socket, reports, held: None };
    let reason = loop {
        let step = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => line.obey(order).await,
                None => Err("closed by us".to_owned()),
            },
            () = released(line.held.as_ref()) => line.release().await,
            incoming = line.socket.next() => line.read(incoming).await,
        };
        if let Err(reason) = step {
            break reason;
        }
    };
    // An owner that has ended has nothing left to be told.
    drop(line.reports.send((id, LineReport::Gone(reason))).await);
}

struct Line {
    id: ConnectionId,
    socket: Socket,
    reports: mpsc::Sender<Reported>,
    held: Option<Held>,
}

/// Frames that wait for a delay to pass. The cores bound them: they await replies.
struct Held {
    until: Instant,
    frames: Vec<Bytes>,
}

async fn released(held: Option<&Held>) {
    match held {
        Some(held) => tokio::time::sleep_until(held.until).await,
        None => std::future::pending().await,
    }
}

/// Goes on, or says why the connection ends.
type Step = Result<(), String>;

impl Line {
    async fn obey(&mut self, order: LineOrder) -> Step {
        match order {
            LineOrder::Frame(frame) => match &mut self.held {
                Some(held) => {
                    held.frames.push(frame);
                    Ok(())
                }
                None => self.write_frame(frame).await,
            },
            LineOrder::Fault(Fault::Cut { .. }) => Err("cut by us".to_owned()),
            LineOrder::Fault(Fault::Hold(time)) => {
                let until = Instant::now() + time;
                let frames = self.held.take().map(|held| held.frames).unwrap_or_default();
                self.held = Some(Held { until, frames });
                Ok(())
            }
            LineOrder::Fault(Fault::Frame { bytes, text }) => self.send(raw_frame(bytes, text)).await,
            LineOrder::Close { code, reason } => {
                let frame = CloseFrame { code: code.into(), reason: reason.clone().into() };
                self.send(Message::Close(Some(frame))).await?;
                Err(reason)
            }
        }
    }

    async fn release(&mut self) -> Step {
        for frame in self.held.take().map(|held| held.frames).unwrap_or_default() {
            self.write_frame(frame).await?;
        }
        Ok(())
    }

    async fn write_frame(&mut self, frame: Bytes) -> Step {
        let text = frame.try_into().map_err(|error| format!("not UTF-8: {error}"))?;
        self.send(Message::Text(text)).await?;
        self.report(LineReport::Written).await
    }

    async fn send(&mut self, message: Message) -> Step {
        match timeout(WRITE_DEADLINE, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|error| format!("cannot write: {error}")),
            Err(_elapsed) => Err(format!("the other side did not read for {} s", WRITE_DEADLINE.as_secs())),
        }
    }

    async fn read(
        &mut self,
        incoming: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Step {
        match incoming {
            Some(Ok(Message::Text(text))) => self.report(LineReport::Received(text.into())).await,
            Some(Ok(Message::Binary(bytes))) => self.report(LineReport::Received(bytes)).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(format!("closed by the other side: {} ({})", frame.reason, u16::from(frame.code)))
            }
            Some(Ok(Message::Close(None))) | None => Err("closed by the other side".to_owned()),
            Some(Err(error)) => Err(format!("the connection failed: {error}")),
        }
    }

    async fn report(&mut self, report: LineReport) -> Step {
        self.reports.send((self.id, report)).await.map_err(|_ended| "closed by us".to_owned())
    }
}
