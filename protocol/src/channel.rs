//! Channel names and patterns (Bayeux 1.0, "Channels").
//!
//! A name is `/` segment { `/` segment }. In a pattern the last segment may be `*` (exactly one segment) or
//! `**` (one or more). Whole segments are compared, never string prefixes: a prefix test is how
//! `/meta/subscribe/x` once passed for `/meta/subscribe` elsewhere.

use std::fmt;
use std::sync::Arc;

use crate::ids::shorten;

/// Longest channel or pattern, in bytes.
const MAX_CHANNEL: usize = 512;
/// Most segments of a channel or pattern.
const MAX_SEGMENTS: usize = 16;

/// True for a byte that a segment may have: the Bayeux text's alphabet and the dot, which instance ids made of
/// addresses have and which CometD lets through too.
pub(crate) const fn is_segment_byte(byte: u8) -> bool {
    SEGMENT_BYTES[byte as usize]
}

const SEGMENT_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'!' | b'~' | b'(' | b')' | b'$' | b'@' | b'.');
        byte += 1;
    }
    table
};

/// Why a text is no channel or pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no {what}: expected {expected}")]
pub struct InvalidChannel {
    given: String,
    what: &'static str,
    expected: &'static str,
}

impl InvalidChannel {
    /// What was given, shortened.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }

    /// What would have been right.
    #[must_use]
    pub const fn expected(&self) -> &'static str {
        self.expected
    }
}

/// What kind of traffic a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// `/meta/…`: the protocol itself.
    Meta,
    /// `/service/…`: between one client and the server, never delivered to others.
    Service,
    /// Everything else.
    Broadcast,
}

/// A channel without wildcards. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Parses a name.
    ///
    /// # Errors
    /// Says what was given and what was expected.
    pub fn parse(text: &str) -> Result<Self, InvalidChannel> {
        let shape = Shape::of(text, "channel")?;
        if shape.first_star.is_some() {
            return Err(invalid(text, "channel", "a name without wildcards"));
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Its segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        // Segments are short: a plain loop finds their ends sooner than a search made for long texts.
        let mut rest = Some(&self.0[1..]);
        std::iter::from_fn(move || {
            let text = rest?;
            let end = text.bytes().position(|byte| byte == b'/');
            rest = end.map(|end| &text[end + 1..]);
            Some(&text[..end.unwrap_or(text.len())])
        })
    }

    /// Meta, service or broadcast, by the first segment.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        kind_of(&self.0)
    }

    /// The name without its last segment; empty for a name of one segment.
    pub(crate) fn parent(&self) -> &str {
        parent_of(&self.0)
    }

    /// Every proper prefix in whole segments, longest first, down to the empty one.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &str> {
        let mut rest: Option<&str> = Some(&self.0);
        std::iter::from_fn(move || {
            let current = rest?;
            if current.is_empty() {
                rest = None;
                return None;
            }
            let parent = parent_of(current);
            rest = Some(parent);
            Some(parent)
        })
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a subscription names: one channel, or a wildcard over many.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelPattern {
    /// Exactly this channel.
    Exact(ChannelName),
    /// `prefix/*`: one more segment. The prefix is empty for `/*`.
    OneSegment(Arc<str>),
    /// `prefix/**`: one or more further segments. The prefix is empty for `/**`.
    AnyDepth(Arc<str>),
}

impl ChannelPattern {
    /// Parses a channel name or a pattern.
    ///
    /// # Errors
    /// Says what was given and what was expected.
    pub fn parse(text: &str) -> Result<Self, InvalidChannel> {
        let Shape { last_slash, first_star } = Shape::of(text, "subscription")?;
        if first_star.is_some_and(|star| star < last_slash) {
            return Err(invalid(text, "subscription", "a wildcard in the last segment only"));
        }
        let (parent, last) = (&text[..last_slash], &text[last_slash + 1..]);
        match last {
            "*" => Ok(Self::OneSegment(parent.into())),
            "**" => Ok(Self::AnyDepth(parent.into())),
            _ if first_star.is_some() => {
                Err(invalid(text, "subscription", "`*` or `**` to be a whole segment"))
            }
            _ => Ok(Self::Exact(ChannelName(text.into()))),
        }
    }

    /// True if the pattern covers this channel.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        match self {
            Self::Exact(name) => name == channel,
            Self::OneSegment(prefix) => channel.parent() == &**prefix,
            Self::AnyDepth(prefix) => {
                channel.0.strip_prefix(&**prefix).is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }

