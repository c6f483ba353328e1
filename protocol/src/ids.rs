//! Identifiers: instances, sessions, messages, connections. Parsed once, then no bare strings.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::channel::is_segment_byte;

/// Longest instance id, in bytes, as it stands in a channel.
const MAX_INSTANCE_ID: usize = 128;
/// Longest message id, in bytes of JSON text. UUIDs, counters and URNs fit.
const MAX_MESSAGE_ID: usize = 256;

/// cloud-init's instance-id, as the second segment of `/cloudinit/<instance-id>/…`.
///
/// Cheap to clone. Shape: 1 to 128 bytes of a Bayeux segment's alphabet (letters, digits, `-_!~()$@`) and dots.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(Arc<str>);

/// Why a text is no [`InstanceId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no instance id: expected 1 to 128 of the characters A-Z a-z 0-9 - _ ! ~ ( ) $ @ .")]
pub struct InvalidInstanceId {
    given: String,
}

impl InstanceId {
    /// Parses an id that is already fit for a channel.
    ///
    /// # Errors
    /// If it is empty, longer than 128 bytes, or has a character that no channel segment may have.
    pub fn parse(text: &str) -> Result<Self, InvalidInstanceId> {
        let fits = !text.is_empty() && text.len() <= MAX_INSTANCE_ID && text.bytes().all(is_segment_byte);
        if fits { Ok(Self(text.into())) } else { Err(InvalidInstanceId { given: shorten(text) }) }
    }

    /// Makes an id of what a datasource says, which may be any text: each byte that no channel segment may
    /// have becomes `~XX` (hexadecimal), and so does `~` itself.
    ///
    /// # Errors
    /// If the text is empty or its escaped form is longer than 128 bytes.
    pub fn escape(text: &str) -> Result<Self, InvalidInstanceId> {
        let text = text.trim();
        let mut escaped = String::with_capacity(text.len());
        for byte in text.bytes() {
            if is_segment_byte(byte) && byte != b'~' {
                escaped.push(char::from(byte));
            } else {
                escaped.push_str(&format!("~{byte:02X}"));
            }
        }
        Self::parse(&escaped)
    }

    /// The id as it stands in a channel.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A session's id, and its credential: 122 or more random bits, written as 32 hexadecimal digits.
///
/// `Debug` and `Display` show only its beginning, since whoever knows it whole can take the session over;
/// [`ClientId::reveal`] gives the text that goes to its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(u128);

impl ClientId {
    /// Makes an id of random bits; all of them count.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads the text form. Only the form that [`ClientId::reveal`] writes is accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
        digits
            .as_chunks()
            .0
            .iter()
            .try_fold(0, |id, eight| Some(id << 32 | u128::from(number(*eight)?)))
            .map(Self)
    }

    /// The whole id, for the wire.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// The number that eight hexadecimal digits in lower case write. Every message names its session, so they are looked at
/// together: each byte of a word is one digit.
const fn number(digits: [u8; 8]) -> Option<u32> {
    const ONES: u64 = u64::MAX / 255;
    let text = u64::from_be_bytes(digits);
    let values = (text & (ONES * 0x0f)) + (text >> 6 & ONES) * 9;
    let letters = (values + ONES * 6) >> 4 & ONES;
    // No other bytes come out of it as they went in, but for those of larger values.
    let written = values + ONES * b'0' as u64 + letters * (b'a' - b'0' - 10) as u64;
    if values & (ONES * 0xf0) != 0 || written != text {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    #[expect(clippy::cast_possible_truncation, reason = "the upper half is a copy")]
    let all = (fours | fours >> 16) as u32;
    Some(all)
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}…", self.0 >> 96)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where client ids come from: random bits in production, a counter in tests.
pub trait IdSource: Send {
    /// The next id. It must never have been given out before.
    fn next_client_id(&mut self) -> ClientId;
}

/// A message's id: any JSON string or number, echoed exactly as it came.
///
/// The Bayeux text asks for alphanumerics; clients send UUIDs and bare numbers, so both pass.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Makes the id whose text is `text`; on the wire it will be a JSON string.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string().into())
    }

    /// Takes an id from the wire.
    ///
    /// # Errors
    /// Says what was expected if it is neither string nor number, or longer than 256 bytes.
    pub fn from_raw(raw: &RawValue) -> Result<Self, &'static str> {
        Self::from_json(raw.get())
    }

    /// The same from text that is known to be JSON.
    pub(crate) fn from_json(text: &str) -> Result<Self, &'static str> {
        let first = text.as_bytes().first().copied().unwrap_or_default();
        if !(first == b'"' || first == b'-' || first.is_ascii_digit()) {
            return Err("expected a string or a number");
        }
        if text.len() > MAX_MESSAGE_ID {
            return Err("expected at most 256 bytes");
        }
        Ok(Self(text.into()))
    }

    /// The id as JSON text, quotes included where it is a string.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// The id as plain text: a string without its quotes, a number as written.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::from_str::<String>(&self.0).unwrap_or_else(|_| self.0.to_string())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One byte stream to a peer, numbered by the shell that owns it. Never reused within a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// The beginning of a text that a peer sent, for an error message: 80 characters at most.
#[must_use]
pub fn shorten(text: &str) -> String {
    const MAX: usize = 80;
    if text.chars().count() <= MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_no_channel_may_carry() {
        assert_eq!(InstanceId::escape("iid-local01\n").unwrap().as_str(), "iid-local01");
        assert_eq!(InstanceId::escape("my vm/é~").unwrap().as_str(), "my~20vm~2F~C3~A9~7E");
        assert!(InstanceId::escape("  ").is_err());
        assert!(InstanceId::parse("a/b").is_err());
        assert!(InstanceId::parse("ip-10.0.0.1").is_ok());
    }

    #[test]
    fn a_client_id_is_shown_in_part_only() {
        let id = ClientId::from_random(0xd92f_88b5_487d_473b_880a_96ce_4454_e012);
        assert_eq!(format!("{id:?}"), "d92f88b5…");
        assert_eq!(id.reveal(), "d92f88b5487d473b880a96ce4454e012");
        assert_eq!(ClientId::parse(&id.reveal()), Some(id));
        let small = ClientId::from_random(10);
        assert_eq!(ClientId::parse(&small.reveal()), Some(small));
        assert_eq!(ClientId::parse("D92F88B5487D473B880A96CE4454E012"), None);
        for byte in 0..=127_u8 {
            let digit = char::from(byte);
            let value = digit.to_digit(16).filter(|_| !digit.is_ascii_uppercase());
            for at in 0..8 {
                let mut digits = *b"01234567";
                digits[at] = byte;
                let digits = std::str::from_utf8(&digits).unwrap();
                let expected = value.map(|_| u32::from_str_radix(digits, 16).unwrap());
                assert_eq!(number(digits.as_bytes().try_into().unwrap()), expected, "{digits}");
            }
        }
        assert_eq!(ClientId::parse("d92f88b5-487d-473b-880a-96ce4454e012"), None);
    }

    #[test]
    fn message_ids_are_echoed_unchanged() {
        for json in ["\"a-1\"", "7", "12345678901234567890", "1.50"] {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(MessageId::from_raw(&raw).unwrap().json(), json);
        }
        for json in ["null", "true", "[1]", "{}"] {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert!(MessageId::from_raw(&raw).is_err(), "{json}");
        }
    }
}
