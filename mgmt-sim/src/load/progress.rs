//! How a run is getting on, while it does: one line that is written over on a terminal, a line now and then elsewhere.

use std::io::Write;
use std::time::{Duration, Instant};

use super::measurement::{Latency, readable};
use super::run::Moment;

const ON_TERMINALS: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(2);
/// Returns to the line's beginning and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// Tells of progress.
#[derive(Debug)]
pub struct Progress<W> {
    out: W,
    terminal: bool,
    label: String,
    pause: Duration,
    due: Instant,
    shown: bool,
}

impl<W: Write> Progress<W> {
    /// Writes to `out`, which is a terminal or not.
    pub fn new(out: W, terminal: bool) -> Self {
        let pause = if terminal { ON_TERMINALS } else { ELSEWHERE };
        // A run that is over by then needs no progress.
        Self { out, terminal, label: String::new(), pause, due: Instant::now() + pause, shown: false }
    }

    /// Puts a label before every line from now on.
    pub fn label(&mut self, label: String) {
        self.label = label;
    }

    /// Tells of a moment, unless the last one was told just now.
    pub fn tell(&mut self, moment: &Moment<'_>) {
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now + self.pause;
        self.shown = true;
        let line = format!("{}{}", self.label, text(moment));
        // Progress that cannot be shown is no reason to stop measuring.
        drop(if self.terminal { write!(self.out, "{CLEAR}{line}") } else { writeln!(self.out, "{line}") });
        drop(self.out.flush());
    }

    /// Clears the line.
    pub fn end(&mut self) {
        if self.terminal && std::mem::take(&mut self.shown) {
            drop(write!(self.out, "{CLEAR}"));
            drop(self.out.flush());
        }
    }
}

fn text(moment: &Moment<'_>) -> String {
    match moment {
        Moment::Opening { open, sessions } => format!("opening   {open} of {sessions} sessions"),
        Moment::Leaving { left, sessions } => format!("leaving   {left} of {sessions} sessions"),
        Moment::Holding { heartbeats, elapsed, whole } => {
            let (elapsed, whole) = (elapsed.as_secs_f64(), whole.as_secs_f64());
            format!("holding   {elapsed:.1} of {whole:.1} s, {heartbeats} heartbeats")
        }
        Moment::Running { warming_up, since, elapsed } => {
            let what = if *warming_up { "warming up" } else { "measuring" };
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = since.deliveries as f64 / elapsed.as_secs_f64().max(1e-9);
            let latency = Latency::of(&since.latency).map(|latency| {
                let Latency { p50_us, p99_us, p999_us, .. } = latency;
                let [p50, p99, p999] = [p50_us, p99_us, p999_us].map(readable);
                format!("   p50 {p50}   p99 {p99}   p99.9 {p999}")
            });
            let seconds = elapsed.as_secs_f64();
            format!("{what:<10} {seconds:5.1} s   {rate:9.0} deliveries/s{}", latency.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::course::Since;

    fn shown(terminal: bool) -> String {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, terminal);
        progress.tell(&Moment::Opening { open: 0, sessions: 2 });
        progress.due = Instant::now();
        progress.label("A 1/3  ".to_owned());
        let mut since = Since { messages: 10, deliveries: 1_000, ..Since::default() };
        since.latency.record(250_000);
        progress.tell(&Moment::Running { warming_up: false, since: &since, elapsed: Duration::from_secs(2) });
        // Too soon to be told, as the first one was.
        progress.tell(&Moment::Leaving { left: 1, sessions: 2 });
        progress.end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_line() {
        let line =
            "A 1/3  measuring    2.0 s         500 deliveries/s   p50 250 µs   p99 250 µs   p99.9 250 µs";
        assert_eq!(shown(false), format!("{line}\n"));
        assert_eq!(shown(true), format!("{CLEAR}{line}{CLEAR}"));
    }
}
