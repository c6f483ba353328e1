//! One run: open the sessions, warm up, measure, take leave.

use std::time::{Duration, Instant};

use super::course::Since;
use super::error::LoadError;
use super::generator::Generator;
use super::measurement::{Bill, Counts, Footprint, Measurement, Opening};
use super::plan::{Plan, Until};
use super::process::{Cpu, Server};
use super::workload::Workload;

/// Sessions that are being opened, or are leaving, at a time: below the backlog of every server's listener, and below
/// what ours lets wait without a session.
const AT_ONCE: usize = 64;
/// Longest turn: how often progress is told and deadlines are looked at.
const TURN: Duration = Duration::from_millis(50);
/// How long events that come again are waited for.
const LINGER: Duration = Duration::from_millis(100);
/// How long the last sessions may take to leave.
const GOODBYE: Duration = Duration::from_secs(5);

/// What a run is doing.
#[derive(Debug)]
pub enum Moment<'a> {
    /// Sessions are being opened.
    Opening {
        /// How many are open.
        open: usize,
        /// How many there will be.
        sessions: usize,
    },
    /// Messages go back and forth.
    Running {
        /// True before the measurement proper.
        warming_up: bool,
        /// What has been counted.
        since: &'a Since,
        /// For how long.
        elapsed: Duration,
    },
    /// Sessions are held.
    Holding {
        /// Connects answered so far.
        heartbeats: u64,
        /// For how long.
        elapsed: Duration,
        /// How long in all.
        whole: Duration,
    },
    /// Sessions take leave.
    Leaving {
        /// How many have left.
        left: usize,
        /// How many there were.
        sessions: usize,
    },
}

/// Puts a load on a server and measures it. The processes of `server` are what is charged; without them CPU time and memory
/// stay unknown. Blocks until the run is over.
///
/// # Errors
/// If the load cannot be put on: see [`LoadError`]. Lost and duplicated messages are in the [`Measurement`].
pub fn run(
    plan: &Plan,
    server: Option<&Server>,
    told: &mut dyn FnMut(&Moment<'_>),
) -> Result<Measurement, LoadError> {
    plan.prepare()?;
    let number = u32::try_from(crate::random::random_u64() >> 32).expect("half of the bits fit");
    let mut run = Run { generator: Generator::new(plan, number)?, server, told };
    let before = run.memory();
    let opening = run.open()?;
    let before_heartbeats = run.generator.heartbeats;
    let open = run.memory();
    let (bill, since) = match plan.workload {
        Workload::Idle => run.hold()?,
        _ => run.measure(plan.until)?,
    };
    // Heartbeats and late allocations belong to what a session costs.
    let held = run.memory();
    let after_burst = if plan.burst { run.burst()? } else { None };
    run.linger()?;
    let faults = run.generator.course.faults();
    let heartbeats = run.generator.heartbeats - before_heartbeats;
    let goodbyes_missing = run.leave();
    let memory = Footprint::of(plan.sessions, before, open, held, after_burst);
    let counts = Counts { opening, bill, since, memory, faults, heartbeats, goodbyes_missing };
    Ok(Measurement::new(plan, server, counts))
}

struct Run<'a, 'b> {
    generator: Generator<'a>,
    server: Option<&'b Server>,
    told: &'b mut dyn FnMut(&Moment<'_>),
}

impl Run<'_, '_> {
    fn cpu(&self) -> Result<Option<Cpu>, LoadError> {
        self.server.map(Server::cpu).transpose()
    }

    fn memory(&self) -> Option<u64> {
        self.server.and_then(Server::memory)
    }

    fn open(&mut self) -> Result<Opening, LoadError> {
        let sessions = self.generator.layout.sessions();
        let patience = self.generator.plan.patience;
        let (start, before) = (Instant::now(), self.cpu()?);
        let (mut open, mut moved) = (0, Instant::now());
        while open < sessions {
            while self.generator.clients.len() < sessions && self.generator.clients.len() - open < AT_ONCE {
                self.generator.connect()?;
            }
            self.generator.turn(TURN)?;
            if self.generator.open > open {
                (open, moved) = (self.generator.open, Instant::now());
            } else if moved.elapsed() > patience {
                return Err(LoadError::Opening { open, sessions, patience });
            }
            (self.told)(&Moment::Opening { open, sessions });
        }
        let cpu = self.cpu()?.zip(before).map(|(after, before)| after.since(&before));
        Ok(Opening::of(sessions, start.elapsed(), cpu))
    }

