//! What can be wrong with certificate files, and with a handshake.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why TLS cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} `{}`", .path.display())]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than root could have written it, or could read a secret.
    #[error(
        "the {what} `{}` belongs to user {uid} with mode {mode:04o}: it has to belong to root, {expected}",
        .path.display()
    )]
    Exposed {
        /// What it should be.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
        /// What its mode should be.
        expected: &'static str,
    },
    /// It holds nothing of the kind.
    #[error("`{}` holds no {what}: expected {expected}", .path.display())]
    Nothing {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The parts were read and do not make a whole.
    #[error("cannot use the certificate `{}` with the key `{}`: expected a chain, the own certificate first, and its key", .certificate.display(), .key.display())]
    Mismatch {
        /// The chain's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The authorities' file is of no use.
    #[error("cannot trust by `{}`: expected the certificates of authorities, in PEM form", .path.display())]
    Authorities {
        /// Which.
        path: PathBuf,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This build has none.
    #[error("TLS is not built in: expected ws:// or http://, or a build with the feature `tls`")]
    NotBuiltIn,
}

/// Why a stream that came in did not become a TLS stream.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer speaks HTTP without TLS; it has been told.
    #[error("the peer speaks HTTP without TLS")]
    Plain,
    /// Nothing, or not enough, in time.
    #[error("no TLS handshake within {} s", .0.as_secs())]
    Deadline(Duration),
    /// It went wrong; a refused client certificate among others.
    #[error("the TLS handshake failed")]
    Failed(#[source] io::Error),
}
