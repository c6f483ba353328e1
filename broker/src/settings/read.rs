//! Reading settings out of YAML: each function says the line, the key, what was expected and what was there.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use cloud_channel_handlers::yaml::{Content, Entry, Node, Position};
use cloud_channel_protocol::shorten;

/// One setting of a file: its key within its group, and its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// The group's key; empty for what is in none.
    group: &'a str,
    pub(super) key: &'a str,
    pub(super) node: &'a Node,
}

/// A map's fields; a key that is not among `keys` is an error with a hint.
pub(super) fn fields<'a>(
    group: &'a str,
    entries: &'a [Entry],
    keys: &[&str],
) -> Result<Vec<Field<'a>>, String> {
    let field = |entry: &'a Entry| {
        if keys.contains(&entry.key.as_str()) {
            Ok(Field { group, key: &entry.key, node: &entry.value })
        } else {
            Err(unknown(&entry.key, entry.at, keys))
        }
    };
    entries.iter().map(field).collect()
}

fn unknown(key: &str, at: Position, keys: &[&str]) -> String {
    let hint = match cloud_channel_handlers::nearest(key, keys) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of {}", keys.join(", ")),
    };
    format!("line {}: unknown key `{}`; {hint}", at.line, shorten(key))
}

impl<'a> Field<'a> {
    /// A value that stands in no map of its own, such as an item of a list.
    pub(super) const fn item(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    /// The line of its value.
    pub(super) const fn line(&self) -> usize {
        self.node.at.line
    }

    /// An error about it.
    pub(super) fn wrong(&self, problem: impl Display) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("line {}: `{}{dot}{}`: {problem}", self.line(), self.group, self.key)
    }

    fn expected(&self, what: &str) -> String {
        self.wrong(format!("expected {what}, got {}", self.node.content.kind()))
    }

    /// The fields of its map.
    pub(super) fn fields(&self, keys: &[&str]) -> Result<Vec<Self>, String> {
        match &self.node.content {
            Content::Map(entries) => fields(self.key, entries, keys),
            Content::Null => Ok(Vec::new()),
            _ => Err(self.expected(&format!("a map with {}", keys.join(", ")))),
        }
    }

    /// The entries of its map, whose keys are names.
    pub(super) fn entries(&self) -> Result<&'a [Entry], String> {
        match &self.node.content {
            Content::Map(entries) => Ok(entries),
            Content::Null => Ok(&[]),
            _ => Err(self.expected("a map of names to values")),
        }
    }

    /// Its list, each item read.
    pub(super) fn list<T>(
        &self,
        what: &str,
        read: impl Fn(&Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        match &self.node.content {
            Content::List(items) => items.iter().map(|item| read(&self.item(item))).collect(),
            _ => Err(self.expected(&format!("a list of {what}"))),
        }
    }

    /// Its text; numbers are taken for texts, as an instance-id may be all digits.
    pub(super) fn text(&self) -> Result<Cow<'a, str>, String> {
        match &self.node.content {
            Content::Text(text) => Ok(Cow::Borrowed(text)),
            Content::Number(number) => Ok(Cow::Owned(number.to_string())),
            _ => Err(self.expected("a text")),
        }
    }

    /// Yes or no.
    pub(super) fn truth(&self) -> Result<bool, String> {
        match &self.node.content {
            Content::Bool(truth) => Ok(*truth),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    /// Its text, parsed.
    pub(super) fn parsed<T, E: Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, String> {
        parse(&self.text()?).map_err(|error| self.wrong(error))
    }

    /// A whole number of a range.
    pub(super) fn number(&self, range: RangeInclusive<u64>) -> Result<u64, String> {
        let number = match &self.node.content {
            Content::Number(number) => number.as_u64(),
            _ => None,
        };
        self.within(number, range, "a whole number", |number| number.to_string())
    }

    /// A number of bytes: bare, or with `KiB`, `MiB` or `GiB`.
    pub(super) fn bytes(&self, range: RangeInclusive<u64>) -> Result<u64, String> {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
        self.within(self.with_unit(&units), range, "a number of bytes, such as 65536 or 64KiB", show_bytes)
    }

    /// A time, with its unit.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Result<Duration, String> {
        let units = [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let millis = |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let range = millis(range.start())..=millis(range.end());
        let what = "a time with its unit, such as 500ms, 30s, 10min, 12h or 7d";
        let show = |millis| show_duration(Duration::from_millis(millis));
        self.within(self.with_unit(&units), range, what, show).map(Duration::from_millis)
    }

    /// A number times its unit; the longest unit that fits is meant, so `ms` stands before `s`.
    fn with_unit(&self, units: &[(&str, u64)]) -> Option<u64> {
        let text = self.text().ok()?;
        let (unit, factor) = units.iter().find(|(unit, _)| text.ends_with(unit))?;
        let digits = text[..text.len() - unit.len()].trim_end();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse::<u64>().ok()?.checked_mul(*factor) } else { None }
    }

    fn within(
        &self,
        number: Option<u64>,
        range: RangeInclusive<u64>,
        what: &str,
        show: impl Fn(u64) -> String,
    ) -> Result<u64, String> {
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(number),
            None => {
                let (least, most) = (show(*range.start()), show(*range.end()));
                let given = self.text().map_or_else(
                    |_| self.node.content.kind().to_owned(),
                    |text| format!("`{}`", shorten(&text)),
                );
                Err(self.wrong(format!("expected {what}, from {least} to {most}, got {given}")))
            }
        }
    }

    /// An absolute path.
    pub(super) fn path(&self) -> Result<PathBuf, String> {
        let text = self.text()?;
        if text.starts_with('/') {
            return Ok(PathBuf::from(text.as_ref()));
        }
        Err(self.wrong(format!("expected an absolute path, got `{}`", shorten(&text))))
    }
}

/// One of a fixed set of words.
pub(super) fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let words = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let words: Vec<String> = words.map(|word| format!("`{}`", word.get_name())).collect();
        format!("expected {}, got `{}`", words.join(" or "), shorten(text))
    })
}

/// The word of such a set.
pub(super) fn word_of<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map_or_else(String::new, |word| word.get_name().to_owned())
}

/// A time as it is written in a file.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
    let unit = units.into_iter().find(|(_, factor)| millis.is_multiple_of(*factor));
    unit.map_or_else(String::new, |(unit, factor)| format!("{}{unit}", millis / factor))
}

/// A number of bytes as it is written in a file.
pub(super) fn show_bytes(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// An absolute path, below the folder that plays the machine.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
