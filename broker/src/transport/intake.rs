//! Bytes as they come in, in a buffer that grows only as far as its family's budget goes.

use std::fmt;
use std::sync::Arc;

use super::budget::{Budget, FREE, NoRoom, Reservation};

/// A growing buffer, and what it has taken of the budget. What it has taken follows its capacity, not its length.
#[derive(Default)]
pub(crate) struct Intake {
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl Intake {
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes room for `more` bytes. Of a message that comes in pieces the room grows in steps, by a part of what is
    /// there, so that it is not copied for each of them; `whole` is as large as it can get.
    ///
    /// # Errors
    /// If the budget does not have so much.
    pub(super) fn make_room(
        &mut self,
        more: usize,
        whole: usize,
        budget: &Arc<Budget>,
    ) -> Result<(), NoRoom> {
        let needed = self.bytes.len() + more;
        let capacity = self.bytes.capacity();
        if needed <= capacity {
            return Ok(());
        }
        // Doubled while it costs nothing, then a quarter more: what is unused is counted too.
        let step = if capacity < FREE / 2 { capacity } else { capacity / 4 };
        let ample = (capacity + step).min(whole).max(needed);
        let size = match self.reservation.cover(ample, budget) {
            Ok(()) => ample,
            Err(NoRoom) => self.reservation.cover(needed, budget).map(|()| needed)?,
        };
        self.bytes.reserve_exact(size - self.bytes.len());
        Ok(())
    }

    /// Appends what there is room for, and shows where it lies.
    pub(super) fn append(&mut self, bytes: &[u8]) -> &mut [u8] {
        debug_assert!(self.bytes.len() + bytes.len() <= self.bytes.capacity(), "room was made");
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        &mut self.bytes[begin..]
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Takes away what comes from here on, in a buffer of its own.
    ///
    /// # Errors
    /// If the budget does not have so much; the bytes are gone then.
    pub(super) fn split_off(&mut self, at: usize, budget: &Arc<Budget>) -> Result<Self, NoRoom> {
        if at == 0 {
            return Ok(std::mem::take(self));
        }
        let mut rest = Self::default();
        let size = self.bytes.len() - at;
        let room = rest.make_room(size, size, budget);
        if room.is_ok() {
            rest.append(&self.bytes[at..]);
        }
        self.bytes.truncate(at);
        room.map(|()| rest)
    }

    /// The same written otherwise, which is not longer.
    pub(super) fn rewritten(self, bytes: Vec<u8>) -> Self {
        debug_assert!(bytes.len() <= self.bytes.capacity(), "it does not get longer");
        Self { bytes, reservation: self.reservation }
    }
}

// Not derived: it may hold a password.
impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

#[cfg(test)]
impl Intake {
    /// What is there already, counted nowhere.
    pub(super) fn uncounted(bytes: Vec<u8>) -> Self {
        Self { bytes, reservation: Reservation::default() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_buffer_never_has_more_than_it_has_taken() {
        let budget = Budget::of_bytes(MIB);
        for piece in [1_400, 16_384, 65_536] {
            let mut intake = Intake::default();
            let mut growths = 0;
            while intake.len() < MIB {
                let before = intake.capacity();
                let more = piece.min(MIB - intake.len());
                intake.make_room(more, MIB, &budget).unwrap();
                intake.append(&vec![b'x'; more]);
                growths += usize::from(intake.capacity() != before);
                let taken = MIB - budget.left();
                assert!(intake.capacity() <= FREE + taken, "{} of {taken}", intake.capacity());
                assert!(intake.capacity() <= MIB && taken <= intake.len() * 5 / 4 + piece, "{taken}");
            }
            assert!(growths < 30, "grown {growths} times for pieces of {piece}");
            assert_eq!(budget.left(), FREE);
            drop(intake);
            assert_eq!(budget.left(), MIB);
        }
    }

    #[test]
    fn a_short_budget_is_used_to_its_end() {
        let budget = Budget::of_bytes(10_000);
        let mut intake = Intake::default();
        for _ in 0..26 {
            intake.make_room(1_000, MIB, &budget).unwrap();
            intake.append(&[b'x'; 1_000]);
        }
        assert_eq!(intake.make_room(1_000, MIB, &budget), Err(NoRoom));
        assert_eq!(intake.len(), 26_000, "what was there stays");
    }

    #[test]
    fn both_parts_of_a_buffer_are_counted() {
        let budget = Budget::of_bytes(3 * FREE);
        let mut first = Intake::default();
        first.make_room(3 * FREE, 3 * FREE, &budget).unwrap();
        first.append(&[b'x'; 3 * FREE]);
        let rest = first.split_off(FREE, &budget).unwrap();
        assert_eq!((first.len(), rest.len(), budget.left()), (FREE, 2 * FREE, 0));
        drop(first);
        assert_eq!(budget.left(), 2 * FREE);
        let mut rest = rest;
        let whole = rest.split_off(0, &budget).unwrap();
        assert_eq!((rest.len(), whole.len(), budget.left()), (0, 2 * FREE, 2 * FREE));
        let mut again = Intake::default();
        again.make_room(3 * FREE, 3 * FREE, &budget).unwrap();
        again.append(&[b'x'; 3 * FREE]);
        assert!(again.split_off(1, &budget).is_err());
        assert_eq!(again.len(), 1);
    }
}
