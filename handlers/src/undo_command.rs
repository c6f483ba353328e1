//! A command that makes the machine act on files that are back as they were.

use serde::{Deserialize, Serialize};

use crate::presence::{await_path, is_there};
use crate::{Invocation, Step, System};

/// What undoes a command of a plan, once its files are back. It can be recorded, so that a change can be taken back by
/// somebody who never had the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UndoCommand {
    /// Run it.
    Run(Invocation),
    /// Run it if something is there by then: what it undoes may never have come.
    RunIf {
        /// What has to be there, as a path in the machine's tree.
        path: String,
        /// The command.
        command: Invocation,
    },
    /// Wait for what the commands after it speak to, as [`Step::Await`] does.
    Await {
        /// Path in the machine's tree.
        path: String,
        /// What it belongs to, for people.
        what: String,
    },
    /// Run it as [`System::regenerate`] does.
    Regenerate {
        /// The command.
        command: Invocation,
        /// The folder whose files it writes.
        folder: String,
    },
}

impl UndoCommand {
    /// Of a step; none if nothing undoes it.
    #[must_use]
    pub fn of(step: &Step) -> Option<Self> {
        match step {
            Step::Run { undo, .. } => undo.clone().map(Self::Run),
            Step::AtUndo(command) => Some(command.clone()),
            Step::Regenerate { command, folder } => {
                Some(Self::Regenerate { command: command.clone(), folder: (*folder).to_owned() })
            }
            Step::Await { path, what } => {
                Some(Self::Await { path: (*path).to_owned(), what: (*what).to_owned() })
            }
            Step::File(_) | Step::Show(_) | Step::Verify(_) => None,
        }
    }

    /// The command alone, to be run in another way.
    pub(crate) const fn command_mut(&mut self) -> Option<&mut Invocation> {
        match self {
            Self::Run(command) | Self::RunIf { command, .. } | Self::Regenerate { command, .. } => {
                Some(command)
            }
            Self::Await { .. } => None,
        }
    }

    /// Runs it; gives a note of what was passed over because it is gone.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub(crate) fn run(&self, system: &dyn System) -> Result<Option<String>, String> {
        match self {
            Self::Run(command) => command.run_on(system),
            Self::RunIf { path, command } => is_there(path, system)
                .and_then(|is_there| if is_there { command.run_on(system) } else { Ok(None) }),
            Self::Await { path, what } => await_path(path, what, system).map(|()| None),
            Self::Regenerate { command, folder } => system.regenerate(command, folder).map(|()| None),
        }
        .map_err(|error| error.to_string())
    }
}
