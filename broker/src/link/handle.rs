//! How the driver reaches the link.

use cloud_channel_protocol::{Endpoint, Publication};
use tokio::sync::mpsc;

/// Orders that wait for the link; the driver keeps the rest.
const QUEUE: usize = 128;

/// What the driver wants of the link.
#[derive(Debug)]
pub(crate) enum LinkOrder {
    Publish(Publication),
    /// Everything of this batch is durable.
    Confirm(u64),
    /// Find out whether the server is there, both ways.
    Probe,
    Stop,
}

/// How the driver reaches the link.
#[derive(Debug, Clone)]
pub(crate) struct LinkHandle {
    orders: mpsc::Sender<LinkOrder>,
    endpoints: Vec<String>,
}

impl LinkHandle {
    /// To a link to these endpoints, and the link's own end.
    pub(super) fn new(endpoints: &[Endpoint]) -> (Self, mpsc::Receiver<LinkOrder>) {
        let (sender, orders) = mpsc::channel(QUEUE);
        let endpoints = endpoints.iter().map(ToString::to_string).collect();
        (Self { orders: sender, endpoints }, orders)
    }

    /// Gives an order; false if too many wait or the link has ended.
    pub(crate) fn order(&self, order: LinkOrder) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Ends the session and the link.
    pub(crate) fn stop(&self) {
        if !self.order(LinkOrder::Stop) {
            tracing::debug!("the link has ended already, or ends with the process");
        }
    }

    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }
}
