//! From text to tree, within limits: depth, and the number and length of values, where an alias counts as all that
//! it stands for. A small file of aliases to aliases cannot become a large document.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::node::{Content, Entry, Node, Position};
use super::scalar;

/// Lists and maps within each other.
const DEEPEST: usize = 64;
/// Values and keys of a document. A machine's largest files have some thousands.
const MOST_VALUES: usize = 100_000;
/// Bytes of all scalars together.
const MOST_TEXT: usize = 4 << 20;

/// Why a text cannot be read, and where. The content is never named: it may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// Its bytes are no text.
    #[error("no valid YAML: expected UTF-8")]
    Encoding,
    /// It breaks the rules of YAML.
    #[error("no valid YAML at {0}")]
    Syntax(Position),
    /// Lists and maps are nested too deep.
    #[error("expected lists and maps nested at most {DEEPEST} deep, more at {0}")]
    TooDeep(Position),
    /// Too many or too long values.
    #[error(
        "expected at most {MOST_VALUES} values of {MOST_TEXT} bytes, aliases counted in full, more at {0}"
    )]
    TooLarge(Position),
    /// A map has a key twice.
    #[error("expected each key of a map once, again at {0}")]
    Repeated(Position),
    /// A list or a map as a key.
    #[error("expected a text as key at {0}")]
    Key(Position),
    /// A tag that YAML's core does not know, or on a value that it does not fit.
    #[error("expected a value that fits its tag, and tags of YAML's core only, at {0}")]
    Tag(Position),
    /// An alias within what it stands for.
    #[error("expected an alias of something that is complete at {0}")]
    Alias(Position),
    /// `<<` with something that is no map.
    #[error("expected a map or maps to merge at {0}")]
    Merge(Position),
    /// A second document.
    #[error("expected one document, another at {0}")]
    Documents(Position),
}

/// Reads a YAML (or JSON) text. An empty one is [`Content::Null`].
///
/// # Errors
/// See [`YamlError`].
pub fn read(content: &[u8]) -> Result<Node, YamlError> {
    let text = std::str::from_utf8(content).map_err(|_| YamlError::Encoding)?;
    let mut options =
        granit_parser::options! { flow_nesting_limit: DEEPEST + 1, block_nesting_limit: DEEPEST + 1 };
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(text, options);
    Reader { parser, anchors: HashMap::new(), values: 0, text: 0 }.document()
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What was anchored and is complete, by the parser's number.
    anchors: HashMap<usize, Node>,
    values: usize,
    text: usize,
}

