//! One configuration file, as written: everything optional, unknown keys are errors.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cloud_channel_protocol::{Endpoint, InstanceId};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::LogFormat;

/// A configuration file is small; whatever is larger is none.
const LARGEST: u64 = 256 * 1024;
/// The keys there are, for hints.
const KEYS: [&str; 4] = ["instance-id", "listen", "connect", "log-format"];

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
    #[error("`{}`: {problem}{hint}", .path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What and where.
        problem: String,
        /// What to do.
        hint: String,
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
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Fragment {
    #[serde(skip)]
    pub(super) path: PathBuf,
    #[serde(default, rename = "instance-id", deserialize_with = "instance")]
    pub(super) instance: Option<InstanceId>,
    #[serde(default, deserialize_with = "endpoints")]
    pub(super) listen: Option<Vec<Endpoint>>,
    #[serde(default, deserialize_with = "endpoints")]
    pub(super) connect: Option<Vec<Endpoint>>,
    #[serde(default)]
    pub(super) log_format: Option<LogFormat>,
}

impl Fragment {
    /// Reads a file; on a real machine it has to be root's.
    pub(super) fn read(path: &Path, real: bool) -> Result<Self, FragmentError> {
        use std::io::Read;
        let unreadable = |source| FragmentError::unreadable(path, source);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mode = metadata.mode() & 0o7777;
        if real && (metadata.uid() != 0 || mode & 0o022 != 0) {
            return Err(FragmentError::NotRoots { path: path.to_owned(), uid: metadata.uid(), mode });
        }
        if metadata.len() > LARGEST {
            return Err(unreadable(io::Error::other(format!("expected at most {LARGEST} bytes"))));
        }
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, FragmentError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self { path: path.to_owned(), ..Self::default() });
        }
        let fragment: Self = serde_saphyr::from_str(text).map_err(|error| {
            let problem = error.to_string();
            FragmentError::Invalid { path: path.to_owned(), hint: hint(&problem), problem }
        })?;
        Ok(Self { path: path.to_owned(), ..fragment })
    }
}

/// For an unknown key, the one that was probably meant.
fn hint(problem: &str) -> String {
    let unknown = problem.split_once("unknown field `").and_then(|(_, rest)| rest.split('`').next());
    let nearest = unknown.and_then(|given| cloud_channel_handlers::nearest(given, &KEYS));
    nearest.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

fn instance<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<InstanceId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    InstanceId::parse(&text).map(Some).map_err(D::Error::custom)
}

fn endpoints<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Endpoint>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let endpoints: Result<Vec<Endpoint>, _> = texts.iter().map(|text| Endpoint::parse(text)).collect();
    endpoints.map(Some).map_err(D::Error::custom)
}
