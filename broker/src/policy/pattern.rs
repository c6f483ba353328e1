//! Which channels a rule is about: a channel in which any segment may be a wildcard.
//!
//! As in a subscription, `*` is one segment and a last `**` is one or more; unlike there, `*` may stand anywhere.
//! `<instance-id>` stands for this machine's. A first wildcard covers `/service/` too.

use std::fmt;

use cloud_channel_protocol::{ChannelName, ChannelPattern, InstanceId};

/// What stands for this machine's instance-id.
const PLACEHOLDER: &str = "<instance-id>";

/// Why a text is no pattern of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is no pattern of channels: expected /segment/…, where a segment may be `*`, `<instance-id>` or a last `**`"
)]
pub struct InvalidPattern {
    given: String,
}

/// A pattern of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePattern(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// This machine's id, as long as it is not known.
    Instance,
    One,
    /// One or more; the last.
    Rest,
}

impl RulePattern {
    /// Parses one.
    ///
    /// # Errors
    /// Says what was given and what was expected.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = || InvalidPattern { given: cloud_channel_protocol::shorten(text) };
        let rest = text.strip_prefix('/').ok_or_else(invalid)?;
        let segments: Vec<Segment> = rest
            .split('/')
            .map(|segment| match segment {
                "*" => Segment::One,
                "**" => Segment::Rest,
                PLACEHOLDER => Segment::Instance,
                literal => Segment::Literal(literal.to_owned()),
            })
            .collect();
        let inner = segments.split_last().map(|(_, inner)| inner).unwrap_or_default();
        // What a channel may be made of is the channel's business.
        let name: Vec<&str> = segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => text.as_str(),
                Segment::Instance | Segment::One | Segment::Rest => "x",
            })
            .collect();
        let is_channel = ChannelName::parse(&format!("/{}", name.join("/"))).is_ok();
        if inner.contains(&Segment::Rest) || !is_channel {
            return Err(invalid());
        }
        Ok(Self(segments))
    }

    /// The pattern that covers what a subscription covers.
    #[must_use]
    pub fn of_subscription(pattern: &ChannelPattern) -> Self {
        let text = pattern.to_string();
        let segments = text.split('/').skip(1).map(|segment| match segment {
            "*" => Segment::One,
            "**" => Segment::Rest,
            literal => Segment::Literal(literal.to_owned()),
        });
        Self(segments.collect())
    }

    /// The same for a machine whose id is known.
    #[must_use]
    pub fn of_instance(&self, instance: &InstanceId) -> Self {
        let known = |segment: &Segment| match segment {
            Segment::Instance => Segment::Literal(instance.as_str().to_owned()),
            other => other.clone(),
        };
        Self(self.0.iter().map(known).collect())
    }

    /// True if it covers this channel.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        let mut segments = channel.segments();
        for wanted in &self.0 {
            let Some(given) = segments.next() else { return false };
            match wanted {
                Segment::Rest => return true,
                Segment::Literal(literal) if literal != given => return false,
                Segment::Instance => return false,
                Segment::Literal(_) | Segment::One => {}
            }
        }
        segments.next().is_none()
    }

    /// True if it covers everything that `other` covers.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.0, &other.0)
    }

    /// True if there can be a channel that both cover.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        overlaps(&self.0, &other.0)
    }
}

fn covers(ours: &[Segment], theirs: &[Segment]) -> bool {
    match (ours.split_first(), theirs.split_first()) {
        (None, None) => true,
        (None, Some(_)) | (Some(_), None) => false,
        (Some((Segment::Rest, _)), Some(_)) => true,
        (Some(_), Some((Segment::Rest, _))) => false,
        (Some((our, ours)), Some((their, theirs))) => {
            (*our == Segment::One || our == their) && covers(ours, theirs)
        }
    }
}

fn overlaps(ours: &[Segment], theirs: &[Segment]) -> bool {
    match (ours.split_first(), theirs.split_first()) {
        (None, None) => true,
        (None, Some(_)) | (Some(_), None) => false,
        (Some((Segment::Rest, _)), Some(_)) | (Some(_), Some((Segment::Rest, _))) => true,
        (Some((our, ours)), Some((their, theirs))) => {
            let meet = match (our, their) {
                (Segment::Literal(our), Segment::Literal(their)) => our == their,
                // An id that is not known may be any.
                _ => true,
            };
            meet && overlaps(ours, theirs)
        }
    }
}

impl fmt::Display for RulePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Instance => write!(f, "/{PLACEHOLDER}"),
            Segment::One => f.write_str("/*"),
            Segment::Rest => f.write_str("/**"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RulePattern {
        RulePattern::parse(text).unwrap()
    }

    #[test]
    fn patterns_are_whole_segments() {
        for wrong in ["", "a", "/", "/a//b", "/**/a", "/a*", "/a b", "/<id>", "/a/**/**", "/a/"] {
            assert!(RulePattern::parse(wrong).is_err(), "{wrong}");
        }
        for text in ["/**", "/a/*/c", "/cloudinit/<instance-id>/**", "/*/b/*"] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn what_matches() {
        let channel = |text: &str| ChannelName::parse(text).unwrap();
        for (text, name, expected) in [
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/b/c", false),
            ("/a/b", "/a/bc", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a", false),
            ("/a/*", "/a/b/c", false),
            ("/*/b", "/a/b", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("/**", "/service/x", true),
            ("/cloudinit/<instance-id>/**", "/cloudinit/i/x", false),
        ] {
            assert_eq!(pattern(text).matches(&channel(name)), expected, "{text} {name}");
        }
        let id = InstanceId::parse("i").unwrap();
        assert!(pattern("/cloudinit/<instance-id>/**").of_instance(&id).matches(&channel("/cloudinit/i/x")));
    }

    #[test]
    fn covering_and_overlapping() {
        for (a, b, covers, overlaps) in [
            ("/**", "/a/*", true, true),
            ("/a/*", "/**", false, true),
            ("/a/*", "/a/b", true, true),
            ("/a/**", "/a/*", true, true),
            ("/a/*", "/a/**", false, true),
            ("/*/**", "/a/b/c", true, true),
            ("/*/**", "/a/**", true, true),
            ("/a/b", "/a/c", false, false),
            ("/a/*/c", "/a/b/*", false, true),
            ("/a/**", "/a", false, false),
            ("/c/<instance-id>/x", "/c/<instance-id>/x", true, true),
            ("/c/*/x", "/c/<instance-id>/x", true, true),
            ("/c/i/x", "/c/<instance-id>/x", false, true),
        ] {
            assert_eq!(pattern(a).covers(&pattern(b)), covers, "{a} covers {b}");
            assert_eq!(pattern(a).overlaps(&pattern(b)), overlaps, "{a} overlaps {b}");
            assert_eq!(pattern(b).overlaps(&pattern(a)), overlaps, "{b} overlaps {a}");
        }
        let subscribed = RulePattern::of_subscription(&ChannelPattern::parse("/a/**").unwrap());
        assert_eq!(subscribed, pattern("/a/**"));
    }
}
