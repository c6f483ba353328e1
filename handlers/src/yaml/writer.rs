//! A document as YAML that every reader takes for the same.
//!
//! Every text is quoted: YAML 1.1, which Python reads, takes `12:34:56` for a number and `no` for a boolean. Keys
//! are quoted only where they could be misread.

use serde_json::{Map, Value};

/// Words that some reader takes for a boolean, for nothing or for a number.
const MISREAD: [&str; 11] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"];

/// The document as a YAML text that ends with a line feed.
pub(crate) fn write(document: &Value) -> String {
    let mut text = String::new();
    write_below(document, 0, &mut text);
    text
}

/// Writes what comes after `key:` or at the very start. A list keeps the column of the key above it.
fn write_below(value: &Value, column: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => write_map(map, column, text),
        Value::Array(items) if !items.is_empty() => write_list(items, column, text),
        other => {
            write_scalar(other, text);
            text.push('\n');
        }
    }
}

fn write_map(map: &Map<String, Value>, column: usize, text: &mut String) {
    for (place, (key, value)) in map.iter().enumerate() {
        // The first key stands where the caller left off, which may be behind a dash.
        if place > 0 || text.ends_with('\n') {
            indent(column, text);
        }
        write_key(key, text);
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                write_map(inner, column + 2, text);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                write_list(items, column, text);
            }
            other => {
                text.push(' ');
                write_below(other, column, text);
            }
        }
    }
}

fn write_list(items: &[Value], column: usize, text: &mut String) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 || text.ends_with('\n') {
            indent(column, text);
        }
        text.push_str("- ");
        write_below(item, column + 2, text);
    }
}

fn write_scalar(value: &Value, text: &mut String) {
    match value {
        Value::String(string) if string.contains(|c| c == '\'' || c == '\\' || must_escape(c)) => {
            write_escaped(string, text);
        }
        Value::String(string) => {
            text.push('\'');
            text.push_str(string);
            text.push('\'');
        }
        // Empty lists and maps, numbers, booleans and `null` look as in JSON.
        other => text.push_str(&other.to_string()),
    }
}

fn write_key(key: &str, text: &mut String) {
    // What begins with a digit may be a number or a date, unless it has a slash.
    let named = key.starts_with(|first: char| first.is_ascii_alphabetic())
        || (key.contains('/') && key.starts_with(|first: char| first.is_ascii_digit()));
    let plain = named
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !MISREAD.iter().any(|word| key.eq_ignore_ascii_case(word));
    if plain {
        text.push_str(key);
    } else {
        write_escaped(key, text);
    }
}

/// Within double quotes: the one form that can carry any text.
fn write_escaped(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if must_escape(c) => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Control characters, and those that YAML takes for line ends or does not print.
fn must_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

fn indent(column: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', column));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::read;
    use super::*;

    fn read_back(text: &str) -> Value {
        read(text.as_bytes()).unwrap().into()
    }

    #[test]
    fn texts_that_look_like_other_things_are_quoted() {
        let document =
            json!({"mac": "52:54:00:12:34:56", "no": "yes", "n": "010", "list": ["1e3", "~"], "i": 9});
        let text = write(&document);
        assert_eq!(
            text,
            "mac: '52:54:00:12:34:56'\n\"no\": 'yes'\n\"n\": '010'\nlist:\n- '1e3'\n- '~'\ni: 9\n"
        );
        assert_eq!(read_back(&text), document);
    }

    #[test]
    fn nested_lists_and_maps_and_odd_texts() {
        let document = json!({
            "a": {"b": {}, "c": [], "d": [{"to": "x", "via": [1, 2.5]}, ["p", ["q"]], {}, null, true]},
            "10.0.0.1/8": "", "1": "it's", "k: v": "a\\b\nc\u{7f}\u{2028}\"", "": "",
        });
        let text = write(&document);
        let expected = "a:\n  b: {}\n  c: []\n  d:\n  - to: 'x'\n    via:\n    - 1\n    - 2.5\n  - - 'p'\n    - - 'q'\n  - {}\n  - null\n  \
             - true\n10.0.0.1/8: ''\n\"1\": \"it's\"\n\"k: v\": \"a\\\\b\\nc\\u007F\\u2028\\\"\"\n\"\": ''\n";
        assert_eq!(text, expected);
        assert_eq!(read_back(&text), document);
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[-:#\\[\\]{},&*!|>'\"%@` \\n\\t~0-9a-e.]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[-:#?a-z0-9<~ \\n]{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(document in documents()) {
            prop_assert_eq!(read_back(&write(&document)), document);
        }
    }
}
