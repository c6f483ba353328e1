//! Two servers under the same load in turn, and the ratio of what they cost.

use std::fmt::Write as _;

use super::measurement::{Measurement, readable};
use super::workload::Workload;

/// The rounds of two servers, pairwise: each pair was measured one right after the other.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Comparison {
    /// First the server in question, then the one that it is compared with.
    pub rounds: Vec<(Measurement, Measurement)>,
}

/// A ratio of the first server to the second: that of each round, of which these are left.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Ratio {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// One thing that is compared.
struct Metric {
    name: &'static str,
    key: &'static str,
    value: fn(&Measurement) -> Option<f64>,
    text: fn(f64) -> String,
}

const METRICS: [Metric; 8] = [
    Metric {
        name: "server CPU, s per million",
        key: "server_cpu_per_million",
        value: |m| m.server_cpu_per_million,
        text: |value| format!("{value:.2}"),
    },
    Metric {
        name: "deliveries per second",
        key: "deliveries_per_second",
        value: |m| (m.deliveries > 0).then_some(m.deliveries_per_second),
        text: |value| format!("{value:.0}"),
    },
    Metric { name: "latency p50", key: "p50_us", value: |m| m.latency.map(|l| l.p50_us), text: readable },
    Metric { name: "latency p99", key: "p99_us", value: |m| m.latency.map(|l| l.p99_us), text: readable },
    Metric { name: "latency p99.9", key: "p999_us", value: |m| m.latency.map(|l| l.p999_us), text: readable },
    Metric {
        name: "server CPU, s while held",
        key: "server_cpu_held",
        value: |m| {
            m.server_cpu
                .filter(|cpu| m.workload == Workload::Idle && cpu.total() > 0.0)
                .map(|cpu| cpu.total())
        },
        text: |value| format!("{value:.2}"),
    },
    Metric {
        name: "memory per session, KB",
        key: "memory_per_session",
        // Elsewhere it is what the traffic has left behind, more than what the sessions take.
        value: |m| {
            m.memory.filter(|_| m.workload == Workload::Idle).map(|memory| memory.per_session / 1024.0)
        },
        text: |value| format!("{value:.1}"),
    },
    Metric {
        name: "CPU to open a session",
        key: "opening_cpu_us",
        value: |m| m.opening.server_cpu_us_per_session,
        text: readable,
    },
];

impl Comparison {
    /// True if no message was lost, duplicated or misdelivered in any round.
    #[must_use]
    pub fn is_faultless(&self) -> bool {
        self.rounds.iter().all(|(first, second)| first.faults.is_none() && second.faults.is_none())
    }

    /// The ratios by name, without those that cannot be formed.
    #[must_use]
    pub fn ratios(&self) -> Vec<(&'static str, Ratio)> {
        METRICS.iter().filter_map(|metric| Some((metric.key, self.ratio(metric.value)?))).collect()
    }

    fn ratio(&self, value: fn(&Measurement) -> Option<f64>) -> Option<Ratio> {
        let of = |(first, second): &(Measurement, Measurement)| Some(value(first)? / value(second)?);
        let mut ratios: Vec<f64> =
            self.rounds.iter().filter_map(of).filter(|ratio| ratio.is_finite()).collect();
        ratios.sort_by(f64::total_cmp);
        Some(Ratio { median: median(&ratios)?, least: *ratios.first()?, most: *ratios.last()? })
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let Some((first, second)) = self.rounds.first() else { return String::new() };
        let mut table = format!("{}, {} rounds in turn\n", first.title(), self.rounds.len());
        for (name, measurement) in [("A", first), ("B", second)] {
            let pids: Vec<String> = measurement.server_pids.iter().map(ToString::to_string).collect();
            let Measurement { url, transport, .. } = measurement;
            writeln!(table, "{name} = {url} over {transport}, pid {}", pids.join(", "))
                .expect("a string takes every text");
        }
        let mut row = |name: &str, a: &str, b: &str, ratio: &str| {
            writeln!(table, "{name:<26} {a:>12} {b:>12}   {ratio}").expect("a string takes every text");
        };
        row("", "A", "B", "A / B: median (least to most)");
        for metric in &METRICS {
            let Some(ratio) = self.ratio(metric.value) else { continue };
            let side = |pick: fn(&(Measurement, Measurement)) -> &Measurement| {
                let mut values: Vec<f64> =
                    self.rounds.iter().filter_map(|round| (metric.value)(pick(round))).collect();
                values.sort_by(f64::total_cmp);
                median(&values).map(metric.text).unwrap_or_default()
            };
            let Ratio { median, least, most } = ratio;
            let ratio = format!("{median:.3} ({least:.3} to {most:.3})");
            row(metric.name, &side(|round| &round.0), &side(|round| &round.1), &ratio);
        }
        let faults = |pick: fn(&(Measurement, Measurement)) -> &Measurement| {
            let all = self.rounds.iter().map(|round| pick(round).faults);
            let (lost, again) =
                all.fold((0, 0), |sum, faults| (sum.0 + faults.lost, sum.1 + faults.duplicated));
            format!("{lost}, {again}")
        };
        row("lost, duplicated", &faults(|round| &round.0), &faults(|round| &round.1), "");
        table
    }
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
    }
}
