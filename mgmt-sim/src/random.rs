//! Randomness, at the edge: session ids, message ids, and the spread of retries.

use cloud_channel_protocol::{ClientId, IdSource, MessageId};

/// Client ids from the kernel's random bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RandomIds;

impl IdSource for RandomIds {
    fn next_client_id(&mut self) -> ClientId {
        ClientId::from_random(u128::from_ne_bytes(random_bytes()))
    }
}

/// A fresh message id, a UUID of version 4.
pub(crate) fn message_id() -> MessageId {
    MessageId::from_text(&uuid::Builder::from_random_bytes(random_bytes()).into_uuid().to_string())
}

/// A random number, for spreading retries.
pub(crate) fn random_u64() -> u64 {
    u64::from_ne_bytes(random_bytes())
}

/// # Panics
/// If the kernel has no randomness to give: then no id would be safe, and nothing should go on.
fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes (getrandom(2))");
    bytes
}
