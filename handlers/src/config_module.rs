//! The one trait of this crate's modules, and the table of them.

use std::collections::{BTreeMap, BTreeSet};

use cloud_channel_protocol::Module;
use serde_json::value::RawValue;

use crate::{Held, Plan, Refusal, System, network, set_passwords};

/// A config module: it understands one kind of payload and turns it into plans.
pub trait ConfigModule: Send + Sync {
    /// Which module this is.
    fn module(&self) -> Module;

    /// Looks at a payload before it is accepted: its schema, and facts about the machine that later pushes
    /// cannot change (does the user exist?). Reads only.
    ///
    /// # Errors
    /// The first fault found, told for the sender.
    fn check(&self, payload: &RawValue, system: &dyn System) -> Result<(), Refusal>;

    /// Waits, for a bounded time, until what else sets the machine up has done what it has in hand: before anything is
    /// planned that is to be carried out. Whoever only asks does not wait.
    fn settle(&self, system: &dyn System) {
        let _ = system;
    }

    /// Merges the payload into what the module holds and says what has to be done on this machine. Reads only.
    /// The plan is empty if the machine already is as asked.
    ///
    /// # Errors
    /// If the payload cannot be applied to this machine as it is now; nothing has been changed.
    fn plan(&self, held: &Held, payload: &RawValue, system: &dyn System) -> Result<Plan, Refusal>;

    /// What of the held config waits for the machine, and what of that need not any more. Reads only.
    ///
    /// # Errors
    /// As `plan`.
    fn outlook(&self, held: &Held, system: &dyn System) -> Result<Outlook, Refusal> {
        let _ = (held, system);
        Ok(Outlook::default())
    }

    /// Plans what waits and need not any more. Reads only.
    ///
    /// # Errors
    /// As `plan`.
    fn resume(&self, held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
        let _ = system;
        Ok(Plan::nothing(held.clone()))
    }

    /// Plans the way back to what was wanted before the last change; to go back twice is to be where one was. Reads only.
    ///
    /// # Errors
    /// If there is no way back; nothing has been changed.
    fn revert(&self, held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
        let _ = (held, system);
        let module = self.module().canonical();
        Err(Refusal::at(module, "a module that remembers what was before").given(module))
    }

    /// Answers `config/get`: what the module holds and what it sees on the machine, without secrets.
    fn describe(&self, held: &Held, system: &dyn System) -> serde_json::Value;
}

/// What a module has put off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// What waits, and what each waits for, for people.
    pub waiting: BTreeMap<String, BTreeSet<String>>,
    /// What can be done now, each with what it would be done to: if a try failed, another makes sense once this is not the
    /// same any more. Empty: nothing.
    pub ready: BTreeMap<String, String>,
}

/// The implementation of a module.
#[must_use]
pub fn config_module(module: Module) -> &'static dyn ConfigModule {
    match module {
        Module::Network => &network::Network,
        Module::SetPasswords => &set_passwords::SetPasswords,
    }
}
