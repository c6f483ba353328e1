//! A load generator for Bayeux servers of any make: what a delivery costs, how long it takes, and that none is lost.
//!
//! ```text
//! Plan ─▶ run ─▶ Generator ── Client ── Session   what is asked next, what replies come to
//!          │        │            └───── Wire      WebSocket frames or HTTP over a Socket
//!          │        └── Course                    numbers: lost, duplicated, latency
//!          └── Server                             CPU and memory of the processes under load
//! ```
//!
//! The generator speaks the protocol by itself, without the cores of `cloud-channel-protocol`: it measures servers made
//! with them, and it has to cost much less than they do.

mod comparison;
mod course;
mod error;
mod frame;
mod generator;
mod histogram;
mod http;
mod measurement;
mod outbox;
mod owner;
mod plan;
mod poller;
mod process;
mod progress;
mod run;
mod session;
mod socket;
mod stamp;
mod tally;
mod target;
mod window;
mod wire;
mod workload;

pub use comparison::{Comparison, Ratio};
pub use course::{Faults, Since};
pub use error::LoadError;
pub use histogram::Histogram;
pub use measurement::{Footprint, Latency, Measurement, Opening};
pub use plan::{Plan, Until};
pub use process::{Cpu, ProcessId, Server};
pub use progress::Progress;
pub use run::{Moment, run};
pub use target::{Target, Transport};
pub use workload::Workload;
