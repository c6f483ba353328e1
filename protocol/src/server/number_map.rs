//! A hash map for keys of our own making, counters and random numbers: nobody can choose them to collide, so one
//! multiplication will do.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// From a number that this process has made up to a value.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Spreads one number over all bits (Knuth's multiplicative hashing).
#[derive(Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }

    fn write_u128(&mut self, number: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
        self.write_u64((number as u64) ^ ((number >> 64) as u64));
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
