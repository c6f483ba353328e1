//! The command line. The daemon is `run`; the others are thin clients of its socket, or look at its files.

mod arguments;
mod client;
mod config;
mod get;
mod hotplug;
mod keys;
mod network;
mod network_arguments;
mod payload;
mod publish;
mod set;
mod status;
mod subscribe;
mod target;

use std::io::{self, Write};
use std::process::ExitCode;

pub use arguments::Arguments;
use arguments::Command;
use clap::CommandFactory;
use cloud_channel_protocol::error_chain;

use crate::settings::{LogFormat, Settings};

/// It worked.
const OK: u8 = 0;
/// It was tried and did not work, or was refused.
const FAILED: u8 = 1;
/// A configuration file or option is wrong; nothing was tried.
const CONFIGURATION: u8 = 64;

/// Carries out what the command line asks for.
#[must_use]
pub fn execute(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Run(run) => return run_daemon(run.into()),
        Command::Publish(publish) => block_on(publish::run(publish)),
        Command::Subscribe(subscribe) => block_on(subscribe::run(subscribe)),
        Command::Get(get) => block_on(get::run(get)),
        Command::Set(set) => block_on(set::run(set)),
        Command::Network(network) => block_on(network::run(network)),
        Command::Hotplug(hotplug) => block_on(hotplug::run(hotplug)),
        Command::Status(status) => block_on(status::run(status)),
        Command::Config(config) => return config::run(config),
        Command::Keys(keys) => keys::run(keys),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "cloud-channel", &mut text);
            print(&text).map(|()| OK)
        }
        Command::Man { page } => man(page.as_deref()).map(|()| OK),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error_chain(error.as_ref()));
            ExitCode::from(FAILED)
        }
    }
}

fn run_daemon(overrides: crate::settings::Overrides) -> ExitCode {
    let settings = match Settings::load(overrides) {
        Ok(settings) => settings,
        Err(error) => {
            complain(&error_chain(&error));
            return ExitCode::from(CONFIGURATION);
        }
    };
    init_log(settings.log_format);
    match crate::daemon::run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error_chain(&error));
            let configuration = error.is_configuration();
            ExitCode::from(if configuration { CONFIGURATION } else { FAILED })
        }
    }
}

/// The thin clients need a runtime of their own.
fn block_on(task: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

/// Log lines go to standard error. Under systemd they are the journal's, which adds the time itself.
fn init_log(format: LogFormat) {
    use tracing_subscriber::fmt;
    use tracing_subscriber::prelude::*;
    let level = tracing_subscriber::filter::Targets::new().with_default(tracing::Level::INFO);
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let registry = tracing_subscriber::registry().with(level);
    match format {
        LogFormat::Text => {
            registry.with(fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(colours)).init();
        }
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(io::stderr)).init(),
    }
}

/// One man page, or the main one.
fn man(page: Option<&str>) -> anyhow::Result<()> {
    let mut command = Arguments::command();
    command.build();
    let chosen = match page {
        None => command,
        Some(name) => command
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| anyhow::anyhow!("there is no subcommand `{name}`, see `cloud-channel help`"))?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(chosen).render(&mut text)?;
    print(&text)
}

/// Writes to standard output. A reader that has gone away is no error of ours.
fn print(text: &[u8]) -> anyhow::Result<()> {
    match io::stdout().write_all(text).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn print_line(line: &str) -> anyhow::Result<()> {
    print(format!("{line}\n").as_bytes())
}

/// The daemon's refusal, and the exit code for it.
fn refused(error: &str) -> u8 {
    complain(error);
    FAILED
}

#[expect(clippy::print_stderr, reason = "the command line's own errors go to standard error")]
fn complain(text: &str) {
    eprintln!("cloud-channel: {text}");
}
