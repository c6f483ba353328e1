//! Reading messages: raw JSON in, the few things that tests ask about out.

use serde_json::Value;

/// A message's channel, empty if it has none.
#[must_use]
pub fn channel(message: &Value) -> &str {
    message["channel"].as_str().unwrap_or_default()
}

/// The number of a guest's event.
#[must_use]
pub fn seq(message: &Value) -> Option<u64> {
    message["ext"]["cloudinit"]["seq"].as_u64()
}

/// The id of the message that caused this one.
#[must_use]
pub fn cause(message: &Value) -> Option<&str> {
    message["ext"]["cloudinit"]["cause"].as_str()
}

/// The first reporting event of a message's data.
#[must_use]
pub fn report(message: &Value) -> &Value {
    &message["data"][0]
}

/// True for the reporting event that ends something.
#[must_use]
pub fn is_finish(message: &Value) -> bool {
    report(message)["event_type"] == "finish"
}

/// SUCCESS, WARN or FAIL of a finish.
#[must_use]
pub fn result(message: &Value) -> &str {
    report(message)["result"].as_str().unwrap_or_default()
}

/// What a reporting event says.
#[must_use]
pub fn description(message: &Value) -> &str {
    report(message)["description"].as_str().unwrap_or_default()
}

/// True for the finish that a push caused.
#[must_use]
pub fn finishes(message: &Value, push: &str) -> bool {
    is_finish(message) && cause(message) == Some(push)
}

/// The numbers of all finishes that a push caused, each once.
#[must_use]
pub fn finish_numbers<'m>(messages: impl IntoIterator<Item = &'m Value>, push: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        messages.into_iter().filter(|message| finishes(message, push)).filter_map(seq).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// A reply's error, or an empty text.
#[must_use]
pub fn error(reply: &Value) -> &str {
    reply["error"].as_str().unwrap_or_default()
}

/// Checks that a reply is a refusal whose text has all these parts.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn assert_refused(reply: &Value, parts: &[&str]) {
    assert_eq!(reply["successful"], false, "expected a refusal, got {reply}");
    for part in parts {
        assert!(error(reply).contains(part), "expected {part:?} in the error of {reply}");
    }
}

/// Checks that a reply says yes.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn assert_accepted(reply: &Value) {
    assert_eq!(reply["successful"], true, "expected success, got {reply}");
}
