//! What a scalar stands for: YAML 1.2's core rules with two exceptions.
//!
//! The files are those of cloud-init, whose reader takes `yes`, `no`, `on` and `off` for booleans as YAML 1.1 has
//! it. And a number is one only if nothing is lost of its text: what is read may be written again by us, for
//! others who see texts where we see numbers. A network's key `00123` must not become `123`, a version `1.10` not
//! `1.1`.

use granit_parser::{ScalarStyle, Tag};
use serde_json::Number;

use super::node::Content;

/// `None` if the tag is none of the core's, or the text does not fit its tag.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Content> {
    let quoted = || Content::Text(text.to_owned());
    let Some(tag) = tag else {
        return Some(if style == ScalarStyle::Plain { plain(text) } else { quoted() });
    };
    let core = tag.core_suffix();
    let is_text = core == Some("str") || is_non_specific(tag);
    if is_text {
        return Some(quoted());
    }
    let content = plain(text);
    let fits = match (core?, &content) {
        ("null", Content::Null) | ("bool", Content::Bool(_)) | ("float", Content::Number(_)) => true,
        ("int", Content::Number(number)) => !number.is_f64(),
        _ => false,
    };
    fits.then_some(content)
}

/// True if a list or map may have this tag.
pub(super) fn fits_collection(tag: Option<&Tag>, core: &str) -> bool {
    tag.is_none_or(|tag| tag.core_suffix() == Some(core) || is_non_specific(tag))
}

/// A mere `!`: no guessing, please.
fn is_non_specific(tag: &Tag) -> bool {
    tag.handle().len() + tag.suffix().len() == 1 && tag.original() == "!"
}

fn plain(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Content::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Content::Bool(false),
        _ => match number(text) {
            Some(number) => Content::Number(number),
            None => Content::Text(text.to_owned()),
        },
    }
}

fn number(text: &str) -> Option<Number> {
    let starts = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let number: Number = if starts { text.parse().ok()? } else { return None };
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_if_it_would_be_written_the_same() {
        for text in ["0", "9000", "-7", "18446744073709551615", "-9223372036854775808", "1.5", "-0.25"] {
            assert_eq!(plain(text), Content::Number(text.parse().unwrap()), "{text}");
        }
        for text in [
            "010",
            "1e3",
            "+5",
            "0x10",
            "0o7",
            "1.10",
            ".5",
            "5.",
            "-0",
            "1_000",
            "18446744073709551616",
            "--1",
            "52:54:00:12:34:56",
            "10:20",
            ".inf",
            ".nan",
            "-",
            "2026-01-01",
            "1e999",
        ] {
            assert_eq!(plain(text), Content::Text(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn words_are_booleans_or_nothing_in_their_usual_spellings() {
        for (text, expected) in [
            ("true", Content::Bool(true)),
            ("Yes", Content::Bool(true)),
            ("ON", Content::Bool(true)),
            ("False", Content::Bool(false)),
            ("no", Content::Bool(false)),
            ("~", Content::Null),
            ("", Content::Null),
            ("Null", Content::Null),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
        for text in ["y", "n", "yEs", "nUll", "tRUE", "enabled"] {
            assert_eq!(plain(text), Content::Text(text.to_owned()), "{text}");
        }
    }
}
