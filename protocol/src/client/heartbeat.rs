//! The heartbeat: when the next `/meta/connect` goes out, and how long its reply may take.

use std::time::Duration;

use super::request::RequestId;
use crate::advice::ReceivedAdvice;
use crate::ids::MessageId;

/// Held this long until the server says otherwise: the longest default among servers.
const DEFAULT_HOLD: Duration = Duration::from_secs(60);
/// No advice makes us wait longer, for a reply or between connects: a typing error must not silence a machine.
const MAX_ADVICE: Duration = Duration::from_secs(600);
/// A connect that was answered sooner than this, with nothing to say, was not held.
const QUICK: Duration = Duration::from_secs(1);
/// So many of them in a row are fine (first connects, changed streams). Then, and after each failure, there is a
/// pause: a server that never holds must not keep this machine busy.
const MAX_QUICK: u8 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row before the stream is given up.
const MAX_FAILURES: u8 = 3;

/// At most one connect is outstanding.
pub(super) struct Heartbeat {
    beat: Beat,
    hold: Duration,
    interval: Duration,
    quick: u8,
    failures: u8,
    /// Something came since the last connect.
    heard: bool,
}

enum Beat {
    Stopped,
    Outstanding { id: RequestId, since: Duration, at_once: bool },
    Due { at: Duration },
}

impl Heartbeat {
    /// For a new session; no connect yet.
    pub(super) const fn new() -> Self {
        Self {
            beat: Beat::Stopped,
            hold: DEFAULT_HOLD,
            interval: Duration::ZERO,
            quick: 0,
            failures: 0,
            heard: false,
        }
    }

    /// Takes over the times that were given.
    pub(super) fn advise(&mut self, advice: ReceivedAdvice) {
        if let Some(timeout) = advice.timeout {
            self.hold = timeout.min(MAX_ADVICE);
        }
        if let Some(interval) = advice.interval {
            self.interval = interval.min(MAX_ADVICE);
        }
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long a request's reply may be held back by the server.
    pub(super) const fn hold(&self) -> Duration {
        self.hold
    }

    pub(super) const fn stop(&mut self) {
        self.beat = Beat::Stopped;
    }

    pub(super) const fn schedule(&mut self, at: Duration) {
        self.beat = Beat::Due { at };
    }

    pub(super) const fn sent(&mut self, id: RequestId, now: Duration, at_once: bool) {
        self.heard = false;
        self.beat = Beat::Outstanding { id, since: now, at_once };
    }

    pub(super) const fn event(&mut self) {
        self.heard = true;
    }

    /// True if a connect reply with this id answers the outstanding one.
    pub(super) fn is_answered_by(&self, id: Option<&MessageId>) -> bool {
        matches!(self.beat, Beat::Outstanding { id: own, .. } if own.is_answered_by(id))
    }

    /// The outstanding connect was answered well: the next one is due after the interval.
    pub(super) fn succeeded(&mut self, now: Duration) {
        self.failures = 0;
        let held = match self.beat {
            Beat::Outstanding { since, at_once, .. } => at_once || now.saturating_sub(since) >= QUICK,
            Beat::Stopped | Beat::Due { .. } => true,
        };
        self.quick = if held || self.heard { 0 } else { self.quick.saturating_add(1) };
        let pause = if self.quick >= MAX_QUICK { PAUSE } else { Duration::ZERO };
        self.schedule(now + self.interval.max(pause));
    }

    /// The outstanding connect failed: the next one is due after a pause. False if there were too many.
    pub(super) fn failed(&mut self, now: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.schedule(now + self.interval.max(PAUSE));
        self.failures < MAX_FAILURES
    }

    /// When the next connect is to go out.
    pub(super) const fn due(&self) -> Option<Duration> {
        match self.beat {
            Beat::Due { at } => Some(at),
            Beat::Stopped | Beat::Outstanding { .. } => None,
        }
    }

    /// When the outstanding connect's reply is overdue.
    pub(super) fn deadline(&self, network_delay: Duration) -> Option<Duration> {
        match self.beat {
            Beat::Outstanding { since, at_once: true, .. } => Some(since.saturating_add(network_delay)),
            Beat::Outstanding { since, at_once: false, .. } => {
                Some((since + self.hold).saturating_add(network_delay))
            }
            Beat::Stopped | Beat::Due { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_server_that_never_holds_is_not_asked_all_the_time() {
        let mut heartbeat = Heartbeat::new();
        let mut now = secs(0);
        for _ in 0..20 {
            heartbeat.sent(RequestId(1), now, false);
            heartbeat.succeeded(now);
            now = heartbeat.due().unwrap();
        }
        assert_eq!(now, secs(18));
        heartbeat.sent(RequestId(2), now, false);
        heartbeat.event();
        heartbeat.succeeded(now);
        assert_eq!(heartbeat.due(), Some(now), "events make a quick answer a good one");
    }

    #[test]
    fn advice_is_bounded() {
        let mut heartbeat = Heartbeat::new();
        heartbeat.advise(ReceivedAdvice {
            reconnect: None,
            interval: Some(Duration::from_millis(u64::MAX)),
            timeout: Some(Duration::from_millis(u64::MAX)),
        });
        heartbeat.sent(RequestId(1), secs(1), false);
        assert_eq!(heartbeat.deadline(secs(10)), Some(secs(611)));
        heartbeat.succeeded(secs(2));
        assert_eq!(heartbeat.due(), Some(secs(602)));
    }

    #[test]
    fn failures_are_counted() {
        let mut heartbeat = Heartbeat::new();
        assert!(heartbeat.failed(secs(0)) && heartbeat.failed(secs(1)) && !heartbeat.failed(secs(2)));
        heartbeat.succeeded(secs(3));
        assert!(heartbeat.failed(secs(4)));
        assert_eq!(heartbeat.due(), Some(secs(5)));
    }
}
