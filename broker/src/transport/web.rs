//! What every HTTP request needs to be answered.

use std::sync::Arc;

use cloud_channel_protocol::Limits;

use super::budget::Budgets;
use super::registry::ConnectionRegistry;
use crate::happening::DriverHandle;

/// What every request needs.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) driver: DriverHandle,
    pub(crate) registry: Arc<ConnectionRegistry>,
    pub(crate) limits: Limits,
    /// What input that nobody has looked at may take.
    pub(crate) budgets: Arc<Budgets>,
    /// The origins of web pages that may speak Bayeux with us, besides our own: `https://console.example`.
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) offers: Offers,
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offers {
    /// Bayeux, and cloud-init's reports; on a Unix socket the metrics too.
    Events,
    /// The metrics, and nothing else.
    Metrics,
}
