//! A hash map for keys of our own making, counters and random numbers: nobody can choose them to collide, so one
//! multiplication will do.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// From a number that this process has made up to a value.
pub type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Spreads one number over all bits (Knuth's multiplicative hashing): a map of shards chooses them by the upper ones,
/// and rows by the lower ones.
#[derive(Debug, Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_right(29);
    }

    fn write_u128(&mut self, number: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
        self.write_u64((number as u64) ^ ((number >> 64) as u64));
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;
    use crate::ids::ConnectionId;

    #[test]
    fn numbers_are_spread() {
        let build = BuildHasherDefault::<NumberHasher>::default();
        let hash = |number: u64| build.hash_one(ConnectionId(number));
        for shift in [0, 7, 50, 57] {
            let mut seen = [0_u32; 128];
            for number in 0..12_800 {
                seen[usize::try_from(hash(number) >> shift & 127).unwrap()] += 1;
            }
            assert!(seen.iter().all(|count| (50..200).contains(count)), "bits from {shift}: {seen:?}");
        }
    }
}
