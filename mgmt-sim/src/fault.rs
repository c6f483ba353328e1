//! What a scenario can do to a link on purpose.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// One fault, done to every open connection.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The stream goes without a close frame, and none comes in its place for so long.
    Cut {
        /// How long newcomers are turned away, or nobody is dialled.
        away: Duration,
    },
    /// What we send is held back for so long; what comes is still read.
    Hold(Duration),
    /// A frame of these bytes, whatever they are.
    Frame {
        /// The payload.
        bytes: Vec<u8>,
        /// As a text frame, which must be UTF-8 by the standard; else as a binary one.
        text: bool,
    },
}

/// A frame that is sent as it is: the library would refuse to call invalid UTF-8 a text.
pub(crate) fn raw_frame(bytes: Vec<u8>, text: bool) -> Message {
    let kind = if text { Data::Text } else { Data::Binary };
    Message::Frame(Frame::message(bytes, OpCode::Data(kind), true))
}
