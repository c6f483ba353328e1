//! What we hear of when a subscriber has taken a message, and the number that the server hands back to tell us.

use crate::journal::Seq;

/// Marks the numbers of pages. Events are numbered from one on, and never come this far.
const OF_PAGE: u64 = 1 << 63;

/// What a subscriber has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipt {
    /// An event of ours.
    Event(Seq),
    /// The last event of a page of a replay, by the page's number.
    Page(u64),
}

impl From<Receipt> for u64 {
    fn from(receipt: Receipt) -> Self {
        match receipt {
            Receipt::Event(seq) => seq.get(),
            Receipt::Page(number) => OF_PAGE | number,
        }
    }
}

impl From<u64> for Receipt {
    /// What a number of the server's stands for.
    fn from(number: u64) -> Self {
        if number & OF_PAGE == 0 { Self::Event(number.into()) } else { Self::Page(number & !OF_PAGE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_comes_back_as_it_was_given() {
        for number in [0, 1, OF_PAGE - 1] {
            for receipt in [Receipt::Event(number.into()), Receipt::Page(number)] {
                assert_eq!(Receipt::from(u64::from(receipt)), receipt);
            }
        }
    }
}
