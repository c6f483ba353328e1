//! `ext`: what is understood is written again as it was understood.

use cloud_channel_protocol::{AckExt, CloudinitExt};
use serde_json::value::RawValue;

/// Reads the bytes as a message's `ext`.
///
/// # Panics
/// If what was read changes on its way out and in again, or an acknowledgement is not what the text says.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(raw) = RawValue::from_string(text.to_owned()) else { return };
    if let Ok(ext) = CloudinitExt::from_ext(Some(&raw)) {
        assert!(raw.get().starts_with('{') || raw.get() == "null", "{text}");
        let again = CloudinitExt::from_ext(Some(&ext.to_ext()));
        assert_eq!(again.as_ref(), Ok(&ext), "{text}");
    }
    let Some(AckExt::Batch(batch)) = AckExt::from_ext(Some(&raw)) else { return };
    // A raw value may hold what no value can: numbers without bound, half surrogates.
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
    assert_eq!(value["ack"].as_u64(), Some(batch), "{text}");
}
