//! What a run has found out.

use std::fmt::Write as _;
use std::time::Duration;

use super::course::{Faults, Since};
use super::histogram::Histogram;
use super::plan::Plan;
use super::process::{Cpu, ProcessId, Server};
use super::target::Transport;
use super::workload::Workload;

/// Seconds of CPU time from which on a reading means something: the kernel counts hundredths.
const READABLE_CPU: f64 = 0.1;

/// Time spent, on the wall and on processors.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    pub(crate) elapsed: Duration,
    pub(crate) server: Option<Cpu>,
    pub(crate) generator: Cpu,
}

/// A run's result. Times are in the unit that the name says; what could not be measured is none.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Measurement {
    /// The server.
    pub url: String,
    /// How it was spoken to.
    pub transport: Transport,
    /// Who published what to whom.
    pub workload: Workload,
    /// N of the workload.
    pub sessions: usize,
    /// Messages on their way at a time.
    pub in_flight: usize,
    /// Messages in one batch, at most.
    pub batch: usize,
    /// Bytes of JSON in an event's data.
    pub size: usize,
    /// The server's processes, without their descendants.
    pub server_pids: Vec<ProcessId>,
    /// Messages published in the measurement proper.
    pub messages: u64,
    /// Events received in it.
    pub deliveries: u64,
    /// How long it took.
    pub seconds: f64,
    /// Events received in a second.
    pub deliveries_per_second: f64,
    /// CPU seconds of the server.
    pub server_cpu: Option<Cpu>,
    /// CPU seconds of the server for a million deliveries.
    pub server_cpu_per_million: Option<f64>,
    /// CPU seconds of the generator: to see that it was the cheaper side.
    pub generator_cpu: Cpu,
    /// From the write of a publish to the read of its event.
    pub latency: Option<Latency>,
    /// What opening the sessions took.
    pub opening: Opening,
    /// Connects that were answered since the sessions were open: while they were measured, or held.
    pub heartbeats: u64,
    /// The server's memory.
    pub memory: Option<Footprint>,
    /// What went wrong.
    #[serde(flatten)]
    pub faults: Faults,
    /// Sessions whose disconnect was not answered.
    pub goodbyes_missing: usize,
}

/// Percentiles, in microseconds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Latency {
    /// Half of all are faster.
    pub p50_us: f64,
    /// 99 % are.
    pub p99_us: f64,
    /// 99.9 % are.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
}

/// Opening all sessions: connection, handshake, subscription, first connect.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Opening {
    /// How long it took in all.
    pub seconds: f64,
    /// CPU time of the server for each; none if all together are too few to tell.
    pub server_cpu_us_per_session: Option<f64>,
}

/// The server's memory (`Pss`), in bytes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Footprint {
    /// Before the first session.
    pub before: u64,
    /// When all were open.
    pub open: u64,
    /// After the measurement, with all sessions still open.
    pub held: u64,
    /// Growth until then, for each session.
    pub per_session: f64,
    /// After the burst, if there was one: growth for each session.
    pub per_session_after_burst: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes of a run are far below 2^52")]
