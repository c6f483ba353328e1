//! Scalars and lists of a document, parsed.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::place::{Place, Reading};
use crate::Refusal;

/// Elements that a list may have. Far above what a machine needs, and low enough that a payload of lists
/// stays cheap to render.
pub(crate) const LONGEST_LIST: usize = 256;

const BOOLEAN: &str = "a boolean, `true` or `false`";

/// `true` or `false`. A file that was there before us may also use YAML 1.1's other words for them.
pub(crate) fn boolean(value: &Value, place: &Place) -> Result<bool, Refusal> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(word) if place.reading() == Reading::Whole => match word.to_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(true),
            "false" | "no" | "off" | "n" => Ok(false),
            _ => Err(place.refuse(value, BOOLEAN)),
        },
        other => Err(place.refuse(other, BOOLEAN)),
    }
}

/// A whole number within bounds. A file that was there before us may have it in quotes.
pub(crate) fn number(range: RangeInclusive<u32>) -> impl Fn(&Value, &Place) -> Result<u32, Refusal> {
    move |value, place| {
        let quoted = value.as_str().filter(|_| place.reading() == Reading::Whole);
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.or_else(|| quoted?.parse().ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            place.refuse(value, format!("a whole number from {} to {}", range.start(), range.end()))
        })
    }
}

/// A text.
pub(crate) fn text<'a>(value: &'a Value, place: &Place) -> Result<&'a str, Refusal> {
    value.as_str().ok_or_else(|| place.refuse(value, "a text"))
}

/// A text of so many characters, each of them a letter, a digit or one of `others`: nothing that could end a
/// line, a word or a quoted string of a rendered file.
pub(crate) fn word(
    longest: usize,
    others: &'static str,
    what: &'static str,
) -> impl Fn(&Value, &Place) -> Result<String, Refusal> {
    move |value, place| {
        let word = text(value, place)?;
        let fits = !word.is_empty() && word.len() <= longest;
        if fits && word.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c)) {
            return Ok(word.to_owned());
        }
        let expected = format!("{what}: 1 to {longest} letters, digits or any of `{others}`");
        Err(place.refuse(value, expected))
    }
}

/// One of a few words, kept as it is.
pub(crate) fn keyword(
    words: &'static [&'static str],
) -> impl Fn(&Value, &Place) -> Result<&'static str, Refusal> {
    move |value, place| {
        let given = value.as_str().unwrap_or_default();
        if let Some(word) = words.iter().find(|word| **word == given) {
            return Ok(*word);
        }
        let refusal = place.refuse(value, format!("one of {}", words.join(", ")));
        Err(match crate::nearest::nearest(given, words) {
            Some(near) => refusal.hint(format!("did you mean `{near}`?")),
            None => refusal,
        })
    }
}

/// A list, each element parsed.
pub(crate) fn list<'a, T>(
    value: &'a Value,
    place: &Place,
    parse: impl Fn(&'a Value, &Place) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    let items = value.as_array().ok_or_else(|| place.refuse(value, "a list"))?;
    if items.len() > LONGEST_LIST {
        let given = format!("{} elements", items.len());
        return Err(place.refuse_text(&given, format!("at most {LONGEST_LIST} elements")));
    }
    items.iter().enumerate().map(|(index, item)| parse(item, &place.index(index))).collect()
}
