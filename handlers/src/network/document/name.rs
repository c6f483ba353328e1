//! Names: of devices in the document, of links in the kernel, and patterns of the latter.

use std::borrow::Borrow;
use std::fmt;

use serde_json::Value;

use super::place::Place;
use super::value::word;
use crate::Refusal;

/// Longest id of a device that is only found by its `match`.
const LONGEST_ID: usize = 64;

/// Longest name of a link: the kernel's IFNAMSIZ less the closing NUL.
const LONGEST_LINK_NAME: usize = 15;

/// A device's key in the document. It names files, so it has no slash and no leading dot or dash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceId(String);

impl DeviceId {
    /// Parses the id of a device that is defined at a place.
    pub(crate) fn from_key(id: &str, place: &Place) -> Result<Self, Refusal> {
        let fits = !id.is_empty() && id.len() <= LONGEST_ID && !id.starts_with(['.', '-']);
        if fits && id.chars().all(|c| c.is_ascii_alphanumeric() || "._:@-".contains(c)) {
            return Ok(Self(id.to_owned()));
        }
        let expected = format!(
            "a device id: 1 to {LONGEST_ID} letters, digits or any of `._:@-`, not beginning with `.` or `-`"
        );
        Err(place.refuse_text(id, expected))
    }

    /// Parses a reference to a device.
    pub(crate) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        Self::from_key(super::value::text(value, place)?, place)
    }

    /// The id as it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a link's name: for a device that we create, or that is found by nothing but its id.
    pub(crate) fn as_link_name(&self, place: &Place) -> Result<LinkName, Refusal> {
        LinkName::from_text(&self.0, place)
    }
}

/// It compares as its text does.
impl Borrow<str> for DeviceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that the kernel and systemd take for a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkName(String);

impl LinkName {
    /// Parses a link's name.
    pub(crate) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        Self::from_text(super::value::text(value, place)?, place)
    }

    fn from_text(name: &str, place: &Place) -> Result<Self, Refusal> {
        let fits = !name.is_empty() && name.len() <= LONGEST_LINK_NAME && !name.starts_with(['.', '-']);
        // systemd keeps these for itself: numbers are indexes, and two words name sets of links.
        let reserved = name.bytes().all(|byte| byte.is_ascii_digit()) || matches!(name, "all" | "default");
        if fits && !reserved && name.chars().all(|c| c.is_ascii_alphanumeric() || "._@-".contains(c)) {
            return Ok(Self(name.to_owned()));
        }
        let expected = format!(
            "a link name: 1 to {LONGEST_LINK_NAME} letters, digits or any of `._@-`, \
             not a number, `all` or `default`"
        );
        Err(place.refuse_text(name, expected))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the name that every kernel has taken itself.
    pub(super) fn is_loopback(&self) -> bool {
        self.0 == "lo"
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A shell-like pattern of names: `*`, `?` and `[a-z]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// Parses a pattern.
    pub(crate) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        word(LONGEST_ID, "._:@-*?[]!", "a name or a pattern of names")(value, place).map(Self)
    }

    /// A pattern from a file of the machine.
    pub(crate) fn from_file(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The pattern as it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the pattern is a plain name.
    pub(crate) fn is_plain(&self) -> bool {
        !self.0.contains(['*', '?', '['])
    }

    /// True if a name is one of the pattern's.
    pub(crate) fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }
}

/// Backtracks to the last star only, so the work is at most pattern times name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(width) = one(&pattern[p.min(pattern.len())..], name[n]) {
            p += width;
            n += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            p = after + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How long the pattern's first element is, if it matches this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => {
            let end = set.iter().skip(1).position(|c| *c == b']')? + 1;
            let (negated, members) = match &set[..end] {
                [b'!', rest @ ..] => (true, rest),
                all => (false, all),
            };
            (in_set(members, byte) != negated).then_some(end + 2)
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    while let [first, rest @ ..] = set {
        match rest {
            [b'-', last, after @ ..] => {
                if (*first..=*last).contains(&byte) {
                    return true;
                }
                set = after;
            }
            _ => {
                if *first == byte {
                    return true;
                }
                set = rest;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("en*", "ens3", true),
            ("en*", "eth0", false),
            ("*", "", true),
            ("e?h0", "eth0", true),
            ("eth[0-3]", "eth2", true),
            ("eth[0-3]", "eth4", false),
            ("eth[!0-3]", "eth4", true),
            ("*p*s0", "enp1s0", true),
            ("*p*s0", "enp1s1", false),
            ("eth0", "eth01", false),
            ("eth[", "eth[", false),
        ] {
            assert_eq!(Pattern(pattern.into()).matches(name), expected, "{pattern} {name}");
        }
    }
}
