//! Which messages of one stream a receiver has: every loss and every duplicate is counted, in whatever order they come.

use std::collections::VecDeque;

/// The numbers 0, 1, 2, … that have come. Memory grows with the distance between the first missing one and the last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// All below have come.
    floor: u64,
    /// Words of 64 numbers from `floor` on, which is a multiple of 64 whenever there are any.
    words: VecDeque<u64>,
    come: u64,
}

impl Tally {
    /// Notes a number; false if it had come before.
    pub(crate) fn note(&mut self, number: u64) -> bool {
        if self.words.is_empty() && number == self.floor {
            // In order and complete, as nearly always.
            self.floor += 1;
            self.come += 1;
            return true;
        }
        let base = self.floor / 64 * 64;
        if number < self.floor {
            return false;
        }
        if self.words.is_empty() {
            self.words.push_back((1_u64 << (self.floor - base)) - 1);
        }
        let word = usize::try_from((number - base) / 64).expect("a distance in memory fits");
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.come += u64::from(new);
        self.floor = base;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.floor += 64;
        }
        // Back to plain counting once there is no gap.
        if let [last] = *self.words.make_contiguous()
            && last & (last + 1) == 0
        {
            self.floor += u64::from(last.trailing_ones());
            self.words.clear();
        }
        new
    }

    /// How many different numbers have come.
    pub(crate) const fn come(&self) -> u64 {
        self.come
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_as_a_set_does(numbers in prop::collection::vec(0..300_u64, 0..600)) {
            let (mut tally, mut set) = (Tally::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(tally.note(number), set.insert(number), "{}", number);
                prop_assert_eq!(tally.come(), set.len() as u64);
            }
        }
    }

    #[test]
    fn order_takes_no_memory() {
        let mut tally = Tally::default();
        assert!((0..100_000).all(|number| tally.note(number)));
        assert!((0..100_000).all(|number| !tally.note(number)));
        assert!(tally.note(100_130) && tally.note(100_000) && !tally.note(100_130));
        assert_eq!(tally.come(), 100_002);
        assert!((100_001..100_130).all(|number| tally.note(number)));
        assert!(tally.words.is_empty(), "{tally:?}");
    }
}
