//! cloud-channel: an event-channel broker inside a cloud guest.
//!
//! Management servers push configuration over Bayeux channels; the guest merges it with what the machine has,
//! applies it, proves that it works or puts everything back, and publishes start and finish events. This crate
//! is the shell around the pure cores: sockets, tasks, the journal, the command line. `ARCHITECTURE.md` has the
//! map.

mod clerk;
mod clock;
pub mod commands;
mod conversation;
mod daemon;
mod driver;
mod footprint;
mod guest;
mod happening;
mod hotplug;
mod ids;
mod job;
pub mod journal;
mod link;
mod link_token;
mod metrics;
pub mod policy;
mod request;
mod root_file;
pub mod settings;
mod shutdown;
mod status_channel;
pub mod transport;
mod witness;

pub use clock::Clock;
pub use conversation::Conversation;
pub use daemon::{RunError, run, run_on};
pub use hotplug::{Device, NameGlob};
pub use link_token::{LinkToken, LinkTokenError};
pub use witness::{InvalidWitness, Witness};
