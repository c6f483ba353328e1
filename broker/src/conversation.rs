//! The client core over an open line: what the link and the command line's thin clients share.

use std::time::Duration;

use cloud_channel_protocol::client::{Client, ClientOutput};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::transport::dial::{Gone, Incoming, Line};

/// How long a server may take to hear that we leave.
const GOODBYE: Duration = Duration::from_secs(2);

/// One line's worth of talk. The client outlives it, and with it the session.
#[derive(Debug)]
pub struct Conversation<'c> {
    /// The core; publish, subscribe and confirm with it, then [`Conversation::next_output`].
    pub client: &'c mut Client,
    line: Line,
    clock: Clock,
}

impl<'c> Conversation<'c> {
    /// Begins on a fresh line.
    pub fn begin(client: &'c mut Client, line: Line, clock: Clock) -> Self {
        if line.is_long_polling() {
            client.opened_long_polling(clock.now());
        } else {
            client.opened(clock.now());
        }
        Self { client, line, clock }
    }

    /// Writes what is to be written, up to the next thing that concerns the caller. Not to be abandoned half-way.
    ///
    /// # Errors
    /// If the line is gone.
    pub async fn next_output(&mut self) -> Result<Option<ClientOutput>, Gone> {
        while let Some(output) = self.client.poll_output() {
            match output {
                ClientOutput::Transmit(batch) => self.line.send(batch).await?,
                ClientOutput::Hold(batch) => self.line.hold(batch).await?,
                output => return Ok(Some(output)),
            }
        }
        Ok(None)
    }

    /// Waits for messages or a deadline and feeds the core with it. May be abandoned.
    ///
    /// # Errors
    /// If the line is gone.
    pub async fn wait(&mut self) -> Result<(), Gone> {
        let deadline = self.client.next_timeout().map(|uptime| self.clock.instant(uptime));
        let due = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            incoming = self.line.next() => match incoming? {
                Incoming::Batch(batch) => self.client.received(self.clock.now(), &batch),
                Incoming::Answer(batch) => self.client.answered(self.clock.now(), &batch),
                Incoming::Nothing => {}
            },
            () = due => self.client.handle_timeout(self.clock.now()),
        }
        Ok(())
    }

    /// Ends the session and the line. The server hears of it, or finds out by itself.
    pub async fn leave(mut self) {
        self.client.disconnect(self.clock.now());
        let goodbye = async {
            loop {
                match self.next_output().await {
                    Ok(Some(ClientOutput::Ended(_))) | Err(_) => break,
                    Ok(Some(_)) => {}
                    // A frame has left by now; a request leaves while its response is waited for.
                    Ok(None) if !self.line.is_long_polling() => break,
                    Ok(None) => {
                        if self.wait().await.is_err() {
                            break;
                        }
                    }
                }
            }
        };
        // Whatever is left then, the session expires.
        let _elapsed = timeout(GOODBYE, goodbye).await;
        self.end().await;
    }

    /// Ends the line politely; the core is told that it is gone.
    pub async fn end(self) {
        self.line.close().await;
        self.client.closed(self.clock.now());
    }
}
