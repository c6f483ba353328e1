//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use cloud_channel_protocol::server::ReplayFrom;
use cloud_channel_protocol::{ChannelName, ChannelPattern, Endpoint, InstanceId};

use super::network_arguments::NetworkCommand;
use super::target::Target;
use crate::settings::{LogFormat, Overrides};

const EXIT_CODES: &str = "\
Exit codes:
  0   it worked
  1   it was tried and did not work, or was refused
  2   the command line is wrong
  64  a configuration file or option is wrong; nothing was tried";

/// An event-channel broker for cloud instances.
///
/// Management servers push configuration over Bayeux channels; this machine merges it with what it has, applies
/// it, proves that it works or puts everything back, and publishes start and finish events.
#[derive(Debug, Parser)]
#[command(name = "cloud-channel", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Run(RunArguments),
    Publish(PublishArguments),
    Subscribe(SubscribeArguments),
    Get(GetArguments),
    Set(SetArguments),
    #[command(subcommand)]
    Network(NetworkCommand),
    Hotplug(HotplugArguments),
    Status(StatusArguments),
    #[command(subcommand)]
    Config(ConfigCommand),
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Write a shell's completions to standard output.
    ///
    /// Example: cloud-channel completions bash > /etc/bash_completion.d/cloud-channel
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write a man page to standard output.
    ///
    /// Example: cloud-channel man run | man -l -
    Man {
        /// Of which subcommand; without it, the main page.
        page: Option<String>,
    },
}

/// Run the daemon.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cloud-channel run
      the machine itself: Unix socket, webhook on 127.0.0.1:169, vsock port 169
  cloud-channel run --connect vsock://events
      dial the host and take its pushes
  cloud-channel run --dev --root /tmp/guest --instance-id i-abc --listen ws://127.0.0.1:8080/events
      a trial without privileges: /tmp/guest plays the machine, everybody on this machine may push")]
