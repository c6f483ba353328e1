//! The service manager and the signals: readiness, watchdog, the end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Feeds systemd's watchdog from the driver, so that a stuck driver is restarted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watchdog {
    /// Half of what systemd allows; none if there is no watchdog.
    interval: Option<Duration>,
    due: Duration,
}

impl Watchdog {
    /// As the service manager asks in the environment (sd_watchdog_enabled(3)).
    pub(crate) fn from_environment() -> Self {
        Self { interval: sd_notify::watchdog_enabled().map(|allowed| allowed / 2), due: Duration::ZERO }
    }

    /// When it is to be fed next, on the clock of `Now::uptime`.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.interval.map(|_| self.due)
    }

    /// Feeds it if it is time.
    pub(crate) fn feed(&mut self, uptime: Duration) {
        if let Some(interval) = self.interval
            && uptime >= self.due
        {
            notify(sd_notify::NotifyState::Watchdog);
            self.due = uptime + interval;
        }
    }
}

/// Says that pushes and subscribers are served now.
pub(crate) fn notify_ready() {
    notify(sd_notify::NotifyState::Ready);
}

/// Says that the end has begun.
pub(crate) fn notify_stopping() {
    notify(sd_notify::NotifyState::Stopping);
}

/// Without a service manager this does nothing.
fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// If the handlers cannot be installed.
pub(crate) async fn signalled() -> std::io::Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}
