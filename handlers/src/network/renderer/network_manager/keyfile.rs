//! A keyfile as a value: sections of keys, in the form of nm-settings-keyfile(5) and GLib's key files.

use std::fmt;

/// One file: sections in order, each name once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keyfile {
    sections: Vec<Section>,
}

/// One section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    name: &'static str,
    entries: Vec<(String, Value)>,
}

/// What stands behind a key.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    /// Parts that a character stands between.
    Parts(char, Vec<String>),
    /// A list as GLib writes it: a semicolon behind each element.
    List(Vec<String>),
}

impl Keyfile {
    /// Adds a section, unless there is nothing in it.
    pub(super) fn add(&mut self, section: Section) {
        if !section.entries.is_empty() {
            self.sections.push(section);
        }
    }

    /// True if the two differ in these sections at most.
    pub(super) fn is_same_but_for(&self, other: &Self, names: &[&str]) -> bool {
        let rest = |file: &'_ Self| -> Vec<usize> {
            (0..file.sections.len()).filter(|at| !names.contains(&file.sections[*at].name)).collect()
        };
        let (one, two) = (rest(self), rest(other));
        one.len() == two.len()
            && one.into_iter().zip(two).all(|(one, two)| self.sections[one] == other.sections[two])
    }
}

impl Section {
    /// A section without keys.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, entries: Vec::new() }
    }

    /// Adds a key.
    pub(super) fn set(&mut self, key: &'static str, value: impl fmt::Display) {
        self.entries.push((key.to_owned(), Value::Text(value.to_string())));
    }

    /// Adds a key, if there is a value. Booleans come out as keyfiles spell them, `true` and `false`.
    pub(super) fn set_some(&mut self, key: &'static str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Adds a list, if there is anything in it.
    pub(super) fn set_list(&mut self, key: &'static str, items: impl IntoIterator<Item = impl fmt::Display>) {
        let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
        if !items.is_empty() {
            self.entries.push((key.to_owned(), Value::List(items)));
        }
    }

    /// Adds a key of several parts, if there are any.
    pub(super) fn set_parts(&mut self, key: impl Into<String>, between: char, parts: Vec<String>) {
        if !parts.is_empty() {
            self.entries.push((key.into(), Value::Parts(between, parts)));
        }
    }
}

impl fmt::Display for Keyfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# Written by cloud-channel.\n")?;
        for section in &self.sections {
            writeln!(f, "\n[{}]", section.name)?;
            for (key, value) in &section.entries {
                writeln!(f, "{key}={value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&escaped(text, None)),
            Self::Parts(between, parts) => f.write_str(&escaped(&parts.join(&between.to_string()), None)),
            Self::List(items) => items.iter().try_for_each(|item| write!(f, "{};", escaped(item, Some(';')))),
        }
    }
}

/// A text that GLib reads back as it was: the backslash and what would end a line, leading spaces, and in a list
/// what would end an element.
fn escaped(text: &str, separator: Option<char>) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut leading = true;
    for c in text.chars() {
        leading &= c == ' ';
        match c {
            ' ' if leading => escaped.push_str("\\s"),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if Some(c) == separator => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line_or_an_element() {
        let mut section = Section::new("match");
        section.set("id", "  a\nb\t\\c;d");
        section.set_list("driver", ["a;b", "\\!c"]);
        section.set_parts("route1", ',', vec!["x".into(), "y\r".into()]);
        let mut file = Keyfile::default();
        file.add(section);
        file.add(Section::new("empty"));
        let expected = "# Written by cloud-channel.\n\n[match]\nid=\\s\\sa\\nb\\t\\\\c;d\n\
                        driver=a\\;b;\\\\!c;\nroute1=x,y\\r\n";
        assert_eq!(file.to_string(), expected);
    }
}
