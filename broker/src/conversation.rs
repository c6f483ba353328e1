//! The client core over an open WebSocket: what the link and the command line's thin clients share.

use cloud_channel_protocol::client::{Client, ClientOutput};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::clock::Clock;
use crate::transport::WRITE_DEADLINE;
use crate::transport::dial::DialledSocket;

/// Why a conversation has ended.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// The other side closed it.
    #[error("the other side closed the connection{0}")]
    Closed(String),
    /// The stream failed.
    #[error("the connection failed")]
    Failed(#[source] Box<tungstenite::Error>),
    /// The other side does not read.
    #[error("the other side did not read for {} s", WRITE_DEADLINE.as_secs())]
    Stuck,
}

/// One stream's worth of talk. The client outlives it, and with it the session.
#[derive(Debug)]
pub struct Conversation<'c> {
    /// The core; publish, subscribe and confirm with it, then [`Conversation::next_output`].
    pub client: &'c mut Client,
    socket: DialledSocket,
    clock: Clock,
}

impl<'c> Conversation<'c> {
    /// Begins on a fresh stream.
    pub fn begin(client: &'c mut Client, socket: DialledSocket, clock: Clock) -> Self {
        client.opened(clock.now());
        Self { client, socket, clock }
    }

    /// Writes what is to be written, up to the next thing that concerns the caller. Not to be abandoned half-way.
    ///
    /// # Errors
    /// If the stream is gone.
    pub async fn next_output(&mut self) -> Result<Option<ClientOutput>, Gone> {
        while let Some(output) = self.client.poll_output() {
            let ClientOutput::Transmit(frame) = output else { return Ok(Some(output)) };
            match timeout(WRITE_DEADLINE, self.socket.send(Message::Text(frame.into()))).await {
                Ok(sent) => sent.map_err(|error| Gone::Failed(Box::new(error)))?,
                Err(_elapsed) => return Err(Gone::Stuck),
            }
        }
        Ok(None)
    }

    /// Waits for a frame or a deadline and feeds the core with it. May be abandoned.
    ///
    /// # Errors
    /// If the stream is gone.
    pub async fn wait(&mut self) -> Result<(), Gone> {
        let deadline = self.client.next_timeout().map(|uptime| self.clock.instant(uptime));
        let due = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let frame = tokio::select! {
            frame = self.socket.next() => frame,
            () = due => {
                self.client.handle_timeout(self.clock.now());
                return Ok(());
            }
        };
        let now = self.clock.now();
        match frame {
            Some(Ok(Message::Text(text))) => self.client.received(now, text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.client.received(now, &bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(frame))) => {
                let reason = frame.map(|frame| format!(": {} ({})", frame.reason, frame.code));
                return Err(Gone::Closed(reason.unwrap_or_default()));
            }
            Some(Err(error)) => return Err(Gone::Failed(Box::new(error))),
            None => return Err(Gone::Closed(String::new())),
        }
        Ok(())
    }

    /// Ends the stream politely; the core is told that it is gone.
    pub async fn end(mut self) {
        // It is being given up: whether the other side hears of it changes nothing here.
        let _unheard = timeout(WRITE_DEADLINE, self.socket.close(None)).await;
        self.client.closed(self.clock.now());
    }
}
