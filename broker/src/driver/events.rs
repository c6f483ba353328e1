//! Our own events: recorded, published to who subscribes, sent over the link, and kept until somebody has them.

use cloud_channel_protocol::server::{Input, Principal, SecurityPolicy};
use cloud_channel_protocol::{ChannelPattern, ClientId, Publication, ReportingEvent};

use super::Driver;
use super::receipt::Receipt;
use crate::clerk::{Draft, Order};
use crate::journal::{Dropped, Seq};
use crate::request::Asker;

/// Drafts kept while the journal is being opened. A boot sends about a hundred.
const MAX_EARLY: usize = 1_024;

impl Driver {
    /// An event of cloud-init has come in by webhook.
    pub(super) fn reported(&mut self, event: ReportingEvent) {
        for placed in self.stages.place(&self.parts.instance, event) {
            let draft = Draft::event(placed.channel, placed.event.to_data(), None);
            // There is nobody to tell: cloud-init has had its answer, so that its boot never waits for us.
            if let Err(error) = self.send_out(Draft { inferred: placed.inferred, ..draft }) {
                self.counters.lost += 1;
                tracing::warn!(%error, "an event is lost");
            }
        }
    }

    /// Has an event recorded; it goes out once it is.
    pub(super) fn send_out(&mut self, draft: Draft) -> Result<(), cloud_channel_protocol::BayeuxError> {
        if self.ready {
            return self.parts.clerk.order(Order::Append(Box::new(draft)));
        }
        if self.early.len() >= MAX_EARLY {
            return Err(cloud_channel_protocol::BayeuxError::busy(
                "Too many events before the journal is open",
            ));
        }
        self.early.push(draft);
        Ok(())
    }

    /// An event is durable: now it may be seen.
    pub(super) fn recorded(&mut self, seq: Seq, publication: Publication, asker: Option<Asker>) {
        self.counters.events += 1;
        self.replays.recorded(seq);
        let receipt = self.parts.link.is_none().then(|| Receipt::Event(seq).into());
        self.input(Input::Publish { publication: &publication, receipt });
        self.outbox.insert(seq, publication);
        if let Some(asker) = asker {
            self.accept(&asker);
        }
    }

    /// The journal could not take it. Who is listening now still gets it; nobody later will.
    pub(super) fn unrecorded(&mut self, publication: &Publication, asker: Option<Asker>) {
        self.counters.events += 1;
        self.counters.lost += 1;
        self.input(Input::Publish { publication, receipt: None });
        self.tell_replaying(publication);
        if let Some(asker) = asker {
            self.accept(&asker);
        }
    }

    pub(super) fn events_dropped(&mut self, events: &[Seq], total: Dropped) {
        for seq in events {
            self.outbox.remove(*seq);
        }
        self.counters.dropped = total;
        tracing::warn!(
            now = events.len(),
            reporting = total.reporting,
            finish = total.finish,
            "events dropped"
        );
    }

    pub(super) fn settle(&mut self, seq: Seq) {
        if !self.outbox.remove(seq) {
            return;
        }
        if let Err(error) = self.parts.clerk.order(Order::Settle(seq)) {
            // It stays in the journal and is sent again after the next start, under its old number.
            tracing::warn!(%seq, %error, "cannot record that an event was delivered");
        }
    }

    /// What waits is handed to the first who asks for it, in order; with a link, it waits for that instead.
    pub(super) fn subscribed(
        &mut self,
        client: ClientId,
        principal: &Principal,
        added: &[ChannelPattern],
        had: &[ChannelPattern],
    ) {
        self.replays.subscribed(client, added);
        if self.parts.link.is_some() {
            return;
        }
        for (seq, publication) in self.outbox.backlog(added, had) {
            if self.parts.policy.may_receive(principal, &publication.channel) {
                let receipt = Some(Receipt::Event(seq).into());
                self.input(Input::Tell { client, publication: &publication, receipt });
            }
        }
    }
}
