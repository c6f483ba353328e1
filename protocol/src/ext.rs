//! `ext`: what travels beside the data. Ours is one object, `ext.cloudinit`; `ext.ack` is the ack extension's.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::BayeuxError;
use crate::ids::{InstanceId, MessageId};
use crate::object::Object;
use crate::server::BearerToken;
use crate::wire;

/// `ext.cloudinit`: what we add to messages. `specs/channels.md` has the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudinitExt {
    /// In an event: the id of the message that caused it.
    pub cause: Option<MessageId>,
    /// In an event: the guest's rising number of it.
    pub seq: Option<u64>,
    /// In a reporting event: cloud-init never sent it, it follows from what it did send.
    pub inferred: bool,
    /// In what the guest publishes on `config/get` over a link of its own: an answer, not a question.
    pub answer: bool,
    /// In a handshake: the instance that speaks.
    pub instance: Option<InstanceId>,
    /// In a `config/set`: strictly rising per module; an older one is refused.
    pub generation: Option<u64>,
    /// In a `config/set`: answer with the plan and change nothing.
    pub dry_run: bool,
    /// In a `config/set`: how long a confirmation may take, in seconds.
    pub confirm_seconds: Option<u64>,
}

/// The same on the wire.
#[derive(Default, Serialize, Deserialize)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    inferred: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    answer: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirm_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    cloudinit: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ack: Option<&'a RawValue>,
}

impl CloudinitExt {
    /// Reads `ext.cloudinit` out of a message's `ext`; an absent one is the default.
    ///
    /// # Errors
    /// Says what is wrong with it, for the sender.
    pub fn from_ext(ext: Option<&RawValue>) -> Result<Self, String> {
        let Some(ext) = wire::given_raw(ext) else { return Ok(Self::default()) };
        let Some(ours) = read::<Outer<'_>>(ext)?.cloudinit else { return Ok(Self::default()) };
        let wire: Wire = read(ours)?;
        Ok(Self {
            cause: wire.cause.as_deref().map(MessageId::from_raw).transpose()?,
            seq: wire.seq,
            inferred: wire.inferred,
            answer: wire.answer,
            instance: wire
                .instance
                .as_deref()
                .map(InstanceId::parse)
                .transpose()
                .map_err(|error| error.to_string())?,
            generation: wire.generation,
            dry_run: wire.dry_run,
            confirm_seconds: wire.confirm_seconds,
        })
    }

    /// A whole `ext` object that holds nothing else.
    ///
    /// # Panics
    /// Never: message ids are JSON by construction.
    #[must_use]
    pub fn to_ext(&self) -> Box<RawValue> {
        let wire = Wire {
            cause: self.cause.as_ref().map(|id| raw(id.json())),
            seq: self.seq,
            inferred: self.inferred,
            answer: self.answer,
            instance: self.instance.as_ref().map(ToString::to_string),
            generation: self.generation,
            dry_run: self.dry_run,
            confirm_seconds: self.confirm_seconds,
        };
        let inner = serde_json::to_string(&wire).expect("strings and numbers serialise");
        raw(&format!(r#"{{"cloudinit":{inner}}}"#))
    }
}

/// What a message's `ext.ack` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckExt {
    /// In a handshake: `true`, or the object that newer servers answer with.
    Enabled,
    /// In a connect: the last batch seen, or the batch that this reply closes.
    Batch(u64),
}

impl AckExt {
    /// Reads `ext.ack`; nonsense is as good as absent.
    #[must_use]
    pub fn from_ext(ext: Option<&RawValue>) -> Option<Self> {
        let outer: Outer<'_> = read(ext?).ok()?;
        match serde_json::from_str(outer.ack?.get()).ok()? {
            serde_json::Value::Bool(true) => Some(Self::Enabled),
            serde_json::Value::Number(number) => number.as_u64().map(Self::Batch),
            serde_json::Value::Object(object) => {
                (object.get("enabled") == Some(&serde_json::Value::Bool(true))).then_some(Self::Enabled)
            }
            _ => None,
        }
    }
}

/// Reads an object's members; says what is wrong with it.
fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    Object::read(raw.get()).map_err(|error| error.to_string())
}

