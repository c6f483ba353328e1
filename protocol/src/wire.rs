//! From bytes to the raw fields of messages. Nothing is interpreted here but the outer shape.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{BayeuxError, ErrorCode};
use crate::limits::Limits;

/// JSON's own white space (RFC 8259, section 2); Unicode has more.
const JSON_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The fields that Bayeux knows, each still JSON text. An unknown field is passed over, as the text asks.
///
/// A field that is `null` is there (its text is `null`): `"data": null` is a value. No `Debug`: passwords pass
/// through here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) channel: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) client_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) supported_connection_types: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) subscription: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) ext: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) advice: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) successful: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) error: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// What tells whose reply it is.
    pub(crate) const fn envelope(&self) -> Envelope<'a> {
        Envelope { channel: self.channel, id: self.id }
    }
}

/// `Option` would read `null` as absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A message that cannot be read, with what could be read of it all the same: enough for a reply to name it.
pub(crate) struct Unreadable<'a> {
    pub(crate) envelope: Envelope<'a>,
    pub(crate) error: BayeuxError,
}

/// A field for which `null` is as good as absent.
pub(crate) fn given(field: Option<&RawValue>) -> Option<&RawValue> {
    field.filter(|raw| raw.get() != "null")
}

/// The text of a JSON string; none if it is something else.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// What tells whose reply it is.
#[derive(Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) channel: Option<&'a RawValue>,
    pub(crate) id: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads as much as there is; of a field given twice the last one.
    fn of(text: &'a str) -> Self {
        serde_json::Deserializer::from_str(text).deserialize_map(Self::default()).unwrap_or_default()
    }
}

impl<'de> Visitor<'de> for Envelope<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "channel" => self.channel = Some(members.next_value()?),
                "id" => self.id = Some(members.next_value()?),
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self)
    }
}

/// Splits what came from the wire into messages: an array of objects, or one object alone.
///
/// # Errors
/// If the whole cannot be read. A single message that cannot is an error in its own place.
pub(crate) fn split<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Vec<Result<Fields<'a>, BayeuxError>>, BayeuxError> {
    let messages = split_requests(bytes, limits)?;
    Ok(messages.into_iter().map(|message| message.map_err(|unreadable| unreadable.error)).collect())
}

/// As [`split`], for whoever has to answer.
///
/// # Errors
/// As [`split`].
pub(crate) fn split_requests<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Vec<Result<Fields<'a>, Unreadable<'a>>>, BayeuxError> {
    if bytes.len() > limits.batch_bytes {
        let text = format!("{} bytes in one batch, the limit is {}", bytes.len(), limits.batch_bytes);
        return Err(BayeuxError::new(ErrorCode::TooLarge, "", text));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let text = format!("not UTF-8 at byte {}, expected JSON in UTF-8", error.valid_up_to());
        BayeuxError::new(ErrorCode::Malformed, "", text)
    })?;
    check_depth(text, limits.json_depth)?;
    let text = text.trim_matches(JSON_SPACE);
    if !text.starts_with('[') {
        serde_json::from_str::<&RawValue>(text).map_err(|error| not_json(&error))?;
        return Ok(vec![read_message(text, limits)]);
    }
    if text.len() <= limits.message_bytes
        && let Ok(messages) = read_array::<Object<'_>>(text, limits)
    {
        return messages.map(|messages| messages.into_iter().map(|object| Ok(object.0)).collect());
    }
    // Something in it is wrong or large: look at each message alone, so that the others are served.
    let raws = read_array::<&RawValue>(text, limits).map_err(|error| not_json(&error))??;
    Ok(raws.into_iter().map(|raw| read_message(raw.get(), limits)).collect())
}

/// Reads an array without ever holding more elements than a batch may have.
fn read_array<'a, T: Deserialize<'a>>(
    text: &'a str,
    limits: &Limits,
) -> Result<Result<Vec<T>, BayeuxError>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let (elements, count) = (&mut reader).deserialize_seq(UpTo(limits.batch_messages, PhantomData))?;
    reader.end()?;
    if count <= limits.batch_messages {
        return Ok(Ok(elements));
    }
    let text = format!("{count} messages in one batch, the limit is {}", limits.batch_messages);
    Ok(Err(BayeuxError::new(ErrorCode::TooLarge, "", text)))
}

/// Keeps so many elements and counts the rest.
struct UpTo<T>(usize, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for UpTo<T> {
    type Value = (Vec<T>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < self.0
            && let Some(element) = array.next_element()?
        {
            elements.push(element);
        }
        let mut count = elements.len();
        while array.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok((elements, count))
    }
}

/// Fields out of an object only: derived code would also take an array for the fields in their order.
struct Object<'a>(Fields<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message, which is a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(members))
            }
        }
        deserializer.deserialize_map(Members).map(Object)
    }
}

/// Reads one message; the text is JSON without space around it.
fn read_message<'a>(text: &'a str, limits: &Limits) -> Result<Fields<'a>, Unreadable<'a>> {
    let error = if text.len() > limits.message_bytes {
        let text = format!("{} bytes in one message, the limit is {}", text.len(), limits.message_bytes);
        BayeuxError::new(ErrorCode::TooLarge, "", text)
    } else if !text.starts_with('{') {
        BayeuxError::wrong("", "expected a message, which is a JSON object", text)
    } else {
        match serde_json::from_str::<Object<'a>>(text) {
            Ok(object) => return Ok(object.0),
            Err(error) => not_json(&error),
        }
    };
    Err(Unreadable { envelope: Envelope::of(text), error })
}

