//! The arguments of `network`.

use clap::{Args, Subcommand};

use super::target::Target;

/// Say what is to become of the network's last change, and whether cloud-init configures the network.
///
/// A change that may have cut the machine off stays if whoever has pushed it is still there, or comes back, within 30
/// seconds (or what the push says); else it is taken back.
#[derive(Debug, Subcommand)]
pub(super) enum NetworkCommand {
    /// Keep it.
    ///
    /// Example: cloud-channel network confirm
    Confirm(WordArguments),
    /// Have cloud-init leave the network alone from now on; what it configured stays and is merged into.
    ///
    /// Example: cloud-channel network take-over
    TakeOver(FollowArguments),
    /// Have cloud-init configure the network again, at the next boot that it would.
    ///
    /// Example: cloud-channel network hand-back
    HandBack(FollowArguments),
    /// Take it back now; if none waits to be confirmed, the last one that was made.
    ///
    /// To roll back twice is to be where one was. Example: cloud-channel network rollback
    Rollback(RollbackArguments),
}

#[derive(Debug, Args)]
pub(super) struct FollowArguments {
    /// Do not wait until it is done.
    #[arg(long)]
    pub(super) no_wait: bool,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
pub(super) struct RollbackArguments {
    #[command(flatten)]
    pub(super) word: WordArguments,
    /// Do not wait until it is done.
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct WordArguments {
    /// The id of the push it is about, to be sure: another one is refused.
    #[arg(long, value_name = "ID")]
    pub(super) cause: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
}
