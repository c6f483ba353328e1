//! The one trait of this crate's modules, and the table of them.

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

    /// Merges the payload into what the module holds and says what has to be done on this machine. Reads only.
    /// The plan is empty if the machine already is as asked.
    ///
    /// # Errors
    /// If the payload cannot be applied to this machine as it is now; nothing has been changed.
    fn plan(&self, held: &Held, payload: &RawValue, system: &dyn System) -> Result<Plan, Refusal>;

    /// Answers `config/get`: what the module holds and what it sees on the machine, without secrets.
    fn describe(&self, held: &Held, system: &dyn System) -> serde_json::Value;
}

/// The implementation of a module.
#[must_use]
pub fn config_module(module: Module) -> &'static dyn ConfigModule {
    match module {
        Module::Network => &network::Network,
        Module::SetPasswords => &set_passwords::SetPasswords,
    }
}
