//! The command line: `serve`, `run`, `load`, `demo`.

mod demo;
mod load;
mod play;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cloud_channel_protocol::error_chain;

/// What was asked for was tried and did not come out as expected.
const FAILED: u8 = 1;
/// The command line or a scenario is wrong; nothing was tried.
const USAGE: u8 = 2;

/// A simulated management server for cloud-channel.
///
/// It plays the other side of a guest: it receives the guest's events and pushes configuration, over WebSocket on
/// TCP, Unix sockets, vsock, and the Unix sockets that machine monitors give for vsock.
#[derive(Debug, Parser)]
#[command(
    name = "mgmt-sim",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  mgmt-sim demo
      both flows, a plugged NIC and a password reset, with the real daemon in a sandbox
  mgmt-sim serve --listen ws://127.0.0.1:8080/events --on-hotplug config.json
      wait for guests (cloud-channel run --connect ws://127.0.0.1:8080/events) and configure each plugged NIC
  mgmt-sim run scenario.yaml --endpoint ws://127.0.0.1:8080/events --instance i-abc
      dial a guest and play a scenario
  mgmt-sim load fan-out ws://127.0.0.1:8080/events --sessions 1000
      measure what a delivery costs a Bayeux server

Exit codes:
  0   it worked
  1   it was tried and did not come out as expected
  2   the command line or the scenario is wrong; nothing was tried"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArguments),
    Load(load::LoadArguments),
    Run(play::PlayArguments),
    Serve(serve::ServeArguments),
}

/// What a command comes to: an exit code, or an error and its exit code.
type Ending = Result<ExitCode, (u8, anyhow::Error)>;

/// Carries out a command line.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ending = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match arguments.command {
                Command::Demo(arguments) => demo::run(arguments).await,
                // Blocks, and nothing else runs beside it.
                Command::Load(arguments) => load::run(&arguments),
                Command::Run(arguments) => play::run(arguments).await,
                Command::Serve(arguments) => serve::run(arguments).await,
            }
        }),
        Err(error) => Err((FAILED, anyhow::Error::from(error).context("cannot start the runtime"))),
    };
    match ending {
        Ok(code) => code,
        Err((code, error)) => {
            complain(&format!("mgmt-sim: {}", error_chain(error.as_ref())));
            ExitCode::from(code)
        }
    }
}

/// Writes a line to standard error. If nobody reads it, there is nowhere left to say so.
fn complain(text: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Tried, and it did not work.
fn failed(error: impl Into<anyhow::Error>) -> (u8, anyhow::Error) {
    (FAILED, error.into())
}

/// Wrong as it was asked for.
fn usage(error: impl Into<anyhow::Error>) -> (u8, anyhow::Error) {
    (USAGE, error.into())
}