    fn measure(&mut self, until: Until) -> Result<(Bill, Since), LoadError> {
        self.drive(until.warm_up(), true)?;
        self.generator.course.restart();
        let meter = Meter::start(self.server)?;
        self.drive(until, false)?;
        let bill = meter.stop(self.server)?;
        Ok((bill, self.generator.course.restart()))
    }

    /// Publishes until then, and waits for all of it to come; what does not come for the patience is given up.
    fn drive(&mut self, until: Until, warming_up: bool) -> Result<(), LoadError> {
        let (start, mut published) = (Instant::now(), 0);
        let (mut seen, mut moved) = (self.generator.course.movement(), Instant::now());
        loop {
            let left = match until {
                Until::Messages(count) => count - published,
                Until::Elapsed(time) if start.elapsed() < time => u64::MAX,
                Until::Elapsed(_) => 0,
            };
            if left > 0 {
                published += self.generator.publish(left)?;
            } else if self.generator.course.is_settled() {
                return Ok(());
            }
            self.generator.turn(TURN)?;
            if self.generator.course.movement() > seen {
                (seen, moved) = (self.generator.course.movement(), Instant::now());
            } else if moved.elapsed() > self.generator.plan.patience {
                return Ok(());
            }
            let since = self.generator.course.since();
            (self.told)(&Moment::Running { warming_up, since, elapsed: start.elapsed() });
        }
    }

    fn hold(&mut self) -> Result<(Bill, Since), LoadError> {
        let whole = match self.generator.plan.until {
            Until::Elapsed(time) => time,
            Until::Messages(_) => Duration::ZERO,
        };
        let meter = Meter::start(self.server)?;
        let (start, before) = (Instant::now(), self.generator.heartbeats);
        while start.elapsed() < whole {
            self.generator.turn(TURN.min(whole.saturating_sub(start.elapsed())))?;
            let heartbeats = self.generator.heartbeats - before;
            (self.told)(&Moment::Holding { heartbeats, elapsed: start.elapsed(), whole });
        }
        Ok((meter.stop(self.server)?, Since::default()))
    }

    /// One large event to each session; then as long again as they were held before.
    fn burst(&mut self) -> Result<Option<u64>, LoadError> {
        self.drive(Until::Messages(self.generator.plan.sessions as u64), false)?;
        self.hold()?;
        Ok(self.memory())
    }

    fn linger(&mut self) -> Result<(), LoadError> {
        let start = Instant::now();
        while start.elapsed() < LINGER {
            self.generator.turn(LINGER.saturating_sub(start.elapsed()))?;
        }
        Ok(())
    }

    /// Takes leave of the server; says how many sessions could not. The measurement stands all the same.
    fn leave(&mut self) -> usize {
        let sessions = self.generator.clients.len();
        let (mut next, mut moved) = (0, Instant::now());
        while self.generator.left < sessions && moved.elapsed() < GOODBYE {
            let before = self.generator.left;
            while next < sessions && next - before < AT_ONCE {
                if self.generator.leave(next).is_err() {
                    return sessions - before;
                }
                next += 1;
            }
            if self.generator.turn(TURN).is_err() {
                break;
            }
            if self.generator.left > before {
                moved = Instant::now();
            }
            (self.told)(&Moment::Leaving { left: self.generator.left, sessions });
        }
        sessions - self.generator.left
    }
}

/// Reads the clocks before and after.
struct Meter {
    start: Instant,
    server: Option<Cpu>,
    own: Cpu,
}

impl Meter {
    fn start(server: Option<&Server>) -> Result<Self, LoadError> {
        let (server, own) = (server.map(Server::cpu).transpose()?, Server::own().cpu()?);
        Ok(Self { server, own, start: Instant::now() })
    }

    fn stop(self, server: Option<&Server>) -> Result<Bill, LoadError> {
        let elapsed = self.start.elapsed();
        let after = server.map(Server::cpu).transpose()?;
        let server = after.zip(self.server).map(|(after, before)| after.since(&before));
        Ok(Bill { elapsed, server, generator: Server::own().cpu()?.since(&self.own) })
    }
}
