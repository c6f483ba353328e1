//! Latencies, counted in buckets that grow with the value: constant memory, percentiles within 1.6 %.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: u64 = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;
/// Values below it have a bucket of their own; above it, each power of two has [`STEPS`] buckets.
const BUCKETS: usize = (64 - STEP_BITS as usize + 1) << STEP_BITS;

/// Counts durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, longest: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    /// How many were counted.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The longest one, exactly.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// The value that `permille` of a thousand do not exceed; none if nothing was counted.
    #[must_use]
    pub fn at_permille(&self, permille: u64) -> Option<Duration> {
        // The rank is rounded up: of ten values, the 99th percentile is the tenth.
        let rank = (self.total * permille).div_ceil(1_000).max(1);
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Some(Duration::from_nanos(upper(at).min(self.longest)));
            }
        }
        None
    }
}

fn bucket(value: u64) -> usize {
    // The highest bits of a value say its power of two and its step in it.
    let power = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let step = value >> power;
    usize::try_from(u64::from(power) * STEPS + step).expect("an index below BUCKETS fits")
}

/// The largest value of a bucket.
fn upper(at: usize) -> u64 {
    let at = at as u64;
    let power = (at / STEPS).saturating_sub(1);
    let step = at - power * STEPS;
    // The very last bucket ends where the type does.
    ((u128::from(step) + 1) << power).saturating_sub(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_of_a_thousand() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.at_permille(500), None);
        for value in 1..=1_000_u64 {
            histogram.record(value * 1_000);
        }
        let near = |permille, expected: u64| {
            let found = u64::try_from(histogram.at_permille(permille).unwrap().as_nanos()).unwrap();
            assert!(found >= expected && found <= expected + expected / 60, "{permille}: {found}");
        };
        near(500, 500_000);
        near(990, 990_000);
        near(999, 999_000);
        assert_eq!(histogram.at_permille(1_000), Some(Duration::from_micros(1_000)));
        assert_eq!(histogram.longest(), Duration::from_millis(1));
        assert_eq!(histogram.total(), 1_000);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values_within_two_percent(value: u64) {
            let top = upper(bucket(value));
            prop_assert!(top >= value && top - value <= value / 60 + 1, "{value} is counted as {top}");
        }
    }
}
