//! Byte streams: where we listen, whom we dial, and frames over all of them.
//!
//! One code path: whatever the family, a stream is an [`Accepted`](listener::Accepted) or a dialled one, HTTP/1.1
//! is spoken on it, and Bayeux goes in WebSocket frames on `/events`, or in requests and responses there and below.
//!
//! - `http` accepts streams and has the routes; `door` bounds how many there are, `watch` looks at those that speak HTTP, with
//!   its deadlines.
//! - `web` is what every request needs to be answered.
//! - `events` answers on `/events`: `websocket` takes over streams that are upgraded, `longpoll` answers the others, each as an
//!   `exchange` that is the core's from beginning to end.
//! - `budget` bounds what unprocessed input takes together, `intake` is a buffer that keeps to it.
//! - `registry` is where the driver finds each connection.

mod ahead;
mod body;
pub(crate) mod budget;
mod coding;
pub mod dial;
mod door;
mod events;
mod exchange;
mod form;
mod host;
pub(crate) mod http;
pub(crate) mod inherited;
mod intake;
pub mod listener;
mod longpoll;
pub(crate) mod messages;
mod origin;
mod ration;
pub(crate) mod registry;
mod scratch;
mod stream;
pub mod tls;
mod vsock;
mod watch;
pub(crate) mod web;
pub(crate) mod websocket;

pub use stream::Stream;

use std::time::Duration;

/// How long a peer may take no byte of a frame, or of a response, before its connection is closed.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a peer may take to send the head of an HTTP request.
pub(crate) const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a message may take from its first byte to its last.
pub(crate) const MESSAGE_DEADLINE: Duration = Duration::from_secs(60);
/// How long an HTTP connection may be idle between two requests: longer than a client waits from one connect to the
/// next, whatever the advice.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// What a dialled WebSocket keeps for reading; a larger frame gets what it needs. The library's default is
/// 128 KiB.
pub(crate) const READ_BUFFER: usize = 1024;

#[cfg(test)]
mod tests;
