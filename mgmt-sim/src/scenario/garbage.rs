//! Garbage: what is sent, and what is answered.
//!
//! Where we dial, it goes out on a connection of its own, so that the answer can be told from those of the session.
//! To a guest that has dialled us it goes over its own link: it answers nothing, and what counts is that it goes on.

use cloud_channel_protocol::{Endpoint, Limits, error_chain};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::action::{Garbage, Rubbish};
use super::link::Link;
use super::player::{Player, Stopped};
use crate::dial::dial;
use crate::event_line::plain;
use crate::fault::{Fault, raw_frame};

const NESTING: usize = 100_000;
const HUGE: usize = 2 * 1024 * 1024;

pub(super) async fn send(player: &mut Player<'_>, garbage: Garbage) -> Result<(), Stopped> {
    let (bytes, text) = make(&garbage.send);
    let endpoint = match &player.link {
        Link::Dialled { endpoint, .. } => endpoint.clone(),
        Link::Serving(_) if garbage.error.is_some() => {
            let text =
                "`error` cannot be expected of a guest that has dialled us: leave it out, or dial the guest";
            return Err(Stopped::Scenario(text.to_owned()));
        }
        Link::Serving(_) => return Ok(player.link.fault(Fault::Frame { bytes, text }).await?),
    };
    let deadline = player.deadline(garbage.within);
    let wanted = garbage.error.as_deref().unwrap_or_default();
    answers(&endpoint, raw_frame(bytes, text), wanted, deadline).await.map_err(|came| {
        let expected = match &garbage.error {
            Some(text) => format!("an answer, or a close frame, with {text:?} in it"),
            None => "an answer, or a close frame".to_owned(),
        };
        player.failed(expected, came)
    })
}

fn make(rubbish: &Rubbish) -> (Vec<u8>, bool) {
    match rubbish {
        Rubbish::NotJson => (b"this is no JSON".to_vec(), true),
        Rubbish::DeepNesting => ("[".repeat(NESTING).into_bytes(), true),
        Rubbish::Huge => (format!("[\"{}\"]", "x".repeat(HUGE)).into_bytes(), true),
        Rubbish::InvalidUtf8 => (b"[{\"channel\":\"/\xff\xfe\"}]".to_vec(), false),
        Rubbish::InvalidUtf8Text => (b"[{\"channel\":\"/\xff\xfe\"}]".to_vec(), true),
        Rubbish::Text(text) => (text.clone().into_bytes(), true),
    }
}

/// Reads answers until one has what is wanted; else gives what came.
async fn answers(
    endpoint: &Endpoint,
    frame: Message,
    wanted: &str,
    deadline: Instant,
) -> Result<(), Vec<String>> {
    let mut came = Vec::new();
    let mut socket = match dial(endpoint, &Limits::default()).await {
        Ok(socket) => socket,
        Err(error) => return Err(vec![error_chain(&error)]),
    };
    // The other side may close as soon as it has seen the frame's head: what it says then is what counts.
    let unsent = match timeout_at(deadline, socket.send(frame)).await {
        Ok(sent) => sent.err().map(|error| error.to_string()),
        Err(_elapsed) => Some("the other side does not read".to_owned()),
    };
    loop {
        let text = match timeout_at(deadline, socket.next()).await {
            Err(_elapsed) => break came.push("nothing more within the time".to_owned()),
            Ok(None) => break came.push("the connection was closed".to_owned()),
            Ok(Some(Err(error))) => break came.push(format!("the connection failed: {error}")),
            Ok(Some(Ok(Message::Text(text)))) => text.to_string(),
            Ok(Some(Ok(Message::Binary(bytes)))) => String::from_utf8_lossy(&bytes).into_owned(),
            Ok(Some(Ok(Message::Close(Some(frame))))) => {
                format!("close {}: {}", u16::from(frame.code), frame.reason)
            }
            Ok(Some(Ok(Message::Close(None) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {
                continue;
            }
        };
        if text.contains(wanted) {
            return Ok(());
        }
        came.push(plain(&text));
    }
    came.extend(unsent);
    Err(came)
}
