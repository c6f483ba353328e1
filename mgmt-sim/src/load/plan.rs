//! What is to be measured.

use std::time::Duration;

use cloud_channel_protocol::{ChannelName, InstanceId};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::error::LoadError;
use super::stamp::Stamps;
use super::target::{Target, Transport};
use super::workload::Workload;

/// File descriptors of the generator itself: standard streams, epoll, files of `/proc`.
const OWN_DESCRIPTORS: u64 = 32;
/// Largest data of one event.
const MAX_SIZE: usize = 16 << 20;

/// When a measurement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After so many messages.
    Messages(u64),
    /// After so long.
    Elapsed(Duration),
}

impl Until {
    /// The warm-up that goes before it, so that compilers at run time, caches and buffers have settled.
    pub(crate) fn warm_up(self) -> Self {
        match self {
            Self::Messages(count) => Self::Messages(count / 5),
            Self::Elapsed(time) => Self::Elapsed(time / 5),
        }
    }
}

/// One load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// Who publishes what to whom.
    pub workload: Workload,
    /// N: the receivers of a fan-out, the publishers of a fan-in, the channels of a targeted load, the idle sessions.
    pub sessions: usize,
    /// Messages on their way at a time: published, and not yet with all receivers or not yet answered.
    pub in_flight: usize,
    /// Messages in one batch, where more than one wait.
    pub batch: usize,
    /// When the measurement ends; for idle sessions, how long they are held.
    pub until: Until,
    /// Bytes of JSON in an event's `data`.
    pub size: usize,
    /// For idle sessions: send each one event of `size` bytes, and look at the memory again.
    pub burst: bool,
    /// Channels lie below it.
    pub prefix: ChannelName,
    /// The instance to present in handshakes, for servers that ask for one.
    pub instance: Option<InstanceId>,
    /// How long nothing at all may happen before what is missing counts as lost.
    pub patience: Duration,
}

impl Plan {
    /// Refuses what makes no sense, and sees to it that there are enough file descriptors: the soft limit is raised
    /// as far as it has to be.
    ///
    /// # Errors
    /// Says which number is wrong and what it may be.
    pub fn prepare(&self) -> Result<(), LoadError> {
        let wrong = |what: String, expected| LoadError::Plan { workload: self.workload, what, expected };
        if self.sessions == 0 {
            return Err(wrong("--sessions 0".to_owned(), "at least 1"));
        }
        if self.in_flight == 0 || self.batch == 0 {
            return Err(wrong("--in-flight 0 or --batch 0".to_owned(), "at least 1"));
        }
        if self.size < Stamps::least() || self.size > MAX_SIZE {
            return Err(wrong(
                format!("--size {}", self.size),
                "100 bytes to 16 MiB: an event carries its numbers",
            ));
        }
        if self.workload == Workload::Idle && matches!(self.until, Until::Messages(_)) {
            return Err(wrong(
                "--messages".to_owned(),
                "--duration, or --burst for one message to each session",
            ));
        }
        self.raise_descriptors()
    }

    fn raise_descriptors(&self) -> Result<(), LoadError> {
        let connections = match self.target.transport() {
            Transport::WebSocket => 1,
            // The second one is for publishes, and for the goodbye: neither may wait behind a held connect.
            Transport::LongPolling => 2,
        };
        let needed = connections * (self.sessions as u64 + 1) + OWN_DESCRIPTORS;
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_none_or(|current| current >= needed) {
            return Ok(());
        }
        if let Some(allowed) = limit.maximum.filter(|maximum| *maximum < needed) {
            return Err(LoadError::Descriptors { needed, allowed });
        }
        limit.current = Some(needed);
        setrlimit(Resource::Nofile, limit).map_err(|error| LoadError::System {
            what: "raise the limit of file descriptors",
            source: error.into(),
        })
    }

    /// `ext` of handshakes, as JSON.
    pub(crate) fn handshake_ext(&self) -> Option<String> {
        self.instance
            .as_ref()
            .map(|id| serde_json::json!({"cloudinit": {"instance": id.as_str()}}).to_string())
    }
}
