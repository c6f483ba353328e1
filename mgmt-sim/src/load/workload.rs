//! The workloads: who publishes what to whom.

use std::fmt;

use clap::ValueEnum;

/// A pattern of traffic among sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// One publisher, one channel, N subscribers.
    FanOut,
    /// N publishers on a channel each, one subscriber to all of them by a wildcard.
    FanIn,
    /// One publisher, N channels, a subscriber to each: every message has one receiver.
    Targeted,
    /// N sessions that are held and do nothing but their heartbeats.
    Idle,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
            Self::Targeted => "targeted",
            Self::Idle => "idle",
        })
    }
}

/// A workload among N sessions beside the one that all others deal with.
///
/// Session 0 is the hub: the publisher of a fan-out, the subscriber of a fan-in. A *stream* is what one publisher sends to
/// one channel, counted by itself.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    workload: Workload,
    others: usize,
    channel: String,
}

impl Layout {
    /// Channels lie below `prefix`, in a part of their own for each run.
    pub(crate) fn new(workload: Workload, others: usize, prefix: &str, run: u32) -> Self {
        Self { workload, others, channel: format!("{prefix}/load{run:08x}") }
    }

    /// Sessions in all.
    pub(crate) const fn sessions(&self) -> usize {
        self.others + 1
    }

    /// What a session subscribes to.
    pub(crate) fn subscription(&self, session: usize) -> Option<String> {
        match (self.workload, session) {
            // Channels of one level: a prefix may be as deep as its server allows.
            (Workload::FanIn, 0) => {
                let (parent, _) = self.channel.rsplit_once('/')?;
                Some(format!("{parent}/*"))
            }
            (Workload::FanIn, _) | (_, 0) => None,
            (Workload::FanOut, _) => Some(self.channel(0)),
            (Workload::Targeted | Workload::Idle, receiver) => Some(self.channel(receiver - 1)),
        }
    }

    /// How many streams there are.
    pub(crate) const fn streams(&self) -> usize {
        match self.workload {
            Workload::FanOut => 1,
            Workload::FanIn | Workload::Targeted | Workload::Idle => self.others,
        }
    }

    /// Where a stream goes.
    pub(crate) fn channel(&self, stream: usize) -> String {
        format!("{}-{stream}", self.channel)
    }

    /// Who publishes a stream.
    pub(crate) const fn publisher(&self, stream: usize) -> usize {
        match self.workload {
            Workload::FanOut | Workload::Targeted | Workload::Idle => 0,
            Workload::FanIn => stream + 1,
        }
    }

    /// How many receive each message.
    pub(crate) const fn receivers(&self) -> u64 {
        match self.workload {
            Workload::FanOut => self.others as u64,
            Workload::FanIn | Workload::Targeted | Workload::Idle => 1,
        }
    }

    /// Pairs of a stream and one of its receivers.
    pub(crate) const fn pairs(&self) -> usize {
        self.others
    }

    /// Which pair a delivery belongs to; none if that session was not to have it.
    pub(crate) fn pair(&self, session: usize, stream: usize) -> Option<usize> {
        match self.workload {
            Workload::FanOut if stream == 0 => session.checked_sub(1),
            Workload::FanIn if session == 0 && stream < self.others => Some(stream),
            Workload::Targeted | Workload::Idle if session == stream + 1 => Some(stream),
            _ => None,
        }
    }

    /// The stream of a pair.
    pub(crate) const fn stream_of(&self, pair: usize) -> usize {
        match self.workload {
            Workload::FanOut => 0,
            Workload::FanIn | Workload::Targeted | Workload::Idle => pair,
        }
    }

    /// The stream of the n-th message: each in turn, in an order that no cache likes.
    pub(crate) fn turn(&self, n: u64) -> usize {
        // A prime larger than any number of streams reaches all of them before it comes back to one.
        const STRIDE: u128 = 4_294_967_291;
        let at = u128::from(n) * STRIDE % self.streams().max(1) as u128;
        usize::try_from(at).expect("less than the number of streams")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every stream reaches exactly the receivers that subscribe to its channel.
    #[test]
    fn deliveries_are_what_the_subscriptions_say() {
        for workload in [Workload::FanOut, Workload::FanIn, Workload::Targeted] {
            let layout = Layout::new(workload, 5, "/bench", 1);
            let mut pairs = BTreeSet::new();
            for stream in 0..layout.streams() {
                let channel = layout.channel(stream);
                assert!(layout.publisher(stream) < layout.sessions());
                let mut receivers = 0;
                for session in 0..layout.sessions() {
                    let subscription = layout.subscription(session);
                    let wild = subscription.as_deref().and_then(|pattern| pattern.strip_suffix('*'));
                    let hears = match wild {
                        Some(stem) => channel.starts_with(stem),
                        None => subscription.as_deref() == Some(&*channel),
                    };
                    let pair = layout.pair(session, stream);
                    assert_eq!(pair.is_some(), hears, "{workload}: session {session}, {channel}");
                    receivers += u64::from(hears);
                    if let Some(pair) = pair {
                        assert_eq!(layout.stream_of(pair), stream);
                        assert!(pairs.insert(pair), "{workload}: pair {pair} twice");
                    }
                }
                assert_eq!(receivers, layout.receivers(), "{workload}: {channel}");
            }
            assert_eq!(pairs.len(), layout.pairs());
        }
    }

    #[test]
    fn every_stream_has_its_turn() {
        let layout = Layout::new(Workload::Targeted, 1_000, "/bench", 1);
        let turns: BTreeSet<usize> = (7..1_007).map(|n| layout.turn(n)).collect();
        assert_eq!(turns.len(), 1_000);
    }
}
