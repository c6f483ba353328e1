//! The `cc_set_passwords` module: sets users' passwords, as cloud-init's module of that name, and more strictly.
//!
//! All of a push is applied or none of it: one unknown user refuses the whole. A push that was applied before
//! changes nothing the second time, even if the user has chosen another password since. Passwords and hashes
//! never leave this module but into `/etc/shadow`, a command's standard input, and for those made up here the
//! console. `specs/config-set-passwords.md` is what senders are promised.

use cloud_channel_protocol::Module;
use serde_json::value::RawValue;

mod accounts;
mod change;
mod crypt;
mod expectation;
mod form;
mod memory;
mod payload;
mod planning;
mod random_password;
mod steps;
mod user_name;

pub use expectation::Expectation;
pub(crate) use expectation::verify;

use crate::{ConfigModule, Held, Plan, Refusal, System};
use accounts::Accounts;
use memory::Memory;
use payload::Request;

/// The module behind `config/set/cc_set_passwords`.
#[derive(Debug, Clone, Copy)]
pub struct SetPasswords;

impl ConfigModule for SetPasswords {
    fn module(&self) -> Module {
        Module::SetPasswords
    }

    fn check(&self, payload: &RawValue, system: &dyn System) -> Result<(), Refusal> {
        let request = Request::parse(payload)?;
        Accounts::read(system)?.must_have(&request.entries)?;
        planning::must_have_programs(&request, system)
    }

    fn plan(&self, held: &Held, payload: &RawValue, system: &dyn System) -> Result<Plan, Refusal> {
        let request = Request::parse(payload)?;
        let accounts = Accounts::read(system)?;
        accounts.must_have(&request.entries)?;
        planning::plan(&request, &accounts, held, system)
    }

    fn describe(&self, held: &Held, _system: &dyn System) -> serde_json::Value {
        serde_json::json!({ "users": Memory::of(held).names().collect::<Vec<_>>() })
    }
}
