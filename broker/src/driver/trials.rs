//! Changes that may have cut the machine off: each stays only if somebody confirms it in time. What is said of them is in
//! `words`.
//!
//! Whoever has pushed a change over a network confirms it by being there: asked after the change was made, by a connect
//! that follows a reply of ours. Or anybody who may says so (`config/confirm/<module>`), or the contrary
//! (`config/rollback/<module>`). What nobody confirms is taken back, and so is what the daemon leaves behind when it ends.
//! A push over a Unix socket or vsock is put on trial only if it asks for that, and stays only if that is said.
//! What is done later, when devices have come, is confirmed by whoever was there before it and could be cut off.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use cloud_channel_protocol::server::Input;
use cloud_channel_protocol::{ClientId, MessageId, Module};

use super::Driver;
use crate::clerk::Order;
use crate::job::TrialEnd;
use crate::journal::{ArrivalNo, Sender, Task};
use crate::link::LinkOrder;
use crate::witness::Witness;

/// How long a change waits for its confirmation, unless its push says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The changes on trial, and who has confirmed one lately.
#[derive(Debug, Default)]
pub(super) struct Trials {
    /// One for each module at most.
    open: HashMap<Module, Trial>,
    /// Who was there after the last change of a module, without being told to say so.
    vouchers: HashMap<Module, Witness>,
    /// The message that has ended the last trial of a module, with the scope of its id.
    last_words: HashMap<Module, (Sender, MessageId)>,
}

#[derive(Debug)]
struct Trial {
    cause: Option<MessageId>,
    witness: Option<Witness>,
    patience: Duration,
    /// When it is over, as an uptime.
    until: Duration,
    /// The job, which waits for its end.
    job: SyncSender<TrialEnd>,
}

impl Trials {
    /// When the next is over.
    pub(super) fn next(&self) -> Option<Duration> {
        self.open.values().map(|trial| trial.until).min()
    }

    /// How long a module's change may still wait.
    pub(super) fn remaining(&self, module: Module, now: Duration) -> Option<Duration> {
        self.open.get(&module).map(|trial| trial.until.saturating_sub(now))
    }

    fn awaits(&self, witness: &Witness) -> bool {
        self.open.values().any(|trial| trial.witness.as_ref() == Some(witness))
    }

    fn decide(&mut self, which: impl Fn(&Trial) -> bool, how: impl Fn(&Trial) -> TrialEnd) {
        for (module, trial) in self.open.extract_if(|_, trial| which(trial)) {
            let end = how(&trial);
            if let (TrialEnd::Keep, Some(witness)) = (&end, &trial.witness) {
                self.vouchers.insert(module, witness.clone());
            }
            trial.end(module, end);
        }
    }

    /// The cause of a module's change, if one is on trial.
    pub(super) fn cause(&self, module: Module) -> Option<Option<&MessageId>> {
        self.open.get(&module).map(|trial| trial.cause.as_ref())
    }

    /// Ends a module's trial.
    pub(super) fn end(&mut self, module: Module, end: TrialEnd) {
        if let Some(trial) = self.open.remove(&module) {
            trial.end(module, end);
        }
    }

    /// Remembers what has ended a trial.
    pub(super) fn note_word(&mut self, module: Module, scope: &Sender, id: Option<&MessageId>) {
        if let Some(id) = id {
            self.last_words.insert(module, (scope.clone(), id.clone()));
        }
    }

    /// True if this is what has ended the last trial.
    pub(super) fn is_last_word(&self, module: Module, scope: &Sender, id: Option<&MessageId>) -> bool {
        let last = self.last_words.get(&module);
        last.is_some_and(|(known, last)| known == scope && Some(last) == id)
    }

    /// Who would be missed after a change of the module that nobody has pushed.
    pub(super) fn voucher(&self, module: Module) -> Option<&Witness> {
        self.vouchers.get(&module)
    }
}

impl Trial {
    fn end(&self, module: Module, end: TrialEnd) {
        tracing::info!(%module, ?end, "trial over");
        // A job that has ended waits for nothing.
        let _ended = self.job.try_send(end);
    }
}

impl Driver {
    /// A change is made: its trial begins.
    pub(super) fn begin_trial(&mut self, arrival: ArrivalNo, module: Module, job: SyncSender<TrialEnd>) {
        let Some(accepted) = self.pushes.running(module).filter(|running| running.arrival == arrival) else {
            return;
        };
        let (cause, asked, witness) =
            (accepted.cause.clone(), accepted.confirm_seconds, accepted.witness.clone());
        if accepted.task == Task::Resume && witness.is_none() {
            tracing::info!(%arrival, %module, "nobody was there who could be missed, what was verified stays");
            let _ended = job.try_send(TrialEnd::Keep);
            return;
        }
        let is_remote = witness.as_ref().is_none_or(Witness::is_remote);
        if !is_remote && asked.is_none() {
            // Whoever has pushed it does not come over a network, so that nothing can be told of that from being heard.
            tracing::info!(%arrival, %module, "pushed from here, what was verified stays");
            let _ended = job.try_send(TrialEnd::Keep);
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
        self.trials.open.insert(module, Trial { cause, witness: witness.clone(), patience, until, job });
        if let Some(witness) = witness {
            self.ask(&witness);
        }
        if self.stopping {
            self.end_trials();
        }
    }

    /// Has a witness show that it is there.
    fn ask(&mut self, witness: &Witness) {
        if *witness == Witness::Link
            && let Some(link) = &self.parts.link
            && !link.order(LinkOrder::Probe)
        {
            tracing::warn!(endpoints = ?link.endpoints(), "the link is too busy to be asked whether it is there");
        }
        for client in self.sessions.of(witness) {
            self.input(Input::Probe { client });
        }
    }

    /// Has all who come over a network show that they are there, since what was done to it may have cut them off: what is
    /// told to a dead stream would count as had, and nobody who comes back would hear of it.
    pub(super) fn ask_all_remote(&mut self) {
        for client in self.sessions.remote() {
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
        self.trials.decide(|trial| trial.witness.as_ref() == Some(witness), |_| TrialEnd::Keep);
    }

    /// Ends the trials whose time is over.
    pub(super) fn mind_trials(&mut self) {
        let now = self.now.uptime;
        let late = |trial: &Trial| {
            let (seconds, whom) = (trial.patience.as_secs(), described(trial.witness.as_ref()));
            TrialEnd::TakeBack(format!("the change was not confirmed within {seconds} s, expected {whom}"))
        };
        self.trials.decide(|trial| trial.until <= now, late);
    }

    /// Nobody is left to confirm anything.
    pub(super) fn end_trials(&mut self) {
        let stopped =
            |_: &Trial| TrialEnd::TakeBack("the daemon was stopped before it was confirmed".to_owned());
        self.trials.decide(|_| true, stopped);
    }
}

/// What is waited for, for people.
fn described(witness: Option<&Witness>) -> String {
    match witness {
        Some(witness) => format!("{witness} to be there, or an explicit confirmation"),
        None => "an explicit confirmation".to_owned(),
    }
}
