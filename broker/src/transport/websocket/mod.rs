//! WebSocket, the server's side of it (RFC 6455): written for connections that are many, idle, and small.
//!
//! - `upgrade` answers the request that becomes a WebSocket.
//! - `reader` makes messages of bytes, `frame` makes bytes of messages, `violation` is what a peer may not send.
//! - `slot` owns the stream: what is read and what is to be written meet there, and the driver writes through it.
//! - `connection` is the one task that each has.
//!
//! An idle connection owns no buffer: reading goes into one that all share, writing is from what the core has encoded
//! once for all who get it. Compression is not offered: it costs memory for each connection, and the messages are
//! small.

mod connection;
mod frame;
mod reader;
mod slot;
mod upgrade;
mod violation;

pub(crate) use slot::{Sent, Slot};
pub(super) use upgrade::{Upgrade, grant};
