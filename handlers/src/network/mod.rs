//! The `network` module: network-config version 1 or 2, pushed in parts, merged into what the machine has.
//!
//! ```text
//! payload ─▶ document/ (schema, version 1 made version 2) ─▶ planning/ (merge, divide, compare) ─▶ renderer/ ─▶ files
//!            machine/ (links), held, or what cloud-init left ──┘                            └─▶ activation/ ─▶ expectation/
//! ```
//!
//! A document knows neither machine nor renderer; a renderer knows no plan. A renderer is one file, or folder: it says what
//! cloud-init left in its format, what else defines a device, and what the files are. How files come into effect is `activation`,
//! where each network stack has a file: two renderers may end in the same stack.

mod activation;
mod document;
mod expectation;
mod machine;
mod planning;
mod renderer;
mod scene;

use cloud_channel_protocol::Module;
use serde_json::Value;
use serde_json::value::RawValue;

pub use expectation::Expectation;
pub(crate) use expectation::verify;

use crate::json::{self, JsonError};
use crate::{ConfigModule, Held, Outlook, Plan, Refusal, System};
use document::push::Push;
use document::renderer_key;
use machine::udev;
use renderer::choice;

/// The module behind `config/set/network`.
#[derive(Debug)]
pub struct Network;

impl ConfigModule for Network {
    fn module(&self) -> Module {
        Module::Network
    }

    /// Schema, and whether this machine's renderer is one that we serve. What a push refers to is judged by
    /// `plan`, when what it is merged into is known.
    fn check(&self, payload: &RawValue, system: &dyn System) -> Result<(), Refusal> {
        let push = Push::read(&parse(payload)?)?.alone()?;
        let kind = choice::choose(system)?.kind();
        renderer_key::check(&push.document, push.path, kind.backend(), kind.name())
    }

    fn settle(&self, system: &dyn System) {
        udev::settle(system);
    }

    fn plan(&self, held: &Held, payload: &RawValue, system: &dyn System) -> Result<Plan, Refusal> {
        planning::plan(held, &parse(payload)?, system)
    }

    fn outlook(&self, held: &Held, system: &dyn System) -> Result<Outlook, Refusal> {
        planning::outlook(held, system)
    }

    fn resume(&self, held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
        planning::resume(held, system)
    }

    fn revert(&self, held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
        planning::revert(held, system)
    }

    /// `renderer` (or `null`, with `problem`), `desired`, `applied`, `waiting`, `files`, `links`, `observed` (`null` if there is
    /// no kernel to ask).
    fn describe(&self, held: &Held, system: &dyn System) -> Value {
        planning::describe(held, system)
    }
}

/// The envelope is JSON already, or it would not have come this far; a key that is there twice, or a number too large for
/// any type, may still fail.
fn parse(payload: &RawValue) -> Result<Value, Refusal> {
    json::read(payload).map_err(|error| match error {
        JsonError::Twice { path, key } => Refusal::at(path, "each key of a map once").given(key),
        JsonError::Unreadable(text) => Refusal::at("network", "a JSON document").given(text),
    })
}
