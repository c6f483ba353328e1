//! A YAML document in memory.

use std::fmt;

use serde_json::{Number, Value};

/// Where something stands in a text; both count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A value and where it stands. Aliases are resolved: such a value stands where its anchor is.
#[derive(Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Clone, PartialEq)]
pub enum Content {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `no` and the like.
    Bool(bool),
    /// A number that would be written the same way; `010` and `1e3` are texts.
    Number(Number),
    /// Any other scalar, and every scalar in quotes.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the file's order; no key occurs twice.
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub at: Position,
    /// Its value.
    pub value: Node,
}

impl Content {
    /// What it is, for error texts: never the value.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl From<Node> for Value {
    fn from(node: Node) -> Self {
        match node.content {
            Content::Null => Self::Null,
            Content::Bool(truth) => Self::Bool(truth),
            Content::Number(number) => Self::Number(number),
            Content::Text(text) => Self::String(text),
            Content::List(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Content::Map(entries) => {
                Self::Object(entries.into_iter().map(|entry| (entry.key, entry.value.into())).collect())
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// Without the content, which may be secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} at {})", self.content.kind(), self.at)
    }
}

/// As of [`Node`].
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({})", self.kind())
    }
}

/// As of [`Node`].
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({} at {})", self.value.content.kind(), self.at)
    }
}
