//! Times as scenarios write them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// `250ms`, `2s`, `1m`; at most an hour, since nobody waits longer for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const LONGEST: Duration = Duration::from_secs(3600);

impl Span {
    /// Reads the text form.
    ///
    /// # Errors
    /// Says what was given and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is no time, expected one like 250ms, 2s or 1m, at most 60m",
                cloud_channel_protocol::shorten(text)
            )
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let time = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            _ => return Err(wrong()),
        };
        if time > LONGEST { Err(wrong()) } else { Ok(Self(time)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        assert_eq!(Span::parse("250ms"), Ok(Span(Duration::from_millis(250))));
        assert_eq!(Span::parse("2m"), Ok(Span(Duration::from_secs(120))));
        for bad in ["", "2", "s", "-1s", "1.5s", "2h", "61m", "99999999999999999999s"] {
            assert!(Span::parse(bad).unwrap_err().contains("is no time"), "{bad}");
        }
    }
}
