//! What input may take while nobody has looked at it: one budget of bytes for each family of listeners.
//!
//! A message that is not whole, or whole and on its way to the driver, has been asked of nobody yet, and whoever can
//! connect can send its beginning. So each may be [`FREE`] large at no cost, and what is larger takes the rest from the
//! budget of its family until the driver has taken it in. Strangers who use one up shut out their own family alone:
//! the Unix socket stays what it was while TCP is being flooded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloud_channel_protocol::server::{Family, PeerAddress};

use super::ration::Ration;

/// What one message may hold without being counted, in bytes: nearly all messages are smaller.
pub(super) const FREE: usize = 16 * 1024;
/// The least time between two lines of one family about input that was turned away.
const LINES_PAUSE: Duration = Duration::from_secs(10);

/// There is no room for so much input now; there will be, as every message has its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory is left for large messages, expected at most {FREE} bytes for now; try again later")]
pub(super) struct NoRoom;

/// The budgets of all families.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// TCP, with TLS or without.
    tcp: Arc<Budget>,
    unix: Arc<Budget>,
    vsock: Arc<Budget>,
}

impl Budgets {
    /// So many bytes for each family.
    pub(crate) fn new(bytes: usize) -> Self {
        let budget = |family| Arc::new(Budget::new(family, bytes));
        Self { tcp: budget(Family::Tcp), unix: budget(Family::Unix), vsock: budget(Family::Vsock) }
    }

    /// The one that a peer's input counts against.
    pub(super) const fn of(&self, address: &PeerAddress) -> &Arc<Budget> {
        match address.family() {
            Family::Tcp => &self.tcp,
            Family::Unix => &self.unix,
            Family::Vsock => &self.vsock,
        }
    }
}

/// The bytes of one family.
#[derive(Debug)]
pub(super) struct Budget {
    family: Family,
    left: AtomicUsize,
    lines: Ration,
}

impl Budget {
    fn new(family: Family, bytes: usize) -> Self {
        Self { family, left: AtomicUsize::new(bytes), lines: Ration::new(LINES_PAUSE) }
    }

    /// True if there is room for so much more.
    pub(super) fn has(&self, bytes: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= bytes
    }

    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        let less = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map(|_| ()).map_err(|_| NoRoom)
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Logs that somebody is turned away. Strangers bring this about, and the log is not theirs to fill.
    pub(super) fn log_no_room(&self, who: &dyn fmt::Display) {
        let family = self.family.as_str();
        match self.lines.line(Instant::now()) {
            Some(left_out) => tracing::warn!(%who, family, left_out, "no room for large input, turned away"),
            None => tracing::debug!(%who, family, "no room for large input, turned away"),
        }
    }
}

/// What one buffer has taken of a budget; given back when this is dropped. Small, as nearly all have taken nothing.
#[derive(Debug, Default)]
pub(super) struct Reservation(Option<Box<Taken>>);

#[derive(Debug)]
struct Taken {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// Makes sure that a buffer of this size is counted.
    ///
    /// # Errors
    /// If the budget does not have what is missing; what was there stays.
    pub(super) fn cover(&mut self, size: usize, budget: &Arc<Budget>) -> Result<(), NoRoom> {
        let needed = size.saturating_sub(FREE);
        let taken = self.0.as_ref().map_or(0, |taken| taken.bytes);
        if needed <= taken {
            return Ok(());
        }
        budget.take(needed - taken)?;
        match &mut self.0 {
            Some(taken) => taken.bytes = needed,
            None => self.0 = Some(Box::new(Taken { budget: budget.clone(), bytes: needed })),
        }
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
impl Budget {
    /// One for a test.
    pub(super) fn of_bytes(bytes: usize) -> Arc<Self> {
        Arc::new(Self::new(Family::Tcp, bytes))
    }

    /// How many bytes nobody has taken.
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_free_and_the_rest_is_counted_until_it_is_dropped() {
        let budget = Budget::of_bytes(1_000);
        let (mut one, mut other) = (Reservation::default(), Reservation::default());
        assert_eq!(one.cover(FREE, &budget), Ok(()));
        assert_eq!(budget.left(), 1_000, "small ones are free");
        assert_eq!(one.cover(FREE + 600, &budget), Ok(()));
        assert_eq!(one.cover(FREE + 500, &budget), Ok(()));
        assert_eq!(budget.left(), 400, "the largest counts");
        assert_eq!(other.cover(FREE + 401, &budget), Err(NoRoom));
        assert_eq!(other.cover(FREE + 400, &budget), Ok(()));
        assert_eq!(one.cover(FREE + 601, &budget), Err(NoRoom));
        assert!(!budget.has(1) && budget.left() == 0, "a refusal changes nothing");
        drop(one);
        assert_eq!(budget.left(), 600);
        assert_eq!(other.cover(FREE + 1_000, &budget), Ok(()), "it grows by what is missing");
        drop(other);
        assert_eq!(budget.left(), 1_000);
    }

    #[test]
    fn families_have_budgets_of_their_own() {
        let budgets = Budgets::new(10);
        let tcp = PeerAddress::Tcp(([127, 0, 0, 1], 1).into());
        let others = [PeerAddress::Unix { uid: 0 }, PeerAddress::Vsock { cid: 2, port: 1 }];
        let mut all = Reservation::default();
        assert_eq!(all.cover(FREE + 10, budgets.of(&tcp)), Ok(()));
        assert!(!budgets.of(&tcp).has(1));
        for other in &others {
            let mut all = Reservation::default();
            assert_eq!(all.cover(FREE + 10, budgets.of(other)), Ok(()), "{other:?}");
        }
    }
}
