//! A job: one accepted push at work, on a thread of its own that ends with it.
//!
//! ```text
//! plan ──▶ Begin reported, recorded ──▶ apply ──▶ Ended reported, recorded, published
//!   └─ refused: Ended, nothing changed
//! ```
//!
//! The machine is not touched before the clerk has said that the files' present state is durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use cloud_channel_handlers::{Held, Outcome, Preimage, System, apply, config_module, put_back};
use cloud_channel_protocol::{EventResult, Module};

use crate::happening::{DriverHandle, Happening};
use crate::journal::{ArrivalNo, InboxEntry};

/// What a job tells the driver.
#[derive(Debug)]
pub(crate) enum JobReport {
    /// It has a plan and waits for the word to go.
    Begin { arrival: ArrivalNo, module: Module, preimage: Preimage, go: SyncSender<()> },
    /// It is over.
    Ended { arrival: ArrivalNo, module: Module, ending: Ending },
}

/// How a push came out.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) result: EventResult,
    /// For the finish event; no secrets.
    pub(crate) text: String,
    /// What the module holds now; `None` if nothing was applied.
    pub(crate) held: Option<Held>,
    pub(crate) took: Duration,
}

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
        let (result, text, held) =
            std::panic::catch_unwind(AssertUnwindSafe(|| self.work())).unwrap_or_else(|_| {
                failed("an internal error, see the daemon's log; look at the machine before going on")
            });
        let ending = Ending { result, text, held, took: started.elapsed() };
        let accepted = &self.entry.accepted;
        let report = JobReport::Ended { arrival: accepted.arrival, module: accepted.module, ending };
        // If the driver has ended, the push is still in the journal and will be done after the next start.
        let _told = self.driver.tell_blocking(Happening::Job(Box::new(report)));
    }

    fn work(&self) -> (EventResult, String, Option<Held>) {
        let accepted = &self.entry.accepted;
        if accepted.superseded {
            let text =
                "an earlier message sent again, and a newer one was applied in between: nothing was changed";
            return (EventResult::Success, text.to_owned(), None);
        }
        // An interrupted try may have written and not activated: only from the state before it can be told what is
        // left to do.
        if let Some(interrupted) = &self.entry.preimage
            && let Err(error) = put_back(interrupted, &*self.system)
        {
            return failed(&format!("an interrupted try could not be undone first: {error}"));
        }
        let module = config_module(accepted.module);
        let plan = match module.plan(&self.held, self.entry.payload.as_raw(), &*self.system) {
            Ok(plan) => plan,
            Err(refusal) => return failed(&refusal.to_string()),
        };
        let preimage = plan.preimage(self.entry.preimage.as_ref());
        if !self.wait_for_go(preimage.clone()) {
            return failed("it could not be recorded, so nothing was changed");
        }
        if plan.is_empty() {
            let unchanged = Outcome::Done { held: plan.held, warnings: plan.warnings };
            return ending(unchanged, "nothing to change");
        }
        ending(apply(&plan, &preimage, &*self.system), "done")
    }

    /// True once the clerk has the preimage.
    fn wait_for_go(&self, preimage: Preimage) -> bool {
        let (go, word) = sync_channel(1);
        let accepted = &self.entry.accepted;
        let report = JobReport::Begin { arrival: accepted.arrival, module: accepted.module, preimage, go };
        self.driver.tell_blocking(Happening::Job(Box::new(report))).is_ok() && word.recv().is_ok()
    }
}

/// `done` is what is said of a push that went well and has nothing to add.
fn ending(outcome: Outcome, done: &str) -> (EventResult, String, Option<Held>) {
    let text = outcome.to_string();
    match outcome {
        Outcome::Done { held, warnings } if warnings.is_empty() => {
            (EventResult::Success, done.to_owned(), Some(held))
        }
        Outcome::Done { held, .. } => (EventResult::Warn, text, Some(held)),
        Outcome::Failed { .. } => (EventResult::Fail, text, None),
    }
}

fn failed(text: &str) -> (EventResult, String, Option<Held>) {
    (EventResult::Fail, text.to_owned(), None)
}
