//! A module's refusal, as a publish reply carries it.

use cloud_channel_handlers::Refusal;
use cloud_channel_protocol::{BayeuxError, ErrorCode};

/// 400, the field as the argument, and all that helps its sender as the text; the longest part, which is what was
/// expected, comes last.
pub(super) fn to_bayeux(refusal: &Refusal) -> BayeuxError {
    let given = refusal.given_value().map(|given| format!("got `{given}`"));
    let hint = refusal.hint_text().map(ToOwned::to_owned);
    let expected = format!("expected {}", refusal.expected());
    let mut text = String::new();
    for part in given.into_iter().chain(hint).chain([expected]) {
        if !text.is_empty() {
            text.push_str(if text.ends_with('?') { " " } else { "; " });
        }
        text.push_str(&part);
    }
    BayeuxError::new(ErrorCode::Malformed, refusal.path(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_most_comes_first() {
        let refusal = Refusal::at("network.a", "one of b, c").given("bb").hint("did you mean `b`?");
        let text = to_bayeux(&refusal).to_string();
        assert_eq!(text, "400:network.a:got `bb`; did you mean `b`? expected one of b, c");
        assert_eq!(to_bayeux(&Refusal::at("x", "a number")).to_string(), "400:x:expected a number");
    }
}
