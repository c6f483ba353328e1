//! What is counted since the start, beside what the server counts.

use crate::journal::Dropped;
use crate::metrics::Depth;

/// What is counted since the start, beside what the server counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Events of ours that went out.
    pub(super) events: u64,
    /// Events that could not be kept; who listened then has them.
    pub(super) lost: u64,
    /// Events dropped from a full journal, over its whole life.
    pub(super) dropped: Dropped,
    /// Messages of the dialled side that were not taken; what sessions are refused, the server counts.
    pub(super) refused_of_link: u64,
    /// Events that the management server did not take.
    pub(super) refused_by_link: u64,
    /// How often the link has come up.
    pub(super) link_ups: u64,
    /// How often links were looked at because they had changed.
    pub(super) link_changes: u64,
    /// What has waited for the driver.
    pub(super) happenings: Depth,
}