    /// Meta, service or broadcast, by the first segment; `/*` and `/**` are broadcast and cover nothing else.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Exact(name) => name.kind(),
            Self::OneSegment(prefix) | Self::AnyDepth(prefix) => kind_of(prefix),
        }
    }
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name.as_str()),
            Self::OneSegment(prefix) => write!(f, "{prefix}/*"),
            Self::AnyDepth(prefix) => write!(f, "{prefix}/**"),
        }
    }
}

impl fmt::Debug for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parent_of(text: &str) -> &str {
    let last_slash = text.bytes().rposition(|byte| byte == b'/');
    last_slash.map_or("", |at| &text[..at])
}

fn kind_of(text: &str) -> ChannelKind {
    let is_below =
        |root| text.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_below("/meta") {
        ChannelKind::Meta
    } else if is_below("/service") {
        ChannelKind::Service
    } else {
        ChannelKind::Broadcast
    }
}

fn invalid(given: &str, what: &'static str, expected: &'static str) -> InvalidChannel {
    InvalidChannel { given: shorten(given), what, expected }
}

/// What names and patterns have in common, found in one look: every message has a channel.
struct Shape {
    last_slash: usize,
    first_star: Option<usize>,
}

impl Shape {
    /// Checks all but the stars' places.
    fn of(text: &str, what: &'static str) -> Result<Self, InvalidChannel> {
        if !text.starts_with('/') {
            return Err(invalid(text, what, "it to begin with `/`"));
        }
        if text.len() > MAX_CHANNEL {
            return Err(invalid(text, what, "at most 512 bytes"));
        }
        let (mut segments, mut last_slash, mut first_star) = (1, 0, None);
        let (mut empty, mut foreign) = (false, false);
        for (at, byte) in text.bytes().enumerate().skip(1) {
            match byte {
                b'/' => {
                    empty |= at == last_slash + 1;
                    segments += 1;
                    last_slash = at;
                }
                b'*' => first_star = first_star.or(Some(at)),
                _ => foreign |= !is_segment_byte(byte),
            }
        }
        empty |= last_slash + 1 == text.len();
        if segments > MAX_SEGMENTS {
            return Err(invalid(text, what, "at most 16 segments"));
        }
        if empty {
            return Err(invalid(text, what, "no empty segment and no `/` at the end"));
        }
        if foreign {
            return Err(invalid(text, what, "only A-Z a-z 0-9 - _ ! ~ ( ) $ @ . in its segments"));
        }
        Ok(Self { last_slash, first_star })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    fn pattern(text: &str) -> ChannelPattern {
        ChannelPattern::parse(text).unwrap()
    }

    #[test]
    fn names() {
        for good in ["/a", "/a/b", "/cloudinit/ip-10.0.0.1/config/set/cc_set_passwords", "/!~()$@-_"] {
            assert_eq!(name(good).as_str(), good);
        }
        for bad in ["", "a", "/", "//", "/a/", "/a//b", "/a b", "/é", "/a/*", "/a?b", "/a:b", "/a\n"] {
            assert!(ChannelName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ChannelName::parse(&"/a".repeat(17)).is_err());
        assert!(ChannelName::parse(&format!("/{}", "a".repeat(512))).is_err());
    }

    #[test]
    fn patterns_compare_whole_segments() {
        let table = [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a", false),
            ("/a/**", "/a/b", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("/a/**", "/ab/c", false),
            ("/**", "/a", true),
            ("/**", "/a/b/c", true),
            ("/*", "/a", true),
            ("/*", "/a/b", false),
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/bc", false),
        ];
        for (text, channel, expected) in table {
            assert_eq!(pattern(text).matches(&name(channel)), expected, "{text} over {channel}");
            assert_eq!(pattern(text).to_string(), text);
        }
        for bad in ["/a*", "/*/a", "/**/a", "/a/***", "/a/*b", "*"] {
            assert!(ChannelPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds() {
        assert_eq!(name("/meta/connect").kind(), ChannelKind::Meta);
        assert_eq!(name("/meta").kind(), ChannelKind::Meta);
        assert_eq!(name("/metal/connect").kind(), ChannelKind::Broadcast);
        assert_eq!(pattern("/meta/*").kind(), ChannelKind::Meta);
        assert_eq!(pattern("/service/**").kind(), ChannelKind::Service);
        assert_eq!(pattern("/**").kind(), ChannelKind::Broadcast);
    }
}