fn not_json(error: &serde_json::Error) -> BayeuxError {
    let text = format!("cannot read the JSON, expected a message or an array of messages ({error})");
    BayeuxError::new(ErrorCode::Malformed, "", text)
}

/// One pass over the text, before anything recursive sees it.
fn check_depth(text: &str, limit: usize) -> Result<(), BayeuxError> {
    // Few openings cannot be many levels, wherever they stand.
    if memchr::memchr2_iter(b'[', b'{', text.as_bytes()).take(limit + 1).count() <= limit {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            let text = format!("nested deeper than {limit} arrays and objects");
            return Err(BayeuxError::new(ErrorCode::Malformed, "", text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<Option<String>> {
        let limits =
            Limits { message_bytes: 200, batch_bytes: 1_000, batch_messages: 3, ..Limits::default() };
        match split(text.as_bytes(), &limits) {
            Ok(messages) => messages.into_iter().map(|m| m.err().map(|e| e.to_string())).collect(),
            Err(error) => vec![Some(format!("whole: {error}"))],
        }
    }

    #[test]
    fn object_or_array() {
        assert_eq!(errors(r#"{"channel":"/a"}"#), [None]);
        assert_eq!(errors(r#" [{"channel":"/a"},{}]"#), [None, None]);
        assert_eq!(errors("[]"), [] as [Option<String>; 0]);
    }

    #[test]
    fn one_bad_message_does_not_spoil_the_batch() {
        let found = errors(r#"[{"channel":"/a"},7,{"channel":"/b","channel":"/c"}]"#);
        assert_eq!(found[0], None);
        assert_eq!(
            found[1].as_deref(),
            Some("400::expected a message, which is a JSON object, got a number")
        );
        assert!(found[2].as_deref().unwrap().contains("duplicate field `channel`"), "{found:?}");
    }

    #[test]
    fn only_an_object_is_a_message() {
        // Derived code would take an array for a struct's fields in their order.
        for (text, kind) in
            [("7", "a number"), (r#"[["/meta/connect","1"]]"#, "an array"), ("[[]]", "an array")]
        {
            let expected = format!("400::expected a message, which is a JSON object, got {kind}");
            assert_eq!(errors(text), [Some(expected)], "{text}");
        }
    }

    #[test]
    fn an_unreadable_message_still_names_its_reply() {
        let limits = Limits { message_bytes: 60, ..Limits::default() };
        let large = format!(r#"{{"data":"{}","channel":"/a","id":"7"}}"#, "x".repeat(60));
        let twice = r#"{"channel":"/a","id":1,"ext":{},"ext":{},"id":2}"#;
        for (text, id) in [(&*large, "\"7\""), (twice, "2"), (&format!(" [{large},7]"), "\"7\"")] {
            let messages = split_requests(text.as_bytes(), &limits).ok().unwrap();
            let unreadable = messages.into_iter().next().unwrap().err().unwrap();
            let Envelope { channel, id: found } = unreadable.envelope;
            assert_eq!(channel.map(RawValue::get), Some("\"/a\""), "{text}");
            assert_eq!(found.map(RawValue::get), Some(id), "{text}");
        }
    }

    #[test]
    fn what_is_no_batch_is_refused_whole() {
        for (text, part) in [
            ("hello", "cannot read the JSON"),
            ("", "cannot read the JSON"),
            ("[{]", "cannot read the JSON"),
            ("\u{a0}[{}]", "cannot read the JSON"),
            ("[{},{},{},{}]", "4 messages in one batch, the limit is 3"),
            (&format!("[{}]", " ".repeat(2_000)), "the limit is 1000"),
        ] {
            let found = errors(text);
            let error = found[0].as_deref().unwrap();
            assert!(error.starts_with("whole: ") && error.contains(part), "{text:?}: {error}");
        }
        let error = split(b"{\"a\":\"\xff\"}", &Limits::default()).err().unwrap();
        assert!(error.to_string().contains("not UTF-8 at byte 6"), "{error}");
    }

    #[test]
    fn depth_is_counted_outside_strings_only() {
        let deep = |n: usize| format!(r#"{{"data":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        let limits = Limits::default();
        assert!(split(deep(63).as_bytes(), &limits).is_ok());
        assert!(split(deep(64).as_bytes(), &limits).is_err());
        assert!(split(deep(500_000).as_bytes(), &limits).is_err());
        assert!(split(format!(r#"{{"data":"{}\"["}}"#, "[".repeat(500)).as_bytes(), &limits).is_ok());
    }

    #[test]
    fn a_large_message_is_refused_alone() {
        let large = format!(r#"[{{"channel":"/a"}},{{"channel":"/b","data":"{}"}}]"#, "x".repeat(300));
        let found = errors(&large);
        assert_eq!(found[0], None);
        assert!(found[1].as_deref().unwrap().starts_with("413::"), "{found:?}");
    }

    #[test]
    fn data_keeps_its_digits_and_null_is_a_value() {
        let text = r#"[{"data":12345678901234567890},{"data":null},{}]"#;
        let messages = split(text.as_bytes(), &Limits::default()).unwrap();
        let data: Vec<Option<&str>> =
            messages.into_iter().map(|m| m.unwrap().data.map(RawValue::get)).collect();
        assert_eq!(data, [Some("12345678901234567890"), Some("null"), None]);
    }
}
