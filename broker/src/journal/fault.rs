//! A failure below the journal's own errors.

use std::fmt::Debug;

use super::error::JournalError;

/// A failure below the journal's own errors; [`super::Journal`] knows what to make of it.
#[derive(Debug)]
pub(super) enum Fault {
    Store(redb::Error),
    /// Table and key of a record that cannot be read. The decoder's own words may quote the record, so they
    /// are left out.
    Record {
        table: String,
        key: String,
    },
    /// The operation was refused before it changed anything.
    Refused(JournalError),
}

impl Fault {
    pub(super) fn unreadable(table: &str, key: &impl Debug) -> Self {
        Self::Record { table: table.to_owned(), key: format!("{key:?}") }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}
