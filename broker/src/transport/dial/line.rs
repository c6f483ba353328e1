//! A dialled line: batches of messages go out and come in, over a WebSocket or over long-polling.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{DialError, LongPolling};
use crate::transport::{Stream, WRITE_DEADLINE};

/// Why a line is of no use any more.
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
    /// Long-polling opens connections as it needs them; this one did not open.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// A request has no response.
    #[error("a request was not answered")]
    Unanswered(#[source] hyper::Error),
    /// A request was answered by something else than messages.
    #[error("a request was answered with HTTP status {0}, expected 200; {hint}", hint = hint(*.0))]
    Status(StatusCode),
    /// A response is larger than what is read.
    #[error("a response is larger than {0} bytes")]
    TooLarge(usize),
}

/// What to look at first.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "name the endpoint that it redirects to",
        404 | 405 => "check the endpoint's path",
        500.. => "the server has a fault, or what stands before it",
        _ => "check that a Bayeux server listens there",
    }
}

/// One line. Made by [`Dialler::open`](super::Dialler::open).
#[derive(Debug)]
pub enum Line {
    /// Frames both ways.
    WebSocket(Box<WebSocketStream<Stream>>),
    /// Requests and responses.
    LongPolling(LongPolling),
}

/// What has come in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A frame, or the response to what was given to [`Line::hold`].
    Batch(Bytes),
    /// The response to what was given to [`Line::send`].
    Answer(Bytes),
    /// Nothing that concerns the core.
    Nothing,
}

impl Line {
    /// True if it carries requests and responses.
    pub(crate) const fn is_long_polling(&self) -> bool {
        matches!(self, Self::LongPolling(_))
    }

    /// Sends a batch. Over long-polling it is only begun: [`Self::next`] carries it through, and brings its answer
    /// before another one is sent.
    pub(crate) async fn send(&mut self, batch: String) -> Result<(), Gone> {
        match self {
            Self::WebSocket(socket) => {
                match timeout(WRITE_DEADLINE, socket.send(Message::Text(batch.into()))).await {
                    Ok(sent) => sent.map_err(|error| Gone::Failed(Box::new(error))),
                    Err(_elapsed) => Err(Gone::Stuck),
                }
            }
            Self::LongPolling(polling) => {
                polling.send(batch);
                Ok(())
            }
        }
    }

    /// Sends what the server may hold, as [`Self::send`] does; the core asks for it over long-polling alone.
    pub(crate) async fn hold(&mut self, batch: String) -> Result<(), Gone> {
        match self {
            Self::WebSocket(_) => self.send(batch).await,
            Self::LongPolling(polling) => {
                polling.hold(batch);
                Ok(())
            }
        }
    }

    /// Waits for what comes in. May be abandoned.
    pub(crate) async fn next(&mut self) -> Result<Incoming, Gone> {
        match self {
            Self::WebSocket(socket) => read(socket.next().await),
            Self::LongPolling(polling) => polling.next().await,
        }
    }

    /// Ends it politely.
    pub(crate) async fn close(self) {
        match self {
            Self::WebSocket(mut socket) => {
                // It is being given up: whether the other side hears of it changes nothing here.
                let _unheard = timeout(WRITE_DEADLINE, socket.as_mut().close(None)).await;
            }
            // Between requests there is nothing to say.
            Self::LongPolling(_) => {}
        }
    }
}

fn read(frame: Option<Result<Message, tungstenite::Error>>) -> Result<Incoming, Gone> {
    match frame {
        Some(Ok(Message::Text(text))) => Ok(Incoming::Batch(text.into())),
        Some(Ok(Message::Binary(bytes))) => Ok(Incoming::Batch(bytes)),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Incoming::Nothing),
        Some(Ok(Message::Close(frame))) => {
            let reason = frame.map(|frame| format!(": {} ({})", frame.reason, frame.code));
            Err(Gone::Closed(reason.unwrap_or_default()))
        }
        Some(Err(error)) => Err(Gone::Failed(Box::new(error))),
        None => Err(Gone::Closed(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use cloud_channel_protocol::error_chain;
    use tokio_tungstenite::tungstenite::error::ProtocolError;

    use super::*;

    #[test]
    fn a_lost_stream_is_told_once() {
        let lost = tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake);
        let text = error_chain(&Gone::Failed(Box::new(lost)));
        assert_eq!(text.matches("without closing handshake").count(), 1, "{text}");
        let broken = tungstenite::Error::Io(std::io::Error::other("the cable is out"));
        let text = error_chain(&Gone::Failed(Box::new(broken)));
        assert_eq!(text.matches("the cable is out").count(), 1, "{text}");
    }
}
