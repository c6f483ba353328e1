//! Log lines that strangers can bring about as often as they like: one in a while is shown, the others are counted.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one kind. No timer wakes us for them: what was left out is told with the next that is shown.
#[derive(Debug)]
pub(super) struct Ration {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    shown: Option<Instant>,
    left_out: u64,
}

impl Ration {
    /// At most one line in so much time.
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, state: Mutex::default() }
    }

    /// Asks for a line: how many were left out before it, or nothing if it is left out too.
    pub(super) fn line(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.shown.is_some_and(|shown| now.saturating_duration_since(shown) < self.pause) {
            state.left_out = state.left_out.saturating_add(1);
            return None;
        }
        state.shown = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_with_the_count_of_the_others() {
        let ration = Ration::new(Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| ration.line(start + Duration::from_secs(seconds));
        let asked: Vec<_> = [0, 1, 9, 10, 11, 40, 50].into_iter().map(at).collect();
        assert_eq!(asked, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }
}
