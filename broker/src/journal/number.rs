//! The numbers that the journal gives out, each once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of an accepted push, rising over the journal's life. Work is done in its order, module by module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArrivalNo(pub(super) u64);

/// The number of an event, rising over the journal's life; what consumers see as `ext.cloudinit.seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub(super) u64);

impl Seq {
    /// The bare number, for the wire.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Seq {
    /// A number that a consumer named. New numbers come from a [`SeqBlock`] only.
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for ArrivalNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reserved event numbers, each given out once. What is left when the process ends is never used.
#[derive(Debug, PartialEq, Eq)]
pub struct SeqBlock {
    pub(super) next: u64,
    pub(super) end: u64,
}

impl Iterator for SeqBlock {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        let number = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        Some(Seq(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_each_number_once() {
        let block = SeqBlock { next: 3, end: 5 };
        assert_eq!(block.collect::<Vec<_>>(), [Seq(3), Seq(4)]);
    }
}
