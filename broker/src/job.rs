//! A job: one accepted push at work, on a thread of its own that ends with it.
//!
//! ```text
//! plan ──▶ Begin reported, recorded ──▶ apply ──▶ on trial? ──▶ Ended reported, recorded, published
//!   └─ refused: Ended, nothing changed             └─ not confirmed: taken back
//! ```
//!
//! The machine is not touched before the clerk has said that the files' present state is durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use cloud_channel_handlers::{
    Held, Outcome, Preimage, System, apply, config_module, put_back, take_back, undo,
};
use cloud_channel_protocol::{EventResult, Module};

use crate::happening::{DriverHandle, Happening};
use crate::journal::{ArrivalNo, InboxEntry, Task};

/// What a job tells the driver.
#[derive(Debug)]
pub(crate) enum JobReport {
    /// It has a plan and waits for the word to go.
    Begin { arrival: ArrivalNo, module: Module, preimage: Preimage, go: SyncSender<()> },
    /// Everything is done, and it may have cut the machine off: it waits for the verdict.
    OnTrial { arrival: ArrivalNo, module: Module, verdict: SyncSender<Verdict> },
    /// It is over.
    Ended { arrival: ArrivalNo, module: Module, ending: Ending },
}

/// What becomes of a change that was on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The machine can still be reached, or somebody says so.
    Keep,
    /// It is taken back, for this reason.
    TakeBack(String),
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
        if accepted.on_trial {
            return self.take_back_unconfirmed();
        }
        // An interrupted try may have written and not activated: only from the state before it can be told what is
        // left to do.
        if let Some(interrupted) = &self.entry.preimage
            && let Err(error) = put_back(interrupted, &*self.system)
        {
            return failed(&format!("an interrupted try could not be undone first: {error}"));
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
            return failed("it could not be recorded, so nothing was changed");
        }
        if plan.is_empty() {
            let warnings = plan.remarks().into_iter().chain(self.undo_interrupted()).collect();
            let unchanged = Outcome::Done { warnings, held: plan.held };
            return ending(unchanged, "nothing to change");
        }
        let done = match accepted.task {
            Task::Push => "done",
            Task::Resume => "what waited for devices was applied",
            Task::Revert => "the last change was taken back",
        };
        let outcome = apply(&plan, &preimage, &*self.system);
        if !plan.is_trial || !matches!(outcome, Outcome::Done { .. }) {
            return ending(outcome, done);
        }
        match self.wait_for_verdict() {
            Verdict::Keep => ending(outcome, done),
            Verdict::TakeBack(reason) => {
                let undone = undo(&plan, &preimage, &*self.system);
                ending(Outcome::Failed { reason, undone }, done)
            }
        }
    }

    /// Whoever was asked to confirm it did so to a process that is no more, or never did.
    fn take_back_unconfirmed(&self) -> (EventResult, String, Option<Held>) {
        let reason = "the daemon or the machine stopped before the change was confirmed".to_owned();
        let undone = match &self.entry.preimage {
            Some(preimage) => take_back(preimage, &*self.system),
            None => Err("what was there before is not in the journal".to_owned()),
        };
        ending(Outcome::Failed { reason, undone }, "done")
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
    fn refused(&self, reason: String) -> (EventResult, String, Option<Held>) {
        match &self.entry.preimage {
            None => failed(&reason),
            Some(interrupted) => {
                let undone = take_back(interrupted, &*self.system);
                ending(Outcome::Failed { reason, undone }, "done")
            }
        }
    }

    fn wait_for_verdict(&self) -> Verdict {
        let (verdict, word) = sync_channel(1);
        let accepted = &self.entry.accepted;
        let report = JobReport::OnTrial { arrival: accepted.arrival, module: accepted.module, verdict };
        let told = self.driver.tell_blocking(Happening::Job(Box::new(report)));
        // Without a driver there is nobody left to confirm it.
        let word = told.ok().and_then(|()| word.recv().ok());
        word.unwrap_or_else(|| Verdict::TakeBack("the daemon ended before it was confirmed".to_owned()))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cloud_channel_handlers::system::MemorySystem;
    use cloud_channel_handlers::{FileState, Invocation, UndoCommand};
    use serde_json::value::RawValue;

    use super::*;
    use crate::journal::{Accepted, ArrivalNo, Digest, Payload, Sender};

    fn command(program: &'static str) -> Invocation {
        let deadline = Duration::from_secs(1);
        Invocation { program: program.into(), args: Vec::new(), stdin: None, deadline, subjects: Vec::new() }
    }

    /// A push that was done and waited to be confirmed when everything stopped.
    fn left_on_trial(preimage: Option<Preimage>) -> InboxEntry {
        let payload = Payload::from(RawValue::from_string("{}".to_owned()).unwrap());
        InboxEntry {
            accepted: Accepted {
                task: Task::Push,
                arrival: ArrivalNo::default(),
                module: Module::Network,
                spelling: Module::Network.into(),
                cause: None,
                sender: Sender::parse("s").unwrap(),
                digest: Digest::of(&payload),
                generation: None,
                confirm_seconds: None,
                witness: None,
                arrived_ms: 0,
                started: true,
                on_trial: true,
                superseded: false,
            },
            payload,
            preimage,
        }
    }

    /// Works on an entry that is to change nothing of what the module holds.
    fn work_on(entry: InboxEntry, system: &Arc<MemorySystem>) -> (EventResult, String) {
        let (result, text, held) = work_to_its_end(entry, system);
        assert_eq!(held, None, "the module holds what it held before");
        (result, text)
    }

    /// Works, with a driver that records what it is told.
    fn work_to_its_end(entry: InboxEntry, system: &Arc<MemorySystem>) -> (EventResult, String, Option<Held>) {
        let (driver, mut happenings) = DriverHandle::new();
        let (held, span) = (Held::nothing(), tracing::Span::none());
        let job = Job { entry, held, system: system.clone(), driver, span };
        let worker = std::thread::spawn(move || job.work());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        while let Some(happening) = runtime.block_on(happenings.next()) {
            if let Happening::Job(report) = happening
                && let JobReport::Begin { go, .. } = *report
            {
                go.send(()).unwrap();
            }
        }
        worker.join().unwrap()
    }

    #[test]
    fn what_was_on_trial_at_a_crash_is_taken_back_with_its_commands() {
        let seen = |_: &Invocation, files: &mut BTreeMap<String, FileState>| {
            let text = String::from_utf8(files["/etc/a"].content.clone()).unwrap();
            if text == "old" { Ok(String::new()) } else { Err(format!("the file says {text}")) }
        };
        let machine = MemorySystem::new()
            .with_file("/etc/a", "new")
            .with_file("/etc/b", "made")
            .with_program("/bin/generate")
            .with_command("/bin/reload", seen);
        let system = Arc::new(machine);
        let preimage = Preimage {
            files: vec![
                ("/etc/a".to_owned(), Some(FileState::of_root("old", 0o644))),
                ("/etc/b".to_owned(), None),
            ],
            lines: Vec::new(),
            commands: vec![
                UndoCommand::Regenerate { command: command("/bin/generate"), folder: "/run/x".to_owned() },
                UndoCommand::Run(command("/bin/reload")),
            ],
            is_earlier: false,
        };
        // As the journal keeps it.
        let kept = serde_json::to_string(&preimage).unwrap();
        let preimage = serde_json::from_str(&kept).unwrap();
        let (result, text) = work_on(left_on_trial(Some(preimage)), &system);
        assert_eq!(result, EventResult::Fail);
        assert!(text.contains("stopped before the change was confirmed; everything was put back"), "{text}");
        assert_eq!((system.text("/etc/a").as_deref(), system.text("/etc/b")), (Some("old"), None));
        let programs: Vec<String> =
            system.invocations().into_iter().map(|run| run.program.into_owned()).collect();
        assert_eq!(programs, ["/bin/generate", "/bin/reload"]);
    }

    #[test]
    fn nothing_is_planned_before_udev_has_named_the_cards() {
        for task in [Task::Push, Task::Resume, Task::Revert] {
            let machine = MemorySystem::new().with_program("/usr/sbin/netplan");
            let settled = Arc::new(machine);
            let mut entry = left_on_trial(None);
            entry.accepted.on_trial = false;
            entry.accepted.task = task;
            work_to_its_end(entry.clone(), &settled);
            assert_eq!(settled.paused(), Duration::ZERO, "{task:?}");
            let busy = MemorySystem::new().with_program("/usr/sbin/netplan").with_file("/run/udev/queue", "");
            let busy = Arc::new(busy);
            work_to_its_end(entry, &busy);
            assert_eq!(busy.paused(), Duration::from_secs(20), "{task:?}: for long enough, and no longer");
        }
    }

    #[test]
    fn what_an_interrupted_try_did_is_undone_if_its_push_is_refused_now() {
        let system = Arc::new(MemorySystem::new().with_file("/etc/a", "new").with_program("/bin/reload"));
        let preimage = Preimage {
            files: vec![("/etc/a".to_owned(), Some(FileState::of_root("old", 0o644)))],
            commands: vec![UndoCommand::Run(command("/bin/reload"))],
            ..Preimage::default()
        };
        let mut entry = left_on_trial(Some(preimage));
        entry.accepted.on_trial = false;
        // There is no renderer on this machine any more.
        let (result, text) = work_on(entry, &system);
        assert_eq!(result, EventResult::Fail);
        assert!(text.contains("expected a machine that has netplan"), "{text}");
        assert!(text.contains("everything was put back"), "{text}");
        assert_eq!(system.text("/etc/a").as_deref(), Some("old"));
        assert_eq!(system.invocations().len(), 1);
    }

    #[test]
    fn what_an_interrupted_try_did_is_undone_if_its_card_is_gone_now() {
        let machine = MemorySystem::new()
            .with_program("/usr/sbin/netplan")
            .with_file("/sys/class/net/eth0/address", "52:54:00:00:00:01\n")
            .with_command("/bin/reload", |_, _| Err("no link lan0".to_owned()));
        let system = Arc::new(machine);
        let preimage =
            Preimage { commands: vec![UndoCommand::Run(command("/bin/reload"))], ..Preimage::default() };
        let mut entry = left_on_trial(Some(preimage));
        entry.accepted.on_trial = false;
        let lan = r#"{"version": 2, "ethernets": {"lan": {"match": {"macaddress": "00:11:22:33:44:55"}}}}"#;
        entry.payload = Payload::from(RawValue::from_string(lan.to_owned()).unwrap());
        let (result, text, held) = work_to_its_end(entry, &system);
        assert_eq!(result, EventResult::Warn);
        assert!(text.contains("`lan` waits until it is there"), "{text}");
        assert!(text.contains("this could not be undone: `/bin/reload` failed: no link lan0"), "{text}");
        assert!(held.is_some(), "the push is not lost");
    }

    #[test]
    fn what_cannot_be_taken_back_is_told() {
        let (result, text) = work_on(left_on_trial(None), &Arc::new(MemorySystem::new()));
        assert_eq!(result, EventResult::Fail);
        assert!(text.contains("putting everything back failed as well"), "{text}");
    }
}
