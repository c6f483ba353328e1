//! Changes that may have cut the machine off: each stays only if somebody confirms it in time.
//!
//! Whoever has pushed a change over a network confirms it by being there: asked after the change was made, by a connect
//! that follows a reply of ours. Or anybody who may says so (`config/confirm/<module>`), or the contrary
//! (`config/rollback/<module>`). What nobody confirms is taken back, and so is what the daemon leaves behind when it ends.
//! A push over a Unix socket or vsock is put on trial only if it asks for that, and stays only if that is said.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use cloud_channel_protocol::server::{Input, Principal};
use cloud_channel_protocol::{
    BayeuxError, ClientId, ErrorCode, MessageId, Module, ModuleName, Object, Publication,
};
use serde::Deserialize;

use super::Driver;
use crate::clerk::Order;
use crate::job::Verdict;
use crate::journal::ArrivalNo;
use crate::link::LinkOrder;
use crate::request::{Asker, Request};
use crate::witness::Witness;

/// How long a change waits for its confirmation, unless its push says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The changes on trial: one for each module at most.
#[derive(Debug, Default)]
pub(super) struct Trials(HashMap<Module, Trial>);

#[derive(Debug)]
struct Trial {
    cause: Option<MessageId>,
    witness: Option<Witness>,
    patience: Duration,
    /// When it is over, as an uptime.
    until: Duration,
    verdict: SyncSender<Verdict>,
}

impl Trials {
    /// When the next is over.
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.values().map(|trial| trial.until).min()
    }

    /// How long a module's change may still wait.
    pub(super) fn remaining(&self, module: Module, now: Duration) -> Option<Duration> {
        self.0.get(&module).map(|trial| trial.until.saturating_sub(now))
    }

    fn awaits(&self, witness: &Witness) -> bool {
        self.0.values().any(|trial| trial.witness.as_ref() == Some(witness))
    }

    fn decide(&mut self, which: impl Fn(&Trial) -> bool, verdict: impl Fn(&Trial) -> Verdict) {
        for (module, trial) in self.0.extract_if(|_, trial| which(trial)) {
            trial.end(module, verdict(&trial));
        }
    }
}

impl Trial {
    fn end(&self, module: Module, verdict: Verdict) {
        tracing::info!(%module, ?verdict, "trial over");
        // A job that has ended waits for nothing.
        let _ended = self.verdict.try_send(verdict);
    }
}

/// What a `config/confirm` or `config/rollback` may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// The id of the push it is about, to be sure.
    #[serde(default)]
    cause: Option<Box<serde_json::value::RawValue>>,
}

impl Driver {
    /// A change is made: its trial begins.
    pub(super) fn begin_trial(&mut self, arrival: ArrivalNo, module: Module, verdict: SyncSender<Verdict>) {
        let Some(accepted) = self.pushes.running(module).filter(|running| running.arrival == arrival) else {
            return;
        };
        let (cause, asked, witness) =
            (accepted.cause.clone(), accepted.confirm_seconds, accepted.witness.clone());
        let is_remote = witness.as_ref().is_none_or(Witness::is_remote);
        if !is_remote && asked.is_none() {
            // Whoever has pushed it does not come over a network, so that nothing can be told of that from being heard.
            tracing::info!(%arrival, %module, "pushed from here, what was verified stays");
            let _ended = verdict.try_send(Verdict::Keep);
            return;
        }
        let patience = asked.map_or(PATIENCE, Duration::from_secs);
        let witness = witness.filter(|_| is_remote);
        let expected = described(witness.as_ref());
        tracing::info!(%arrival, %module, seconds = patience.as_secs(), expected, "a change is on trial");
        if let Err(error) = self.parts.clerk.order(Order::OnTrial(arrival)) {
            tracing::warn!(%arrival, %error, "a trial cannot be recorded: after a crash the change is made again");
        }
        let until = self.parts.clock.now().uptime + patience;
        self.trials.0.insert(module, Trial { cause, witness: witness.clone(), patience, until, verdict });
        if let Some(witness) = witness {
            self.ask(&witness);
        }
        if self.stopping {
            self.end_trials();
        }
    }

    /// Has a witness show that it is there.
    fn ask(&mut self, witness: &Witness) {
        if *witness == Witness::link()
            && let Some(link) = &self.parts.link
            && !link.order(LinkOrder::Probe)
        {
            tracing::warn!(endpoints = ?link.endpoints(), "the link is too busy to be asked whether it is there");
        }
        for client in self.sessions.of(witness) {
            self.input(Input::Probe { client });
        }
    }

    /// A session has begun: if it is one of those who are waited for, it is asked to stay.
    pub(super) fn greet_witness(&mut self, client: ClientId) {
        if self.sessions.witness(client).is_some_and(|witness| self.trials.awaits(witness)) {
            self.input(Input::Probe { client });
        }
    }

    /// A session has shown that it is there.
    pub(super) fn proven(&mut self, client: ClientId) {
        if let Some(witness) = self.sessions.witness(client).cloned() {
            self.vouched(&witness);
        }
    }

    /// A witness is there, both ways.
    pub(super) fn vouched(&mut self, witness: &Witness) {
        self.trials.decide(|trial| trial.witness.as_ref() == Some(witness), |_| Verdict::Keep);
    }

    /// Ends the trials whose time is over.
    pub(super) fn mind_trials(&mut self) {
        let now = self.now.uptime;
        let late = |trial: &Trial| {
            let (seconds, whom) = (trial.patience.as_secs(), described(trial.witness.as_ref()));
            Verdict::TakeBack(format!("the change was not confirmed within {seconds} s, expected {whom}"))
        };
        self.trials.decide(|trial| trial.until <= now, late);
    }

    /// Nobody is left to confirm anything.
    pub(super) fn end_trials(&mut self) {
        let verdict =
            |_: &Trial| Verdict::TakeBack("the daemon was stopped before it was confirmed".to_owned());
        self.trials.decide(|_| true, verdict);
    }

    /// Somebody who may says that a change is to stay, or to go.
    pub(super) fn judge_trial(
        &mut self,
        asker: Asker,
        who: &Principal,
        spelling: ModuleName,
        publication: &Publication,
        stays: bool,
    ) -> Result<(), BayeuxError> {
        let request = Request::read(asker, spelling, publication)?;
        let word = read_word(publication)?;
        let channel = publication.channel.as_str();
        let Some(trial) = self.trials.0.get(&request.module) else {
            let busy = self.pushes.running(request.module).is_some();
            let text = if busy {
                format!("The change of {} is still being made, send it again once it is", request.module)
            } else {
                format!("No change of {} waits to be confirmed", request.module)
            };
            let code = if busy { ErrorCode::Busy } else { ErrorCode::NotFound };
            return Err(BayeuxError::new(code, channel, text));
        };
        let other = word.is_some_and(|cause| trial.cause.as_ref() != Some(&cause));
        if other {
            let ours = trial.cause.as_ref().map_or("one without an id", MessageId::json);
            let text = format!("Another change waits to be confirmed, expected the cause {ours}");
            return Err(BayeuxError::new(ErrorCode::Conflict, channel, text));
        }
        let verdict = if stays { Verdict::Keep } else { Verdict::TakeBack(format!("`{who}` asked for it")) };
        trial.end(request.module, verdict);
        self.trials.0.remove(&request.module);
        self.accept(&request.asker);
        Ok(())
    }
}

/// What is waited for, for people.
fn described(witness: Option<&Witness>) -> String {
    match witness {
        Some(witness) => format!("{witness} to be there, or an explicit confirmation"),
        None => "an explicit confirmation".to_owned(),
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
