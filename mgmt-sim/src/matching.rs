//! Does a JSON value have what is expected of it? Says where not.
//!
//! An object has every expected key; an array has as many elements, each as expected; all else is equal. An expected
//! object with one key that begins with `$` asks something else:
//!
//! ```text
//! {$contains: TEXT}   a string with this in it; or an array with an element that matches
//! {$absent: true}     the key is not there
//! {$any: true}        the key is there, whatever its value
//! ```

use serde_json::Value;

/// `None` if `given` has what is expected, else where and why not: `data[0].result: expected "SUCCESS", got "FAIL"`.
#[must_use]
pub fn mismatch(expected: &Value, given: Option<&Value>, place: &str) -> Option<String> {
    if let Some((operator, operand)) = operation(expected) {
        return operate(operator, operand, given, place);
    }
    let Some(given) = given else {
        return Some(format!("{place}: expected {}, got nothing", show(expected)));
    };
    match (expected, given) {
        (Value::Object(wanted), Value::Object(fields)) => wanted.iter().find_map(|(key, expected)| {
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            mismatch(expected, fields.get(key), &place)
        }),
        (Value::Array(wanted), Value::Array(items)) if wanted.len() != items.len() => {
            Some(format!("{place}: expected {} elements, got {}", wanted.len(), items.len()))
        }
        (Value::Array(wanted), Value::Array(items)) => {
            let pairs = wanted.iter().zip(items).enumerate();
            pairs.into_iter().find_map(|(at, (expected, given))| {
                mismatch(expected, Some(given), &format!("{place}[{at}]"))
            })
        }
        (expected, given) if is_same(expected, given) => None,
        (expected, given) => Some(format!("{place}: expected {}, got {}", show(expected), show(given))),
    }
}

/// The operator of an expectation that is one.
pub(crate) fn operation(expected: &Value) -> Option<(&str, &Value)> {
    let fields = expected.as_object().filter(|fields| fields.len() == 1)?;
    let (key, operand) = fields.iter().next()?;
    key.strip_prefix('$').map(|operator| (operator, operand))
}

/// The operators there are.
pub(crate) const OPERATORS: [&str; 3] = ["contains", "absent", "any"];

fn operate(operator: &str, operand: &Value, given: Option<&Value>, place: &str) -> Option<String> {
    match (operator, operand, given) {
        ("absent", _, None) | ("any", _, Some(_)) => None,
        ("absent", _, Some(given)) => Some(format!("{place}: expected nothing, got {}", show(given))),
        ("any", _, None) => Some(format!("{place}: expected something, got nothing")),
        ("contains", Value::String(part), Some(Value::String(text))) if text.contains(part.as_str()) => None,
        ("contains", operand, Some(Value::Array(items)))
            if items.iter().any(|item| mismatch(operand, Some(item), "").is_none()) =>
        {
            None
        }
        ("contains", operand, given) => {
            let given = given.map_or_else(|| "nothing".to_owned(), show);
            Some(format!("{place}: expected something with {} in it, got {given}", show(operand)))
        }
        _ => Some(format!("{place}: `${operator}` is unknown, expected one of ${}", OPERATORS.join(", $"))),
    }
}

/// Numbers are equal if their values are: `1` and `1.0`.
fn is_same(expected: &Value, given: &Value) -> bool {
    match (expected.as_f64(), given.as_f64()) {
        (Some(expected), Some(given)) if !(expected.is_nan() || given.is_nan()) => {
            expected.total_cmp(&given).is_eq()
        }
        _ => expected == given,
    }
}

/// JSON for people: at most 120 characters.
fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_expected_is_a_part_of_what_is_given() {
        let given =
            json!([{"event_type": "finish", "result": "SUCCESS", "duration": 1.0, "files": ["a", "b"]}]);
        for expected in [
            json!([{"event_type": "finish"}]),
            json!([{"duration": 1}]),
            json!([{"files": {"$contains": "b"}, "result": {"$contains": "SUCC"}}]),
            json!([{"reason": {"$absent": true}, "duration": {"$any": true}}]),
            json!({"$contains": {"event_type": "finish"}}),
        ] {
            assert_eq!(mismatch(&expected, Some(&given), "data"), None, "{expected}");
        }
    }

    #[test]
    fn what_differs_is_told_with_its_place() {
        let given = json!([{"result": "FAIL", "n": 2, "text": "abc"}]);
        for (expected, told) in [
            (json!([{"result": "SUCCESS"}]), r#"data[0].result: expected "SUCCESS", got "FAIL""#),
            (json!([]), "data: expected 0 elements, got 1"),
            (json!([{"n": 3}]), "data[0].n: expected 3, got 2"),
            (json!([{"x": 1}]), "data[0].x: expected 1, got nothing"),
            (json!([{"n": {"$absent": true}}]), "data[0].n: expected nothing, got 2"),
            (json!([{"x": {"$any": true}}]), "data[0].x: expected something, got nothing"),
            (
                json!([{"text": {"$contains": "z"}}]),
                r#"data[0].text: expected something with "z" in it, got "abc""#,
            ),
            (json!([{"n": {"$like": 2}}]), "data[0].n: `$like` is unknown"),
            (json!({"a": 1}), "data: expected "),
        ] {
            let found = mismatch(&expected, Some(&given), "data").unwrap();
            assert!(found.starts_with(told), "{found}");
        }
    }
}
