//! Back-off: how long a shell waits before it dials again.

use std::time::Duration;

/// Exponential back-off with jitter over the whole range, as a pure value: the caller brings the randomness.
///
/// The n-th delay is uniform between the least delay and the least delay times 2ⁿ, capped by the greatest.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Delays from `min` up to `max`; a `max` below `min` counts as `min`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, ceiling: min }
    }

    /// The next delay. `random` is any uniformly distributed number.
    #[must_use]
    pub fn next(&mut self, random: u64) -> Duration {
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max).max(self.min);
        let span = (self.ceiling - self.min).as_nanos();
        // The high half of span x random is uniform over the span; saturating, since 2^64 ns are 584 years.
        let part = (span.saturating_mul(u128::from(random))) >> 64;
        self.min + Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// Starts over: a connection has proved good.
    pub const fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

impl Default for Backoff {
    /// 500 ms to 60 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_greatest_and_starts_over() {
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..9).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [999, 1_999, 3_999, 7_999, 15_999, 31_999, 59_999, 59_999, 59_999]);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX).as_millis(), 999);
    }

    #[test]
    fn the_range_is_used_whole_and_never_left() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(0), Duration::from_millis(500));
        assert_eq!(backoff.next(u64::MAX / 2 + 1), Duration::from_millis(1_250));
        let mut odd = Backoff::new(Duration::from_secs(5), Duration::from_secs(1));
        assert_eq!(odd.next(u64::MAX), Duration::from_secs(5));
        let mut endless = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!(endless.next(u64::MAX), Duration::MAX);
    }
}
