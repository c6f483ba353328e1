//! One configuration file, as written: everything optional, unknown keys are errors.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use cloud_channel_handlers::yaml::{self, Content, Entry, Node};
use cloud_channel_protocol::{Endpoint, InstanceId, shorten};

use super::LogFormat;
use crate::policy::HostPorts;

/// A configuration file is small; whatever is larger is none.
const LARGEST: u64 = 256 * 1024;
/// The keys there are, for hints.
const KEYS: [&str; 5] = ["instance-id", "listen", "connect", "host-ports", "log-format"];

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    /// It cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than root could have written it.
    #[error(
        "`{}` belongs to user {uid} with mode {mode:04o}: it decides who may change this machine, so it has to belong \
         to root and be writable by root alone",
        .path.display()
    )]
    NotRoots {
        /// Which.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// It says what it may not.
    #[error("`{}`: {problem}", .path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Where and what, and what to do.
        problem: String,
    },
}

impl FragmentError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The file's content.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    pub(super) path: PathBuf,
    pub(super) instance: Option<InstanceId>,
    pub(super) listen: Option<Vec<Endpoint>>,
    pub(super) connect: Option<Vec<Endpoint>>,
    pub(super) host_ports: Option<HostPorts>,
    pub(super) log_format: Option<LogFormat>,
}

impl Fragment {
    /// Reads a file; on a real machine it has to be root's.
    pub(super) fn read(path: &Path, real: bool) -> Result<Self, FragmentError> {
        use std::io::Read;
        let unreadable = |source| FragmentError::unreadable(path, source);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if real {
            check_owner(path, &metadata)?;
            // Who may write the folder may put another file in this one's place.
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                check_owner(folder, &std::fs::metadata(folder).map_err(unreadable)?)?;
            }
        }
        if metadata.len() > LARGEST {
            return Err(unreadable(io::Error::other(format!("expected at most {LARGEST} bytes"))));
        }
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, FragmentError> {
        let invalid = |problem| FragmentError::Invalid { path: path.to_owned(), problem };
        let mut fragment = Self { path: path.to_owned(), ..Self::default() };
        let document = yaml::read(text.as_bytes()).map_err(|error| invalid(error.to_string()))?;
        let entries = match document.content {
            Content::Null => Vec::new(),
            Content::Map(entries) => entries,
            other => return Err(invalid(format!("expected a map of settings, got {}", other.kind()))),
        };
        for entry in entries {
            fragment.set(entry).map_err(invalid)?;
        }
        Ok(fragment)
    }

    /// Takes one setting over; the error is its line and what is wrong.
    fn set(&mut self, entry: Entry) -> Result<(), String> {
        let Entry { key, at, value } = entry;
        match key.as_str() {
            "instance-id" => self.instance = Some(parsed(&key, &value, InstanceId::parse)?),
            "listen" => self.listen = Some(endpoints(&key, value)?),
            "connect" => self.connect = Some(endpoints(&key, value)?),
            "host-ports" => self.host_ports = Some(parsed(&key, &value, one_of)?),
            "log-format" => self.log_format = Some(parsed(&key, &value, one_of)?),
            unknown => {
                let hint = match cloud_channel_handlers::nearest(unknown, &KEYS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("expected one of {}", KEYS.join(", ")),
                };
                return Err(format!("line {}: unknown key `{}`; {hint}", at.line, shorten(unknown)));
            }
        }
        Ok(())
    }
}

fn endpoints(key: &str, node: Node) -> Result<Vec<Endpoint>, String> {
    match node.content {
        Content::List(items) => items.iter().map(|item| parsed(key, item, Endpoint::parse)).collect(),
        other => Err(format!(
            "line {}: expected a list of endpoints as `{key}`, got {}",
            node.at.line,
            other.kind()
        )),
    }
}

/// The text of a node, parsed.
fn parsed<T, E: Display>(
    key: &str,
    node: &Node,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    let line = node.at.line;
    let text = match &node.content {
        Content::Text(text) => Cow::Borrowed(text),
        // An instance-id may be all digits.
        Content::Number(number) => Cow::Owned(number.to_string()),
        other => return Err(format!("line {line}: expected a text as `{key}`, got {}", other.kind())),
    };
    parse(&text).map_err(|error| format!("line {line}: `{key}`: {error}"))
}

/// One of a fixed set of words.
fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let words = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let words: Vec<String> = words.map(|word| format!("`{}`", word.get_name())).collect();
        format!("expected {}, got `{}`", words.join(" or "), shorten(text))
    })
}

fn check_owner(path: &Path, metadata: &std::fs::Metadata) -> Result<(), FragmentError> {
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() == 0 && mode & 0o022 == 0 {
        return Ok(());
    }
    Err(FragmentError::NotRoots { path: path.to_owned(), uid: metadata.uid(), mode })
}
