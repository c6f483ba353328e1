//! The dialled side, as the driver sees it: what comes from there, what waits to go there.
//!
//! Over the link this guest is a client: a push comes as an event, so there is no publish reply to hold back. The
//! ack extension plays its part: a batch is confirmed once everything in it is durable or refused.

use cloud_channel_protocol::server::Input;
use cloud_channel_protocol::{
    BayeuxError, CloudinitExt, ErrorCode, MessageId, ModuleName, Place, Publication, Topic, Verb,
};

use super::Driver;
use super::allowance::Allowance;
use super::link_message::LinkMessage;
use super::speaker::Speaker;
use crate::clerk::{Order, Question};
use crate::ids::random_u64;
use crate::journal::Seq;
use crate::link::{LinkOrder, LinkReport};
use crate::request::{Asker, Request};
use crate::witness::Witness;

/// Events on their way over the link at a time; the client core bounds the same.
const WINDOW: usize = 64;

/// How the link stands.
#[derive(Debug, Default)]
pub(super) struct LinkState {
    up: bool,
    /// The endpoint in use, or what went wrong with the last.
    pub(super) detail: String,
    /// Messages of the present batch that are not settled.
    unsettled: usize,
    /// Names the management server's session, for ids that are only counters.
    session: u64,
    /// A batch that has come in whole and waits for them.
    batch: Option<u64>,
    /// Numbers answers, which are not kept.
    answers: u64,
    /// Answers whose reply is awaited.
    answers_open: usize,
    /// Questions that may still be asked.
    questions: Allowance,
}

impl LinkState {
    pub(super) const fn is_down(&self) -> bool {
        !self.up
    }
}

impl Driver {
    pub(super) fn link_report(&mut self, report: LinkReport) {
        match report {
            LinkReport::Up { endpoint, resumed } => {
                tracing::info!(%endpoint, resumed, "link up");
                self.counters.link_ups += 1;
                let session = if resumed { self.link.session } else { random_u64() };
                self.link = LinkState { up: true, detail: endpoint, session, ..LinkState::default() };
                // It has answered a moment ago.
                self.vouched(&Witness::Link);
            }
            LinkReport::Down { reason } => {
                if self.link.up {
                    tracing::warn!(%reason, "link down");
                }
                let LinkState { answers, session, .. } = self.link;
                self.link = LinkState { detail: reason, answers, session, ..LinkState::default() };
                self.outbox.recall();
            }
            LinkReport::Event(publication) => self.management_says(publication),
            LinkReport::BatchEnd(batch) => {
                self.link.batch = Some(batch);
                self.confirm_batch();
            }
            LinkReport::Reply { id, result } => self.link_reply(&id, result),
            LinkReport::Proven => self.vouched(&Witness::Link),
        }
    }

    /// A message of the management server, over a subscription of ours.
    fn management_says(&mut self, publication: Publication) {
        let topic = match Place::of(&publication.channel) {
            Place::Instance(id, Some(topic)) if id == self.parts.instance => topic,
            Place::Instance(..) | Place::Elsewhere => {
                self.counters.refused_of_link += 1;
                tracing::warn!(channel = %publication.channel, "a message of the link is not for this instance");
                return;
            }
        };
        let ext = CloudinitExt::from_ext(publication.ext.as_deref()).unwrap_or_default();
        match topic {
            Topic::Config(Verb::Set, spelling) => {
                self.link.unsettled += 1;
                let id = publication.id.clone();
                let speaker = Speaker::link(self.link.session, id.as_ref());
                if let Err(error) = self.consider_set(speaker, spelling.clone(), publication) {
                    self.refuse_link(&spelling, id, &error);
                }
            }
            Topic::Config(verb @ (Verb::Confirm | Verb::Rollback), spelling) => {
                self.link.unsettled += 1;
                if let Err(error) = self.word_of_link(verb, spelling.clone(), &publication) {
                    self.refuse_link(&spelling, publication.id, &error);
                }
            }
            // Our own answers come back to us, being subscribed.
            Topic::Config(Verb::Get, _) if ext.answer => {}
            // A server that strips our mark would have us answer ourselves without end.
            Topic::Config(Verb::Get, _) if !self.link.questions.take_one(self.now.uptime) => {
                tracing::warn!("too many questions over the link, this one is passed over");
            }
            Topic::Config(Verb::Get, spelling) => {
                self.link.unsettled += 1;
                let asked = Request::read(Asker::Link, spelling.clone(), &publication).and_then(|request| {
                    let held = self.pushes.held(request.module);
                    self.parts.clerk.order(Order::Answer(Box::new(Question { request, held, dry_run: None })))
                });
                if let Err(error) = asked {
                    self.refuse_link(&spelling, publication.id, &error);
                }
            }
            // What has a number is our own event, come back.
            _ if ext.seq.is_some() => {}
            // The host's own word on hardware, for those who follow it here.
            Topic::Hotplug(_) => {
                self.input(Input::Publish { publication: &publication, receipt: None });
                self.tell_replaying(&publication);
            }
            // What was not subscribed to: whoever follows it here would take it for the guest's own report.
            Topic::Stage(_) | Topic::StageStep(..) | Topic::Reporting(_) => {
                self.counters.refused_of_link += 1;
                tracing::warn!(channel = %publication.channel, "a message of the link is the guest's own to say");
            }
        }
    }

