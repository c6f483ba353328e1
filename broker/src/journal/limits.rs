//! What the journal may hold. Every table has a bound, and what happens at it is typed.

/// The bounds of a [`Journal`](super::Journal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// Undelivered events. Beyond it the oldest reporting events go, counted.
    pub outbox_events: u64,
    /// Bytes of undelivered events, encoded. Same behaviour.
    pub outbox_bytes: u64,
    /// Delivered events that are kept for replays. Beyond it the oldest go.
    pub retained_events: u64,
    /// Space of delivered events in the file, in bytes: about twice their size. Same behaviour.
    pub retained_bytes: u64,
    /// Age of delivered events, in milliseconds of the wall clock. From it on they go, oldest first.
    pub retained_ms: u64,
    /// Accepted pushes that are not finished. Beyond it a push is refused as busy.
    pub inbox_entries: u64,
    /// Space of their payloads in the file, in bytes: a large payload counts as the power of two it occupies.
    /// Same behaviour.
    pub inbox_bytes: u64,
    /// Message ids remembered for each module, newest first; raised to `inbox_entries` if it is less, since an
    /// unfinished push is never forgotten.
    pub seen_per_module: u64,
    /// Largest preimage of one push, encoded, in bytes; a larger one fails the push before anything is changed.
    pub preimage_bytes: usize,
    /// Largest memory of one module, encoded, in bytes.
    pub held_bytes: usize,
    /// The file's length, in bytes. Beyond it, commits fail with [`JournalError::Full`](super::JournalError::Full).
    pub journal_bytes: u64,
}

impl Default for JournalLimits {
    /// The bounds of a guest. The store doubles its file when it grows, so a journal of 64 MiB stops at 34: all
    /// tables full, and the copies that a commit makes of what it changes, must fit into that.
    fn default() -> Self {
        Self {
            outbox_events: 4096,
            outbox_bytes: 2 << 20,
            retained_events: 4096,
            retained_bytes: 4 << 20,
            retained_ms: 7 * 86_400_000,
            inbox_entries: 256,
            inbox_bytes: 16 << 20,
            seen_per_module: 1024,
            preimage_bytes: (2 << 20) - PAGE_OVERHEAD,
            held_bytes: (1 << 20) - PAGE_OVERHEAD,
            journal_bytes: 64 << 20,
        }
    }
}

/// What the store adds to a value that has a page of its own, and some slack.
const PAGE_OVERHEAD: usize = 64;

/// The space a value takes in the file: small ones share pages, a large one gets a power of two for itself.
pub(super) fn footprint(bytes: usize) -> u64 {
    const SHARES_A_PAGE: usize = 2048;
    let gross = bytes.saturating_add(PAGE_OVERHEAD);
    let taken = if gross <= SHARES_A_PAGE { gross } else { gross.next_power_of_two() };
    taken as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_count_as_what_they_occupy() {
        assert_eq!(footprint(100), 164);
        assert_eq!(footprint(3000), 4096);
        assert_eq!(footprint(250 * 1024), 256 * 1024);
        assert_eq!(footprint(256 * 1024), 512 * 1024);
    }
}
