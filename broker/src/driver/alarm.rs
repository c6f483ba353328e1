//! The driver's one timer.

use std::pin::Pin;

use tokio::time::{Instant, Sleep};

/// Rings no later than it was last set to. Most deadlines move on before they are over, every message moves one, and to
/// tell the runtime each time would cost more than to wake up now and then for nothing: so it rings early rather than
/// being moved later.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Sets when it is to ring at the latest; never, if there is nothing to wait for.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        match (at, &mut self.0) {
            (None, alarm) => *alarm = None,
            (Some(at), Some(sleep)) if sleep.is_elapsed() || at < sleep.deadline() => {
                sleep.as_mut().reset(at);
            }
            (Some(_), Some(_)) => {}
            (Some(at), alarm) => *alarm = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    /// Waits until it rings.
    pub(super) async fn rings(&mut self) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rings_early_but_never_late() {
        let begin = Instant::now();
        let after = |seconds| Some(begin + Duration::from_secs(seconds));
        let mut alarm = Alarm::default();
        alarm.set(after(5));
        alarm.set(after(9));
        alarm.rings().await;
        assert_eq!(begin.elapsed().as_secs(), 5, "it stays where it was");
        alarm.set(after(9));
        alarm.set(after(7));
        alarm.rings().await;
        assert_eq!(begin.elapsed().as_secs(), 7, "sooner is sooner");
        alarm.set(after(9));
        alarm.set(None);
        assert!(
            timeout(Duration::from_secs(60), alarm.rings()).await.is_err(),
            "there is nothing to wait for"
        );
    }
}
