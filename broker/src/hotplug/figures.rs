//! What the listeners count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cloud_channel_protocol::Subsystem;

use super::uevent::Action;

/// Counted since the start by the listeners, read by whoever asks.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) listening: AtomicBool,
    told: [AtomicU64; KINDS],
    overruns: AtomicU64,
    rescans: AtomicU64,
    refused: AtomicU64,
}

/// Each subsystem with each action.
const KINDS: usize = 2 * Action::ALL.len();

/// The same at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HotplugFigures {
    /// Uevents are heard.
    pub(crate) listening: bool,
    told: [u64; KINDS],
    /// How often the kernel had to drop something, of uevents or of links.
    pub(crate) overruns: u64,
    /// How often sysfs was read anew for that.
    pub(crate) rescans: u64,
    /// Datagrams that were not the kernel's, or not as it writes them.
    pub(crate) refused: u64,
}

impl Figures {
    pub(super) fn told(&self, subsystem: Subsystem, action: Action) {
        let at = kinds().position(|kind| kind == (subsystem, action));
        if let Some(count) = at.and_then(|at| self.told.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn overrun(&self) {
        self.overruns.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rescan(&self) {
        self.rescans.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> HotplugFigures {
        HotplugFigures {
            listening: self.listening.load(Ordering::Relaxed),
            told: self.told.each_ref().map(|count| count.load(Ordering::Relaxed)),
            overruns: self.overruns.load(Ordering::Relaxed),
            rescans: self.rescans.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

impl HotplugFigures {
    /// How many events there were of each subsystem and action: the channel's word, the kernel's word, the count.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let counts = kinds().zip(self.told);
        counts.map(|((subsystem, action), count)| (subsystem.channel_segment(), action.word(), count))
    }
}

fn kinds() -> impl Iterator<Item = (Subsystem, Action)> {
    let of = |subsystem| Action::ALL.map(|action| (subsystem, action));
    [Subsystem::Network, Subsystem::Block].into_iter().flat_map(of)
}
