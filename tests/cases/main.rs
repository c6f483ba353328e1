//! Tests of the whole, in one binary: each file is one concern, each test starts its own daemon on its own sandbox.
#![expect(clippy::unwrap_used, reason = "a test says by panicking what is not as it should be")]

mod activation;
mod authority;
mod bad_input;
mod durability;
mod flows_dialling;
mod flows_listening;
mod idle;
mod lifecycle;
mod payloads;
mod sessions;
mod webhook;
