//! The decoder, compared with reading the JSON slowly and whole.

use std::fmt;

use cloud_channel_protocol::fuzzing::{DecodedMessage, decode};
use cloud_channel_protocol::{ErrorCode, Limits};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const FIELDS: [&str; 11] = [
    "channel",
    "id",
    "clientId",
    "version",
    "supportedConnectionTypes",
    "subscription",
    "data",
    "ext",
    "advice",
    "successful",
    "error",
];

/// Decodes the bytes within narrow limits.
///
/// # Panics
/// If something is accepted that is no batch, refused that is one, or read as something else.
pub fn check(bytes: &[u8]) {
    let limits = Limits {
        message_bytes: 150,
        batch_bytes: 1_000,
        batch_messages: 6,
        json_depth: 8,
        ..Limits::default()
    };
    let expected = batch(bytes, &limits);
    match (decode(bytes, &limits), expected) {
        (Err(_), None) => {}
        (Ok(messages), Some(elements)) => {
            assert_eq!(messages.len(), elements.len());
            for (message, element) in messages.into_iter().zip(elements) {
                check_message(message, element.get(), &limits);
            }
        }
        (Ok(messages), None) => panic!("{} messages in what is no batch: {}", messages.len(), show(bytes)),
        (Err(error), Some(_)) => panic!("{error}: {}", show(bytes)),
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The elements of a batch, if it is one and keeps the limits of the whole.
fn batch<'a>(bytes: &'a [u8], limits: &Limits) -> Option<Vec<&'a RawValue>> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= limits.batch_bytes)?;
    let whole = serde_json::from_str::<&RawValue>(text).ok().filter(|raw| depth(raw) <= limits.json_depth)?;
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(elements) => (elements.len() <= limits.batch_messages).then_some(elements),
        Err(_) => Some(vec![whole]),
    }
}

fn depth(raw: &RawValue) -> usize {
    let text = raw.get();
    let inner: Vec<&RawValue> = match text.as_bytes() {
        [b'[', ..] => serde_json::from_str(text).expect("a raw value is JSON"),
        [b'{', ..] => match serde_json::from_str::<Members<'_>>(text) {
            Ok(members) => members.0.into_iter().map(|(_, value)| value).collect(),
            // A name with half a surrogate: JSON's grammar has it, and no text can hold it.
            Err(_) => return brackets(text),
        },
        _ => return 0,
    };
    1 + inner.into_iter().map(depth).max().unwrap_or(0)
}

/// As [`depth`], by brackets outside of strings.
fn brackets(text: &str) -> usize {
    let mut outside = String::new();
    let mut rest = text.chars();
    let mut inside = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => drop(rest.next()),
            '"' => inside = !inside,
            _ if !inside => outside.push(c),
            _ => {}
        }
    }
    let mut open = 0_usize;
    let depths = outside.chars().map(|c| {
        match c {
            '[' | '{' => open += 1,
            ']' | '}' => open -= 1,
            _ => {}
        }
        open
    });
    depths.max().unwrap_or(0)
}

fn check_message(message: DecodedMessage<'_>, text: &str, limits: &Limits) {
    if text.len() > limits.message_bytes {
        assert_eq!(message.err().map(|error| error.code()), Some(ErrorCode::TooLarge), "{text}");
        return;
    }
    let members = serde_json::from_str::<Members<'_>>(text).ok().filter(|_| text.starts_with('{'));
    let expected = members.and_then(|members| known(&members));
    match (message, expected) {
        (Ok(mut fields), Some(mut expected)) => {
            fields.sort_unstable();
            expected.sort_unstable();
            assert_eq!(fields, expected, "{text}");
        }
        (Err(error), None) => assert_eq!(error.code(), ErrorCode::Malformed, "{error}: {text}"),
        (Ok(_), None) => panic!("read what is no message: {text}"),
        (Err(error), Some(_)) => panic!("{error}: {text}"),
    }
}

/// The fields that Bayeux knows; none if one is there twice.
fn known<'a>(members: &Members<'a>) -> Option<Vec<(&'static str, &'a str)>> {
    let mut found = Vec::new();
    for field in FIELDS {
        let mut values = members.0.iter().filter(|(name, _)| name == field);
        found.extend(values.next().map(|(_, value)| (field, value.get())));
        if values.next().is_some() {
            return None;
        }
    }
    Some(found)
}

/// The members of an object as they stand there, the same name twice included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Members(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
