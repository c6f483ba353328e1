//! Pushes of the network from their documents to files, one after another, on a machine of each renderer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod machine;
mod properties;
mod rollback;
