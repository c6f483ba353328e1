//! Scalars and lists of a version 1 document, which spells them in more than one way: cloud-init takes numbers and
//! booleans that are texts, and lists that are one text with spaces between.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::super::address::ip;
use super::super::place::Place;
use super::super::value::{self, list, text, word};
use crate::Refusal;

/// A whole number within bounds, as a number or as digits.
pub(super) fn number(range: RangeInclusive<u32>) -> impl Fn(&Value, &Place) -> Result<u32, Refusal> {
    move |given, place| {
        let parse = value::number(range.clone());
        match given.as_str().and_then(|digits| digits.trim().parse::<u32>().ok()) {
            Some(number) => parse(&number.into(), place),
            None => parse(given, place),
        }
    }
}

/// A boolean, or one of the words and numbers that cloud-init and ifupdown have for it.
pub(super) fn boolean(given: &Value, place: &Place) -> Result<bool, Refusal> {
    let word = match given {
        Value::Bool(truth) => return Ok(*truth),
        Value::Number(number) => number.to_string(),
        Value::String(word) => word.to_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(place.refuse(given, "a boolean")),
    }
}

/// A list, or a text of which the words are the elements.
pub(super) fn words<T>(
    given: &Value,
    place: &Place,
    parse: impl Fn(&Value, &Place) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    match given {
        Value::String(text) => {
            let words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
            let words: Vec<Value> = words.map(Value::from).collect();
            if words.len() > value::LONGEST_LIST {
                let given = format!("{} words", words.len());
                return Err(place.refuse_text(&given, format!("at most {} words", value::LONGEST_LIST)));
            }
            words.iter().map(|word| parse(word, place)).collect()
        }
        Value::Array(_) => list(given, place, parse),
        other => Err(place.refuse(other, "a list, or a text of words")),
    }
}

/// Addresses of name servers.
pub(super) fn addresses(given: &Value, place: &Place) -> Result<Vec<IpAddr>, Refusal> {
    words(given, place, ip)
}

/// Domains in which names are searched.
pub(super) fn domains(given: &Value, place: &Place) -> Result<Vec<String>, Refusal> {
    words(given, place, word(253, "._~-", "a domain"))
}

/// An address, or a network, with where it stands.
pub(super) fn text_at(given: &Value, place: &Place) -> Result<(String, Place), Refusal> {
    Ok((text(given, place)?.to_owned(), place.clone()))
}
