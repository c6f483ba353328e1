//! Doors for the fuzz targets into what is otherwise nobody's business. Not part of the library's promises.

use serde_json::value::RawValue;

use crate::error::BayeuxError;
use crate::limits::Limits;
use crate::wire;

/// One message as its fields by their names on the wire, or why it cannot be read.
pub type DecodedMessage<'a> = Result<Vec<(&'static str, &'a RawValue)>, BayeuxError>;

/// What the decoder makes of a frame or of a request's body.
///
/// # Errors
/// If the whole cannot be read.
pub fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<DecodedMessage<'a>>, BayeuxError> {
    let messages = wire::split(bytes, limits)?;
    Ok(messages.into_iter().map(|message| message.map(|fields| present(&fields))).collect())
}

fn present<'a>(fields: &wire::Fields<'a>) -> Vec<(&'static str, &'a RawValue)> {
    [
        ("channel", fields.channel),
        ("id", fields.id),
        ("clientId", fields.client_id),
        ("version", fields.version),
        ("supportedConnectionTypes", fields.supported_connection_types),
        ("subscription", fields.subscription),
        ("data", fields.data),
        ("ext", fields.ext),
        ("advice", fields.advice),
        ("successful", fields.successful),
        ("error", fields.error),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
