//! `demo`: both flows of the design, a plugged NIC and a password reset, with the real daemon in a sandbox.

mod changes;
mod guest;
mod machine;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use cloud_channel_protocol::{Endpoint, InstanceId, MessageId, Publication};
use mgmt_sim::push::{read_messages, readdressed};
use mgmt_sim::screen::{Paint, say};
use mgmt_sim::server_shell::{Management, ManagementConfig};

use super::{Ending, FAILED, complain, failed};
use changes::{Files, shorten_hashes};
use guest::Guest;
use machine::{MAC, Machine, NIC};
use stage::Stage;

const INSTANCE: &str = "instance-abc";
const NETWORK: &str = include_str!("../../../../specs/examples/config-set-network-hotplug.json");
const PASSWORDS: &str = include_str!("../../../../specs/examples/config-set-passwords-hash.json");

/// Play both flows with the real daemon in a sandbox, and show every event and every changed file.
///
/// A folder plays the machine: nothing outside it is touched and no privilege is needed. The management server runs
/// in this process, the daemon in one of its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo demo
      builds the daemon too
  mgmt-sim demo --keep --transport tcp
      over TCP, and leave the machine's folder for a look at it")]
pub(super) struct DemoArguments {
    /// Leave the sandbox where it is.
    #[arg(long)]
    keep: bool,
    /// Use this folder as the sandbox, which must be empty or absent, and leave it; without it a temporary one.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// What the daemon dials.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// The cloud-channel program; without it the one beside this program, which is built first under cargo.
    #[arg(long, value_name = "PATH")]
    guest: Option<PathBuf>,
    /// Show the daemon's log too.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Transport {
    /// A Unix socket in the sandbox.
    #[default]
    Unix,
    /// A TCP port of this machine's loopback.
    Tcp,
}

pub(super) async fn run(arguments: DemoArguments) -> Ending {
    let program = guest::find(arguments.guest.as_deref()).map_err(failed)?;
    let begun = Instant::now();
    let machine = Machine::make(arguments.root.as_deref(), arguments.keep).map_err(failed)?;
    let paint = Paint::detect();
    let played = play(&machine, &program, &arguments, paint).await;
    let log = machine.log();
    match &played {
        Ok(_) if arguments.verbose => {
            complain(&format!("\n{}\n{}", log.display(), guest::log_tail(&log, usize::MAX)));
        }
        Ok(_) => {}
        Err(_) => complain(&format!("\nthe end of {}:\n{}", log.display(), guest::log_tail(&log, 30))),
    }
    let place = machine.root().display().to_string();
    let kept = machine.leave().map_err(failed)?;
    if kept {
        say(&format!("the sandbox is left at {place}")).map_err(failed)?;
    }
    match played {
        Ok(times) => {
            let text = format!(
                "both flows done: NIC configured {} after it was plugged, password set {} after the push; {} in all",
                seconds(times.network),
                seconds(times.password),
                seconds(begun.elapsed())
            );
            say(&paint.good(&text)).map_err(failed)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err((FAILED, error)),
    }
}

/// How long each flow took, from its cause to its finish event.
struct Times {
    network: Duration,
    password: Duration,
}

async fn play(
    machine: &Machine,
    program: &std::path::Path,
    arguments: &DemoArguments,
    paint: Paint,
) -> anyhow::Result<Times> {
    let endpoint = match arguments.transport {
        Transport::Unix => format!("unix://{}", machine.root().join("mgmt.sock").display()),
        Transport::Tcp => "ws://127.0.0.1:0/events".to_owned(),
    };
    let management = Management::start(&[Endpoint::parse(&endpoint)?], ManagementConfig::default()).await?;
    let endpoint = management.endpoints().first().cloned().unwrap_or(endpoint);
    say(&format!("the machine is {}, the management server is {endpoint}", machine.root().display()))?;
    let before = Files::read(&machine.root().join("etc"))?;
    let guest = Guest::start(program, machine, &endpoint)?;
    let mut stage = Stage { management, guest, paint };
    let interrupted = async {
        // Without the signal there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let played = tokio::select! {
        played = flows(&mut stage, machine, program) => played,
        () = interrupted => Err(anyhow::anyhow!("interrupted")),
    };
    // The daemon first: it says goodbye over the link.
    let ended = stage.guest.stop().await;
    let stopped = stage.management.stop().await;
    let times = played?;
    ended?;
    stopped?;
    show_changes(&before, machine, paint)?;
    Ok(times)
}

async fn flows(stage: &mut Stage, machine: &Machine, program: &std::path::Path) -> anyhow::Result<Times> {
    let instance = InstanceId::parse(INSTANCE)?;
    stage.guest_is_ready(&instance).await.context("the daemon did not dial in")?;

    stage.title("1. A NIC is plugged in")?;
    let begun = Instant::now();
    machine.plug(NIC, MAC)?;
    stage.command(program, &["hotplug", "--nic", MAC, "--root"], machine.root()).await?;
    stage.hotplug(&instance, MAC).await.context("the plugged NIC was not reported")?;
    let push = message(NETWORK, &instance)?;
    stage.push(&push, "dhcp4 for the new NIC").await?;
    stage.finish(&push).await.context("the NIC was not configured")?;
    let network = begun.elapsed();
    machine.check_network()?;

    stage.title("2. A user asks for a new root password")?;
    let begun = Instant::now();
    let push = message(PASSWORDS, &instance)?;
    stage.push(&push, &shorten_hashes(push.data.get())).await?;
    stage.finish(&push).await.context("the password was not set")?;
    let password = begun.elapsed();
    machine.check_password(&expected_hash(&push)?)?;
    Ok(Times { network, password })
}

/// An example's message for this guest, under an id of its own.
fn message(example: &str, instance: &InstanceId) -> anyhow::Result<Publication> {
    let messages = read_messages(example).context("the built-in example")?;
    let [message] = messages.as_slice() else {
        bail!("the built-in example holds {} messages", messages.len())
    };
    Ok(readdressed(message, instance))
}

/// The hash in the push: what `/etc/shadow` must hold afterwards.
fn expected_hash(push: &Publication) -> anyhow::Result<String> {
    let data: serde_json::Value = serde_json::from_str(push.data.get())?;
    let entry = data.pointer("/chpasswd/list/0").and_then(serde_json::Value::as_str);
    let hash = entry.and_then(|entry| entry.strip_prefix("root:"));
    hash.map(str::to_owned).context("the built-in example sets no password of root")
}

fn show_changes(before: &Files, machine: &Machine, paint: Paint) -> anyhow::Result<()> {
    let after = Files::read(&machine.root().join("etc"))?;
    say(&format!("\n{}", paint.bold("What has changed on the machine")))?;
    for diff in before.diffs(&after, paint) {
        say(&diff)?;
    }
    Ok(())
}

/// The id as people see it.
fn id_text(publication: &Publication) -> String {
    publication.id.as_ref().map(MessageId::text).unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.0} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}
