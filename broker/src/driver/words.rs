//! What is said of a module's last change: that it is to stay, or to go (`config/confirm/<module>`,
//! `config/rollback/<module>`).

use cloud_channel_protocol::{BayeuxError, ErrorCode, MessageId, Module, ModuleName, Object, Publication};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Driver;
use super::speaker::Speaker;
use crate::clerk::{Admit, AdmittedWork, Order, SpokenWord};
use crate::job::TrialEnd;
use crate::request::{Asker, Request};

/// What a `config/confirm` or `config/rollback` may hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// The id of the push it is about, to be sure.
    #[serde(default)]
    cause: Option<Box<RawValue>>,
}

impl Driver {
    /// Somebody who may says that a change is to stay.
    pub(super) fn confirm(
        &mut self,
        asker: Asker,
        spelling: ModuleName,
        publication: &Publication,
    ) -> Result<(), BayeuxError> {
        let request = Request::read(asker, spelling, publication)?;
        let word = read_word(publication)?;
        if !self.is_on_trial(request.module, word.as_ref(), publication)? {
            let text = format!("No change of {} waits to be confirmed", request.module);
            return Err(BayeuxError::new(ErrorCode::NotFound, publication.channel.as_str(), text));
        }
        self.trials.end(request.module, TrialEnd::Keep);
        self.take_word(&request.asker);
        Ok(())
    }

    /// Somebody who may says that a change is to go: the one on trial, or the last that was made.
    pub(super) fn roll_back(
        &mut self,
        speaker: Speaker,
        spelling: ModuleName,
        publication: &Publication,
    ) -> Result<(), BayeuxError> {
        let Speaker { asker, scope, who, witness } = speaker;
        let request = Request::read(asker, spelling, publication)?;
        let word = read_word(publication)?;
        if self.is_on_trial(request.module, word.as_ref(), publication)? {
            let (module, asker) = (request.module, request.asker.clone());
            let id = request.id.clone();
            if id.is_some() {
                // Before the finish, which comes after it in the same row; its reply goes once it is durable.
                let word = SpokenWord { request, sender: scope.clone() };
                self.parts.clerk.order(Order::Word(Box::new(word)))?;
            }
            self.trials.end(module, TrialEnd::TakeBack(format!("`{who}` asked for it")));
            self.trials.note_word(module, &scope, id.as_ref());
            if id.is_none() {
                self.take_word(&asker);
            }
            return Ok(());
        }
        // Sent once more by someone who has not heard the reply, it must not go back further.
        if self.trials.is_last_word(request.module, &scope, request.id.as_ref()) {
            self.take_word(&request.asker);
            return Ok(());
        }
        let channel = publication.channel.as_str();
        if word.is_some() {
            let text =
                "That change waits for no word any more; without `cause` the last change is taken back";
            return Err(BayeuxError::new(ErrorCode::NotFound, channel, text));
        }
        // What was signed is not undone by whoever may say a word.
        if !self.parts.management_keys.is_empty() && witness.is_remote() {
            let text =
                "Config is signed here: push what is wanted, signed, or roll back from the machine itself";
            return Err(BayeuxError::forbidden(channel, text));
        }
        if self.stopping {
            return Err(BayeuxError::busy("The daemon is ending, send it again later"));
        }
        let admit = Admit {
            work: AdmittedWork::Revert(self.pushes.held(request.module)),
            request,
            sender: scope,
            witness: Some(witness),
        };
        self.parts.clerk.order(Order::Admit(Box::new(admit)))
    }

    fn take_word(&mut self, asker: &Asker) {
        self.accept(asker);
        self.link_settled(asker);
    }

    /// True if a change of the module is on trial, and it is the one that is meant.
    fn is_on_trial(
        &self,
        module: Module,
        meant: Option<&MessageId>,
        publication: &Publication,
    ) -> Result<bool, BayeuxError> {
        let channel = publication.channel.as_str();
        let Some(cause) = self.trials.cause(module) else {
            if self.pushes.running(module).is_none() {
                return Ok(false);
            }
            let text = format!("The change of {module} is still being made, send it again once it is");
            return Err(BayeuxError::new(ErrorCode::Busy, channel, text));
        };
        if meant.is_some() && meant != cause {
            let ours = cause.map_or("one without an id", MessageId::json);
            let text = format!("Another change waits to be confirmed, expected the cause {ours}");
            return Err(BayeuxError::new(ErrorCode::Conflict, channel, text));
        }
        Ok(true)
    }
}

fn read_word(publication: &Publication) -> Result<Option<MessageId>, BayeuxError> {
    let text = publication.data.get();
    let expected = "expected an object, empty or with the `cause` of the change";
    let wrong = |_| BayeuxError::wrong("data", expected, text);
    let word: Option<Object<Word>> = serde_json::from_str(text).map_err(wrong)?;
    let cause = word.and_then(|Object(word)| word.cause);
    cause
        .map(|cause| {
            MessageId::from_raw(&cause)
                .map_err(|_| BayeuxError::wrong("data.cause", "expected a message id", cause.get()))
        })
        .transpose()
}
