//! Delivered events, kept for replays: bounded in number, bytes and age, the oldest go first.
//!
//! They go with the commits that add to them, a few at a time. How far back the events reach without a hole is told
//! by one number, [`Window::forgotten`]: nothing above it has gone, for whatever reason.

use std::ops::Bound;

use redb::ReadTransaction;

use cloud_channel_protocol::ChannelName;

use super::fault::Fault;
use super::key::{Keys, Number, number};
use super::limits::footprint;
use super::number::Seq;
use super::outbox::{Stamp, read_channel, read_event};
use super::record::{Page, PageLimits, Window};
use super::table::{EVENTS, META, RETAINED, TALLY_KEY, Tally, first_record, read, remove};
use super::work::Work;

/// Events that go with one commit at most: more than it can add, so that a smaller bound is reached in time.
pub(super) const AT_ONCE: usize = 1_024;

/// The store's pages, in bytes.
const PAGE: u64 = 4_096;

impl Stamp {
    /// The event's space in the file. Rows come in order, which leaves the pages that small ones share half full.
    pub(super) fn footprint(self) -> u64 {
        let space = footprint(usize::try_from(self.bytes).unwrap_or(usize::MAX));
        if space < PAGE { 2 * space } else { space }
    }
}

impl Work {
    /// Lets go of what is over the bounds, up to `at_most` events. True if there may be more.
    pub(super) fn prune(&mut self, at_most: usize) -> Result<bool, Fault> {
        for _ in 0..at_most {
            if self.tally.retained_events == 0 {
                return Ok(false);
            }
            let Some((seq, stamp)) = first_record::<Stamp>(&self.txn, RETAINED)? else {
                return Err(Fault::unreadable("retained", &"first"));
            };
            if !self.is_over(stamp) {
                return Ok(false);
            }
            self.changed = true;
            remove(&self.txn, RETAINED, seq)?;
            remove(&self.txn, EVENTS, seq)?;
            self.tally.retained_events -= 1;
            self.tally.retained_bytes -= stamp.footprint();
            self.forget(seq);
        }
        Ok(true)
    }

    fn is_over(&self, oldest: Stamp) -> bool {
        // A clock that was set back makes nothing old.
        let age = self.wall_ms.zip(oldest.at).map(|(now, at)| now.saturating_sub(at));
        self.tally.retained_events > self.limits.retained_events
            || self.tally.retained_bytes > self.limits.retained_bytes
            || age.is_some_and(|age| age >= self.limits.retained_ms)
    }

    pub(super) fn forget(&mut self, seq: u64) {
        self.tally.forgotten = self.tally.forgotten.max(seq);
    }
}

/// Which events there are.
pub(super) fn window(txn: &ReadTransaction) -> Result<Window, Fault> {
    let tally: Tally = read(txn, META, TALLY_KEY)?.ok_or_else(|| Fault::unreadable("meta", &TALLY_KEY))?;
    Ok(Window { forgotten: Seq(tally.forgotten), newest: Seq(tally.newest) })
}

/// The wanted ones of the events after `after`, delivered or not, in order.
pub(super) fn page(
    txn: &ReadTransaction,
    after: Seq,
    limits: PageLimits,
    mut wanted: impl FnMut(Seq, &ChannelName) -> bool,
) -> Result<Page, Fault> {
    let mut page = Page { events: Vec::new(), reached: after, is_last: false };
    let after = Number::encode(after.0);
    let table = txn.open_table(EVENTS.definition())?;
    let mut rows = table.range::<&[u8]>((Bound::Excluded(after.as_slice()), Bound::Unbounded))?;
    let mut bytes = 0;
    for _ in 0..limits.looked_at {
        let Some(record) = rows.next() else {
            page.is_last = true;
            break;
        };
        let (key, row) = record?;
        let (seq, row) = (number("events", key.value())?, row.value());
        if wanted(Seq(seq), &read_channel(seq, row)?) {
            bytes += row.len();
            let is_full = page.events.len() >= limits.events || bytes > limits.bytes;
            if is_full && !page.events.is_empty() {
                break;
            }
            page.events.push((Seq(seq), read_event(seq, row)?));
        }
        page.reached = Seq(seq);
    }
    Ok(page)
}
