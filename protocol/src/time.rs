//! Time as a value. The cores have no clock: whoever drives them says what time it is.

use std::time::Duration;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Time since some fixed moment, never going back. Deadlines are in it.
    pub uptime: Duration,
    /// Wall-clock time since the Unix epoch. For timestamps only: it may jump.
    pub wall: Duration,
}

impl Now {
    /// Seconds since the Unix epoch, as cloud-init's reporting events write them.
    #[must_use]
    pub fn timestamp(&self) -> f64 {
        // Microseconds keep the fraction short and exact enough to order events of one machine.
        let micros = u64::try_from(self.wall.as_micros()).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "exact up to the year 2255")]
        let timestamp = micros as f64 / 1e6;
        timestamp
    }
}
