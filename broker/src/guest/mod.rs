//! What this machine is and reports: its id, its boot, its waiting events.

pub(crate) mod instance;
pub(crate) mod outbox;
pub(crate) mod stages;
pub(crate) mod webhook;
