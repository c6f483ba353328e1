//! What is known at one moment. Counted since the start of the process, unless it says otherwise. Nothing in here is
//! secret, and nothing comes from a peer but as a number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloud_channel_protocol::server::{Peer, Stats};
use cloud_channel_protocol::{BayeuxError, EventResult, Module};
use tokio::sync::oneshot;

use crate::hotplug::HotplugFigures;
use crate::journal::{Dropped, JournalSize};

/// Who wants to read the figures.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Judged like any peer; none where the listener itself is the permission.
    pub(crate) peer: Option<Peer>,
    /// Where they go.
    pub(crate) answer: oneshot::Sender<Result<Box<Snapshot>, BayeuxError>>,
}

/// Everything that the driver knows in figures.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The journal is open and the daemon at work.
    pub(crate) ready: bool,
    /// Since the start of the process.
    pub(crate) uptime: Duration,
    /// The wall clock, since 1970.
    pub(crate) wall: Duration,
    /// Sessions, connections, messages and their queues.
    pub(crate) server: Stats,
    /// What waits for the driver.
    pub(crate) happenings: Depth,
    /// What waits for the clerk.
    pub(crate) orders: Depth,
    pub(crate) events: EventFigures,
    /// Of each module that there is.
    pub(crate) changes: Vec<ChangeFigures>,
    /// What was heard of the hardware.
    pub(crate) hotplug: HotplugFigures,
    /// How often links were looked at because they had changed.
    pub(crate) link_changes: u64,
    /// None if nobody is to be dialled.
    pub(crate) link: Option<LinkFigures>,
    pub(crate) journal: JournalSize,
}

/// How full a queue is, and was at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Depth {
    pub(crate) now: usize,
    pub(crate) most: usize,
}

impl Depth {
    /// Notes how full it is now.
    pub(crate) fn note(&mut self, now: usize) {
        *self = Self { now, most: self.most.max(now) };
    }
}

/// Our own events.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EventFigures {
    /// Published.
    pub(crate) sent: u64,
    /// Nobody has them yet.
    pub(crate) waiting: usize,
    /// Could not be kept; who listened then has them.
    pub(crate) lost: u64,
    /// Dropped from a full journal, over its whole life.
    pub(crate) dropped: Dropped,
}

/// Changes of one module.
#[derive(Debug, Clone)]
pub(crate) struct ChangeFigures {
    pub(crate) module: Module,
    pub(crate) waiting: usize,
    pub(crate) at_work: bool,
    /// How long it may still wait to be confirmed, if it is on trial.
    pub(crate) on_trial: Option<Duration>,
    /// The devices that wait, each with the cards that it waits for.
    pub(crate) deferred: BTreeMap<String, BTreeSet<String>>,
    pub(crate) results: Results,
}

/// How changes came out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Results {
    success: u64,
    warn: u64,
    fail: u64,
    /// What all of them took together.
    pub(crate) took: Duration,
}

impl Results {
    /// Counts one.
    pub(crate) fn count(&mut self, result: EventResult, took: Duration) {
        let count = match result {
            EventResult::Success => &mut self.success,
            EventResult::Warn => &mut self.warn,
            EventResult::Fail => &mut self.fail,
        };
        *count += 1;
        self.took += took;
    }

    /// Each result's name with its count.
    pub(crate) const fn each(&self) -> [(&'static str, u64); 3] {
        [("success", self.success), ("warn", self.warn), ("fail", self.fail)]
    }
}

/// The dialled side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkFigures {
    pub(crate) up: bool,
    /// How often it has come up.
    pub(crate) ups: u64,
    /// Events sent and not answered yet.
    pub(crate) in_flight: usize,
    /// Events that the management server did not take.
    pub(crate) refused_events: u64,
    /// Messages of the management server that were not taken.
    pub(crate) refused_messages: u64,
}
