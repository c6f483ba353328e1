//! The bearer token that the dialled link shows: a file of root's with the token in its one line, read anew whenever it
//! is shown, so that another token needs no restart.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;

use crate::root_file;

/// Longest token, in bytes; our own listeners take no longer one either.
const LONGEST: u64 = 4 * 1024;

/// Why a token cannot be shown. Never quotes the file.
#[derive(Debug, thiserror::Error)]
pub enum LinkTokenError {
    /// It cannot be read.
    #[error("cannot read the link's token file `{}`", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than root can read or write it.
    #[error(
        "the link's token file `{}` belongs to user {uid} with mode {mode:04o}: expected root's, with mode 0600 or 0400",
        .path.display()
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error(
        "the link's token file `{}` holds no token: expected one line of 1 to {LONGEST} visible ASCII characters",
        .path.display()
    )]
    NoToken {
        /// Which.
        path: PathBuf,
    },
}

impl LinkTokenError {
    /// True if the file is not there, which may be so for a while.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Where the token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkToken {
    path: PathBuf,
    /// True on a machine, where the file has to be root's alone.
    real: bool,
}

impl LinkToken {
    /// In this file.
    #[must_use]
    pub const fn at(path: PathBuf, real: bool) -> Self {
        Self { path, real }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the token, as the value of an `Authorization` header that no `Debug` shows.
    ///
    /// # Errors
    /// If the file is not there, not root's alone, or holds anything but a token.
    pub fn read(&self) -> Result<HeaderValue, LinkTokenError> {
        let unreadable = |source| LinkTokenError::Unreadable { path: self.path.clone(), source };
        // Before it is opened: to open a pipe would wait for somebody to write.
        if !std::fs::metadata(&self.path).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("expected a file")));
        }
        let file = File::open(&self.path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if let Some((uid, mode)) = root_file::exposed(&metadata, root_file::ACCESSIBLE).filter(|_| self.real)
        {
            return Err(LinkTokenError::Exposed { path: self.path.clone(), uid, mode });
        }
        let mut line = Vec::new();
        // One byte for the line's end and one that shows that it is too long.
        file.take(LONGEST + 2).read_to_end(&mut line).map_err(unreadable)?;
        header(&line).ok_or_else(|| LinkTokenError::NoToken { path: self.path.clone() })
    }
}

fn header(line: &[u8]) -> Option<HeaderValue> {
    let token = line.strip_suffix(b"\n").unwrap_or(line);
    let fits = !token.is_empty() && token.len() as u64 <= LONGEST;
    if !fits || !token.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_token_is_one_line_and_shows_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = LinkToken::at(path.clone(), false);
        assert!(token.read().unwrap_err().is_not_found());
        for text in ["se-cret", "se-cret\n"] {
            std::fs::write(&path, text).unwrap();
            let value = token.read().unwrap();
            assert_eq!(value.to_str().unwrap(), "Bearer se-cret");
            assert!(!format!("{value:?} {token:?}").contains("cret"));
        }
        let longest = "x".repeat(4 * 1024);
        std::fs::write(&path, format!("{longest}\n")).unwrap();
        assert!(token.read().is_ok());
        for wrong in ["", "\n", "se cret", "se\ncret", "secret\n\n", "s\u{e9}cret", &format!("{longest}x")] {
            std::fs::write(&path, wrong).unwrap();
            let error = token.read().unwrap_err();
            assert!(matches!(error, LinkTokenError::NoToken { .. }), "{error}");
            assert!(!error.to_string().contains("cret"), "{error}");
        }
        assert!(LinkToken::at(folder.path().to_owned(), false).read().is_err());
    }

    #[test]
    fn on_a_real_machine_it_is_roots_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "secret").unwrap();
        let root = rustix::process::geteuid().is_root();
        for (mode, fits) in [(0o600, root), (0o400, root), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match LinkToken::at(path.clone(), true).read() {
                Ok(_) => assert!(fits, "{mode:o}"),
                Err(error) => {
                    assert!(!fits && matches!(error, LinkTokenError::Exposed { .. }), "{mode:o}: {error}");
                }
            }
        }
    }
}
