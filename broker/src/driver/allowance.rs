//! So many of something within a time: what keeps two sides from answering each other without end.

use std::time::Duration;

/// As many as may come within one window.
const MOST: u32 = 32;
/// The window.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts what has come in the present window.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    since: Duration,
    taken: u32,
}

impl Allowance {
    /// Takes one, if there is one left.
    pub(super) fn take_one(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.since) >= WINDOW {
            *self = Self { since: now, taken: 0 };
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_its_fill_and_the_next_begins_anew() {
        let mut allowance = Allowance::default();
        let at = |seconds: u64| Duration::from_secs(100 + seconds);
        let taken = (0..1_000).filter(|_| allowance.take_one(at(0))).count();
        assert_eq!(taken, 32);
        assert!(!allowance.take_one(at(9)) && allowance.take_one(at(10)));
    }
}
