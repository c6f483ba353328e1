//! Bayeux without sockets: the server and client cores of cloud-channel, and the typed view of its channels.
//!
//! Deterministic by construction: no sockets, files, clocks, randomness, tasks or locks. Bytes and time come in
//! as arguments, bytes and decisions come out as values; the same inputs give the same outputs, always.
//!
//! Both cores are driven by four calls: `handle` an input, `handle_timeout` when the clock has reached
//! `next_timeout`, and `poll_output` until it gives nothing more.

mod advice;
mod channel;
pub mod client;
mod endpoint;
mod error;
mod error_chain;
mod event;
mod ext;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hex;
mod hybrid;
mod ids;
mod limits;
mod module;
mod number_map;
mod object;
mod publication;
pub mod server;
pub mod signing;
mod time;
mod topic;
mod wire;

pub use advice::{Advice, ReceivedAdvice, Reconnect};
pub use channel::{ChannelKind, ChannelName, ChannelPattern, InvalidChannel};
pub use endpoint::{DEFAULT_VSOCK_PORT, EVENTS_PATH, Endpoint, HOST_CID, InvalidEndpoint, Scheme};
pub use error::{BayeuxError, ErrorCode};
pub use error_chain::error_chain;
pub use event::{EventResult, EventType, ReportingEvent};
pub use ext::{AckExt, CloudinitExt, presented_token, token_ext};
pub use hybrid::{HybridAnswer, InvalidHybridAnswer, connect_line};
pub use ids::{ClientId, ConnectionId, IdSource, InstanceId, InvalidInstanceId, MessageId, shorten};
pub use limits::Limits;
pub use module::{Module, ModuleName};
pub use number_map::{NumberHasher, NumberMap};
pub use object::Object;
pub use publication::Publication;
pub use time::Now;
pub use topic::{Branch, Place, Stage, Subsystem, Topic, Verb};