impl<'t> Reader<'t> {
    fn document(mut self) -> Result<Node, YamlError> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(root.unwrap_or(Node { at, content: Content::Null })),
                _ if root.is_some() => return Err(YamlError::Documents(at)),
                event => root = Some(self.node(event, at, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Position), YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, position(&span.start))),
            Some(Err(error)) => Err(syntax(&error)),
            // The stream's end comes before: nobody asks after it.
            None => Err(YamlError::Syntax(Position { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, event: Event<'t>, at: Position, depth: usize) -> Result<Node, YamlError> {
        if depth > DEEPEST {
            return Err(YamlError::TooDeep(at));
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, text.len(), at)?;
                let content = scalar::resolve(&text, style, tag.as_deref()).ok_or(YamlError::Tag(at))?;
                (content, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection(tag, "seq", at)?;
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection(tag, "map", at)?;
                (self.map(depth)?, anchor)
            }
            Event::Alias(anchor) => return self.resolve(anchor, at, depth),
            _ => return Err(YamlError::Syntax(at)),
        };
        let node = Node { at, content };
        self.remember(anchor, &node)?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Content, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    /// A plain `<<` merges maps; what the map says itself goes first, then the earlier of the merged.
    fn map(&mut self, depth: usize) -> Result<Content, YamlError> {
        let (mut entries, mut merged, mut keys) = (Vec::new(), Vec::new(), BTreeSet::new());
        loop {
            let (event, at) = self.next()?;
            let (key, plain) = match event {
                Event::MappingEnd => break,
                event => self.key(event, at)?,
            };
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            if plain && key == "<<" {
                match value.content {
                    Content::Map(more) => merged.extend(more),
                    Content::List(maps) => merged.extend(merge_list(maps)?),
                    _ => return Err(YamlError::Merge(value_at)),
                }
            } else if keys.insert(key.clone()) {
                entries.push(Entry { key, at, value });
            } else {
                return Err(YamlError::Repeated(at));
            }
        }
        entries.extend(merged.into_iter().filter(|entry| keys.insert(entry.key.clone())));
        Ok(Content::Map(entries))
    }

    /// A key's text, and whether it stands there without quotes.
    fn key(&mut self, event: Event<'t>, at: Position) -> Result<(String, bool), YamlError> {
        let Event::Scalar(text, style, anchor, tag) = event else { return Err(YamlError::Key(at)) };
        self.count(1, text.len(), at)?;
        if scalar::resolve(&text, style, tag.as_deref()).is_none() {
            return Err(YamlError::Tag(at));
        }
        let key = text.into_owned();
        self.remember(anchor, &Node { at, content: Content::Text(key.clone()) })?;
        Ok((key, style == ScalarStyle::Plain && tag.is_none()))
    }

    fn collection(&mut self, tag: Option<Cow<'t, Tag>>, core: &str, at: Position) -> Result<(), YamlError> {
        self.count(1, 0, at)?;
        if scalar::fits_collection(tag.as_deref(), core) { Ok(()) } else { Err(YamlError::Tag(at)) }
    }

    /// Keeps a copy for aliases, which counts as well.
    fn remember(&mut self, anchor: usize, node: &Node) -> Result<(), YamlError> {
        if anchor != 0 {
            self.count_all(node, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn resolve(&mut self, anchor: usize, at: Position, depth: usize) -> Result<Node, YamlError> {
        // Taken out while it is counted, since counting needs all of us.
        let node = self.anchors.remove(&anchor).ok_or(YamlError::Alias(at))?;
        self.count_all(&node, at)?;
        if depth + height(&node) > DEEPEST {
            return Err(YamlError::TooDeep(at));
        }
        self.anchors.insert(anchor, node.clone());
        Ok(node)
    }

    fn count_all(&mut self, node: &Node, at: Position) -> Result<(), YamlError> {
        match &node.content {
            Content::Text(text) => self.count(1, text.len(), at),
            Content::List(items) => {
                self.count(1, 0, at)?;
                items.iter().try_for_each(|item| self.count_all(item, at))
            }
            Content::Map(entries) => {
                self.count(1, 0, at)?;
                entries.iter().try_for_each(|entry| {
                    self.count(1, entry.key.len(), at)?;
                    self.count_all(&entry.value, at)
                })
            }
            Content::Null | Content::Bool(_) | Content::Number(_) => self.count(1, 0, at),
        }
    }

    const fn count(&mut self, values: usize, text: usize, at: Position) -> Result<(), YamlError> {
        self.values += values;
        self.text += text;
        if self.values > MOST_VALUES || self.text > MOST_TEXT {
            return Err(YamlError::TooLarge(at));
        }
        Ok(())
    }
}

fn merge_list(maps: Vec<Node>) -> Result<Vec<Entry>, YamlError> {
    let mut merged = Vec::new();
    for map in maps {
        match map.content {
            Content::Map(more) => merged.extend(more),
            _ => return Err(YamlError::Merge(map.at)),
        }
    }
    Ok(merged)
}

/// How many levels of lists and maps a node has below itself.
fn height(node: &Node) -> usize {
    match &node.content {
        Content::List(items) => items.iter().map(|item| height(item) + 1).max().unwrap_or_default(),
        Content::Map(entries) => {
            entries.iter().map(|entry| height(&entry.value) + 1).max().unwrap_or_default()
        }
        _ => 0,
    }
}

fn syntax(error: &ScanError) -> YamlError {
    let at = position(error.marker());
    match error.kind() {
        ErrorKind::UnknownAnchor => YamlError::Alias(at),
        ErrorKind::RecursionLimitExceeded => YamlError::TooDeep(at),
        _ => YamlError::Syntax(at),
    }
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Value {
        read(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}")).into()
    }

    fn fault(text: &str) -> YamlError {
        read(text.as_bytes()).map(|_| panic!("{text:?} was read")).unwrap_err()
    }

    const fn at(line: usize, column: usize) -> Position {
        Position { line, column }
    }

    #[test]
    fn files_as_people_and_programs_write_them() {
        let netplan = "# made by hand\n---\nnetwork:\n    version: 2\n    ethernets:\n        eth0:\n            \
             match: {macaddress: 52:54:00:12:34:56}\n            addresses: [192.0.2.1/24, \"2001:db8::1/64\"]\n            \
             dhcp4: no\n            mtu: 1500\n            set-name: 'lan''0'\n";
        let expected = json!({"network": {"version": 2, "ethernets": {"eth0": {
            "match": {"macaddress": "52:54:00:12:34:56"}, "addresses": ["192.0.2.1/24", "2001:db8::1/64"],
            "dhcp4": false, "mtu": 1500, "set-name": "lan'0"}}}});
        assert_eq!(value(netplan), expected);
        let json = serde_json::to_string_pretty(&expected).unwrap();
        assert_eq!(value(&json), expected);
        assert_eq!(
            value("a: |\n  one\n  two\nb: >-\n  one\n  two\n? c\n: !!str 5\nd:\n"),
            json!({"a": "one\ntwo\n", "b": "one two", "c": "5", "d": null})
        );
        for empty in ["", "# nothing\n", "---\n", "\u{feff}"] {
            assert_eq!(value(empty), Value::Null, "{empty:?}");
        }
    }

    #[test]
    fn aliases_and_merges() {
        let text = "base: &b {mtu: 9000, dhcp4: true}\n&k key: *k\none:\n  <<: *b\n  mtu: 1500\n\
             two: {<<: [{mtu: 1}, *b]}\nthree: {'<<': 1}\nagain: *b\n";
        let expected = json!({"base": {"mtu": 9000, "dhcp4": true}, "key": "key",
            "one": {"mtu": 1500, "dhcp4": true}, "two": {"mtu": 1, "dhcp4": true}, "three": {"<<": 1},
            "again": {"mtu": 9000, "dhcp4": true}});
        assert_eq!(value(text), expected);
    }

    #[test]
    fn nodes_know_their_place() {
        let node = read(b"a: 1\nlist:\n- x\n-   y: ~\n").unwrap();
        let Content::Map(entries) = node.content else { panic!("no map") };
        assert_eq!((entries[1].at, entries[0].value.at), (at(2, 1), at(1, 4)));
        let Content::List(items) = &entries[1].value.content else { panic!("no list") };
        assert_eq!((items[0].at, items[1].at), (at(3, 3), at(4, 5)));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        for (text, expected) in [
            ("wifis:\n  password: [hunter2\n", YamlError::Syntax(at(2, 13))),
            ("a: 'x\n", YamlError::Syntax(at(1, 4))),
            ("a: 1\nb: 2\na: 3\n", YamlError::Repeated(at(3, 1))),
            ("[a]: 1\n", YamlError::Key(at(1, 1))),
            ("a: !secret x\n", YamlError::Tag(at(1, 12))),
            ("a: !!int x\n", YamlError::Tag(at(1, 10))),
            ("a: !!python/object {}\n", YamlError::Tag(at(1, 20))),
            ("a: &a [*a]\n", YamlError::Alias(at(1, 8))),
            ("a: *b\n", YamlError::Alias(at(1, 4))),
            ("a: 1\n<<: 5\n", YamlError::Merge(at(2, 5))),
            ("a: 1\n---\nb: 2\n", YamlError::Documents(at(2, 1))),
        ] {
            assert_eq!(fault(text), expected, "{text:?}");
        }
        assert_eq!(read(b"a: \xff\n").unwrap_err(), YamlError::Encoding);
        let error = fault("password: [hunter2\n").to_string();
        assert!(error.starts_with("no valid YAML at line ") && !error.contains("hunter2"), "{error}");
        let shown = format!("{:?}", read(b"password: hunter2").unwrap());
        assert_eq!(shown, "Node(a map at line 1 column 1)");
    }

    #[test]
    fn bombs_are_refused() {
        let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            aliases.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", ")));
        }
        assert!(matches!(fault(&aliases), YamlError::TooLarge(_)));
        let long = "x".repeat(100_000);
        let texts = format!("a: &a {long}\nb: [{}]\n", ["*a"; 100].join(", "));
        assert!(matches!(fault(&texts), YamlError::TooLarge(_)));
        assert!(matches!(fault(&"- x\n".repeat(MOST_VALUES)), YamlError::TooLarge(_)));
        let mut deep = String::from("a0: &a0 [x]\n");
        for level in 1..100 {
            deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(matches!(fault(&deep), YamlError::TooDeep(_)));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(DEEPEST).as_bytes()).is_ok());
        assert!(matches!(fault(&nested(DEEPEST + 2)), YamlError::TooDeep(_)));
        assert!(matches!(fault(&nested(100_000)), YamlError::TooDeep(_)));
        let blocks: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(matches!(fault(&blocks), YamlError::TooDeep(_)));
        assert!(matches!(fault(&"- ".repeat(5_000)), YamlError::TooDeep(_)));
    }
}
