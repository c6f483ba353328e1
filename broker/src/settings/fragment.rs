//! One configuration file, as written.

use std::io;
use std::path::{Path, PathBuf};

use cloud_channel_handlers::yaml::{self, Content, Entry};

use crate::root_file;

/// A configuration file is small; whatever is larger is none.
const LARGEST: u64 = 256 * 1024;

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
    /// What the files and the command line say together cannot be.
    #[error("{problem}")]
    Contradiction {
        /// What, and what to do.
        problem: String,
    },
    /// The file of tokens, which a rule needs.
    #[error(transparent)]
    Tokens(#[from] crate::policy::TokenFileError),
    /// The file with the token that the link shows.
    #[error(transparent)]
    LinkToken(#[from] crate::link_token::LinkTokenError),
}

impl FragmentError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The file's content: a map of settings that nobody has looked at yet.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
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
        let document = yaml::read(text.as_bytes()).map_err(|error| invalid(error.to_string()))?;
        match document.content {
            Content::Null => Ok(Self { path: path.to_owned(), entries: Vec::new() }),
            Content::Map(entries) => Ok(Self { path: path.to_owned(), entries }),
            other => Err(invalid(format!("expected a map of settings, got {}", other.kind()))),
        }
    }
}

fn check_owner(path: &Path, metadata: &std::fs::Metadata) -> Result<(), FragmentError> {
    match root_file::exposed(metadata, root_file::WRITABLE) {
        Some((uid, mode)) => Err(FragmentError::NotRoots { path: path.to_owned(), uid, mode }),
        None => Ok(()),
    }
}
