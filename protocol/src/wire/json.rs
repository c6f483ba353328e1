//! JSON that is checked in one pass and left as the text it is (RFC 8259).
//!
//! A broker hands on what it need not understand, so that nearly all it has to know of a value is where it ends. This is
//! most of what a message costs besides the kernel, hence no tree, no copy and no second look at any byte. What has to be
//! understood is read by `serde_json`, which also is what the tests compare with.

use std::borrow::Cow;

use serde_json::value::RawValue;
use wide::u8x16;

use crate::error::{BayeuxError, ErrorCode};

/// A value's text, which is known to be JSON, without space around it. No `Debug`: it may be a secret.
#[derive(Clone, Copy)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The text.
    pub(crate) const fn get(self) -> &'a str {
        self.0
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// What a string says; none if it is something else, or no Unicode.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if is_plain(inner) {
            Some(Cow::Borrowed(inner))
        } else {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        }
    }

    /// What a string says, as what `parse` makes of it; none as with [`Self::text`]. It must be of a kind that is never
    /// escaped but for show: then its text is looked at once.
    pub(crate) fn parse<T, E>(self, parse: impl Fn(&str) -> Result<T, E>) -> Option<Result<T, E>> {
        if let Ok(value) = parse(self.0.strip_prefix('"')?.strip_suffix('"')?) {
            return Some(Ok(value));
        }
        self.text().map(|text| parse(&text))
    }

    /// True for a string that says this.
    pub(crate) fn says(self, text: &str) -> bool {
        let Some(inner) = self.0.strip_prefix('"') else { return false };
        let differs = inner.bytes().zip(text.bytes()).find(|(ours, theirs)| ours != theirs);
        match differs {
            Some((b'\\', _)) => self.text().is_some_and(|said| said == text),
            Some(_) => false,
            None => inner.len() == text.len() + 1,
        }
    }

    /// The same text for readers of `serde_json`.
    ///
    /// # Errors
    /// If that should not take it for JSON.
    pub(crate) fn raw(self) -> Result<&'a RawValue, BayeuxError> {
        serde_json::from_str(self.0).map_err(|error| unlike(&error))
    }

    /// As [`Self::raw`], to be kept.
    ///
    /// # Errors
    /// As [`Self::raw`].
    pub(crate) fn to_raw(self) -> Result<Box<RawValue>, BayeuxError> {
        RawValue::from_string(self.0.to_owned()).map_err(|error| unlike(&error))
    }
}

fn unlike(error: &serde_json::Error) -> BayeuxError {
    BayeuxError::new(ErrorCode::Malformed, "", format!("cannot read the JSON ({error})"))
}

/// Why a text is not what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// What should be at this byte.
    Expected { at: usize, what: &'static str },
    /// Arrays and objects in each other, more than may be.
    TooDeep,
}

/// Reads a text from its beginning to its end.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Of each level that is open whether it is an object: the innermost is the lowest bit.
    objects: u128,
    depth: u32,
    deepest: u32,
}

/// Levels that can be told apart.
const MOST_LEVELS: usize = u128::BITS as usize;

impl<'a> Scanner<'a> {
    /// Arrays and objects may lie `deepest` deep in each other, 128 at most.
    pub(super) fn new(text: &'a str, deepest: usize) -> Self {
        let deepest = u32::try_from(deepest.min(MOST_LEVELS)).unwrap_or(u128::BITS);
        Self { text, at: 0, objects: 0, depth: 0, deepest }
    }

