//! What the client core tells its shell: bytes to send, events, results, and when to leave the stream.

use std::fmt;

use crate::channel::{ChannelName, ChannelPattern};
use crate::ids::MessageId;
use crate::publication::Publication;

/// One thing for the shell or the application to do, in order.
///
/// `Debug` hides what is transmitted: it holds the session's credential and may hold passwords.
pub enum ClientOutput {
    /// Send this as one text frame; over long-polling as one request, whose response is told with
    /// `Client::answered`.
    Transmit(String),
    /// Over long-polling alone: send this as one request beside the other, which the server may hold. A former one
    /// that still has no response is of no use any more.
    Hold(String),
    /// The session stands; subscriptions are on their way in the same turn. Events that the server repeats after a
    /// resumption may come before it.
    Connected {
        /// True if an earlier session goes on: nothing was lost that the server still holds.
        resumed: bool,
        /// True if both sides speak the ack extension, so that [`ClientOutput::BatchEnd`] will come.
        ack: bool,
    },
    /// The server has accepted a subscription. Told again after each new handshake.
    Subscribed(ChannelPattern),
    /// The server has refused a subscription, or there are too many; it is forgotten.
    SubscribeRefused {
        /// Which one.
        pattern: ChannelPattern,
        /// The server's words, or ours.
        error: String,
    },
    /// An event. After a resumption some may come a second time: tell them apart by their ids.
    Event(Publication),
    /// All events since the last one of these are one batch: call `Client::confirm` with this number when they are
    /// durable. The number is the core's own and never repeats, so that a late confirmation cannot be taken for
    /// one of another session.
    BatchEnd(u64),
    /// The outcome of a publish. Each publish that was taken gets exactly one.
    PublishReply {
        /// The id it was published under.
        id: MessageId,
        /// Accepted, or why not.
        result: Result<(), PublishFailure>,
    },
    /// The server sent what cannot be read; the rest of its frame was served. For the log: holds no payload.
    Unreadable(String),
    /// Close the stream and dial again after a back-off.
    Close(CloseReason),
    /// Close the stream; the session is over and the server, or the application, does not want another one now.
    Ended(EndReason),
}

impl fmt::Debug for ClientOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transmit(frame) => write!(f, "Transmit({} bytes)", frame.len()),
            Self::Hold(frame) => write!(f, "Hold({} bytes)", frame.len()),
            Self::Connected { resumed, ack } => write!(f, "Connected(resumed {resumed}, ack {ack})"),
            Self::Subscribed(pattern) => write!(f, "Subscribed({pattern})"),
            Self::SubscribeRefused { pattern, error } => write!(f, "SubscribeRefused({pattern}, {error})"),
            Self::Event(publication) => write!(f, "Event({publication:?})"),
            Self::BatchEnd(batch) => write!(f, "BatchEnd({batch})"),
            Self::PublishReply { id, result } => write!(f, "PublishReply({id:?}, {result:?})"),
            Self::Unreadable(why) => write!(f, "Unreadable({why})"),
            Self::Close(reason) => write!(f, "Close({reason})"),
            Self::Ended(reason) => write!(f, "Ended({reason})"),
        }
    }
}

/// Why a publish was not taken. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no session at the moment.
    #[error("cannot publish on `{0}` without a session: publish again once the client is connected")]
    NotConnected(ChannelName),
    /// As many publishes as the configuration allows await their replies.
    #[error(
        "cannot publish on `{channel}`: {limit} publishes await their replies, expected fewer; wait for one"
    )]
    Busy {
        /// Where it was to go.
        channel: ChannelName,
        /// How many may wait.
        limit: usize,
    },
    /// The publication has no id, so its reply could not be told from others.
    #[error("cannot publish on `{0}` without a message id, which its reply is known by")]
    NoId(ChannelName),
    /// A publish under this id still awaits its reply.
    #[error("cannot publish under id {0:?}: one under the same id awaits its reply, expected a new id")]
    IdInFlight(MessageId),
    /// `/meta/…` is the core's own.
    #[error("cannot publish on `{0}`: `/meta` channels belong to the protocol, expected another channel")]
    Meta(ChannelName),
}

/// Why a publish that was sent is not known to have been accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishFailure {
    /// The stream or the session went before the reply came: it may have been accepted. Publish again under the
    /// same id.
    #[error("no reply before the connection was lost: publish again under the same id")]
    Lost,
    /// The server has refused it.
    #[error("the server refused it: {0}")]
    Refused(String),
}

/// Why the stream is to be closed and dialled anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// A request had no reply for longer than the server may hold it, plus the network delay.
    #[error("no reply to {0} in time")]
    Unanswered(Request),
    /// The server has refused the handshake without forbidding another.
    #[error("the server refused the handshake: {0}")]
    HandshakeRefused(String),
    /// One handshake after the other, and no lasting session.
    #[error("{0} handshakes on one stream without a lasting session")]
    HandshakeLoop(u8),
    /// One connect after the other failed.
    #[error("the server refuses to connect: {0}")]
    ConnectRefused(String),
    /// The server has ended the session.
    #[error("the server disconnected the session")]
    Disconnected,
}

/// A kind of request, for texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `/meta/handshake`
    Handshake,
    /// `/meta/connect`
    Connect,
    /// `/meta/subscribe` or `/meta/unsubscribe`
    Subscription,
    /// A message on another channel.
    Publish,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "a handshake",
            Self::Connect => "a connect",
            Self::Subscription => "a subscription",
            Self::Publish => "a publish",
        })
    }
}

/// Why the session has ended for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The application asked for it.
    #[error("disconnected")]
    Disconnected,
    /// The server's advice is to stop; its error, if it gave one.
    #[error("the server asks not to come back{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    Dismissed(Option<String>),
}
