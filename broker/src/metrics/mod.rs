//! What can be measured: the driver takes a [`Snapshot`], and it is told as Prometheus text on `/metrics` and for
//! people by `cloud-channel status`. `specs/metrics.md` is the contract.
//!
//! - `snapshot` is what is known at one moment, `process` what the kernel knows of us.
//! - `families` says which figures there are and what they are called; `exposition` is the text format.
//! - `page` answers requests.

mod exposition;
mod families;
pub(crate) mod page;
mod process;
mod snapshot;

pub(crate) use process::ProcessFigures;
pub(crate) use snapshot::{ChangeFigures, Depth, EventFigures, LinkFigures, Reader, Results, Snapshot};
