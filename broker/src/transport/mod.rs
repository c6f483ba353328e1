//! Byte streams: where we listen, whom we dial, and frames over all of them.
//!
//! One code path: whatever the family, a stream is an [`Accepted`](listener::Accepted) or a dialled one, HTTP/1.1
//! is spoken on it, and Bayeux goes in WebSocket frames on `/events`.

pub mod dial;
pub(crate) mod http;
pub(crate) mod inherited;
pub mod listener;
pub(crate) mod registry;
mod stream;
mod vsock;
pub(crate) mod websocket;

pub use stream::Stream;

use std::time::Duration;

/// How long one frame may take to be written before its connection is closed.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a peer may take to send the head of an HTTP request.
pub(crate) const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// What a WebSocket connection keeps for reading; a larger frame gets what it needs. Idle connections are the many,
/// and the library's default is 128 KiB for each.
pub(crate) const READ_BUFFER: usize = 1024;
