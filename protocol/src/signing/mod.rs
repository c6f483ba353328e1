//! Signatures that travel with config from whoever wrote it to the guest, whoever carries it.
//!
//! What is signed is the message's channel, its data and all of its `ext.cloudinit` but the signature itself, as
//! one canonical text; `specs/authority.md` has the form. The time comes in as an argument, and keys are made of
//! bytes that others have drawn.

mod canonical;
mod key;
#[cfg(test)]
mod tests;

use base64ct::{Base64, Encoding as _};
use canonical::{Json, Key, NotCanonical};
pub use key::{InvalidKey, ManagementKey, SigningKey, pem_of_seed};
use serde_json::value::RawValue;

use crate::channel::ChannelName;
use crate::error::{BayeuxError, ErrorCode};
use crate::ext::CloudinitExt;
use crate::publication::Publication;

/// Says what the signed text is for, so that a signature is of no use for anything else.
const PURPOSE: &str = "cloud-channel config/set 1";
/// How long an Ed25519 signature is (RFC 8032, 5.1.6).
const SIGNATURE_BYTES: usize = 64;
/// The argument of refusals.
const FIELD: &str = "ext.cloudinit.signature";

/// Checks that a `config/set` is signed by one of the keys and has not expired. That its generation is new is the
/// journal's to say.
///
/// # Errors
/// 403 that says what is missing or wrong, 400 if the signature is none by its shape.
pub fn check(
    keys: &[ManagementKey],
    publication: &Publication,
    now_unix_seconds: u64,
) -> Result<(), BayeuxError> {
    let ours = match &publication.ext {
        Some(ext) => parse(ext)?.get("cloudinit").cloned(),
        None => None,
    };
    let unsigned = || refused("Config has to be signed here, expected the signature of a management key");
    let ours = ours.ok_or_else(unsigned)?;
    let signature = ours.get("signature").ok_or_else(unsigned)?;
    let malformed = || {
        let text = "expected an object of `key`, a text, `expires`, seconds since 1970, and `sig`, 64 bytes in base64";
        BayeuxError::new(ErrorCode::Malformed, FIELD, text)
    };
    let name = signature.get("key").and_then(Json::as_text).ok_or_else(malformed)?;
    let expires = signature.get("expires").and_then(Json::as_u64).ok_or_else(malformed)?;
    let sig = signature.get("sig").and_then(Json::as_text).ok_or_else(malformed)?;
    // Cut short or written in another alphabet it is no signature, which is another mistake than one that does not fit.
    let sig =
        Base64::decode_vec(sig).ok().filter(|sig| sig.len() == SIGNATURE_BYTES).ok_or_else(malformed)?;
    if ours.get("generation").and_then(Json::as_u64).is_none() {
        let text = "Signed config needs a generation, so that nobody can send it again later";
        return Err(BayeuxError::forbidden("ext.cloudinit.generation", text));
    }
    let Some(key) = keys.iter().find(|key| key.name() == name) else {
        return Err(refused(&format!("There is no management key `{}` here", crate::shorten(name))));
    };
    let content = content(&publication.channel, &ours, &publication.data)?;
    if !key.verifies(content.as_bytes(), &sig) {
        return Err(refused(
            "The signature does not fit: the message was altered, or signed with another key, or for another channel \
             or instance",
        ));
    }
    if expires <= now_unix_seconds {
        let ago = now_unix_seconds - expires;
        return Err(refused(&format!("The signature has expired {ago} s ago, sign the config again")));
    }
    Ok(())
}

/// The `ext` of a signed message: `ext` and the signature that goes with it.
///
/// # Errors
/// If the data has no canonical form.
pub fn sign(
    key: &SigningKey,
    channel: &ChannelName,
    data: &RawValue,
    ext: &CloudinitExt,
    expires_unix_seconds: u64,
) -> Result<Box<RawValue>, BayeuxError> {
    let mut outer = parse(&ext.to_ext())?;
    let ours = outer.entries_mut().and_then(|entries| entries.get_mut(&Key::new("cloudinit")));
    let ours = ours.ok_or_else(|| refused("there is no ext.cloudinit to sign"))?;
    let mut signature =
        Json::object([("key", Json::text(key.name())), ("expires", Json::number(expires_unix_seconds))]);
    insert(ours, "signature", signature.clone());
    let sig = key.sign(content(channel, ours, data)?.as_bytes());
    insert(&mut signature, "sig", Json::Text(Base64::encode_string(&sig)));
    insert(ours, "signature", signature);
    Ok(crate::ext::raw(&outer.write()))
}

/// The text that is signed.
fn content(channel: &ChannelName, ours: &Json, data: &RawValue) -> Result<String, BayeuxError> {
    let mut ours = ours.clone();
    let signature = ours.entries_mut().and_then(|entries| entries.get_mut(&Key::new("signature")));
    if let Some(entries) = signature.and_then(Json::entries_mut) {
        entries.remove(&Key::new("sig"));
    }
    let content = Json::object([
        ("purpose", Json::text(PURPOSE)),
        ("channel", Json::text(channel.as_str())),
        ("cloudinit", ours),
        ("data", parse(data)?),
    ]);
    Ok(content.write())
}

fn insert(object: &mut Json, key: &str, value: Json) {
    if let Some(entries) = object.entries_mut() {
        entries.insert(Key::new(key), value);
    }
}

fn parse(raw: &RawValue) -> Result<Json, BayeuxError> {
    Json::parse(raw.get()).map_err(|problem: NotCanonical| {
        refused(&format!("The message cannot be signed or checked, {problem}"))
    })
}

fn refused(text: &str) -> BayeuxError {
    BayeuxError::forbidden(FIELD, text)
}
