//! A plan: everything that will be done, as a value.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{FileState, Held, Invocation, Secret, UndoCommand};

/// A file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Path in the machine's tree.
    pub path: String,
    /// What is there now.
    pub before: Option<FileState>,
    /// What will be there; `None` removes it.
    pub after: Option<FileState>,
    /// True if a diff must not be shown (`/etc/shadow`).
    pub secret: bool,
}

/// One step of a plan, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Put a file in place, or remove it. Undone by putting `before` back.
    File(FileChange),
    /// Run a command. `undo` runs, after the files are back, if a later step fails.
    Run {
        /// The command.
        command: Invocation,
        /// What to run once the files are back, if anything.
        undo: Option<Invocation>,
    },
    /// Run a command that writes a folder of files anew, and again, as its undo, once the files are back. What comes
    /// out the same stays the same file.
    Regenerate {
        /// The command.
        command: Invocation,
        /// The folder, in the machine's tree.
        folder: &'static str,
    },
    /// Wait until something is there. Nothing is to be undone.
    Await {
        /// Path in the machine's tree.
        path: &'static str,
        /// What it belongs to, for people.
        what: &'static str,
    },
    /// Nothing yet: a command that an undo comes to in this step's turn, be it that later steps were never taken.
    AtUndo(UndoCommand),
    /// Show a generated password on the machine's console.
    Show(Secret),
    /// Look at the machine until it is as it should be; failing that, undo everything.
    Verify(Verification),
}

/// What must be true of the machine after a change, and how to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Links, names and addresses.
    Network(crate::network::Expectation),
    /// Lines of the shadow file.
    Passwords(crate::set_passwords::Expectation),
}

/// One line of a file of colon-separated lines that a command is going to change, as it was: a user's line in
/// `/etc/shadow`.
///
/// Lines and not the file, because other users' lines may change at the same time, and an undo must not take
/// their change back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineState {
    /// Path of the file in the machine's tree.
    pub path: String,
    /// The line's first field: which line it is.
    pub key: String,
    /// The whole line, without its newline.
    pub line: Secret,
}

/// What a push leads to on this machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// What to do, in order. Empty: the machine is as asked.
    pub steps: Vec<Step>,
    /// Lines that commands of the plan change, as they are now. Undone by putting them back.
    pub touches: Vec<LineState>,
    /// What the module will hold once the plan has been carried out.
    pub held: Held,
    /// What the sender should know, though it stops nothing: makes the result a WARN.
    pub warnings: Vec<String>,
    /// What others have configured and may stand against it; makes the result a WARN.
    pub conflicts: Vec<String>,
    /// What is not done by this plan: it waits for devices that are not there.
    pub deferred: Vec<String>,
    /// True if what is done can cut the machine off: then somebody has to confirm it.
    pub is_trial: bool,
}

/// The files as they were before a plan's first step, to be recorded durably before that step. Should the
/// machine stop in the middle, the next try undoes to this, and not to a half-made state.
///
/// It may hold `/etc/shadow`; `Debug` of [`FileState`] shows sizes only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preimage {
    /// Each file the plan changes, with its old state.
    pub files: Vec<(String, Option<FileState>)>,
    /// Each line that a command of the plan changes, as it was.
    #[serde(default)]
    pub lines: Vec<LineState>,
    /// What makes the machine act on the old files again, should nobody be left who has the plan.
    #[serde(default)]
    pub commands: Vec<UndoCommand>,
    /// True if a try that was cut short has recorded them. How far it came nobody knows, and what it has left looks to
    /// the next plan as if it had always been there: all of them run, whatever that plan has done.
    #[serde(default)]
    pub is_earlier: bool,
}

impl Plan {
    /// A plan that does nothing but remember.
    #[must_use]
    pub const fn nothing(held: Held) -> Self {
        Self {
            steps: Vec::new(),
            touches: Vec::new(),
            held,
            warnings: Vec::new(),
            conflicts: Vec::new(),
            deferred: Vec::new(),
            is_trial: false,
        }
    }

    /// Everything that the sender should know though it stops nothing.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.warnings.iter().chain(&self.conflicts).cloned().collect()
    }

    /// True if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The files it changes.
    pub fn file_changes(&self) -> impl Iterator<Item = &FileChange> {
        self.steps.iter().filter_map(|step| match step {
            Step::File(change) => Some(change),
            Step::Run { .. }
            | Step::Regenerate { .. }
            | Step::Await { .. }
            | Step::AtUndo(_)
            | Step::Show(_)
            | Step::Verify(_) => None,
        })
    }

    /// The files and lines as they are before the plan runs. `earlier` is what an interrupted try recorded: where it knows
    /// a file, it is right and the present state is not.
    #[must_use]
    pub fn preimage(&self, earlier: Option<&Preimage>) -> Preimage {
        let Preimage { mut files, mut lines, commands, .. } = earlier.cloned().unwrap_or_default();
        let mut known: BTreeSet<String> = files.iter().map(|(path, _)| path.clone()).collect();
        let new = self.file_changes().filter(|change| known.insert(change.path.clone()));
        files.extend(new.map(|change| (change.path.clone(), change.before.clone())));
        for touch in &self.touches {
            if !lines.iter().any(|line| line.path == touch.path && line.key == touch.key) {
                lines.push(touch.clone());
            }
        }
        let is_earlier = !commands.is_empty();
        let own = || self.steps.iter().filter_map(UndoCommand::of).collect();
        let commands = if is_earlier { commands } else { own() };
        Preimage { files, lines, commands, is_earlier }
    }

    /// The plan as the answer to a dry run: files with unified diffs, commands, warnings, what is deferred.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "files": self.file_changes().map(describe_file).collect::<Vec<_>>(),
            "commands": self.steps.iter().filter_map(describe_command).collect::<Vec<_>>(),
            "warnings": self.warnings,
            "conflicts": self.conflicts,
            "deferred": self.deferred,
            "trial": self.is_trial,
        })
    }
}

fn describe_file(change: &FileChange) -> Value {
    let action = match (&change.before, &change.after) {
        (_, None) => "remove",
        (None, Some(_)) => "create",
        (Some(_), Some(_)) => "replace",
    };
    let diff = if change.secret { Value::Null } else { crate::diff::unified(change).into() };
    serde_json::json!({
        "path": change.path,
        "action": action,
        "mode": change.after.as_ref().map(|file| format!("{:04o}", file.mode)),
        "diff": diff,
    })
}

fn describe_command(step: &Step) -> Option<Value> {
    let (Step::Run { command, .. } | Step::Regenerate { command, .. }) = step else { return None };
    let argv: Vec<&str> = std::iter::once(&*command.program).chain(command.full_args()).collect();
    Some(argv.into())
}
