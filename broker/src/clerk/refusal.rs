//! A module's refusal, as a publish reply carries it.

use cloud_channel_handlers::Refusal;
use cloud_channel_protocol::{BayeuxError, ErrorCode};

/// 400, the field as the argument, and all that helps its sender as the text.
pub(super) fn to_bayeux(refusal: &Refusal) -> BayeuxError {
    let mut text = format!("expected {}", refusal.expected());
    if let Some(given) = refusal.given_value() {
        text.push_str(&format!(", got `{given}`"));
    }
    if let Some(hint) = refusal.hint_text() {
        text.push_str(&format!("; {hint}"));
    }
    BayeuxError::new(ErrorCode::Malformed, refusal.path(), text)
}
