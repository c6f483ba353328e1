//! The machine's clocks, read at the edge and passed to the cores as values.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloud_channel_protocol::Now;

/// Both clocks, the monotonic one counted from when this was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { uptime: self.start.elapsed(), wall: wall() }
    }

    /// Waits until a moment of [`Now::uptime`], for ever if there is none.
    pub async fn wait_until(&self, uptime: Option<Duration>) {
        match uptime {
            Some(uptime) => tokio::time::sleep_until((self.start + uptime).into()).await,
            None => std::future::pending().await,
        }
    }
}

/// The wall clock, since the Unix epoch; before 1970 it reads as 1970.
#[must_use]
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// The time of day in UTC, to the millisecond: `12:01:02.345`.
#[must_use]
pub fn time_of_day(wall: Duration) -> String {
    let seconds = wall.as_secs() % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, wall.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_no_date() {
        assert_eq!(time_of_day(Duration::from_millis(1_495_494_121_093)), "23:02:01.093");
        assert_eq!(time_of_day(Duration::from_secs(86_400)), "00:00:00.000");
    }
}