    /// Bytes that have been read.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// The byte that comes next.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over white space: JSON has four kinds, Unicode more.
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes over the last white space.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.peek().is_none() { Ok(()) } else { Err(self.expected("the end")) }
    }

    /// Reads an array; `element` reads each of its values.
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(false)?;
        self.space();
        if self.close_if(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.goes_on(b']', "`,` or `]`")? {
                return Ok(());
            }
        }
    }

    /// Reads an object, and hands on each member; a name that is no Unicode is none.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(Option<Cow<'a, str>>, Json<'a>),
    ) -> Result<(), Fault> {
        self.open(true)?;
        self.space();
        if self.close_if(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            member(name, self.value()?);
            if !self.goes_on(b'}', "`,` or `}`")? {
                return Ok(());
            }
        }
    }

    /// Passes over one value of any kind.
    pub(super) fn value(&mut self) -> Result<Json<'a>, Fault> {
        let (begin, outside) = (self.at, self.depth);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{') => {
                    self.open(true)?;
                    self.space();
                    if !self.close_if(b'}') {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(false)?;
                    self.space();
                    if !self.close_if(b']') {
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => self.word()?,
            }
            // Whatever ends with this value is passed over too.
            loop {
                if self.depth == outside {
                    return Ok(Json(&self.text[begin..self.at]));
                }
                let is_object = self.objects & 1 == 1;
                let (end, what) = if is_object { (b'}', "`,` or `}`") } else { (b']', "`,` or `]`") };
                if self.goes_on(end, what)? {
                    if is_object {
                        self.name()?;
                    }
                    break;
                }
            }
        }
    }

    fn expected(&self, what: &'static str) -> Fault {
        Fault::Expected { at: self.at, what }
    }

    /// After a value of an array or object: true if there is another, false if that was the end.
    fn goes_on(&mut self, end: u8, what: &'static str) -> Result<bool, Fault> {
        self.space();
        if self.close_if(end) {
            return Ok(false);
        }
        self.expect(b',', what)?;
        self.space();
        Ok(true)
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, is_object: bool) -> Result<(), Fault> {
        if self.depth == self.deepest {
            return Err(Fault::TooDeep);
        }
        self.at += 1;
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        Ok(())
    }

    fn close_if(&mut self, end: u8) -> bool {
        let closes = self.peek() == Some(end);
        if closes {
            self.at += 1;
            self.depth -= 1;
            self.objects >>= 1;
        }
        closes
    }

    /// A member's name, with its colon and the space around that.
    fn name(&mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a name in quotes"));
        }
        let begin = self.at;
        let has_escapes = self.string()?;
        let quoted = &self.text[begin..self.at];
        self.space();
        self.expect(b':', "`:`")?;
        self.space();
        Ok(if has_escapes { Json(quoted).text() } else { Some(Cow::Borrowed(&quoted[1..quoted.len() - 1])) })
    }

    /// Passes over a string whose first quote comes next; true if something in it is escaped.
    fn string(&mut self) -> Result<bool, Fault> {
        let bytes = self.text.as_bytes();
        let mut has_escapes = false;
        self.at += 1;
        loop {
            self.at += plain(&bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(self.expected("the string's last quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let Some(kind) = self.peek() else { return Err(self.expected("an escape")) };
        let digits = match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 0,
            b'u' => 4,
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        for _ in 0..digits {
            if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(self.expected("four hexadecimal digits"));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One or more.
    fn digits(&mut self) -> Result<(), Fault> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == begin { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word.as_bytes()));
        self.at += word.ok_or_else(|| self.expected("a value"))?.len();
        Ok(())
    }
}

/// True for a text that stands in a JSON string as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    plain(text.as_bytes()) == text.len()
}

/// How many bytes come before the first that is special in a string: a quote, a backslash, or a control character,
/// which may not be there.
fn plain(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks();
    for (at, block) in blocks.iter().enumerate() {
        let special = special_bytes(*block);
        if special != 0 {
            return at * BLOCK + special.trailing_zeros() as usize;
        }
    }
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    // What fills it up is a control character.
    bytes.len() - rest.len() + special_bytes(last).trailing_zeros() as usize
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// A bit for each byte that is special, the lowest for the first.
fn special_bytes(block: [u8; BLOCK]) -> u32 {
    let block = u8x16::new(block);
    let is_control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let special = is_control | block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'));
    special.to_bitmask()
}

#[cfg(test)]
mod tests;
