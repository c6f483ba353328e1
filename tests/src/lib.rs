//! The harness for tests of the whole: the real `cloud-channel` binary as a process, real sockets, real files below
//! a folder that plays the machine.
//!
//! - [`sandbox`] is that folder, [`guest`] the daemon on it, [`binary`] the fresh build of it.
//! - [`peer`] is a management server's client. It writes and reads raw JSON and shares no code with the product, so
//!   that a mistake on both sides cannot hide.
//! - [`management`] is a management server that a guest dials; [`http`] posts as cloud-init posts.
//! - [`namespace`] is a network of its own on this kernel, with cards that the test plugs.
//! - [`clients`] are Bayeux clients and servers of other makes, each run by a [`driver`]; [`relay`] stands between them
//!   and a daemon, to be cut.
//! - [`tls`] makes certificates, and speaks TLS with a daemon or before a management server.
//! - [`polling`] is a management server over long-polling that does what the test says, request by request.
//! - [`message`] reads what came in; [`patience`] is how tests wait: for a condition, never for a time.
//!
//! Everything fails by panicking with what was awaited and what was there. When a test fails, its sandbox prints the
//! end of the daemon's log.

pub mod binary;
pub mod clients;
pub mod driver;
pub mod guest;
pub mod http;
pub mod inside;
pub mod management;
pub mod message;
pub mod namespace;
pub mod patience;
pub mod peer;
pub mod polling;
pub mod relay;
pub mod sandbox;
pub mod stream;
pub mod tls;

/// Says something that a reader of the test's output should see, as a figure or a reason to skip.
#[expect(clippy::print_stderr, reason = "test output is what this is for")]
pub fn say(text: &str) {
    eprintln!("{text}");
}
