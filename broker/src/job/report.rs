//! What a job tells the driver.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use cloud_channel_handlers::Preimage;
use cloud_channel_protocol::Module;

use super::{Ending, TrialEnd};
use crate::journal::ArrivalNo;

/// What a job tells the driver.
#[derive(Debug)]
pub(crate) enum JobReport {
    /// It has a plan and waits for the word to go.
    Begin { arrival: ArrivalNo, module: Module, preimage: Preimage, go: SyncSender<()> },
    /// Everything is done, and it may have cut the machine off: it waits for the end of its trial.
    OnTrial { arrival: ArrivalNo, module: Module, end: SyncSender<TrialEnd> },
    /// It is over.
    Ended { arrival: ArrivalNo, module: Module, ending: Ending, took: Duration },
}