pub(super) struct RunArguments {
    /// Let DIR play the machine: every file is read and written below it, and no command of the host runs.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The instance-id; without it cloud-init's files tell.
    #[arg(long, value_name = "ID", value_parser = |text: &str| InstanceId::parse(text))]
    instance_id: Option<InstanceId>,
    /// Where to listen: ws://HOST:PORT/events, wss:// for TLS, unix:///PATH, vsock://:PORT. Repeatable; replaces the
    /// defaults.
    #[arg(long, value_name = "URL", value_parser = |text: &str| Endpoint::parse(text))]
    listen: Vec<Endpoint>,
    /// Management server to dial: as for --listen, http:// or https:// for long-polling, vsock://events for the host.
    /// Repeatable, in order of choice.
    #[arg(long, value_name = "URL", value_parser = |text: &str| Endpoint::parse(text))]
    connect: Vec<Endpoint>,
    /// Read this file instead of /etc/cloud-channel/config.yaml and its conf.d.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Trust every peer. For trials only: listens on loopback and Unix sockets alone.
    #[arg(long)]
    dev: bool,
    /// How log lines look.
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl From<RunArguments> for Overrides {
    fn from(run: RunArguments) -> Self {
        Self {
            root: run.root,
            config: run.config,
            instance: run.instance_id,
            listen: run.listen,
            connect: run.connect,
            dev: run.dev,
            log_format: run.log_format,
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: JSON, one value a line.
    Json,
}

/// Publish one message and wait for the reply.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cloud-channel publish /custom/foobar '{\"x\":1}'
  cloud-channel publish /custom/foobar - < data.json")]
pub(super) struct PublishArguments {
    /// Where to.
    #[arg(value_parser = |text: &str| ChannelName::parse(text))]
    pub(super) channel: ChannelName,
    /// The data as JSON, or - to read it from standard input (secrets belong there: arguments can be seen by all).
    pub(super) data: String,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Print events as they happen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cloud-channel subscribe '/cloudinit/**'
  cloud-channel subscribe --since all '/cloudinit/**'
  cloud-channel subscribe --format json --count 1 '/cloudinit/i-abc/hotplug/*'")]
pub(super) struct SubscribeArguments {
    /// Channels or patterns: * for one segment, ** for the rest, as the last segment.
    #[arg(required = true, value_parser = |text: &str| ChannelPattern::parse(text))]
    pub(super) patterns: Vec<ChannelPattern>,
    /// Print what the daemon has retained first: all of it, or what came after event N (`ext.cloudinit.seq`). When the
    /// daemon is gone for a while, go on after the last event printed.
    #[arg(long, value_name = "N|all", value_parser = since)]
    pub(super) since: Option<ReplayFrom>,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// How events are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) target: Target,
}

fn since(text: &str) -> Result<ReplayFrom, String> {
    if text == "all" {
        return Ok(ReplayFrom::Oldest);
    }
    let number =
        text.parse().map_err(|_| "expected `all`, or the number of the last event known".to_owned())?;
    Ok(ReplayFrom::After(number))
}

/// Ask what a module holds and sees on this machine.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cloud-channel get network")]
pub(super) struct GetArguments {
    /// The module: network, cc_set_passwords.
    pub(super) module: String,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Push config to a module and follow it to its end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cloud-channel set network network.json
  cloud-channel set network network-config.yaml --dry-run
  cloud-channel set network network.json --confirm-within 120
  cloud-channel set network network.json --generation 7 --sign ops.pem
  cloud-channel set cc_set_passwords - < passwords.json")]
pub(super) struct SetArguments {
    /// The module: network, cc_set_passwords.
    pub(super) module: String,
    /// A file with the config as JSON or YAML, or - for standard input.
    pub(super) file: String,
    /// Refuse it if the module has this generation, or a newer one, already.
    #[arg(long, value_name = "N")]
    pub(super) generation: Option<u64>,
    /// Sign it with this private key (PEM, see `cloud-channel keys`), for guests with management keys.
    #[arg(long, value_name = "FILE", requires = "generation")]
    pub(super) sign: Option<PathBuf>,
    /// What the guest calls the key; without it, the file's name without its ending.
    #[arg(long, value_name = "NAME", requires = "sign")]
    pub(super) key_name: Option<String>,
    /// How long the signature is good.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "sign")]
    pub(super) valid_for: u64,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How long a change of the network waits to be confirmed before it is taken back; without it, 30 s.
    #[arg(long, value_name = "SECONDS", conflicts_with = "dry_run")]
    pub(super) confirm_within: Option<u64>,
    /// Return as soon as it is accepted. A change of the network that is pushed over TCP has nobody then to confirm it,
    /// and is taken back unless somebody says `network confirm`.
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) no_wait: bool,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Report hardware that has come or gone; udev rules call it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cloud-channel hotplug --nic 00:11:22:33:44:55
  cloud-channel hotplug --nic 00:11:22:33:44:55 --action remove
  cloud-channel hotplug --storage vdb --attr serial=mysql-data
  cloud-channel hotplug --udev
      in a udev rule: RUN+=\"/usr/bin/cloud-channel hotplug --udev\"")]
pub(super) struct HotplugArguments {
    #[command(flatten)]
    pub(super) what: Hardware,
    /// add or remove (or what else the kernel says).
    #[arg(long, value_name = "ACTION", conflicts_with = "udev")]
    pub(super) action: Option<String>,
    /// Further facts.
    #[arg(long = "attr", value_name = "NAME=VALUE", conflicts_with = "udev")]
    pub(super) attrs: Vec<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Hardware {
    /// A network card, by its MAC address.
    #[arg(long, value_name = "MAC")]
    pub(super) nic: Option<String>,
    /// A block device, by its kernel name.
    #[arg(long, value_name = "NAME", visible_alias = "block")]
    pub(super) storage: Option<String>,
    /// Take everything from udev's environment (udev(7)).
    #[arg(long)]
    pub(super) udev: bool,
}

/// Say how the daemon is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cloud-channel status
  cloud-channel status --wait
  cloud-channel status --wait 5 --format json")]
pub(super) struct StatusArguments {
    /// Wait until the daemon is ready, for so many seconds at most (30 if not said).
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    pub(super) wait: Option<u64>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Look at the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the files and say nothing if they are right.
    Check(ConfigArguments),
    /// Print the result, and where each value came from.
    Show(ConfigArguments),
}

#[derive(Debug, Args)]
pub(super) struct ConfigArguments {
    /// The daemon's --root.
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// The daemon's --config.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Make keys and tokens.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make an Ed25519 key that signs config, and print the line for `management-keys`.
    ///
    /// Example: cloud-channel keys generate ops.pem
    Generate {
        /// Where to write the private key; its name without the ending names the key.
        file: PathBuf,
    },
    /// Print the line for `management-keys` of a key that is there.
    Public {
        /// The private key, PEM.
        file: PathBuf,
    },
    /// Make a bearer token, print it and the line for the token file.
    ///
    /// Example: cloud-channel keys token ops
    Token {
        /// What rules call it.
        name: String,
    },
}
