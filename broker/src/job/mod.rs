//! A job: one accepted push at work, on a thread of its own that ends with it.
//!
//! ```text
//! plan ──▶ Begin reported, recorded ──▶ apply ──▶ on trial? ──▶ Ended reported, recorded, published
//!   └─ refused: Ended, nothing changed             └─ not confirmed: taken back
//! ```
//!
//! The machine is not touched before the clerk has said that the files' present state is durable.

mod ending;
mod report;
#[cfg(test)]
mod tests;
mod trial_end;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use cloud_channel_handlers::{
    Held, Outcome, Preimage, System, apply, config_module, put_back, take_back, undo,
};

pub(crate) use self::ending::Ending;
pub(crate) use self::report::JobReport;
pub(crate) use self::trial_end::TrialEnd;
use crate::happening::{DriverHandle, Happening};
use crate::journal::{InboxEntry, Task};

/// Everything a job needs.
pub(crate) struct Job {
    pub(crate) entry: InboxEntry,
    pub(crate) held: Held,
    pub(crate) system: Arc<dyn System>,
    pub(crate) driver: DriverHandle,
    /// What the log tells of it stands in there.
    pub(crate) span: tracing::Span,
}

impl Job {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives none.
    pub(crate) fn start(self) -> std::io::Result<()> {
        let name = format!("job-{}", self.entry.accepted.module);
        std::thread::Builder::new().name(name).spawn(move || self.run()).map(drop)
    }

    fn run(self) {
        let _change = self.span.clone().entered();
        let started = Instant::now();
        // A fault in a module must not leave its lane waiting for ever: it is a failure like any other.
        let ending = std::panic::catch_unwind(AssertUnwindSafe(|| self.work())).unwrap_or_else(|_| {
            Ending::failed("an internal error, see the daemon's log; look at the machine before going on")
        });
        let (accepted, took) = (&self.entry.accepted, started.elapsed());
        let report = JobReport::Ended { arrival: accepted.arrival, module: accepted.module, ending, took };
        // If the driver has ended, the push is still in the journal and will be done after the next start.
        let _told = self.driver.tell_blocking(Happening::Job(Box::new(report)));
    }

    fn work(&self) -> Ending {
        let accepted = &self.entry.accepted;
        if accepted.superseded {
            let text =
                "an earlier message sent again, and a newer one was applied in between: nothing was changed";
            return Ending::nothing_done(text);
        }
        if accepted.on_trial {
            return self.take_back_unconfirmed();
        }
        // An interrupted try may have written and not activated: only from the state before it can be told what is
        // left to do.
        if let Some(interrupted) = &self.entry.preimage
            && let Err(error) = put_back(interrupted, &*self.system)
        {
            return Ending::failed(format!("an interrupted try could not be undone first: {error}"));
        }
        let module = config_module(accepted.module);
        // What is planned names devices, which may be about to get other names.
        module.settle(&*self.system);
        let planned = match accepted.task {
            Task::Push => module.plan(&self.held, self.entry.payload.as_raw(), &*self.system),
            Task::Resume => module.resume(&self.held, &*self.system),
            Task::Revert => module.revert(&self.held, &*self.system),
        };
        let plan = match planned {
            Ok(plan) => plan,
            Err(refusal) => return self.refused(refusal.to_string()),
        };
        let preimage = plan.preimage(self.entry.preimage.as_ref());
        if !self.wait_for_go(preimage.clone()) {
            return Ending::failed("it could not be recorded, so nothing was changed");
        }
        if plan.is_empty() {
            let warnings = plan.remarks().into_iter().chain(self.undo_interrupted()).collect();
            let unchanged = Outcome::Done { warnings, held: plan.held };
            return Ending::of(unchanged, Some("nothing to change"));
        }
        let remark = match accepted.task {
            Task::Push => None,
            Task::Resume => Some("what waited for devices was applied"),
            Task::Revert => Some("the last change was taken back"),
        };
        let outcome = apply(&plan, &preimage, &*self.system);
        if !plan.is_trial || !matches!(outcome, Outcome::Done { .. }) {
            return Ending::of(outcome, remark);
        }
        match self.wait_for_trial() {
            TrialEnd::Keep => Ending::of(outcome, remark),
            TrialEnd::TakeBack(reason) => {
                let undone = undo(&plan, &preimage, &*self.system);
                Ending::of(Outcome::Failed { reason, undone }, remark)
            }
        }
    }

    /// Whoever was asked to confirm it did so to a process that is no more, or never did.
    fn take_back_unconfirmed(&self) -> Ending {
        let reason = "the daemon or the machine stopped before the change was confirmed".to_owned();
        let undone = match &self.entry.preimage {
            Some(preimage) => take_back(preimage, &*self.system),
            None => Err("what was there before is not in the journal".to_owned()),
        };
        Ending::of(Outcome::Failed { reason, undone }, None)
    }

    /// With nothing to do, nothing else undoes the commands of an interrupted try. What it was about may be gone, and is
    /// then not to be undone.
    fn undo_interrupted(&self) -> Option<String> {
        match take_back(self.entry.preimage.as_ref()?, &*self.system) {
            Ok(notes) => notes.into_iter().reduce(|one, two| format!("{one}; {two}")),
            Err(why) => Some(format!("of an interrupted try, this could not be undone: {why}")),
        }
    }

    /// Nothing is done, and what an interrupted try has done is undone.
    fn refused(&self, reason: String) -> Ending {
        match &self.entry.preimage {
            None => Ending::failed(reason),
            Some(interrupted) => {
                let undone = take_back(interrupted, &*self.system);
                Ending::of(Outcome::Failed { reason, undone }, None)
            }
        }
    }

    fn wait_for_trial(&self) -> TrialEnd {
        let (end, word) = sync_channel(1);
        let accepted = &self.entry.accepted;
        let report = JobReport::OnTrial { arrival: accepted.arrival, module: accepted.module, end };
        let told = self.driver.tell_blocking(Happening::Job(Box::new(report)));
        // Without a driver there is nobody left to confirm it.
        let word = told.ok().and_then(|()| word.recv().ok());
        word.unwrap_or_else(|| TrialEnd::TakeBack("the daemon ended before it was confirmed".to_owned()))
    }

    /// True once the clerk has the preimage.
    fn wait_for_go(&self, preimage: Preimage) -> bool {
        let (go, word) = sync_channel(1);
        let accepted = &self.entry.accepted;
        let report = JobReport::Begin { arrival: accepted.arrival, module: accepted.module, preimage, go };
        self.driver.tell_blocking(Happening::Job(Box::new(report))).is_ok() && word.recv().is_ok()
    }
}
