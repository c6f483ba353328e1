//! `load`: puts load on a Bayeux server and says what a delivery costs.

use std::io::{IsTerminal as _, Stderr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use cloud_channel_protocol::{ChannelName, Endpoint, InstanceId};
use mgmt_sim::load::{
    Comparison, Measurement, Moment, Plan, ProcessId, Progress, Ratio, Server, Target, Transport, Until,
    Workload,
};
use mgmt_sim::screen::say;
use serde_json::{Map, Value, json};

use super::{Ending, FAILED, failed, usage};

/// How long is measured if nothing is said.
const DURATION: Duration = Duration::from_secs(5);
/// How long idle sessions are held if nothing is said.
const HOLD: Duration = Duration::from_secs(10);

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
}

/// Put load on a Bayeux server of any make, and measure it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mgmt-sim load fan-out ws://127.0.0.1:8080/events --sessions 1000 --in-flight 64
      one publisher, 1,000 subscribers, 64 messages on their way
  mgmt-sim load fan-out ws://127.0.0.1:8080/events --against ws://127.0.0.1:8000/faye --in-flight 64
      the same load in turn on both, and the ratio
  mgmt-sim load idle unix:///run/cloud-channel/events.sock --sessions 1000 --burst 262144
      memory of a session, and what a message of 256 KiB to each leaves behind
  mgmt-sim load targeted http://127.0.0.1:8080/events --sessions 1000 --format json
      over long-polling

Deliveries are counted exactly: a message that is lost, comes twice or comes to the wrong session makes the exit code 1.
Latency runs from the write of a publish to the read of its event, in one process, so on one clock; with many in flight it
holds the time in the queue that the load itself makes. CPU is user and system time of the server's processes and
their children, from /proc, found by the listening socket where that is permitted.")]
pub(super) struct LoadArguments {
    /// Who publishes what to whom.
    workload: Workload,
    /// The server: ws://HOST:PORT/PATH, http://HOST:PORT/PATH (long-polling), unix:///PATH.
    #[arg(value_name = "URL", value_parser = |text: &str| Endpoint::parse(text))]
    url: Endpoint,
    /// N: receivers of a fan-out, publishers of a fan-in, channels of a targeted load, idle sessions.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    sessions: usize,
    /// Messages on their way at a time; 1 waits for each to be with everybody before the next.
    #[arg(long, value_name = "M", default_value_t = 1)]
    in_flight: usize,
    /// Messages in one batch at most [default: 1 over WebSocket, all that wait over long-polling].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// End after so many messages.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    messages: Option<u64>,
    /// End after so many seconds [default: 5, for idle sessions 10].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Bytes of JSON in an event's data.
    #[arg(long, value_name = "BYTES", default_value_t = 300)]
    size: usize,
    /// Idle sessions: send each one message of so many bytes, and look at the memory again.
    #[arg(long, value_name = "BYTES")]
    burst: Option<usize>,
    /// How batches travel [default: as the URL says].
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Channels lie below this one.
    #[arg(long, value_name = "CHANNEL", default_value = "/bench", value_parser = |text: &str| ChannelName::parse(text))]
    prefix: ChannelName,
    /// Present this instance-id in handshakes, as `mgmt-sim serve` asks for.
    #[arg(long, value_name = "ID", value_parser = |text: &str| InstanceId::parse(text))]
    instance: Option<InstanceId>,
    /// The server's process, if it is not to be found by its socket.
    #[arg(long, value_name = "PID")]
    server_pid: Option<ProcessId>,
    /// Measure this server as well, in turn, and print the ratio.
    #[arg(long, value_name = "URL", value_parser = |text: &str| Endpoint::parse(text))]
    against: Option<Endpoint>,
    /// The other server's process.
    #[arg(long, value_name = "PID", requires = "against")]
    against_pid: Option<ProcessId>,
    /// The other server's transport [default: as its URL says].
    #[arg(long, value_enum, requires = "against")]
    against_transport: Option<Transport>,
    /// How often both are measured.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "against", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds without any movement after which what is missing is lost.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    patience: Duration,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| format!("expected seconds: {error}"))?;
    if time.is_zero() { Err("expected more than 0 seconds".to_owned()) } else { Ok(time) }
}

