//! The machine's clocks, read at the edge and passed on as values.

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

    /// The time now. A wall clock before 1970 reads as 1970.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { uptime: self.start.elapsed(), wall }
    }

    /// The runtime's instant for a moment of [`Now::uptime`].
    #[must_use]
    pub fn instant(&self, uptime: Duration) -> tokio::time::Instant {
        (self.start + uptime).into()
    }
}
