//! All deadlines of the server, as data.

use std::collections::BTreeSet;
use std::time::Duration;

use super::session::SessionKey;
use crate::ids::ConnectionId;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A held connect is to be answered, or a session that stayed away is to end.
    Session(SessionKey),
    /// A connection that has not made itself known is to be closed.
    Handshake(ConnectionId),
}

/// Deadlines in order of time, at most one of each session and of each connection.
///
/// Whoever sets one keeps it in its own state too, so that a deadline that has been moved later can be left here
/// and set anew when it fires: moving is then free, which matters because every message moves a session's.
#[derive(Debug, Default)]
pub(super) struct Timers {
    deadlines: BTreeSet<(Duration, Timer)>,
}

impl Timers {
    /// Sets a deadline in place of a former one.
    pub(super) fn set(&mut self, former: Option<Duration>, at: Duration, timer: Timer) {
        self.clear(former, timer);
        self.deadlines.insert((at, timer));
    }

    pub(super) fn clear(&mut self, at: Option<Duration>, timer: Timer) {
        if let Some(at) = at {
            self.deadlines.remove(&(at, timer));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes one that is due.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.deadlines.pop_first().map(|(_, timer)| timer)
    }
}
