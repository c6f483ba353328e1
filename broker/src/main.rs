//! The `cloud-channel` binary: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use cloud_channel::commands::{Arguments, execute};

fn main() -> ExitCode {
    execute(Arguments::parse())
}
