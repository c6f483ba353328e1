//! The shells against each other, over real sockets, and scenarios over them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod fake_guest;
mod faults;
mod scenarios;
mod transports;
