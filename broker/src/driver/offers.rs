//! Publishes below `/cloudinit/`: what each one is, and whether it is taken.

use cloud_channel_protocol::server::{Input, OfferId, Sender};
use cloud_channel_protocol::{
    BayeuxError, ErrorCode, InstanceId, ModuleName, Place, Publication, Subsystem, Topic, Verb, signing,
};
use tracing::Span;

use super::Driver;
use super::speaker::Speaker;
use crate::clerk::{Admit, AdmittedWork, Draft, Order, Question};
use crate::request::{Asker, Request};
use crate::status_channel::STATUS_CHANNEL;

impl Driver {
    /// Looks at a publish of a session; its reply waits for the verdict.
    pub(super) fn offered(&mut self, offer: OfferId, sender: Sender, publication: Publication) {
        let asker = Asker::Offer { offer, client: sender.client };
        if let Err(error) = self.consider(asker.clone(), &sender, publication) {
            self.refuse(&asker, &error);
        }
    }

    fn consider(
        &mut self,
        asker: Asker,
        sender: &Sender,
        publication: Publication,
    ) -> Result<(), BayeuxError> {
        if publication.channel.as_str() == STATUS_CHANNEL {
            return self.tell_status(asker, publication.id.as_ref());
        }
        match self.topic_of(&publication)? {
            Topic::Config(Verb::Set, spelling) => {
                let speaker = Speaker::peer(asker, sender, publication.id.as_ref());
                self.consider_set(speaker, spelling, publication)
            }
            Topic::Config(Verb::Confirm, spelling) => self.confirm(asker, spelling, &publication),
            Topic::Config(Verb::Rollback, spelling) => {
                let speaker = Speaker::peer(asker, sender, publication.id.as_ref());
                self.roll_back(speaker, spelling, &publication)
            }
            Topic::Config(Verb::Get, spelling) => {
                let request = Request::read(asker, spelling, &publication)?;
                self.ask_clerk(request, None)
            }
            topic @ (Topic::Hotplug(_) | Topic::Stage(_) | Topic::StageStep(..) | Topic::Reporting(_)) => {
                if topic == Topic::Hotplug(Subsystem::Network) {
                    self.kernel_links_stirred();
                }
                let draft = Draft::event(publication.channel, publication.data, None);
                self.send_out(Draft { asker: Some(asker), ..draft })
            }
        }
    }

    /// The topic of a channel that is for this instance.
    fn topic_of(&self, publication: &Publication) -> Result<Topic, BayeuxError> {
        let channel = publication.channel.as_str();
        match Place::of(&publication.channel) {
            Place::Instance(id, Some(topic)) if id == self.parts.instance => Ok(topic),
            Place::Instance(id, _) if id != self.parts.instance => {
                Err(wrong_instance(channel, &id, &self.parts.instance))
            }
            Place::Instance(..) | Place::Elsewhere => {
                let text = "Unknown channel, expected hotplug/{network,block}, \
                            config/{get,set,confirm,rollback}/<module> or a boot \
                            stage below /cloudinit/<instance-id>/";
                Err(BayeuxError::new(ErrorCode::NotFound, channel, text))
            }
        }
    }

    pub(super) fn consider_set(
        &mut self,
        speaker: Speaker,
        spelling: ModuleName,
        publication: Publication,
    ) -> Result<(), BayeuxError> {
        let Speaker { asker, scope, witness, .. } = speaker;
        let request = Request::read(asker, spelling, &publication)?;
        let keys = &self.parts.management_keys;
        if !keys.is_empty() {
            signing::check(keys, &publication, self.parts.clock.now().wall.as_secs())?;
        }
        let signed = !keys.is_empty();
        if request.ext.dry_run {
            return self.ask_clerk(request, Some(publication.data));
        }
        if self.stopping {
            return Err(BayeuxError::busy("The daemon is ending, send it again later"));
        }
        let work = AdmittedWork::Push { payload: publication.data.into(), signed };
        let admit = Admit { request, work, sender: scope, witness: Some(witness) };
        self.parts.clerk.order(Order::Admit(Box::new(admit)))
    }

    /// Questions are answered to the asker alone, so there must be one that can hear.
    fn ask_clerk(
        &mut self,
        request: Request,
        dry_run: Option<Box<serde_json::value::RawValue>>,
    ) -> Result<(), BayeuxError> {
        if matches!(request.asker, Asker::Offer { client: None, .. }) {
            return Err(BayeuxError::forbidden("", "An answer needs a session to go to, handshake first"));
        }
        let held = self.pushes.held(request.module);
        self.parts.clerk.order(Order::Answer(Box::new(Question { request, held, dry_run })))
    }

    /// Tells the sender of a message that it is not taken.
    pub(super) fn refuse(&mut self, asker: &Asker, error: &BayeuxError) {
        let _session = self.span_of(asker).entered();
        tracing::info!(code = ?error.code(), "message refused");
        match asker {
            Asker::Offer { offer, .. } => {
                self.input(Input::Settled { offer: *offer, verdict: Err(error.clone()) });
            }
            Asker::Link => self.counters.refused_of_link += 1,
            Asker::Guest => {}
        }
    }

    /// What the log tells of an asker's message stands in the span of its session.
    pub(super) fn span_of(&self, asker: &Asker) -> Span {
        match asker {
            Asker::Offer { client, .. } => self.sessions.span(*client),
            Asker::Link | Asker::Guest => Span::none(),
        }
    }

    pub(super) fn accept(&mut self, asker: &Asker) {
        if let Asker::Offer { offer, .. } = asker {
            self.input(Input::Settled { offer: *offer, verdict: Ok(()) });
        }
    }
}

fn wrong_instance(channel: &str, given: &InstanceId, ours: &InstanceId) -> BayeuxError {
    let text = format!("Not for this instance, expected {ours}, got {given}");
    BayeuxError::new(ErrorCode::Forbidden, channel, text)
}
