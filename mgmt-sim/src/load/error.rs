//! Why a load could not be measured.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::workload::Workload;

/// Why a load could not be measured. What a run found out about the server is no error: see
/// [`Measurement`](super::Measurement).
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This kind of endpoint is not driven by the generator.
    #[error(
        "cannot load `{url}`: expected ws://HOST:PORT/PATH, http://HOST:PORT/PATH or unix:///PATH, without TLS"
    )]
    Unsupported {
        /// What was given.
        url: String,
    },
    /// A number makes no sense for the workload.
    #[error("{workload} with {what}: expected {expected}")]
    Plan {
        /// What was asked for.
        workload: Workload,
        /// The number and its value.
        what: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Too few file descriptors, even at the hard limit.
    #[error(
        "{needed} file descriptors are needed and this process may have {allowed}: raise the hard limit \
         (`ulimit -Hn {needed}` as root, LimitNOFILE= in a unit), or ask for fewer sessions"
    )]
    Descriptors {
        /// What the plan takes.
        needed: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// No connection.
    #[error(
        "cannot connect session {session} to {url}: check that the server runs and takes so many connections"
    )]
    Connect {
        /// Whose connection, counted from 1.
        session: usize,
        /// What was dialled.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server has closed a connection, or does not answer any more.
    #[error("the server is gone: {reason} (session {session}, while {doing})")]
    Gone {
        /// Whose connection, counted from 1.
        session: usize,
        /// What was going on.
        doing: &'static str,
        /// What was seen.
        reason: String,
    },
    /// It answers something else than expected.
    #[error("session {session} cannot read what the server sends: {problem}")]
    Unreadable {
        /// Whose connection, counted from 1.
        session: usize,
        /// What came and what was expected.
        problem: String,
    },
    /// A request was answered with `successful: false`, or not with status 200.
    #[error("the server refuses {request} of session {session} of {sessions}: {error}{advice}")]
    Refused {
        /// The channel of the request.
        request: String,
        /// Whose request, counted from 1.
        session: usize,
        /// How many are to be opened.
        sessions: usize,
        /// What the server gave as the reason.
        error: String,
        /// What to do about it, beginning with a separator; empty if there is nothing to add.
        advice: &'static str,
    },
    /// Sessions were not open in time.
    #[error("{open} of {sessions} sessions are open and nothing has come for {} s: is the server stuck?", .patience.as_secs())]
    Opening {
        /// How many are open.
        open: usize,
        /// How many are to be opened.
        sessions: usize,
        /// How long was waited.
        patience: Duration,
    },
    /// The system refuses what every process may have.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The server's process cannot be looked at.
    #[error("cannot read `{}` of the server's process: check --server-pid, and that it is yours to look at", .path.display())]
    Process {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
