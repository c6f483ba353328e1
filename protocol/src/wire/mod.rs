//! From bytes to the fields of messages, each still JSON text. Nothing is interpreted here but the outer shape.

mod json;

use serde_json::value::RawValue;

use json::{Fault, Scanner};
pub(crate) use json::{Json, is_plain};

use crate::error::{BayeuxError, ErrorCode};
use crate::limits::Limits;

/// The fields that Bayeux knows. An unknown field is passed over, as the text asks.
///
/// A field that is `null` is there (its text is `null`): `"data": null` is a value. No `Debug`: passwords pass
/// through here.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    pub(crate) channel: Option<Json<'a>>,
    pub(crate) id: Option<Json<'a>>,
    pub(crate) client_id: Option<Json<'a>>,
    pub(crate) version: Option<Json<'a>>,
    pub(crate) supported_connection_types: Option<Json<'a>>,
    pub(crate) subscription: Option<Json<'a>>,
    pub(crate) data: Option<Json<'a>>,
    pub(crate) ext: Option<&'a RawValue>,
    pub(crate) advice: Option<Json<'a>>,
    pub(crate) successful: Option<Json<'a>>,
    pub(crate) error: Option<Json<'a>>,
}

impl<'a> Fields<'a> {
    /// What tells whose reply it is.
    pub(crate) const fn envelope(&self) -> Envelope<'a> {
        Envelope { channel: self.channel, id: self.id }
    }

    /// Where the value of this name belongs; none if it is no name that we know.
    fn place(&mut self, name: &str) -> Option<&mut Option<Json<'a>>> {
        Some(match name {
            "channel" => &mut self.channel,
            "id" => &mut self.id,
            "clientId" => &mut self.client_id,
            "data" => &mut self.data,
            "subscription" => &mut self.subscription,
            "advice" => &mut self.advice,
            "successful" => &mut self.successful,
            "error" => &mut self.error,
            "version" => &mut self.version,
            "supportedConnectionTypes" => &mut self.supported_connection_types,
            _ => return None,
        })
    }
}

/// A message that cannot be read, with what could be read of it all the same: enough for a reply to name it.
pub(crate) struct Unreadable<'a> {
    pub(crate) envelope: Envelope<'a>,
    pub(crate) error: BayeuxError,
}

/// One message of a batch.
pub(crate) type Message<'a> = Result<Fields<'a>, Unreadable<'a>>;

/// What tells whose reply it is.
#[derive(Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) channel: Option<Json<'a>>,
    pub(crate) id: Option<Json<'a>>,
}

/// A field for which `null` is as good as absent.
pub(crate) fn given(field: Option<Json<'_>>) -> Option<Json<'_>> {
    field.filter(|json| !json.is_null())
}

/// As [`given`], for readers of `serde_json`.
pub(crate) fn given_raw(field: Option<&RawValue>) -> Option<&RawValue> {
    field.filter(|raw| raw.get() != "null")
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
pub(crate) fn split_requests<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<Message<'a>>, BayeuxError> {
    if bytes.len() > limits.batch_bytes {
        let text = format!("{} bytes in one batch, the limit is {}", bytes.len(), limits.batch_bytes);
        return Err(BayeuxError::new(ErrorCode::TooLarge, "", text));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let text = format!("not UTF-8 at byte {}, expected JSON in UTF-8", error.valid_up_to());
        BayeuxError::new(ErrorCode::Malformed, "", text)
    })?;
    let mut scanner = Scanner::new(text, limits.json_depth);
    let (messages, count) = read_batch(&mut scanner, limits).map_err(|fault| not_json(fault, limits))?;
    if count > limits.batch_messages {
        let text = format!("{count} messages in one batch, the limit is {}", limits.batch_messages);
        return Err(BayeuxError::new(ErrorCode::TooLarge, "", text));
    }
    Ok(messages)
}

/// Reads all messages and counts them; keeps no more of them than a batch may have.
fn read_batch<'a>(scanner: &mut Scanner<'a>, limits: &Limits) -> Result<(Vec<Message<'a>>, usize), Fault> {
    // Most batches are of one message.
    let (mut messages, mut count) = (Vec::with_capacity(1), 0);
    let mut read = |scanner: &mut Scanner<'a>| {
        count += 1;
        if count > limits.batch_messages {
            return scanner.value().map(|_| ());
        }
        messages.push(read_message(scanner, limits)?);
        Ok(())
    };
    scanner.space();
    if scanner.peek() == Some(b'[') {
        scanner.array(read)?;
    } else {
        read(scanner)?;
    }
    scanner.end()?;
    Ok((messages, count))
}

fn read_message<'a>(scanner: &mut Scanner<'a>, limits: &Limits) -> Result<Message<'a>, Fault> {
    let begin = scanner.position();
    let mut fields = Fields::default();
    let mut fault = None;
    if scanner.peek() == Some(b'{') {
        scanner.object(|name, value| {
            if let Err(error) = read_field(&mut fields, name.as_deref(), value) {
                fault.get_or_insert(error);
            }
        })?;
    } else {
        let value = scanner.value()?;
        fault = Some(BayeuxError::wrong("", "expected a message, which is a JSON object", value.get()));
    }
    let size = scanner.position() - begin;
    if size > limits.message_bytes {
        let text = format!("{size} bytes in one message, the limit is {}", limits.message_bytes);
        fault = Some(BayeuxError::new(ErrorCode::TooLarge, "", text));
    }
    Ok(match fault {
        None => Ok(fields),
        Some(error) => Err(Unreadable { envelope: fields.envelope(), error }),
    })
}

/// Takes a field; of one that is there twice the last one, but what it means is anybody's guess.
fn read_field<'a>(fields: &mut Fields<'a>, name: Option<&str>, value: Json<'a>) -> Result<(), BayeuxError> {
    let name = name.ok_or_else(|| malformed("a field has a name that is no Unicode".to_owned()))?;
    let was_there = match fields.place(name) {
        Some(place) => place.replace(value).is_some(),
        None if name == "ext" => fields.ext.replace(value.raw()?).is_some(),
        None => false,
    };
    if was_there { Err(malformed(format!("duplicate field `{name}`, expected each once"))) } else { Ok(()) }
}

fn malformed(text: String) -> BayeuxError {
    BayeuxError::new(ErrorCode::Malformed, "", text)
}

fn not_json(fault: Fault, limits: &Limits) -> BayeuxError {
    malformed(match fault {
        Fault::Expected { at, what } => format!(
            "cannot read the JSON at byte {at}, expected {what}; a message or an array of messages is what is read here"
        ),
        Fault::TooDeep => format!("nested deeper than {} arrays and objects", limits.json_depth),
    })
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
            assert_eq!(channel.map(Json::get), Some("\"/a\""), "{text}");
            assert_eq!(found.map(Json::get), Some(id), "{text}");
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
        let data: Vec<Option<&str>> = messages.into_iter().map(|m| m.unwrap().data.map(Json::get)).collect();
        assert_eq!(data, [Some("12345678901234567890"), Some("null"), None]);
    }
}
