//! Why a payload is not accepted, told so that its sender can mend it.

use std::fmt;

/// One fault of a payload: where it is, what was given, what was expected, and what to do.
///
/// It travels to the sender as it is, so it never holds a secret: whoever makes one of a secret field describes
/// the value and does not quote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    path: String,
    given: Option<String>,
    expected: String,
    hint: Option<String>,
    /// The file of the machine that is in the way.
    file: Option<String>,
}

impl Refusal {
    /// A fault at `path` (`network.ethernets.ens0.addresses[0]`), with what would have been right.
    pub fn at(path: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { path: printable(&path.into()), given: None, expected: expected.into(), hint: None, file: None }
    }

    /// Adds what was given; long values are shortened, and characters that cannot be seen are escaped.
    #[must_use]
    pub fn given(mut self, given: impl AsRef<str>) -> Self {
        self.given = Some(printable(&cloud_channel_protocol::shorten(given.as_ref())));
        self
    }

    /// Adds what to do next: "did you mean `dhcp4`?".
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Notes the file of the machine that is in the way. The texts name it too.
    #[must_use]
    pub(crate) fn because_of(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The file that is in the way, if it is one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The same fault at the place where the sender wrote it, for a document that was converted.
    #[must_use]
    pub(crate) fn moved_to(self, path: impl Into<String>) -> Self {
        Self { path: printable(&path.into()), ..self }
    }

    /// Where in the document the fault is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was given, if it may be told.
    #[must_use]
    pub fn given_value(&self) -> Option<&str> {
        self.given.as_deref()
    }

    /// What was expected.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What to do next, if we know.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: expected {}", self.path, self.expected)?;
        if let Some(given) = &self.given {
            write!(f, ", got `{given}`")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// The text in one line, as it will be seen: it may end up in a log or on a terminal. Beside controls, characters that change
/// the order of others, or have no width, are escaped as in `\u{202e}`.
fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_that_looks_like_what_it_is() {
        let refusal =
            Refusal::at("network.a\nb", "a name").given("x\u{1b}[2J\ty\0\u{202e}é\u{2028}\u{feff}z");
        let expected = r"`network.a\nb`: expected a name, got `x\u{1b}[2J\ty\u{0}\u{202e}é\u{2028}\u{feff}z`";
        assert_eq!(refusal.to_string(), expected);
        assert_eq!(refusal.moved_to("b\r").path(), r"b\r");
    }
}
