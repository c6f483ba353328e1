//! Structs out of JSON objects only.
//!
//! Code that serde derives takes an array too, for the fields in their order. No peer means that: whoever reads what
//! a peer has sent reads an [`Object`], so that an array is refused like a number or a text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value that is written as a JSON object, and as nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Object<T> {
    /// Reads one out of a whole JSON text.
    ///
    /// # Errors
    /// If the text is no JSON, no object, or not the fields of a `T`.
    pub fn read(json: &'de str) -> serde_json::Result<T> {
        serde_json::from_str::<Self>(json).map(|object| object.0)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Pair<'a> {
        a: u8,
        #[serde(borrow, default)]
        b: Option<&'a RawValue>,
    }

    #[test]
    fn an_object_gives_its_fields_as_they_were_written() {
        let pair = Object::<Pair<'_>>::read(r#" {"b": 1.50 ,"a":7,"c":[]}"#).unwrap();
        assert_eq!((pair.a, pair.b.map(RawValue::get)), (7, Some("1.50")));
    }

    #[test]
    fn an_array_is_refused_like_any_other_type() {
        for (json, given) in [("[7,1]", "sequence"), ("7", "integer `7`"), (r#""x""#, "string \"x\"")] {
            let error = Object::<Pair<'_>>::read(json).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid type: {given}, expected an object")), "{error}");
        }
        assert!(serde_json::from_str::<Pair<'_>>("[7,1]").is_ok(), "what this is for");
        assert!(serde_json::from_str::<Vec<Object<Pair<'_>>>>(r#"[{"a":1},[7,1]]"#).is_err());
    }
}
