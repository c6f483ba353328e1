//! What a config payload means for this machine: plan, then apply.
//!
//! Everything here is synchronous. The machine is reached through the [`System`] trait alone, so that planning
//! is pure (a [`Plan`] is a value that can be shown, compared and thrown away) and every effect can be faulted
//! in a test. A module never learns of sessions, sockets or journals: the broker hands it a payload and what the
//! module holds, and gets back a plan or a [`Refusal`].
//!
//! ```text
//! payload ──check──▶ accepted or refused          (read-only, before the push is acknowledged)
//! held + payload + facts ──plan──▶ Plan           (pure; an empty plan means: nothing to do)
//! Plan ──preimage──▶ recorded by the caller       (durable, before anything is changed)
//! Plan + preimage ──apply──▶ Outcome              (write, activate, verify; undo on failure)
//! ```
//!
//! If the machine stops in the middle, the caller has the preimage: it calls [`put_back`], plans anew and applies,
//! with [`Plan::preimage`] of the new plan and the old preimage.

mod apply;
mod colon_file;
mod config_module;
mod diff;
mod held;
mod json;
mod nearest;
pub mod network;
mod plan;
mod presence;
mod refusal;
mod secret;
pub mod set_passwords;
pub mod system;
mod undo;
mod undo_command;
pub mod yaml;

pub use apply::{Outcome, apply};
pub use config_module::{ConfigModule, Outlook, config_module};
pub use held::Held;
pub use nearest::nearest;
pub use plan::{FileChange, LineState, Plan, Preimage, Step, Verification};
pub use refusal::Refusal;
pub use secret::Secret;
pub use system::{FileState, Invocation, Subject, System};
pub use undo::{put_back, take_back, undo};
pub use undo_command::UndoCommand;