/// The bearer token in a handshake's `ext.cloudinit.token`, for clients that cannot set a request's headers.
///
/// # Errors
/// 400 if it is no text, or `ext.cloudinit` no object.
pub fn presented_token(ext: Option<&RawValue>) -> Result<Option<BearerToken>, BayeuxError> {
    #[derive(Deserialize)]
    struct Ours<'a> {
        #[serde(borrow, default)]
        token: Option<&'a RawValue>,
    }
    let ours = ext.and_then(|ext| read::<Outer<'_>>(ext).ok()?.cloudinit);
    let Some(ours) = wire::given_raw(ours) else { return Ok(None) };
    let wrong = |_| BayeuxError::wrong("ext.cloudinit", "expected an object", ours.get());
    let Some(token) = wire::given_raw(read::<Ours<'_>>(ours).map_err(wrong)?.token) else { return Ok(None) };
    match serde_json::from_str(token.get()) {
        Ok(text) => Ok(Some(BearerToken::new(text))),
        Err(_) => Err(BayeuxError::wrong("ext.cloudinit.token", "expected a string", token.get())),
    }
}

/// A handshake's `ext` that presents a token, and says nothing else.
#[must_use]
pub fn token_ext(token: &BearerToken) -> Box<RawValue> {
    let text = serde_json::Value::from(token.reveal());
    raw(&format!(r#"{{"cloudinit":{{"token":{text}}}}}"#))
}

/// Text that is known to be JSON, as a raw value.
pub(crate) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("the caller has written or validated this JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_survives_beside_others() {
        let ext = raw(
            r#"{"ack":true,"com.example":{"x":1},"cloudinit":{"generation":7,"dry_run":true,"cause":12}}"#,
        );
        let read = CloudinitExt::from_ext(Some(&ext)).unwrap();
        assert_eq!(read.generation, Some(7));
        assert!(read.dry_run);
        assert_eq!(read.cause.as_ref().map(MessageId::json), Some("12"));
        assert_eq!(AckExt::from_ext(Some(&ext)), Some(AckExt::Enabled));
        assert_eq!(CloudinitExt::from_ext(Some(&read.to_ext())).unwrap(), read);
    }

    #[test]
    fn a_token_is_found_where_it_is_shown() {
        let token =
            |ext: &str| presented_token(Some(&raw(ext))).map(|token| token.map(|t| t.reveal().to_owned()));
        assert_eq!(token(token_ext(&BearerToken::new("a\"b".to_owned())).get()), Ok(Some("a\"b".to_owned())));
        for none in [r#"{}"#, r#"{"cloudinit":{}}"#, r#"{"cloudinit":{"token":null}}"#, r#"{"token":"x"}"#] {
            assert_eq!(token(none), Ok(None), "{none}");
        }
        assert_eq!(presented_token(None).unwrap(), None);
        for (wrong, expected) in [
            (r#"{"cloudinit":{"token":[1234]}}"#, "400:ext.cloudinit.token:expected a string, got an array"),
            (r#"{"cloudinit":["1234"]}"#, "400:ext.cloudinit:expected an object, got an array"),
            (r#"{"cloudinit":1234}"#, "400:ext.cloudinit:expected an object, got a number"),
        ] {
            assert_eq!(token(wrong).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_wrong_type_is_told() {
        let error = CloudinitExt::from_ext(Some(&raw(r#"{"cloudinit":{"generation":"new"}}"#))).unwrap_err();
        assert!(error.contains("expected u64"), "{error}");
        for absent in ["{}", "null", r#"{"cloudinit":null}"#] {
            assert_eq!(CloudinitExt::from_ext(Some(&raw(absent))).unwrap(), CloudinitExt::default());
        }
        for array in ["[{}]", r#"{"cloudinit":[null,7]}"#] {
            let error = CloudinitExt::from_ext(Some(&raw(array))).unwrap_err();
            assert!(error.starts_with("invalid type: sequence, expected an object"), "{error}");
        }
        assert_eq!(AckExt::from_ext(Some(&raw("[null,0]"))), None);
        assert_eq!(AckExt::from_ext(Some(&raw(r#"{"ack":"x"}"#))), None);
        assert_eq!(
            AckExt::from_ext(Some(&raw(r#"{"ack":{"enabled":true,"batch":3}}"#))),
            Some(AckExt::Enabled)
        );
    }
}
