//! Bearer tokens: a file of root's with their names and digests, read again when it has changed.
//!
//! ```text
//! # comment
//! ops:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! ```
//!
//! One token a line, as its name and the SHA-256 of its text, so that who reads the file still has no token. A
//! name may stand on several lines: that is how a token is replaced while both are in use.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cloud_channel_protocol::hex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::root_file::{self, Stamp};

/// Largest file, in bytes.
const LARGEST: u64 = 256 * 1024;
/// Longest name of a token.
const LONGEST_NAME: usize = 64;
/// How long a session may go on after its token has been taken away, as long as nobody shakes hands.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a token file cannot be used. Never shows a line: somebody may have put a token into it.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("cannot read the token file `{}`", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than root can read or write it.
    #[error(
        "the token file `{}` belongs to user {uid} with mode {mode:04o}: expected root's, with mode 0600 or 0400",
        .path.display()
    )]
    NotPrivate {
        /// Which.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// A line is none.
    #[error(
        "line {line} of the token file `{}` is wrong: expected NAME:DIGEST, a name of letters, digits, `-`, `_` and \
         `.` and the SHA-256 of the token in hexadecimal; `cloud-channel keys token NAME` makes such a line",
        .path.display()
    )]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
}

impl TokenFileError {
    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Stands for one token for as long as the process lives; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Serial(pub(super) u64);

/// A token that is valid now.
struct Token {
    name: String,
    digest: [u8; 32],
    serial: Serial,
}

/// The tokens of a file.
pub(super) struct TokenFile {
    path: PathBuf,
    /// True on a machine, where the file has to be root's alone.
    real: bool,
    tokens: Vec<Token>,
    last_serial: u64,
    /// Of what was read, or found to be of no use; none where there was no file.
    stamp: Option<Stamp>,
    looked: Instant,
}

impl TokenFile {
    /// Reads the file. One that is not there holds no tokens, and may come later.
    ///
    /// # Errors
    /// If it is there and of no use.
    pub(super) fn open(path: &Path, real: bool) -> Result<Self, TokenFileError> {
        let mut file = Self {
            path: path.to_owned(),
            real,
            tokens: Vec::new(),
            last_serial: 0,
            stamp: Stamp::of(path),
            looked: Instant::now(),
        };
        match read(path, real) {
            Ok(tokens) => file.take(tokens),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(file)
    }

    /// The names, each as often as it stands there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| token.name.as_str())
    }

    /// Reads the file again if it is another than before. One that is of no use changes nothing; one that is gone
    /// takes all tokens with it.
    pub(super) fn refresh(&mut self) {
        self.looked = Instant::now();
        let stamp = Stamp::of(&self.path);
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        match read(&self.path, self.real) {
            Ok(tokens) => {
                self.take(tokens);
                tracing::info!(path = %self.path.display(), tokens = self.tokens.len(), "token file read again");
            }
            Err(error) if error.is_not_found() => {
                self.tokens.clear();
                tracing::warn!(path = %self.path.display(), "the token file is gone, and no token is valid any more");
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the token file is of no use, going on with the tokens of before"
                );
            }
        }
    }

    /// The same, unless it was looked at just now.
    pub(super) fn refresh_sometimes(&mut self) {
        if self.looked.elapsed() >= PATIENCE {
            self.refresh();
        }
    }

    /// The token with this text. Takes the same time whichever it is, and if it is none.
    pub(super) fn find(&self, text: &str) -> Option<(String, Serial)> {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.digest.ct_eq(&digest)) {
                found = Some(token);
            }
        }
        found.map(|token| (token.name.clone(), token.serial))
    }

    /// True if the token is still valid.
    pub(super) fn has(&self, serial: Serial) -> bool {
        self.tokens.iter().any(|token| token.serial == serial)
    }

    /// Takes over what was read; a token that was there before keeps its number.
    fn take(&mut self, read: Vec<(String, [u8; 32])>) {
        let former = std::mem::take(&mut self.tokens);
        for (name, digest) in read {
            let known = former.iter().find(|token| token.digest == digest && token.name == name);
            let serial = known.map_or_else(
                || {
                    self.last_serial += 1;
                    Serial(self.last_serial)
                },
                |token| token.serial,
            );
            self.tokens.push(Token { name, digest, serial });
        }
    }
}

fn read(path: &Path, real: bool) -> Result<Vec<(String, [u8; 32])>, TokenFileError> {
    let unreadable = |source| TokenFileError::Unreadable { path: path.to_owned(), source };
    // Before it is opened: to open a pipe would wait for somebody to write.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("expected a file")));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some((uid, mode)) = root_file::exposed(&metadata, root_file::ACCESSIBLE).filter(|_| real) {
        return Err(TokenFileError::NotPrivate { path: path.to_owned(), uid, mode });
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(unreadable(io::Error::other(format!("expected at most {LARGEST} bytes"))));
    }
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| {
            parse_line(text).ok_or_else(|| TokenFileError::Line { path: path.to_owned(), line })
        })
        .collect()
}

fn parse_line(line: &str) -> Option<(String, [u8; 32])> {
    let (name, digest) = line.split_once(':')?;
    if !is_name(name) {
        return None;
    }
    Some((name.to_owned(), hex::parse(digest)?))
}

/// True for a text that can be a token's name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(fits)
}

/// The line that makes a token valid under a name.
#[must_use]
pub fn line_of(name: &str, token: &str) -> String {
    format!("{name}:{}", hex::write(&Sha256::digest(token.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let mut file = TokenFile::open(&path, false).unwrap();
        assert!(file.find("one").is_none());

        std::fs::write(&path, format!("# ours\n\n{}\n", line_of("ops", "one"))).unwrap();
        file.refresh();
        let (name, first) = file.find("one").unwrap();
        assert_eq!(name, "ops");
        assert!(file.find("two").is_none() && file.find("").is_none());

        // Both for a while, then the new one alone.
        std::fs::write(&path, format!("{}\n{}\n", line_of("ops", "one"), line_of("ops", "two"))).unwrap();
        file.refresh();
        assert!(file.has(first));
        let (_, second) = file.find("two").unwrap();
        assert_ne!(first, second);
        std::fs::write(&path, "ops:not-a-digest\n").unwrap();
        file.refresh();
        assert!(file.has(first) && file.has(second), "a broken file changes nothing");
        std::fs::write(&path, line_of("ops", "two")).unwrap();
        file.refresh();
        assert!(!file.has(first) && file.has(second));

        std::fs::remove_file(&path).unwrap();
        file.refresh();
        assert!(!file.has(second) && file.names().next().is_none());
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let digest = "0".repeat(64);
        for wrong in ["ops:secret", "ops", "a b:0", ":0", &format!("o/s:{digest}"), &format!("ops:{digest}0")]
        {
            std::fs::write(&path, format!("# x\n{wrong}\n")).unwrap();
            let error = TokenFile::open(&path, false).err().expect("the line is refused").to_string();
            assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        }
        std::fs::write(&path, "").unwrap();
        // The test's own user, or a mode that is too wide.
        assert!(matches!(TokenFile::open(&path, true), Err(TokenFileError::NotPrivate { .. })));
    }
}
