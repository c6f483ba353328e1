//! `ext`: what travels beside the data. Ours is one object, `ext.cloudinit`; `ext.ack` is the ack extension's.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{InstanceId, MessageId};

/// `ext.cloudinit`: what we add to messages. `specs/channels.md` has the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudinitExt {
    /// In an event: the id of the message that caused it.
    pub cause: Option<MessageId>,
    /// In an event: the guest's rising number of it.
    pub seq: Option<u64>,
    /// In a reporting event: cloud-init never sent it, it follows from what it did send.
    pub inferred: bool,
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
        let Some(ext) = ext else { return Ok(Self::default()) };
        let outer: Outer<'_> = serde_json::from_str(ext.get()).map_err(|e| e.to_string())?;
        let Some(ours) = outer.cloudinit else { return Ok(Self::default()) };
        let wire: Wire = serde_json::from_str(ours.get()).map_err(|e| e.to_string())?;
        Ok(Self {
            cause: wire.cause.as_deref().map(MessageId::from_raw).transpose()?,
            seq: wire.seq,
            inferred: wire.inferred,
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
        let outer: Outer<'_> = serde_json::from_str(ext?.get()).ok()?;
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
    fn a_wrong_type_is_told() {
        let error = CloudinitExt::from_ext(Some(&raw(r#"{"cloudinit":{"generation":"new"}}"#))).unwrap_err();
        assert!(error.contains("expected u64"), "{error}");
        assert_eq!(CloudinitExt::from_ext(Some(&raw("{}"))).unwrap(), CloudinitExt::default());
        assert_eq!(AckExt::from_ext(Some(&raw(r#"{"ack":"x"}"#))), None);
        assert_eq!(
            AckExt::from_ext(Some(&raw(r#"{"ack":{"enabled":true,"batch":3}}"#))),
            Some(AckExt::Enabled)
        );
    }
}
