//! A value and where it came from.

use std::fmt;

/// A setting while files are put together: the last one to set it wins.
#[derive(Debug)]
pub(super) struct Value<T> {
    /// Its key, dotted where it is in a group.
    pub(super) name: &'static str,
    pub(super) value: T,
    /// The file or option that set it.
    pub(super) from: String,
}

/// One line of `config show`.
#[derive(Debug, Clone)]
pub(super) struct Row {
    name: &'static str,
    value: String,
    from: String,
}

/// Where a value comes from if nobody has set it.
const DEFAULT: &str = "default";

impl<T> Value<T> {
    pub(super) fn new(name: &'static str, value: T) -> Self {
        Self { name, value, from: DEFAULT.to_owned() }
    }

    pub(super) fn set(&mut self, value: T, from: &str) {
        self.value = value;
        from.clone_into(&mut self.from);
    }

    /// True if a file or an option has set it.
    pub(super) fn is_set(&self) -> bool {
        self.from != DEFAULT
    }

    pub(super) fn row(&self, show: impl FnOnce(&T) -> String) -> Row {
        Row { name: self.name, value: show(&self.value), from: self.from.clone() }
    }

    /// No row for what has no value.
    pub(super) fn row_if(&self, show: impl FnOnce(&T) -> Option<String>) -> Option<Row> {
        let value = show(&self.value)?;
        Some(Row { name: self.name, value, from: self.from.clone() })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<26} {}   # {}", self.name, self.value, self.from)
    }
}
