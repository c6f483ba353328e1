//! A burst of changes, told once: when it is over, or when it has lasted long enough.
//!
//! ```text
//! quiet ──change──▶ burst ──no change for QUIET, or LONGEST since the first──▶ told, quiet
//! ```
//!
//! A pure state machine: the time comes as an argument.

use std::time::Duration;

/// A card that is plugged in makes a handful of changes, the last of them when udev has given it its name, which takes
/// some tens of milliseconds. After this there is nothing more to wait for.
const QUIET: Duration = Duration::from_millis(200);
/// A machine whose links never rest, as one that starts container after container, is still told of.
const LONGEST: Duration = Duration::from_secs(1);

/// Changes that nobody was told of yet.
#[derive(Debug, Default)]
pub(crate) struct Burst(Option<Times>);

#[derive(Debug, Clone, Copy)]
struct Times {
    first: Duration,
    last: Duration,
}

impl Burst {
    /// Something has changed.
    pub(crate) fn note(&mut self, now: Duration) {
        let first = self.0.map_or(now, |times| times.first);
        self.0 = Some(Times { first, last: now });
    }

    /// When it is to be told; never, if nothing has changed.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.0.map(|Times { first, last }| (last + QUIET).min(first + LONGEST))
    }

    /// True once, when it is to be told.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            self.0 = None;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        let mut burst = Burst::default();
        assert!(burst.due().is_none() && !burst.take(ms(9_999)));
    }

    #[test]
    fn a_burst_is_told_once_when_it_is_quiet() {
        let mut burst = Burst::default();
        for at in [0, 150, 300, 320] {
            assert!(!burst.take(ms(at)), "{at}");
            burst.note(ms(at));
        }
        assert_eq!(burst.due(), Some(ms(520)));
        assert!(!burst.take(ms(519)) && burst.take(ms(520)) && !burst.take(ms(521)));
        burst.note(ms(600));
        assert_eq!(burst.due(), Some(ms(800)), "the next one begins anew");
    }

    #[test]
    fn restless_links_are_told_of_each_second() {
        let mut burst = Burst::default();
        let mut told = Vec::new();
        for at in (0..3_050).step_by(50) {
            if burst.take(ms(at)) {
                told.push(at);
            }
            burst.note(ms(at));
        }
        assert_eq!(told, [1_000, 2_000, 3_000]);
    }
}
