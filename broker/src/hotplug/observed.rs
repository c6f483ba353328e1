//! What the listener tells the driver.

use tokio::sync::oneshot;

use super::inventory::Fact;

/// Facts to be recorded and published, in order.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) facts: Vec<Fact>,
    /// Told when they are durable.
    pub(crate) recorded: oneshot::Sender<()>,
}
