//! The inside of a transaction. What is done in it stands with the tables that it is done to.

use std::fmt;

use redb::WriteTransaction;

use super::limits::JournalLimits;
use super::table::Tally;

/// The inside of a transaction: the store's own, and the counters as they will be.
pub(super) struct Work {
    pub(super) txn: WriteTransaction,
    pub(super) tally: Tally,
    pub(super) limits: JournalLimits,
    /// The wall clock, in milliseconds since the Unix epoch, if it was told.
    pub(super) wall_ms: Option<u64>,
    /// True once there is something to commit.
    pub(super) changed: bool,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("tally", &self.tally)
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}
