//! What has a time: which silence ends a stream, and when to look again.

use std::time::Duration;

use super::Client;
use super::output::{CloseReason, EndReason, Request};
use super::session::Phase;

impl Client {
    pub(super) fn check_deadlines(&mut self) {
        match self.phase {
            Phase::Away => {}
            Phase::Handshaking { deadline, .. } if deadline <= self.now => {
                self.close(CloseReason::Unanswered(Request::Handshake));
            }
            Phase::Pausing { until } if until <= self.now => self.handshake(),
            Phase::Disconnecting { deadline, .. } if deadline <= self.now => {
                self.end(EndReason::Disconnected);
            }
            _ => {
                if let Some((deadline, request)) = self.overdue()
                    && deadline <= self.now
                {
                    self.close(CloseReason::Unanswered(request));
                }
            }
        }
    }

    /// When the first of the outstanding requests is overdue.
    fn overdue(&self) -> Option<(Duration, Request)> {
        if matches!(self.phase, Phase::Disconnecting { .. }) {
            return None;
        }
        let patience = self.heartbeat.hold().saturating_add(self.network_delay);
        let connect = self.heartbeat.deadline(self.network_delay).map(|at| (at, Request::Connect));
        let publish = self.publishes.oldest().map(|since| (since.saturating_add(patience), Request::Publish));
        let subscription =
            self.subscriptions.oldest().map(|since| (since.saturating_add(patience), Request::Subscription));
        connect.into_iter().chain(publish).chain(subscription).min_by_key(|(at, _)| *at)
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let own = match self.phase {
            Phase::Away => return None,
            Phase::Handshaking { deadline, .. } | Phase::Disconnecting { deadline, .. } => Some(deadline),
            Phase::Pausing { until } => Some(until),
            Phase::Connected if self.acks.is_settled() => self.heartbeat.due(),
            Phase::Connected | Phase::Resuming => None,
        };
        own.into_iter().chain(self.overdue().map(|(at, _)| at)).min()
    }
}
