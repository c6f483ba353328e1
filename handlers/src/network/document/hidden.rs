//! What must not be shown of a document: a file that was there before us may hold keys of wireless networks.

use serde_json::{Map, Value};

/// Keys whose value is hidden, wherever they stand. Pushes cannot have them.
const HIDDEN: &[&str] = &[
    "access-points",
    "auth",
    "client-key-password",
    "key",
    "keys",
    "modems",
    "networkmanager",
    "password",
    "passthrough",
    "psk",
    "wifis",
];

/// True if there is anything to hide.
pub(crate) fn has_hidden(document: &Value) -> bool {
    match document {
        Value::Object(map) => map.iter().any(|(key, value)| is_hidden(key) || has_hidden(value)),
        Value::Array(items) => items.iter().any(has_hidden),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The document for showing.
pub(crate) fn without_hidden(document: &Value) -> Value {
    match document {
        Value::Object(map) => {
            let shown = |(key, value): (&String, &Value)| {
                let value = if is_hidden(key) { Value::from("(hidden)") } else { without_hidden(value) };
                (key.clone(), value)
            };
            Value::Object(map.iter().map(shown).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(without_hidden).collect(),
        other => other.clone(),
    }
}

fn is_hidden(key: &str) -> bool {
    HIDDEN.contains(&key)
}
