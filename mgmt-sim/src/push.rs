//! Messages out of files: what is pushed, made to fit the guest it is pushed to.

use std::collections::BTreeSet;
use std::time::Duration;

use cloud_channel_protocol::signing::{self, SigningKey};
use cloud_channel_protocol::{
    ChannelName, CloudinitExt, InstanceId, MessageId, Place, Publication, Topic, Verb, shorten,
};
use serde_json::Value;
use serde_json::value::RawValue;

/// Why a file holds no messages.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMessages {
    /// It is no JSON.
    #[error("expected a JSON array of messages, or one message")]
    Json(#[source] serde_json::Error),
    /// A message lacks something, or has what none has.
    #[error("message {at}: {problem}")]
    Message {
        /// Which, counted from 1.
        at: usize,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
}

/// Reads messages as Bayeux writes them: `channel` and `data`, and perhaps `id` and `ext`. A `clientId` is passed
/// over, since the session's own is used.
///
/// # Errors
/// Says which message is wrong and how.
pub fn read_messages(text: &str) -> Result<Vec<Publication>, InvalidMessages> {
    let document: Value = serde_json::from_str(text).map_err(InvalidMessages::Json)?;
    let messages = match document {
        Value::Array(messages) => messages,
        message => vec![message],
    };
    let read = |(at, message): (usize, &Value)| {
        read_message(message).map_err(|problem| InvalidMessages::Message { at: at + 1, problem })
    };
    messages.iter().enumerate().map(read).collect()
}

fn read_message(message: &Value) -> Result<Publication, String> {
    let Value::Object(fields) = message else { return Err("expected an object".to_owned()) };
    const KNOWN: [&str; 5] = ["channel", "data", "id", "ext", "clientId"];
    if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("unknown field `{}`, expected {}", shorten(unknown), KNOWN.join(", ")));
    }
    let channel = fields.get("channel").and_then(Value::as_str).ok_or("expected a `channel`, a string")?;
    let data = fields.get("data").ok_or("expected `data`, the payload")?;
    let id = fields.get("id").map(|id| MessageId::from_raw(&to_raw(id))).transpose();
    Ok(Publication {
        channel: ChannelName::parse(channel).map_err(|error| error.to_string())?,
        id: id.map_err(|expected| format!("`id`: {expected}"))?,
        data: to_raw(data),
        ext: fields.get("ext").map(to_raw),
    })
}

/// A JSON value as text.
///
/// # Panics
/// Never: a JSON value serialises.
#[must_use]
pub fn to_raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("a JSON value serialises")
}

/// The same message under an id of its own, for another instance.
#[must_use]
pub fn readdressed(publication: &Publication, instance: &InstanceId) -> Publication {
    let channel = match Place::of(&publication.channel) {
        Place::Instance(_, Some(topic)) => topic.channel(instance),
        Place::Instance(_, None) | Place::Elsewhere => publication.channel.clone(),
    };
    Publication { channel, id: Some(crate::random::message_id()), ..publication.clone() }
}

/// How long a guest may take to get what was signed for it.
const SIGNATURE_LIFE: Duration = Duration::from_secs(600);

/// The same message, signed; what is no `config/set` is left as it is. A generation that it has not is the wall clock's
/// microseconds, which rise also from one run to the next.
///
/// # Errors
/// If its `ext.cloudinit` is none, or its data has no canonical form.
pub fn signed(publication: &Publication, key: &SigningKey, wall: Duration) -> anyhow::Result<Publication> {
    let Place::Instance(_, Some(Topic::Config(Verb::Set, _))) = Place::of(&publication.channel) else {
        return Ok(publication.clone());
    };
    let mut ext = CloudinitExt::from_ext(publication.ext.as_deref()).map_err(anyhow::Error::msg)?;
    ext.generation.get_or_insert(u64::try_from(wall.as_micros())?);
    let expires = (wall + SIGNATURE_LIFE).as_secs();
    let ext = signing::sign(key, &publication.channel, &publication.data, &ext, expires)?;
    Ok(Publication { ext: Some(ext), ..publication.clone() })
}

/// The payload for a NIC: if it names one MAC address, and another than this one, this one takes its place.
#[must_use]
pub fn with_mac(publication: &Publication, address: &str) -> Publication {
    let Ok(mut data) = serde_json::from_str::<Value>(publication.data.get()) else {
        return publication.clone();
    };
    let mut found = BTreeSet::new();
    visit_strings(&mut data, &mut |text| {
        if is_mac(text) {
            found.insert(text.to_ascii_lowercase());
        }
    });
    if !is_mac(address) || found.len() != 1 {
        return publication.clone();
    }
    visit_strings(&mut data, &mut |text| {
        if is_mac(text) {
            address.clone_into(text);
        }
    });
    Publication { data: to_raw(&data), ..publication.clone() }
}

fn visit_strings(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| visit_strings(item, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| visit_strings(field, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Six pairs of hexadecimal digits with colons between.
fn is_mac(text: &str) -> bool {
    let pairs: Vec<&str> = text.split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    pairs.len() == 6 && pairs.iter().all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOTPLUG: &str = include_str!("../../specs/examples/config-set-network-hotplug.json");
    const BRIDGE: &str = include_str!("../../specs/examples/config-set-network-bridge.json");

    #[test]
    fn a_push_is_made_to_fit_its_guest() {
        let message = &read_messages(HOTPLUG).unwrap()[0];
        let fitted = readdressed(&with_mac(message, "52:54:00:aa:bb:cc"), &InstanceId::parse("i-2").unwrap());
        assert_eq!(fitted.channel.as_str(), "/cloudinit/i-2/config/set/network");
        assert!(fitted.data.get().contains(r#""macaddress":"52:54:00:aa:bb:cc""#), "{}", fitted.data.get());
        assert_ne!(fitted.id, message.id);
    }

    #[test]
    fn a_payload_for_several_nics_is_left_as_it_is() {
        let message = &read_messages(BRIDGE).unwrap()[0];
        assert_eq!(with_mac(message, "52:54:00:aa:bb:cc").data.get(), message.data.get());
    }

    #[test]
    fn a_signed_push_is_what_guests_ask_for() {
        let key = SigningKey::from_pem("ops", &signing::pem_of_seed(&[7; 32])).unwrap();
        let instance = InstanceId::parse("i-2").unwrap();
        let push = readdressed(&read_messages(HOTPLUG).unwrap()[0], &instance);
        let wall = Duration::from_secs(1_800_000_000);
        let signed_push = signed(&push, &key, wall).unwrap();
        assert_eq!(signing::check(&[key.public()], &signed_push, wall.as_secs()), Ok(()));
        assert!(signing::check(&[key.public()], &push, wall.as_secs()).is_err());
        let ext = CloudinitExt::from_ext(signed_push.ext.as_deref()).unwrap();
        assert_eq!(ext.generation, Some(1_800_000_000_000_000));
    }

    #[test]
    fn what_is_wrong_with_a_message_is_told() {
        for (text, expected) in [
            ("[", "expected a JSON array"),
            ("7", "message 1: expected an object"),
            (r#"[{"channel":"/a","data":1},{"data":1}]"#, "message 2: expected a `channel`"),
            (r#"{"channel":"/a"}"#, "expected `data`"),
            (r#"{"channel":"a","data":1}"#, "message 1: `a`"),
            (r#"{"channel":"/a","data":1,"id":[]}"#, "`id`: expected a string or a number"),
            (r#"{"chanel":"/a","data":1}"#, "unknown field `chanel`"),
        ] {
            let error = read_messages(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
