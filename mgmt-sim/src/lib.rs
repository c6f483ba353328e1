//! The other side of a guest, for tests, demos and trials: a management server that a guest dials ([`server_shell`]),
//! a client that dials a guest ([`peer`]), scenarios that are played over either ([`scenario`]), and a load generator ([`load`]).
//!
//! It knows the protocol and nothing of the guest: what it sends comes from files and scenarios, what it expects too.

pub mod bearer;
pub mod clock;
pub mod dial;
pub mod event_line;
mod fault;
mod guest_policy;
mod line;
pub mod listener;
pub mod load;
pub mod matching;
pub mod notice;
pub mod peer;
pub mod push;
mod random;
pub mod scenario;
pub mod screen;
pub mod server_shell;
mod stream;

pub use fault::Fault;
pub use stream::Stream;
