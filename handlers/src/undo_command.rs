//! A command that makes the machine act on files that are back as they were.

use serde::{Deserialize, Serialize};

use crate::{Invocation, Step, System};

/// What undoes a command of a plan, once its files are back. It can be recorded, so that a change can be taken back by
/// somebody who never had the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UndoCommand {
    /// Run it.
    Run(Invocation),
    /// Run it as [`System::regenerate`] does.
    Regenerate {
        /// The command.
        command: Invocation,
        /// The folder whose files it writes.
        folder: String,
    },
}

impl UndoCommand {
    /// Of a step; none if it runs nothing, or if nothing undoes it.
    #[must_use]
    pub fn of(step: &Step) -> Option<Self> {
        match step {
            Step::Run { undo, .. } => undo.clone().map(Self::Run),
            Step::AtUndo(command) => Some(Self::Run(command.clone())),
            Step::Regenerate { command, folder } => {
                Some(Self::Regenerate { command: command.clone(), folder: (*folder).to_owned() })
            }
            Step::File(_) | Step::Await { .. } | Step::Show(_) | Step::Verify(_) => None,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub(crate) fn run(&self, system: &dyn System) -> Result<(), String> {
        match self {
            Self::Run(command) => system.run(command).map(drop),
            Self::Regenerate { command, folder } => system.regenerate(command, folder),
        }
        .map_err(|error| error.to_string())
    }
}
