//! One task a WebSocket connection: frames in go to the driver, frames out come from the slot.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use cloud_channel_protocol::server::{Carrier, CloseReason, Peer};
use cloud_channel_protocol::{ConnectionId, Limits};
use tokio::time::timeout;
use tracing::Instrument;

use super::registry::{ConnectionRegistry, Outgoing, Slot};
use super::{READ_BUFFER, WRITE_DEADLINE};
use crate::happening::{DriverHandle, Happening};

/// Answers the upgrade and runs the connection until it ends.
pub(crate) fn upgrade(
    upgrade: WebSocketUpgrade,
    peer: Peer,
    driver: DriverHandle,
    registry: Arc<ConnectionRegistry>,
    limits: &Limits,
) -> Response {
    let limit = limits.batch_bytes;
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(limits.queued_bytes + limits.batch_bytes + limits.reply_bytes)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| async move {
            let (id, slot) = registry.enter();
            let span = tracing::info_span!("connection", id = %id, peer = %peer);
            let connection = Connection { id, socket, slot, registry, driver, limit };
            async {
                tracing::debug!("opened");
                connection.run(peer).await;
                tracing::debug!("closed");
            }
            .instrument(span)
            .await;
        })
}

struct Connection {
    id: ConnectionId,
    socket: WebSocket,
    slot: Arc<Slot>,
    registry: Arc<ConnectionRegistry>,
    driver: DriverHandle,
    limit: usize,
}

impl Connection {
    async fn run(mut self, peer: Peer) {
        if self
            .driver
            .tell(Happening::Opened { connection: self.id, peer, carrier: Carrier::Stream })
            .await
            .is_err()
        {
            return self.registry.leave(self.id);
        }
        // Either branch keeps its half-done state in the socket or the slot, so losing the race loses nothing.
        loop {
            let step = tokio::select! {
                outgoing = self.slot.next() => self.write(outgoing).await,
                incoming = self.socket.recv() => self.read(incoming).await,
            };
            if step.is_break() {
                break;
            }
        }
        // Before the driver hears of it, which looks whether anybody is left.
        self.registry.leave(self.id);
        // A driver that has ended has no sessions left to tell.
        let _ended = self.driver.tell(Happening::Closed { connection: self.id }).await;
    }

    async fn write(&mut self, outgoing: Outgoing) -> ControlFlow<()> {
        match outgoing {
            Outgoing::Frame(frame) => {
                if self.send(Message::Text(frame.try_into().expect("the core writes JSON"))).await.is_break()
                {
                    return ControlFlow::Break(());
                }
                self.tell(Happening::Writable { connection: self.id }).await
            }
            Outgoing::Close(reason) => {
                let code = match reason {
                    CloseReason::GoingAway => close_code::AWAY,
                    CloseReason::Moved => close_code::NORMAL,
                    CloseReason::NoSession | CloseReason::TooManyUnbound | CloseReason::StuckReader => {
                        close_code::POLICY
                    }
                };
                tracing::info!(reason = reason.as_str(), "closing");
                self.close(code, reason.as_str().to_owned()).await
            }
        }
    }

    async fn read(&mut self, incoming: Option<Result<Message, axum::Error>>) -> ControlFlow<()> {
        match incoming {
            Some(Ok(Message::Text(text))) => self.received(text.into()).await,
            Some(Ok(Message::Binary(bytes))) => self.received(bytes).await,
            // The library answers pings and close frames.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => ControlFlow::Continue(()),
            Some(Ok(Message::Close(_))) | None => ControlFlow::Break(()),
            Some(Err(error)) => {
                // The stream cannot be read on from here: say why and close. The session lives on.
                tracing::info!(%error, "unreadable WebSocket frame");
                let text = format!("{error}; a frame is UTF-8 text of at most {} bytes", self.limit);
                self.close(close_code_of(&error), text).await
            }
        }
    }

    async fn received(&mut self, bytes: axum::body::Bytes) -> ControlFlow<()> {
        self.tell(Happening::Received { connection: self.id, bytes }).await
    }

    async fn tell(&mut self, happening: Happening) -> ControlFlow<()> {
        match self.driver.tell(happening).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_ended) => ControlFlow::Break(()),
        }
    }

    async fn close(&mut self, code: u16, mut reason: String) -> ControlFlow<()> {
        // A close frame's payload is at most 125 bytes, two of them the code (RFC 6455, 5.5).
        while reason.len() > 120 {
            reason.pop();
        }
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _closing_anyway = self.send(frame).await;
        ControlFlow::Break(())
    }

    async fn send(&mut self, message: Message) -> ControlFlow<()> {
        match timeout(WRITE_DEADLINE, self.socket.send(message)).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot write");
                ControlFlow::Break(())
            }
            Err(_elapsed) => {
                tracing::info!(seconds = WRITE_DEADLINE.as_secs(), "the peer does not read, closing");
                ControlFlow::Break(())
            }
        }
    }
}

fn close_code_of(error: &axum::Error) -> u16 {
    use tokio_tungstenite::tungstenite::Error;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    match source {
        Some(Error::Capacity(_)) => close_code::SIZE,
        Some(Error::Utf8(_)) => close_code::INVALID,
        _ => close_code::PROTOCOL,
    }
}