    fn refuse_link(&mut self, spelling: &ModuleName, cause: Option<MessageId>, error: &BayeuxError) {
        self.refuse(&Asker::Link, error);
        self.report_refusal(spelling, cause, error);
        self.link_settled(&Asker::Link);
    }

    fn word_of_link(
        &mut self,
        verb: Verb,
        spelling: ModuleName,
        publication: &Publication,
    ) -> Result<(), BayeuxError> {
        if verb == Verb::Confirm {
            return self.confirm(Asker::Link, spelling, publication);
        }
        let speaker = Speaker::link(self.link.session, publication.id.as_ref());
        self.roll_back(speaker, spelling, publication)
    }

    /// One message of the link has come to rest.
    pub(super) fn link_settled(&mut self, asker: &Asker) {
        if *asker == Asker::Link {
            self.link.unsettled = self.link.unsettled.saturating_sub(1);
            self.confirm_batch();
        }
    }

    fn confirm_batch(&mut self) {
        if self.link.unsettled > 0 {
            return;
        }
        if let (Some(batch), Some(link)) = (self.link.batch.take(), &self.parts.link) {
            // An unconfirmed batch comes again; what is in it is recognised then.
            if !link.order(LinkOrder::Confirm(batch)) {
                tracing::warn!(batch, "a batch could not be confirmed");
            }
        }
    }

    /// Sends what waits, as much as the window allows.
    pub(super) fn pump_link(&mut self) {
        let Some(link) = &self.parts.link else { return };
        if !self.link.up {
            return;
        }
        let mut room = WINDOW.saturating_sub(self.outbox.in_flight());
        while room > 0 {
            let instance = &self.parts.instance;
            let sent = self.outbox.send_next(|seq, publication| {
                let id = Some(LinkMessage::Event(seq).to_id(instance));
                link.order(LinkOrder::Publish(Publication { id, ..publication.clone() }))
            });
            if !sent {
                return;
            }
            room -= 1;
        }
    }

    fn link_reply(&mut self, id: &MessageId, result: Result<(), Option<String>>) {
        match LinkMessage::parse(id) {
            Some(LinkMessage::Event(seq)) => self.event_replied(seq, result),
            Some(LinkMessage::Answer(_)) => {
                self.link.answers_open = self.link.answers_open.saturating_sub(1);
                if let Err(Some(refusal)) = result {
                    tracing::warn!(%refusal, "the management server does not take an answer");
                }
            }
            None => tracing::warn!(?id, "a reply of the link to what was never sent"),
        }
    }

    fn event_replied(&mut self, seq: Seq, result: Result<(), Option<String>>) {
        match result {
            Ok(()) => self.settle(seq),
            Err(Some(refusal)) => {
                // Sent again, it would be refused again, and hold up all that comes after it.
                tracing::warn!(%seq, %refusal, "the management server does not take an event");
                self.counters.refused_by_link += 1;
                self.settle(seq);
            }
            // Lost with its stream or its session: all that is on its way goes again once the link is up anew.
            Err(None) => {
                self.outbox.recall();
                self.link.up = false;
            }
        }
    }

    pub(super) fn answer_over_link(&mut self, publication: Publication) {
        self.link.answers += 1;
        let id = LinkMessage::Answer(self.link.answers).to_id(&self.parts.instance);
        let order = LinkOrder::Publish(Publication { id: Some(id), ..publication });
        let room = self.link.answers_open < WINDOW;
        if room && self.parts.link.as_ref().is_some_and(|link| link.order(order)) {
            self.link.answers_open += 1;
        } else {
            let error = BayeuxError::new(ErrorCode::Busy, "", "the link is too busy for an answer");
            tracing::warn!(%error, "an answer is lost, ask again");
        }
    }
}
