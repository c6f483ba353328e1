//! Doors for the fuzz targets into what is otherwise nobody's business. Not part of the library's promises.

use serde_json::value::RawValue;

use crate::error::BayeuxError;
use crate::limits::Limits;
use crate::wire::{self, Json};

/// One message as its fields, JSON text by their names on the wire, or why it cannot be read.
pub type DecodedMessage<'a> = Result<Vec<(&'static str, &'a str)>, BayeuxError>;

/// What the decoder makes of a frame or of a request's body.
///
/// # Errors
/// If the whole cannot be read.
pub fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<DecodedMessage<'a>>, BayeuxError> {
    let messages = wire::split(bytes, limits)?;
    Ok(messages.into_iter().map(|message| message.map(|fields| present(&fields))).collect())
}

fn present<'a>(fields: &wire::Fields<'a>) -> Vec<(&'static str, &'a str)> {
    [
        ("channel", fields.channel.map(Json::get)),
        ("id", fields.id.map(Json::get)),
        ("clientId", fields.client_id.map(Json::get)),
        ("version", fields.version.map(Json::get)),
        ("supportedConnectionTypes", fields.supported_connection_types.map(Json::get)),
        ("subscription", fields.subscription.map(Json::get)),
        ("data", fields.data.map(Json::get)),
        ("ext", fields.ext.map(RawValue::get)),
        ("advice", fields.advice.map(Json::get)),
        ("successful", fields.successful.map(Json::get)),
        ("error", fields.error.map(Json::get)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
