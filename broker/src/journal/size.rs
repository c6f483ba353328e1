//! How much the journal holds.

use super::table::Tally;

/// Entries and bytes. Each table's bytes are counted as its limit counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalSize {
    /// Length of its file.
    pub file_bytes: u64,
    /// Accepted changes that are not finished.
    pub changes: u64,
    /// Space of their payloads.
    pub change_bytes: u64,
    /// Events that nobody has taken.
    pub events: u64,
    /// Their bytes.
    pub event_bytes: u64,
    /// Delivered events that are kept for replays.
    pub retained: u64,
    /// Their space.
    pub retained_bytes: u64,
}

impl JournalSize {
    pub(super) const fn of(file_bytes: u64, tally: &Tally) -> Self {
        Self {
            file_bytes,
            changes: tally.inbox_entries,
            change_bytes: tally.inbox_bytes,
            events: tally.outbox_events,
            event_bytes: tally.outbox_bytes,
            retained: tally.retained_events,
            retained_bytes: tally.retained_bytes,
        }
    }
}
