//! `run`: plays a scenario and says how it came out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use cloud_channel_protocol::{Branch, Endpoint, InstanceId, Limits, Topic};
use mgmt_sim::peer::{Peer, PeerConfig};
use mgmt_sim::scenario::{self, Direction, Link, Outcome, Scenario, StepOutcome};
use mgmt_sim::screen::{Paint, say};
use mgmt_sim::server_shell::{Management, ManagementConfig};

use super::{Ending, FAILED, failed, usage};

/// Play a scenario against a guest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mgmt-sim run hotplug-network.yaml --endpoint ws://127.0.0.1:8080/events --instance i-abc
      dial the guest that listens there
  mgmt-sim run password-reset.yaml --listen unix:///tmp/mgmt.sock --var user=ubuntu --junit report.xml
      wait for the guest that dials there, and write a report for CI

A scenario is a YAML file, see mgmt-sim/scenarios:
  name: what it shows
  direction: serve (the guest dials us), connect (we dial it), any
  patience: 10s            how long a step waits unless it says `within`
  instance: i-abc          optional, as --instance
  vars: {mac: …}           used as ${mac}; there are also ${instance} and ${last_id}
  steps:
  - wait_for: guest
  - publish: {channel: hotplug/network, data: …}
  - push: {module: network, file: message.json or data: …, generation: 7, dry_run: true, reply: ok}
  - push: {module: network, data: …, reply: {refused: part of the text}}
  - get: {module: network, answer: {part of it}}
  - expect: {channel: modules-config/*, data: [{part of it}], ext: …, within: 5s, count: 2 or none: true}
  - cut: {for: 2s}         drop the link without a goodbye
  - delay: 500ms           hold back what we send; the scenario goes on
  - duplicate: {}          send the last push again under its id
  - garbage: {send: not_json, error: part of the answer}
Every step may have a `name`, and `only: serve` or `only: connect`. A channel without a leading slash lies below
/cloudinit/<instance-id>/. In what is expected, {$contains: x}, {$absent: true} and {$any: true} stand for a part, for
nothing and for anything.")]
pub(super) struct PlayArguments {
    /// The scenario, a YAML file.
    scenario: PathBuf,
    /// Dial the guest here: ws://HOST:PORT/events, unix:///PATH, vsock://CID:PORT, hybrid-vsock:///PATH:PORT.
    #[arg(long, value_name = "URL", value_parser = |text: &str| Endpoint::parse(text), conflicts_with = "listen")]
    endpoint: Option<Endpoint>,
    /// Wait here for the guest to dial.
    #[arg(long, value_name = "URL", value_parser = |text: &str| Endpoint::parse(text))]
    listen: Option<Endpoint>,
    /// The guest's instance-id. Where guests dial us, the first one to come counts if none is given.
    #[arg(long, value_name = "ID", value_parser = |text: &str| InstanceId::parse(text))]
    instance: Option<InstanceId>,
    /// Write a JUnit report to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Give a variable of the scenario a value. Repeatable.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = name_and_value)]
    variables: Vec<(String, String)>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn run(arguments: PlayArguments) -> Ending {
    let scenario = scenario::read(&arguments.scenario, &arguments.variables).map_err(usage)?;
    let instance = instance(&arguments, &scenario).map_err(usage)?;
    let mut link = open(&arguments, &scenario, instance.as_ref()).await?;
    let paint = Paint::detect();
    say(&paint.bold(&scenario.name)).map_err(failed)?;
    let mut unheard = Ok(());
    let mut told = |step: &StepOutcome| {
        if unheard.is_ok() {
            unheard = say(&describe(step, &scenario, paint));
        }
    };
    let outcome = scenario::play(&scenario, &mut link, instance, &mut told).await.map_err(usage)?;
    unheard.map_err(failed)?;
    link.stop().await.map_err(failed)?;
    if let Some(file) = &arguments.junit {
        write_report(file, &scenario, &outcome).map_err(failed)?;
    }
    say(&summary(&outcome, paint)).map_err(failed)?;
    Ok(if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn instance(arguments: &PlayArguments, scenario: &Scenario) -> anyhow::Result<Option<InstanceId>> {
    match (&arguments.instance, &scenario.instance) {
        (Some(given), _) => Ok(Some(given.clone())),
        (None, Some(text)) => Ok(Some(InstanceId::parse(text)?)),
        (None, None) => Ok(None),
    }
}

/// Opens the link in the direction that the scenario and the command line agree on.
async fn open(
    arguments: &PlayArguments,
    scenario: &Scenario,
    instance: Option<&InstanceId>,
) -> Result<Link, (u8, anyhow::Error)> {
    let file = scenario.file.display();
    match (&arguments.endpoint, &arguments.listen, scenario.direction) {
        (Some(endpoint), _, Direction::Connect | Direction::Any) => {
            let instance =
                instance.ok_or_else(|| usage(anyhow!("whom do we talk to? give --instance ID")))?;
            let subscribe = vec![Topic::branch(instance, Branch::All)];
            let config = PeerConfig {
                endpoint: endpoint.clone(),
                subscribe,
                as_guest: None,
                limits: Limits::default(),
            };
            let peer = Peer::start(config).map_err(failed)?;
            Ok(Link::Dialled { peer, endpoint: endpoint.clone() })
        }
        (None, Some(listen), Direction::Serve | Direction::Any) => {
            let started = Management::start(std::slice::from_ref(listen), ManagementConfig::default()).await;
            let management = started.map_err(failed)?;
            for endpoint in management.endpoints() {
                say(&format!("listening on {endpoint}")).map_err(failed)?;
            }
            Ok(Link::Serving(management))
        }
        (Some(_), _, Direction::Serve) => Err(usage(anyhow!(
            "`{file}` is for guests that dial us: give --listen URL instead of --endpoint"
        ))),
        (None, Some(_), Direction::Connect) => Err(usage(anyhow!(
            "`{file}` is for a guest that we dial: give --endpoint URL instead of --listen"
        ))),
        (None, None, _) => Err(usage(anyhow!(
            "where is the guest? give --endpoint URL to dial it, or --listen URL to wait for it"
        ))),
    }
}

fn describe(step: &StepOutcome, scenario: &Scenario, paint: Paint) -> String {
    let mark = paint.mark(step.failure.is_none());
    let mut text = format!("{mark} {:>8}  {}", milliseconds(step.took), step.title);
    if let Some(failure) = &step.failure {
        text.push_str(&format!("\n    {}:{}", scenario.file.display(), step.line));
        text.push_str(&format!("\n    expected {}", failure.expected));
        for line in &failure.came {
            text.push_str(&format!("\n    came     {}", line.replace('\n', "\n             ")));
        }
    }
    text
}

fn summary(outcome: &Outcome, paint: Paint) -> String {
    let took = milliseconds(outcome.took);
    let (played, skipped) = (outcome.played.len(), outcome.skipped.len());
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} not played") };
    if outcome.is_success() {
        paint.good(&format!("{played} steps in {took}{skipped}"))
    } else {
        paint.bad(&format!("step {played} failed after {took}{skipped}"))
    }
}

fn milliseconds(time: std::time::Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn write_report(file: &Path, scenario: &Scenario, outcome: &Outcome) -> anyhow::Result<()> {
    let report = scenario::to_junit(&scenario.name, &scenario.file, outcome);
    std::fs::write(file, report).with_context(|| format!("cannot write `{}`", file.display()))
}
