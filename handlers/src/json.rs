//! Payloads of JSON, strictly: a key that a map has twice is refused where it stands. RFC 8259 leaves open what it means, and
//! most readers take the last one and lose the other in silence.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// Why a payload cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// A map has a key twice.
    Twice {
        /// The key, with all that it is in: `network.ethernets.e0.mtu`.
        path: String,
        /// The key.
        key: String,
    },
    /// What the parser says of it.
    Unreadable(String),
}

/// Reads a payload.
///
/// # Errors
/// If a map of it has a key twice, or a number is beyond all types. Its syntax was judged before.
pub(crate) fn read(payload: &RawValue) -> Result<Value, JsonError> {
    let mut way = Way::default();
    let mut deserializer = serde_json::Deserializer::from_str(payload.get());
    Node(&mut way).deserialize(&mut deserializer).map_err(|error| match way.twice {
        Some(key) => {
            way.steps.push(format!(".{key}"));
            let path = way.steps.concat();
            JsonError::Twice { path: path.strip_prefix('.').unwrap_or(&path).to_owned(), key }
        }
        None => JsonError::Unreadable(error.to_string()),
    })
}

/// Where the reading is.
#[derive(Debug, Default)]
struct Way {
    /// `.key` or `[index]` of each map and list that is open; in the end those around what is wrong.
    steps: Vec<String>,
    twice: Option<String>,
}

/// A value that is to be read.
struct Node<'w>(&'w mut Way);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            self.0.steps.push(format!("[{}]", list.len()));
            let item = items.next_element_seed(Node(&mut *self.0))?;
            self.0.steps.pop();
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                self.0.twice = Some(key);
                return Err(A::Error::custom("a key twice"));
            }
            self.0.steps.push(format!(".{key}"));
            let value = entries.next_value_seed(Node(&mut *self.0))?;
            self.0.steps.pop();
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Result<Value, JsonError> {
        read(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_key_twice_is_refused_where_it_stands() {
        for (text, path, key) in [
            (r#"{"a": 1, "a": 1}"#, "a", "a"),
            (
                r#"{"network": {"ethernets": {"e0": {}, "e1": {"mtu": 1, "x": [], "mtu": 2}}}}"#,
                "network.ethernets.e1.mtu",
                "mtu",
            ),
            (r#"{"config": [{"type": "a"}, [], [{"n": {"k": 1}, "n": 2}]]}"#, "config[2][0].n", "n"),
            (r#"[{"": 1, "": 2}]"#, "[0].", ""),
            (r#"{"a": {"b": 1}, "\u0061": {"b": 2}}"#, "a", "a"),
        ] {
            let twice = JsonError::Twice { path: path.to_owned(), key: key.to_owned() };
            assert_eq!(read_text(text), Err(twice), "{text}");
        }
        let number = read_text("{\"a\": [1e999]}").unwrap_err();
        assert!(matches!(&number, JsonError::Unreadable(text) if text.contains("line 1")), "{number:?}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_else_is_read_as_ever(value in value()) {
            let text = value.to_string();
            prop_assert_eq!(read_text(&text).ok(), serde_json::from_str(&text).ok());
        }
    }
}
