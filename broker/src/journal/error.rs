//! Why the journal could not do something.

use std::io;
use std::path::PathBuf;

use super::number::{ArrivalNo, Seq};

/// An error of the journal. None of its texts shows a payload.
///
/// After [`Self::Store`], [`Self::Full`] or [`Self::Commit`] the transaction is lost as a whole and the journal
/// opens its file anew by itself: the next transaction is worth a try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The folder or file is not what only we could have made.
    #[error("cannot keep the journal in `{path}`: {problem}", path = path.display())]
    Unsafe {
        /// Folder or file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {action} `{path}`", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which folder or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the journal in `{path}` is in use: stop the other cloud-channel first", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Written by another version.
    #[error(
        "the journal `{path}` has format {found}, expected {expected}: \
         use the version of cloud-channel that wrote it, or move the file aside to start anew",
        path = path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u64,
        /// What this version reads and writes.
        expected: u64,
    },
    /// Not a journal, or a damaged one.
    #[error("the journal `{path}` cannot be read: move the file aside to start anew", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the store found.
        source: redb::Error,
    },
    /// A record that this version cannot have written.
    #[error("record {key} of the journal's `{table}` is unreadable: move the file aside to start anew")]
    Record {
        /// Table.
        table: String,
        /// Key.
        key: String,
    },
    /// The store failed.
    #[error("cannot {action} the journal")]
    Store {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: redb::Error,
    },
    /// The disk, the quota or the journal's own bound is reached.
    #[error("no space left for the journal: it may take up to {limit} bytes, free some on its disk")]
    Full {
        /// The journal's own bound.
        limit: u64,
    },
    /// The commit failed. Nothing of the transaction is half done.
    #[error("cannot commit to the journal; the changes are {}", if *in_doubt { "there as a whole or not at all" } else { "undone" })]
    Commit {
        /// True if the changes may have become durable all the same. Whoever keeps a copy in memory must load
        /// it again, and a push refused for this reason may still be carried out: its repetition is recognised.
        in_doubt: bool,
        /// Why.
        source: redb::Error,
    },
    /// An earlier operation of the same transaction failed.
    #[error("cannot go on with a transaction of the journal that failed earlier: begin another")]
    Spoiled,
    /// A value over its bound; nothing was changed.
    #[error("cannot keep {given} bytes of {what} in the journal, at most {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        given: usize,
        /// The bound.
        limit: usize,
    },
    /// No such push; nothing was changed.
    #[error("no push {0} in the journal's inbox: it is finished or was never accepted")]
    NoSuchPush(ArrivalNo),
    /// The number of an event is not above all others; nothing was changed.
    #[error("event {0} cannot be appended to the journal: expected a number above all that were used")]
    SeqInUse(Seq),
}

impl JournalError {
    pub(super) fn store(action: &'static str, limit: u64, source: redb::Error) -> Self {
        if is_full(&source) { Self::Full { limit } } else { Self::Store { action, source } }
    }
}

/// True if space is what is missing.
pub(super) fn is_full(error: &redb::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error, redb::Error::Io(e) if matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge))
}