/// A server to measure: the load, and whose costs are counted.
struct Side {
    name: &'static str,
    plan: Plan,
    server: Option<Server>,
}

pub(super) fn run(arguments: &LoadArguments) -> Ending {
    let terminal = std::io::stderr().is_terminal();
    let mut progress = Progress::new(std::io::stderr(), terminal);
    let one = side("A", arguments, &arguments.url, arguments.transport, arguments.server_pid)?;
    let Some(against) = &arguments.against else {
        let measured = measure(&one, "", &mut progress)?;
        say(match arguments.format {
            Format::Text => measured.table(),
            Format::Json => json!(measured).to_string(),
        }
        .trim_end())
        .map_err(failed)?;
        return Ok(verdict(measured.faults.is_none()));
    };
    let other = side("B", arguments, against, arguments.against_transport, arguments.against_pid)?;
    let mut comparison = Comparison::default();
    for round in 1..=arguments.rounds {
        let label = |side: &Side| format!("{} {round}/{}  ", side.name, arguments.rounds);
        let first = measure(&one, &label(&one), &mut progress)?;
        comparison.rounds.push((first, measure(&other, &label(&other), &mut progress)?));
    }
    let text = match arguments.format {
        Format::Text => comparison.table(),
        Format::Json => for_programs(&comparison).to_string(),
    };
    say(text.trim_end()).map_err(failed)?;
    Ok(verdict(comparison.is_faultless()))
}

fn verdict(faultless: bool) -> ExitCode {
    if faultless { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn for_programs(comparison: &Comparison) -> Value {
    let ratios: Map<String, Value> = comparison
        .ratios()
        .into_iter()
        .map(|(name, ratio): (_, Ratio)| (name.to_owned(), json!(ratio)))
        .collect();
    json!({ "rounds": comparison.rounds, "ratios": ratios })
}

fn side(
    name: &'static str,
    arguments: &LoadArguments,
    url: &Endpoint,
    transport: Option<Transport>,
    pid: Option<ProcessId>,
) -> Result<Side, (u8, anyhow::Error)> {
    let target = Target::new(url.clone(), transport).map_err(usage)?;
    let plan = plan(arguments, target);
    plan.prepare().map_err(usage)?;
    let server = match pid {
        Some(pid) => Some(Server::of(pid).map_err(usage)?),
        None => Server::find(&plan.target),
    };
    Ok(Side { name, plan, server })
}

fn plan(arguments: &LoadArguments, target: Target) -> Plan {
    let idle = arguments.workload == Workload::Idle;
    let duration = arguments.duration.unwrap_or(if idle { HOLD } else { DURATION });
    // A burst is many messages as well, so it is not held up by waiting for each.
    let in_flight = if arguments.burst.is_some() { arguments.in_flight.max(16) } else { arguments.in_flight };
    let batch = match target.transport() {
        Transport::WebSocket => 1,
        Transport::LongPolling => in_flight,
    };
    Plan {
        target,
        workload: arguments.workload,
        sessions: arguments.sessions,
        in_flight,
        batch: arguments.batch.unwrap_or(batch),
        until: arguments.messages.map_or(Until::Elapsed(duration), Until::Messages),
        size: arguments.burst.unwrap_or(arguments.size),
        burst: arguments.burst.is_some(),
        prefix: arguments.prefix.clone(),
        instance: arguments.instance.clone(),
        patience: arguments.patience,
    }
}

fn measure(
    side: &Side,
    label: &str,
    progress: &mut Progress<Stderr>,
) -> Result<Measurement, (u8, anyhow::Error)> {
    progress.label(label.to_owned());
    let mut told = |moment: &Moment<'_>| progress.tell(moment);
    let measured = mgmt_sim::load::run(&side.plan, side.server.as_ref(), &mut told);
    progress.end();
    // Of two servers, it matters which one it was.
    let context = || format!("cannot measure {}", side.plan.target.endpoint());
    measured.with_context(context).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_more_than_none() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-1", "x", "nan", "inf", "1e300"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