fn per(amount: f64, count: u64) -> f64 {
    amount / count as f64
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
fn growth(before: u64, after: u64, sessions: usize) -> f64 {
    per(after as f64 - before as f64, sessions as u64)
}

impl Opening {
    pub(crate) fn of(sessions: usize, elapsed: Duration, cpu: Option<Cpu>) -> Self {
        Self {
            seconds: elapsed.as_secs_f64(),
            server_cpu_us_per_session: cpu
                .filter(|cpu| cpu.total() >= READABLE_CPU)
                .map(|cpu| per(cpu.total() * 1e6, sessions as u64)),
        }
    }
}

impl Footprint {
    pub(crate) fn of(
        sessions: usize,
        before: Option<u64>,
        open: Option<u64>,
        held: Option<u64>,
        after_burst: Option<u64>,
    ) -> Option<Self> {
        let (before, open, held) = (before?, open?, held?);
        Some(Self {
            before,
            open,
            held,
            per_session: growth(before, held, sessions),
            per_session_after_burst: after_burst.map(|after| growth(before, after, sessions)),
        })
    }
}

impl Latency {
    /// The percentiles of what was counted; none if nothing was.
    #[must_use]
    pub fn of(histogram: &Histogram) -> Option<Self> {
        let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
        Some(Self {
            p50_us: microseconds(histogram.at_permille(500)?),
            p99_us: microseconds(histogram.at_permille(990)?),
            p999_us: microseconds(histogram.at_permille(999)?),
            max_us: microseconds(histogram.longest()),
        })
    }
}

/// What a run has counted, before it is put into relation.
pub(crate) struct Counts {
    pub(crate) opening: Opening,
    pub(crate) bill: Bill,
    pub(crate) since: Since,
    pub(crate) memory: Option<Footprint>,
    pub(crate) faults: Faults,
    pub(crate) heartbeats: u64,
    pub(crate) goodbyes_missing: usize,
}

impl Measurement {
    pub(crate) fn new(plan: &Plan, server: Option<&Server>, counts: Counts) -> Self {
        let Counts { opening, bill, since, memory, faults, heartbeats, goodbyes_missing } = counts;
        let (seconds, deliveries) = (bill.elapsed.as_secs_f64(), since.deliveries);
        let charged = bill.server.filter(|_| deliveries > 0);
        Self {
            url: plan.target.endpoint().to_string(),
            transport: plan.target.transport(),
            workload: plan.workload,
            sessions: plan.sessions,
            in_flight: plan.in_flight,
            batch: plan.batch,
            size: plan.size,
            server_pids: server.map(|server| server.roots().to_vec()).unwrap_or_default(),
            messages: since.messages,
            deliveries,
            seconds,
            deliveries_per_second: 1.0 / per(seconds, deliveries.max(1)),
            server_cpu: bill.server,
            server_cpu_per_million: charged.map(|cpu| per(cpu.total() * 1e6, deliveries)),
            generator_cpu: bill.generator,
            latency: Latency::of(&since.latency),
            opening,
            heartbeats,
            memory,
            faults,
            goodbyes_missing,
        }
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut row = |name: &str, value: String| {
            writeln!(table, "{name:<22} {value}").expect("a string takes every text");
        };
        row("workload", self.title());
        row("server", self.who());
        if self.workload != Workload::Idle {
            let Self { messages, deliveries, seconds, .. } = self;
            row("messages", format!("{messages}, {deliveries} deliveries in {seconds:.2} s"));
            row("deliveries per second", format!("{:.0}", self.deliveries_per_second));
        }
        if let Some(cpu) = self.server_cpu_per_million {
            row("server CPU", format!("{cpu:.2} s per million deliveries{}", self.kernel_share()));
        }
        if let (Workload::Idle, Some(cpu)) = (self.workload, self.server_cpu) {
            row(
                "server CPU",
                format!("{:.2} s in {:.1} s, {} heartbeats", cpu.total(), self.seconds, self.heartbeats),
            );
        }
        row("generator CPU", format!("{:.2} s", self.generator_cpu.total()));
        if let Some(Latency { p50_us, p99_us, p999_us, max_us }) = self.latency {
            let times = [p50_us, p99_us, p999_us, max_us].map(readable);
            row(
                "latency",
                format!("p50 {}, p99 {}, p99.9 {}, longest {}", times[0], times[1], times[2], times[3]),
            );
        }
        let cpu =
            self.opening.server_cpu_us_per_session.map(|cpu| format!(", {cpu:.0} µs of server CPU each"));
        row("opening", format!("{:.2} s{}", self.opening.seconds, cpu.unwrap_or_default()));
        if let Some(memory) = self.memory {
            row("server memory", memory.text());
        }
        let Faults { lost, duplicated, misdelivered, unanswered } = self.faults;
        row("lost, duplicated", format!("{lost}, {duplicated}"));
        if misdelivered + unanswered > 0 {
            row("misdelivered", misdelivered.to_string());
            row("publishes unanswered", unanswered.to_string());
        }
        if self.goodbyes_missing > 0 {
            row("goodbyes unanswered", self.goodbyes_missing.to_string());
        }
        table
    }

    /// What was done, in one line.
    #[must_use]
    pub fn title(&self) -> String {
        let Self { workload, sessions, in_flight, batch, size, transport, .. } = self;
        let shape = match workload {
            Workload::FanOut => format!("1 → {sessions}"),
            Workload::FanIn => format!("{sessions} → 1"),
            Workload::Targeted => format!("1 → one of {sessions}"),
            Workload::Idle => return format!("idle, {sessions} sessions over {transport}"),
        };
        let batch =
            if *batch > 1 && *in_flight > 1 { format!(", up to {batch} in a batch") } else { String::new() };
        format!("{workload}, {shape}, {in_flight} in flight{batch}, {size} bytes, {transport}")
    }

    fn who(&self) -> String {
        if self.server_pids.is_empty() {
            return format!(
                "{} (its process is not to be seen: CPU and memory are unknown, try --server-pid)",
                self.url
            );
        }
        let pids: Vec<String> = self.server_pids.iter().map(ToString::to_string).collect();
        format!("{}, pid {} and its children", self.url, pids.join(", "))
    }

    fn kernel_share(&self) -> String {
        let Some(cpu) = self.server_cpu else { return String::new() };
        if cpu.total() < READABLE_CPU {
            return ", from too little to tell: measure for longer".to_owned();
        }
        format!(", {:.0} % of it in the kernel", 100.0 * cpu.system / cpu.total())
    }
}

impl Footprint {
    fn text(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let after =
            self.per_session_after_burst.map(|bytes| format!(", {:.1} KB after the burst", bytes / 1024.0));
        format!(
            "{:.1} MB before, {:.1} MB with all sessions: {:.1} KB each{}",
            megabytes(self.before),
            megabytes(self.held),
            self.per_session / 1024.0,
            after.unwrap_or_default()
        )
    }
}

/// A time in microseconds, for people.
pub(crate) fn readable(microseconds: f64) -> String {
    match microseconds {
        ..1e3 => format!("{microseconds:.0} µs"),
        ..1e6 => format!("{:.2} ms", microseconds / 1e3),
        _ => format!("{:.2} s", microseconds / 1e6),
    }
}
