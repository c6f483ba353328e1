//! JSON in one form only, so that a signature outlives whoever reads a message and writes it again.
//!
//! The form is that of RFC 8785, with one difference: numbers are never rounded. A number is written by the rules
//! of ECMAScript (which RFC 8785 uses) from the decimal digits that it has, not from the nearest double's. For
//! every number that a double gives back as it is, both are the same.

use std::collections::BTreeMap;

/// Deepest nesting; messages are bounded before, by less.
const DEEPEST: usize = 128;
/// Largest exponent, either way: what is beyond is no config.
const LARGEST_EXPONENT: i64 = 1_000_000;

/// Why a text has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotCanonical {
    /// Readers disagree on which of the two counts.
    #[error("a key stands twice in an object")]
    KeyTwice,
    #[error("the nesting is too deep")]
    TooDeep,
    #[error("a number is too large or too small")]
    Number,
    #[error("it is no JSON")]
    NoJson,
}

/// A JSON value that keeps all digits of its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    /// `null`, `true`, `false`, or a number in its canonical form.
    Bare(String),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<Key, Self>),
}

/// An object's key, in the order of its UTF-16 code units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.encode_utf16().cmp(other.0.encode_utf16())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self, NotCanonical> {
        let mut reader = Reader { rest: text };
        let value = reader.value(DEEPEST)?;
        reader.skip_space();
        if reader.rest.is_empty() { Ok(value) } else { Err(NotCanonical::NoJson) }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn number(number: u64) -> Self {
        Self::Bare(number.to_string())
    }

    pub(super) fn object<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Object(entries.into_iter().map(|(key, value)| (Key::new(key), value)).collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.get(&Key::new(key)),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Bare(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Its entries, if it is an object.
    pub(super) fn entries_mut(&mut self) -> Option<&mut BTreeMap<Key, Self>> {
        match self {
            Self::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The canonical text.
    pub(super) fn write(&self) -> String {
        let mut text = String::new();
        self.write_to(&mut text);
        text
    }

    fn write_to(&self, out: &mut String) {
        match self {
            Self::Bare(text) => out.push_str(text),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    out.push(if at == 0 { '[' } else { ',' });
                    item.write_to(out);
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Self::Object(entries) => {
                for (at, (key, value)) in entries.iter().enumerate() {
                    out.push(if at == 0 { '{' } else { ',' });
                    write_text(&key.0, out);
                    out.push(':');
                    value.write_to(out);
                }
                out.push_str(if entries.is_empty() { "{}" } else { "}" });
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    // Shortest escapes, and none where none is needed: the same as RFC 8785 asks for.
    out.push_str(&serde_json::to_string(text).expect("a text serialises"));
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// The next character that is no space, left where it is.
    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.rest.bytes().next()
    }

    fn take(&mut self, wanted: u8) -> Result<(), NotCanonical> {
        if self.peek() != Some(wanted) {
            return Err(NotCanonical::NoJson);
        }
        self.rest = &self.rest[1..];
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Json, NotCanonical> {
        let depth = depth.checked_sub(1).ok_or(NotCanonical::TooDeep)?;
        match self.peek().ok_or(NotCanonical::NoJson)? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Json::Text),
            _ => self.bare(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, NotCanonical> {
        let mut entries = BTreeMap::new();
        self.take(b'{')?;
        while self.peek() != Some(b'}') {
            if !entries.is_empty() {
                self.take(b',')?;
            }
            self.skip_space();
            let key = Key(self.string()?);
            self.take(b':')?;
            let value = self.value(depth)?;
            if entries.insert(key, value).is_some() {
                return Err(NotCanonical::KeyTwice);
            }
        }
        self.take(b'}')?;
        Ok(Json::Object(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Json, NotCanonical> {
        let mut items = Vec::new();
        self.take(b'[')?;
        while self.peek() != Some(b']') {
            if !items.is_empty() {
                self.take(b',')?;
            }
            items.push(self.value(depth)?);
        }
        self.take(b']')?;
        Ok(Json::List(items))
    }

    fn string(&mut self) -> Result<String, NotCanonical> {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        loop {
            match bytes.get(end).ok_or(NotCanonical::NoJson)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let text = serde_json::from_str(&self.rest[..=end]).map_err(|_| NotCanonical::NoJson)?;
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }

    fn bare(&mut self) -> Result<Json, NotCanonical> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
        let end = self.rest.find(|c: char| !part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if matches!(word, "null" | "true" | "false") {
            return Ok(Json::Bare(word.to_owned()));
        }
        // What is a number is serde_json's to say; it accepts no more than JSON does.
        if serde_json::from_str::<&serde_json::value::RawValue>(word).is_err() {
            return Err(NotCanonical::NoJson);
        }
        canonical_number(word).map(Json::Bare)
    }
}

/// ECMAScript's `Number::toString` for the decimal digits as they are.
fn canonical_number(text: &str) -> Result<String, NotCanonical> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().map_err(|_| NotCanonical::Number)?;
    if exponent.abs() > LARGEST_EXPONENT {
        return Err(NotCanonical::Number);
    }
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let digits = significant.trim_end_matches('0');
    if digits.is_empty() {
        return Ok("0".to_owned());
    }
    let count = |length: usize| i64::try_from(length).map_err(|_| NotCanonical::Number);
    // The value is 0.DIGITS times ten to this.
    let point = count(whole.len())? + exponent - count(all.len() - significant.len())?;
    let length = count(digits.len())?;
    let zeros = |number: i64| "0".repeat(usize::try_from(number).unwrap_or_default());
    let split = |at: i64| digits.split_at(usize::try_from(at).unwrap_or_default().min(digits.len()));
    Ok(match point {
        1..=21 if length <= point => format!("{sign}{digits}{}", zeros(point - length)),
        1..=21 => {
            let (whole, fraction) = split(point);
            format!("{sign}{whole}.{fraction}")
        }
        -5..=0 => format!("{sign}0.{}{digits}", zeros(-point)),
        _ => {
            let (first, others) = split(1);
            let dot = if others.is_empty() { "" } else { "." };
            format!("{sign}{first}{dot}{others}e{:+}", point - 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        Json::parse(text).unwrap().write()
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (given, expected) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("1e0", "1"),
            ("10E-1", "1"),
            ("-12.50", "-12.5"),
            ("9007199254740993", "9007199254740993"),
            ("12345678901234567890123", "1.2345678901234567890123e+22"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("123e-8", "0.00000123"),
            ("1.5e300", "1.5e+300"),
            ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ] {
            assert_eq!(canonical(given), expected, "{given}");
        }
        assert_eq!(Json::parse("1e99999999999"), Err(NotCanonical::Number));
    }

    #[test]
    fn the_example_of_rfc_8785() {
        // Section 3.2.2, whose numbers are all doubles.
        let given = r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.33333329,1e+30,4.5,0.002,1e-27],\
                        \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        // But for the first number, whose last digit a double does not keep.
        assert_eq!(canonical(given), expected);
        // Section 3.2.3: sorted by UTF-16 code units.
        let keys = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        assert_eq!(
            canonical(keys),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn what_has_no_form() {
        for (text, expected) in [
            (r#"{"a":1,"a":1}"#, NotCanonical::KeyTwice),
            (r#"{"a":1,"\u0061":2}"#, NotCanonical::KeyTwice),
            (r#"{"a":1"#, NotCanonical::NoJson),
            (r#"{"a" 1}"#, NotCanonical::NoJson),
            (r#"{1:1}"#, NotCanonical::NoJson),
            (r#"[1,]"#, NotCanonical::NoJson),
            ("nul", NotCanonical::NoJson),
            ("01", NotCanonical::NoJson),
            ("+1", NotCanonical::NoJson),
            ("1 2", NotCanonical::NoJson),
            ("\"a", NotCanonical::NoJson),
            (r#""\ud800""#, NotCanonical::NoJson),
            ("", NotCanonical::NoJson),
        ] {
            assert_eq!(Json::parse(text), Err(expected), "{text}");
        }
        let deep = "[".repeat(DEEPEST + 1) + &"]".repeat(DEEPEST + 1);
        assert_eq!(Json::parse(&deep), Err(NotCanonical::TooDeep));
    }

    proptest! {
        /// Whatever serde_json reads, reads and writes the same value, and writing again changes nothing.
        #[test]
        fn canonical_text_is_the_same_value(numbers in prop::collection::vec(any::<f64>(), 0..5), text in "[^n].{0,20}") {
            let finite: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
            let value = serde_json::json!({ "n": finite, text.as_str(): [text, null, { "x": {} }] });
            let once = canonical(&value.to_string());
            prop_assert_eq!(&canonical(&once), &once);
            let read = Json::parse(&once).unwrap();
            let Some(Json::List(ours)) = read.get("n") else { panic!("{once}") };
            for (ours, theirs) in ours.iter().zip(&finite) {
                prop_assert_eq!(ours.write().parse::<f64>().unwrap(), *theirs);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in r#"[\[\]{}",:0-9eE.+a-z\\ -]{0,40}"#) {
            let is_json = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).is_ok();
            match Json::parse(&text) {
                Ok(_) => prop_assert!(is_json, "{} is no JSON", text),
                Err(NotCanonical::NoJson) => {
                    // Lone surrogates are JSON and no text.
                    prop_assert!(!is_json || text.contains("\\u"), "{} is JSON", text);
                }
                Err(_) => {}
            }
        }
    }
}
