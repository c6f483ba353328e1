//! Carries a plan out, step by step, and undoes all of it if a step fails.
//!
//! ```text
//! step ─▶ step ─▶ … ─▶ last step ─────────────────────────▶ Done
//!   └──────┴────▶ files back ─▶ lines back ─▶ undo commands ─▶ Failed
//! ```
//!
//! The caller has made the preimage durable before it calls [`apply`]. If the machine stops in the middle, the
//! caller calls [`put_back`](crate::put_back) with that preimage, plans anew, and applies.

use std::fmt;

use crate::presence::await_path;
use crate::system::FileEdit;
use crate::undo::undo_steps;
use crate::{Held, Plan, Preimage, Step, System, Verification, network, set_passwords};

/// How a plan ended. Its `Display` is for people, and without secrets.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Every step was done and the machine was seen to be as asked.
    Done {
        /// What the module holds from now on.
        held: Held,
        /// What the sender should know all the same.
        warnings: Vec<String>,
    },
    /// A step failed.
    Failed {
        /// Which step, and why.
        reason: String,
        /// Whether the machine is as it was before, and what was passed over since it is gone; if not, why not.
        undone: Result<Vec<String>, String>,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { warnings, .. } if warnings.is_empty() => f.write_str("done"),
            Self::Done { warnings, .. } => write!(f, "done, but {}", warnings.join("; ")),
            Self::Failed { reason, undone: Ok(notes) } => {
                write!(f, "{reason}; everything was put back as it was")?;
                notes.iter().try_for_each(|note| write!(f, "; {note}"))
            }
            Self::Failed { reason, undone: Err(why) } => {
                write!(f, "{reason}; putting everything back failed as well: {why}")
            }
        }
    }
}

/// Carries out the plan. If a step fails, the machine is put back to the preimage, and the commands that ran are
/// undone in their order.
pub fn apply(plan: &Plan, preimage: &Preimage, system: &dyn System) -> Outcome {
    let mut notes = Vec::new();
    let mut done = 0;
    // Files that stand together are changed together: what makes them durable is paid for once.
    for steps in plan.steps.chunk_by(|one, other| matches!((one, other), (Step::File(_), Step::File(_)))) {
        done += steps.len();
        match take(steps, system) {
            Ok(note) => notes.extend(note),
            Err(reason) => {
                // What failed counts as done: a command that failed may have had half its effect.
                let undone = undo_steps(&plan.steps[..done], preimage, system);
                let reason = std::iter::once(reason).chain(notes).collect::<Vec<_>>().join("; ");
                return Outcome::Failed { reason, undone };
            }
        }
    }
    let warnings = plan.remarks().into_iter().chain(notes).collect();
    Outcome::Done { held: plan.held.clone(), warnings }
}

/// Takes one step, or some that change files; gives a note of what was passed over.
fn take(steps: &[Step], system: &dyn System) -> Result<Option<String>, String> {
    match steps {
        [Step::Run { command, .. }] => command.run_on(system).map_err(|error| error.to_string()),
        [Step::File(_), ..] => {
            let edits: Vec<FileEdit<'_>> = steps.iter().filter_map(edit).collect();
            system.change_files(&edits).map(|()| None).map_err(|error| error.to_string())
        }
        others => others.iter().try_for_each(|step| take_whole(step, system)).map(|()| None),
    }
}

fn edit(step: &Step) -> Option<FileEdit<'_>> {
    let Step::File(change) = step else { return None };
    Some((&change.path, change.after.as_ref()))
}

