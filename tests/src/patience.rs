//! Waiting: for a condition, with an end, and never for a time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take before a test gives it up. Far above what is usual: machines may be loaded.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what nobody announces.
pub const PAUSE: Duration = Duration::from_millis(10);

/// Waits for something that ends by itself.
///
/// # Panics
/// If it takes too long; says `what` was awaited.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Looks until `look` finds something.
///
/// # Panics
/// If it never does; says `what` was awaited.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain for {what}");
        sleep(PAUSE).await;
    }
}
