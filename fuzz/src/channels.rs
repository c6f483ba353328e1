//! Channel names and patterns, compared with lists of segments.

use cloud_channel_protocol::{ChannelKind, ChannelName, ChannelPattern, Place};

/// What a segment may be made of (`specs/channels.md`).
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_!~()$@.";

/// Reads the first line as a name and the second as a pattern.
///
/// # Panics
/// If the parsers or the matching differ from the lists.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let name = checked_name(first);
    let pattern = checked_pattern(second);
    let Some(name) = name else { return };
    if let Some(pattern) = pattern {
        assert_eq!(pattern.matches(&name), covers(second, first), "{pattern} over {name}");
    }
    check_place(&name);
    check_own_patterns(first, &name);
}

/// The segments of a text, if it has the shape that names and patterns share.
fn segments(text: &str) -> Option<Vec<&str>> {
    let segments: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
    (text.len() <= 512 && segments.len() <= 16).then_some(segments)
}

fn is_plain(segment: &&str) -> bool {
    !segment.is_empty() && segment.chars().all(|c| ALPHABET.contains(c))
}

fn checked_name(text: &str) -> Option<ChannelName> {
    let expected = segments(text).filter(|segments| segments.iter().all(is_plain));
    let name = ChannelName::parse(text).ok();
    assert_eq!(name.is_some(), expected.is_some(), "{text:?} as a name");
    let (name, expected) = (name?, expected?);
    assert_eq!(name.as_str(), text);
    assert_eq!(name.segments().collect::<Vec<_>>(), expected);
    assert_eq!(name.kind(), kind(expected[0]));
    // A name is a pattern, too.
    assert_eq!(ChannelPattern::parse(text), Ok(ChannelPattern::Exact(name.clone())));
    Some(name)
}

fn checked_pattern(text: &str) -> Option<ChannelPattern> {
    let expected = segments(text).filter(|segments| {
        let (last, before) = segments.split_last().expect("a split has one part or more");
        before.iter().all(is_plain) && (is_plain(last) || *last == "*" || *last == "**")
    });
    let pattern = ChannelPattern::parse(text).ok();
    assert_eq!(pattern.is_some(), expected.is_some(), "{text:?} as a pattern");
    let (pattern, expected) = (pattern?, expected?);
    assert_eq!(pattern.to_string(), text);
    assert_eq!(pattern.kind(), kind(expected[0]));
    Some(pattern)
}

fn kind(first: &str) -> ChannelKind {
    match first {
        "meta" => ChannelKind::Meta,
        "service" => ChannelKind::Service,
        _ => ChannelKind::Broadcast,
    }
}

/// Both are known to be well-formed.
fn covers(pattern: &str, name: &str) -> bool {
    let (Some(pattern), Some(name)) = (segments(pattern), segments(name)) else { return false };
    match pattern.split_last() {
        Some((&"*", before)) => name.len() == pattern.len() && name.starts_with(before),
        Some((&"**", before)) => name.len() >= pattern.len() && name.starts_with(before),
        _ => pattern == name,
    }
}

/// A channel of ours is found again from what it was sorted into.
fn check_place(name: &ChannelName) {
    if let Place::Instance(instance, Some(topic)) = Place::of(name) {
        assert_eq!(topic.channel(&instance), *name);
    }
}

/// The patterns made of a name cover it, each to its own depth.
fn check_own_patterns(text: &str, name: &ChannelName) {
    let depth = text.matches('/').count();
    for (level, (at, _)) in text.match_indices('/').enumerate() {
        let prefix = &text[..at];
        for (wildcard, expected) in [("*", level + 1 == depth), ("**", true)] {
            // A short last segment may be shorter than its wildcard.
            let Ok(pattern) = ChannelPattern::parse(&format!("{prefix}/{wildcard}")) else { continue };
            assert_eq!(pattern.matches(name), expected, "{pattern} over {name}");
        }
    }
}