fn take_whole(step: &Step, system: &dyn System) -> Result<(), String> {
    match step {
        Step::Regenerate { command, folder } => {
            system.regenerate(command, folder).map_err(|error| error.to_string())
        }
        Step::Await { path, what } => await_path(path, what, system).map_err(|error| error.to_string()),
        // Files and commands are none of these.
        Step::AtUndo(_) | Step::Run { .. } | Step::File(_) => Ok(()),
        Step::Show(line) => system.show_on_console(line).map_err(|error| error.to_string()),
        Step::Verify(Verification::Network(expectation)) => network::verify(expectation, system),
        Step::Verify(Verification::Passwords(expectation)) => set_passwords::verify(expectation, system),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::system::MemorySystem;
    use crate::{FileChange, FileState, Invocation, LineState, Secret, UndoCommand, put_back, take_back};

    fn command(program: &'static str) -> Invocation {
        Invocation {
            program: program.into(),
            args: Vec::new(),
            stdin: None,
            deadline: Duration::from_secs(1),
            subjects: Vec::new(),
        }
    }

    fn file(path: &str, before: Option<&str>, after: Option<&str>) -> Step {
        let state = |text: &str| FileState::of_root(text, 0o644);
        let (before, after) = (before.map(state), after.map(state));
        Step::File(FileChange { path: path.into(), before, after, secret: false })
    }

    /// Replaces a file, makes one, removes one, runs a command that changes a line, and one with an undo.
    fn plan() -> Plan {
        let line = |key: &str, line: &str| LineState {
            path: "/etc/shadow".into(),
            key: key.into(),
            line: Secret::new(line),
        };
        Plan {
            steps: vec![
                file("/etc/a", Some("old\n"), Some("new\n")),
                file("/etc/b", None, Some("made\n")),
                file("/etc/c", Some("gone\n"), None),
                Step::Run { command: command("/bin/set"), undo: None },
                Step::Run { command: command("/bin/reload"), undo: Some(command("/bin/reload")) },
                Step::Show(Secret::new("shown")),
            ],
            touches: vec![line("root", "root:old:1")],
            held: Held::document(serde_json::json!({"new": true})),
            ..Plan::default()
        }
    }

    fn machine() -> MemorySystem {
        MemorySystem::new()
            .with_file("/etc/a", "old\n")
            .with_file("/etc/c", "gone\n")
            .with_file("/etc/shadow", "root:old:1\nother:x:1\n")
            .with_command("/bin/set", |_, files| {
                let shadow = files.get_mut("/etc/shadow").unwrap();
                // Another program changes another line at the same time.
                shadow.content = b"root:new:2\nother:y:2\n".to_vec();
                Ok(String::new())
            })
            .with_program("/bin/reload")
    }

    fn texts(system: &MemorySystem) -> Vec<(&'static str, Option<String>)> {
        ["/etc/a", "/etc/b", "/etc/c", "/etc/shadow"].map(|path| (path, system.text(path))).to_vec()
    }

    #[test]
    fn all_steps_done_is_done() {
        let system = machine();
        let plan = plan();
        let outcome = apply(&plan, &plan.preimage(None), &system);
        assert_eq!(outcome, Outcome::Done { held: plan.held, warnings: Vec::new() });
        assert_eq!(
            texts(&system),
            [
                ("/etc/a", Some("new\n".into())),
                ("/etc/b", Some("made\n".into())),
                ("/etc/c", None),
                ("/etc/shadow", Some("root:new:2\nother:y:2\n".into())),
            ]
        );
        assert_eq!(system.effects(), 6);
    }

    #[test]
    fn a_fault_at_any_effect_puts_everything_back() {
        for at in 1..=6 {
            for late in [false, true] {
                let (system, plan) = (machine(), plan());
                if late {
                    system.fail_late_at(at);
                } else {
                    system.fail_at(at);
                }
                let outcome = apply(&plan, &plan.preimage(None), &system);
                let Outcome::Failed { undone, .. } = &outcome else { panic!("{at}: {outcome}") };
                assert_eq!(*undone, Ok(Vec::new()), "{at}");
                let ran = at > 4 || (at == 4 && late);
                let shadow = if ran { "root:old:1\nother:y:2\n" } else { "root:old:1\nother:x:1\n" };
                let old = [("/etc/a", "old\n"), ("/etc/c", "gone\n"), ("/etc/shadow", shadow)];
                assert_eq!(system.text("/etc/b"), None, "{at}");
                for (path, text) in old {
                    assert_eq!(system.text(path).as_deref(), Some(text), "{path} at {at}, late {late}");
                }
            }
        }
    }

    #[test]
    fn undo_commands_run_after_the_files_are_back_even_for_the_command_that_failed() {
        let system = machine().with_command("/bin/reload", |_, files| {
            let now = String::from_utf8(files["/etc/a"].content.clone()).unwrap();
            if now == "new\n" { Err(format!("does not like `{}`", now.trim())) } else { Ok(String::new()) }
        });
        let plan = plan();
        let outcome = apply(&plan, &plan.preimage(None), &system);
        assert_eq!(
            outcome.to_string(),
            "`/bin/reload` failed: does not like `new`; everything was put back as it was"
        );
        let programs: Vec<String> =
            system.invocations().into_iter().map(|run| run.program.into_owned()).collect();
        assert_eq!(programs, ["/bin/set", "/bin/reload", "/bin/reload"]);
    }

    #[test]
    fn what_an_undo_needs_runs_in_its_turn_and_only_then() {
        let steps = vec![
            Step::AtUndo(UndoCommand::Run(command("/bin/raise"))),
            file("/etc/a", Some("old\n"), Some("new\n")),
        ];
        let plan = Plan { steps, ..Plan::default() };
        for fails in [false, true] {
            let system = machine().with_program("/bin/raise");
            if fails {
                system.fail_at(1);
            }
            let outcome = apply(&plan, &plan.preimage(None), &system);
            assert_eq!(matches!(outcome, Outcome::Failed { undone: Ok(_), .. }), fails, "{outcome}");
            assert_eq!(system.invocations().len(), usize::from(fails));
        }
    }

    #[test]
    fn what_has_not_started_is_waited_for_and_not_for_ever() {
        let system = machine();
        let wait = Step::Await { path: "/run/dbus/socket", what: "D-Bus" };
        let plan =
            Plan { steps: vec![file("/etc/a", Some("old\n"), Some("new\n")), wait], ..Plan::default() };
        let outcome = apply(&plan, &plan.preimage(None), &system);
        assert_eq!(
            outcome.to_string(),
            "D-Bus has not started: `/run/dbus/socket` is not there after 300s; everything was put back as it was"
        );
        assert_eq!(system.text("/etc/a").as_deref(), Some("old\n"));
        let preimage = plan.preimage(None);
        let error = take_back(&preimage, &system).unwrap_err();
        assert!(error.starts_with("D-Bus has not started"), "after a boot it may not be there yet: {error}");
        let system = system.with_file("/run/dbus/socket", "");
        assert!(matches!(apply(&plan, &preimage, &system), Outcome::Done { .. }));
        assert_eq!(take_back(&preimage, &system), Ok(Vec::new()));
    }

    #[test]
    fn an_undo_that_fails_is_told_and_does_the_rest() {
        let system = machine().with_command("/bin/reload", |_, _| Err("no".into()));
        let plan = plan();
        let outcome = apply(&plan, &plan.preimage(None), &system);
        assert_eq!(
            outcome.to_string(),
            "`/bin/reload` failed: no; putting everything back failed as well: `/bin/reload` failed: no"
        );
        assert_eq!(system.text("/etc/a").as_deref(), Some("old\n"));
    }

    #[test]
    fn a_stop_at_any_effect_is_put_back_from_the_first_preimage() {
        for at in 0..=6 {
            let (system, plan) = (machine(), plan());
            let preimage = plan.preimage(None);
            system.stop_after(at);
            // What it answers does not matter: the process is gone.
            drop(apply(&plan, &preimage, &system));
            system.restart();
            // The next plan sees the half-made state; the first preimage still knows better.
            let again =
                Plan { steps: vec![file("/etc/a", Some("half\n"), Some("new\n"))], ..Plan::default() };
            let preimage = again.preimage(Some(&preimage));
            assert_eq!(put_back(&preimage, &system), Ok(()), "{at}");
            assert_eq!(system.text("/etc/a").as_deref(), Some("old\n"), "{at}");
            assert_eq!(system.text("/etc/b"), None, "{at}");
            assert_eq!(system.text("/etc/c").as_deref(), Some("gone\n"), "{at}");
            assert!(system.text("/etc/shadow").unwrap().starts_with("root:old:1\n"), "{at}");
        }
    }

    #[test]
    fn putting_back_touches_nothing_that_stands_already() {
        let (system, plan) = (machine(), plan());
        let preimage = plan.preimage(None);
        assert_eq!(put_back(&preimage, &system), Ok(()));
        assert_eq!(system.effects(), 0);
    }

    #[test]
    fn a_preimage_survives_its_journal() {
        let preimage = plan().preimage(None);
        let json = serde_json::to_string(&preimage).unwrap();
        assert_eq!(serde_json::from_str::<Preimage>(&json).unwrap(), preimage);
    }
}
