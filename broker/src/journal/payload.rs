//! The data of a push, and what it is known by when it comes again.

use std::fmt;
use std::sync::Arc;

use cloud_channel_protocol::hex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// What lies in journals in the place of a payload, where there is none. A message that comes again is known by its
/// digest, also after an upgrade, so these texts stay as they are.
const OF_RESUME: &str = "\"resume\"";
const OF_REVERT: &str = "\"rollback\"";

/// The data of a push, as it was written. `Debug` shows its size only.
#[derive(Clone)]
pub struct Payload(Arc<RawValue>);

impl Payload {
    /// Of a [`Task::Resume`](super::Task::Resume), which has none of its own.
    #[must_use]
    pub fn of_resume() -> Self {
        Self::constant(OF_RESUME)
    }

    /// Of a [`Task::Revert`](super::Task::Revert), which has none of its own.
    #[must_use]
    pub fn of_revert() -> Self {
        Self::constant(OF_REVERT)
    }

    fn constant(json: &str) -> Self {
        RawValue::from_string(json.to_owned()).expect("a constant is JSON").into()
    }

    /// The JSON text.
    #[must_use]
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }
}

impl From<Box<RawValue>> for Payload {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.get().len())
    }
}

/// SHA-256 of a payload's bytes. A password can be guessed from it, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Of a payload.
    #[must_use]
    pub fn of(payload: &Payload) -> Self {
        Self(hex::write(&Sha256::digest(payload.as_raw().get())))
    }

    /// As 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha256_in_hexadecimal() {
        let payload = Payload::from(RawValue::from_string("\"abc\"".to_owned()).unwrap());
        assert_eq!(
            Digest::of(&payload).hex(),
            "6cc43f858fbb763301637b5af970e2a46b46f461f27e5a0f41e009c59b827b25"
        );
    }

    #[test]
    fn what_has_no_payload_has_the_digest_that_journals_hold() {
        let written = |text: &str| Payload::from(RawValue::from_string(text.to_owned()).unwrap());
        assert_eq!(Digest::of(&Payload::of_revert()), Digest::of(&written(r#""rollback""#)));
        assert_eq!(Digest::of(&Payload::of_resume()), Digest::of(&written(r#""resume""#)));
    }
}
