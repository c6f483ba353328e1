//! Tests of the whole, in one binary: each file is one concern, each test starts its own daemon on its own sandbox.
#![expect(clippy::unwrap_used, reason = "a test says by panicking what is not as it should be")]

mod activation;
mod authority;
mod authority_matrix;
mod authority_tokens;
mod bad_input;
mod clients;
mod clients_authority;
mod clients_extensions;
mod clients_links;
mod clients_lost;
mod clients_replay;
mod clients_under_load;
mod deferral;
mod dialling_long_polling;
mod durability;
mod flows_dialling;
mod flows_listening;
mod hotplug;
mod idle;
mod large_input;
mod lifecycle;
mod link_tokens;
mod long_polling;
mod observability;
mod payloads;
mod replay;
mod replay_commands;
mod sessions;
mod signatures;
mod slow_readers;
mod stream_ends;
mod tls;
mod trials;
mod trials_killed;
mod webhook;
