//! Publishes below `/cloudinit/`: what each one is, and whether it is taken.

use cloud_channel_protocol::server::{Input, OfferId, Sender};
use cloud_channel_protocol::{
    BayeuxError, ClientId, CloudinitExt, ErrorCode, InstanceId, MessageId, Module, ModuleName, Place,
    Publication, Topic, Verb,
};

use super::{Driver, status};
use crate::clerk::{Admit, Draft, Order, Question};
use crate::ids::random_u64;

/// Who waits for the outcome of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A publish whose reply is held back.
    Offer { offer: OfferId, client: Option<ClientId> },
    /// A message from the dialled side, where no publish reply exists.
    Link,
}

/// A message that was understood so far: where it belongs and what its `ext` says.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) asker: Asker,
    pub(crate) module: Module,
    pub(crate) spelling: ModuleName,
    pub(crate) id: Option<MessageId>,
    pub(crate) ext: CloudinitExt,
}

impl Driver {
    /// Looks at a publish of a session; its reply waits for the verdict.
    pub(super) fn offered(&mut self, offer: OfferId, sender: Sender, publication: Publication) {
        let asker = Asker::Offer { offer, client: sender.client };
        if let Err(error) = self.consider(asker.clone(), &sender_name(&sender), publication) {
            self.refuse(&asker, &error);
        }
    }

    fn consider(&mut self, asker: Asker, sender: &str, publication: Publication) -> Result<(), BayeuxError> {
        if publication.channel.as_str() == status::CHANNEL {
            return self.tell_status(asker, publication.id.as_ref());
        }
        match self.topic_of(&publication)? {
            Topic::Config(Verb::Set, spelling) => self.consider_set(asker, sender, spelling, publication),
            Topic::Config(Verb::Get, spelling) => {
                let request = read_request(asker, spelling, &publication)?;
                self.ask_clerk(request, None)
            }
            Topic::Hotplug(_) | Topic::Stage(_) | Topic::StageStep(..) | Topic::Reporting(_) => {
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
                let text = "Unknown channel, expected hotplug/{network,block}, config/{get,set}/<module> or a boot \
                            stage below /cloudinit/<instance-id>/";
                Err(BayeuxError::new(ErrorCode::NotFound, channel, text))
            }
        }
    }

    pub(super) fn consider_set(
        &mut self,
        asker: Asker,
        sender: &str,
        spelling: ModuleName,
        publication: Publication,
    ) -> Result<(), BayeuxError> {
        let request = read_request(asker, spelling, &publication)?;
        if request.ext.dry_run {
            return self.ask_clerk(request, Some(publication.data));
        }
        if self.stopping {
            return Err(BayeuxError::busy("The daemon is ending, send it again later"));
        }
        let admit = Admit { request, sender: sender.to_owned(), payload: publication.data };
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
        self.counters.refused += 1;
        tracing::info!(code = ?error.code(), "message refused");
        if let Asker::Offer { offer, .. } = asker {
            self.input(Input::Settled { offer: *offer, verdict: Err(error.clone()) });
        }
    }

    pub(super) fn accept(&mut self, asker: &Asker) {
        if let Asker::Offer { offer, .. } = asker {
            self.input(Input::Settled { offer: *offer, verdict: Ok(()) });
        }
    }
}

/// The scope in which a sender's message ids are its own: its session. Without one there is none, since the next
/// to publish so may count its messages from the beginning again.
fn sender_name(sender: &Sender) -> String {
    match sender.client {
        Some(client) => client.reveal(),
        None => format!("{}-{:016x}", sender.principal, random_u64()),
    }
}

fn wrong_instance(channel: &str, given: &InstanceId, ours: &InstanceId) -> BayeuxError {
    let text = format!("Not for this instance, expected {ours}, got {given}");
    BayeuxError::new(ErrorCode::Forbidden, channel, text)
}

/// Reads what a `config` message asks of which module.
pub(super) fn read_request(
    asker: Asker,
    spelling: ModuleName,
    publication: &Publication,
) -> Result<Request, BayeuxError> {
    let Some(module) = spelling.module() else {
        let known: Vec<&str> = Module::all().map(Module::canonical).collect();
        let text = format!("Unknown module {spelling}, expected one of {}", known.join(", "));
        return Err(BayeuxError::new(ErrorCode::NotFound, publication.channel.as_str(), text));
    };
    let ext = CloudinitExt::from_ext(publication.ext.as_deref())
        .map_err(|text| BayeuxError::new(ErrorCode::Malformed, "ext.cloudinit", text))?;
    Ok(Request { asker, module, spelling, id: publication.id.clone(), ext })
}
