//! Scenarios: what is sent to a guest, and what is expected of it, step by step.
//!
//! ```yaml
//! name: a plugged NIC is configured
//! direction: any              # serve: guests dial us; connect: we dial the guest; any: as the command line says
//! patience: 10s               # how long each step waits unless it says otherwise
//! vars: {mac: "00:11:22:33:44:55"}
//! steps:
//!   - wait_for: guest
//!   - push: {module: network, file: ../../specs/examples/config-set-network-hotplug.json}
//!   - expect:
//!       channel: modules-config/network
//!       data: [{event_type: finish, result: SUCCESS}]
//!       ext: {cloudinit: {cause: "${last_id}"}}
//! ```
//!
//! In texts `${name}` stands for a variable: of `vars`, of the command line, or `instance` and `last_id` (the id of
//! the last message sent). A channel that does not begin with `/` lies below `/cloudinit/${instance}/`.

mod action;
mod garbage;
mod inbox;
mod junit;
mod link;
mod outcome;
mod parse;
mod player;
mod span;
mod steps;
mod variables;

pub use action::{
    Action, Cut, Direction, Duplicate, Expect, Garbage, Get, Payload, Publish, Push, Rubbish, Verdict,
    WaitFor,
};
pub use junit::to_junit;
pub use link::Link;
pub use outcome::{Failure, Outcome, StepOutcome};
pub use parse::{ScenarioError, parse, read};
pub use player::play;
pub use span::Span;
pub use variables::Variables;

use std::path::PathBuf;

/// A scenario, read and checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// For people and reports.
    pub name: String,
    /// Who dials.
    pub direction: Direction,
    /// The guest, if the scenario is for a certain one.
    pub instance: Option<String>,
    /// How long a step waits unless it says otherwise.
    pub patience: Span,
    /// Variables and their values.
    pub variables: Variables,
    /// In order.
    pub steps: Vec<Step>,
    /// Where it was read from. Files that it names lie beside it.
    pub file: PathBuf,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What it is called in the output.
    pub title: String,
    /// Done in this direction only.
    pub only: Option<Direction>,
    /// What is done.
    pub action: Action,
}

impl Scenario {
    /// An error about a place in this scenario's file.
    #[must_use]
    pub fn error(&self, line: u64, text: impl Into<String>) -> ScenarioError {
        ScenarioError { file: self.file.clone(), line, text: text.into() }
    }
}
