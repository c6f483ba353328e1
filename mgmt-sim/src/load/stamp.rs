//! What an event carries to be measured: a mark that is found without parsing JSON, and four numbers behind it.
//!
//! ```text
//! "data":{"load":"load-1f3a9c07-SSSSSSSSQQQQQQQQQQQQNNNNNNNNNNNNNNNNTTTTTTTTTTTTTTTT","pad":"xxx…"}
//!                mark           stream  sequence    number          sent
//! ```
//!
//! All of it is letters, digits and `-` in one JSON string, which every server passes on unchanged, whatever it does to
//! the spaces and the order around it.

use std::ops::Range;

use memchr::memmem::Finder;

const STREAM: Range<usize> = 0..8;
const SEQUENCE: Range<usize> = 8..20;
const NUMBER: Range<usize> = 20..36;
const SENT: Range<usize> = 36..52;
const HEAD: &[u8] = br#"{"load":""#;
const MIDDLE: &[u8] = br#"","pad":""#;
const TAIL: &[u8] = br#""}"#;

/// Where a message comes from and when it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which stream of messages.
    pub(crate) stream: u32,
    /// Which one of its stream, from 0.
    pub(crate) sequence: u64,
    /// Its number in the window of messages in flight, and its Bayeux id.
    pub(crate) number: u64,
    /// When it was handed to the socket, in nanoseconds since the run began.
    pub(crate) sent: u64,
}

/// Writes and finds the stamps of one run.
#[derive(Debug)]
pub(crate) struct Stamps {
    mark: Vec<u8>,
    finder: Finder<'static>,
    pad: Vec<u8>,
}

impl Stamps {
    /// The run's number keeps its events apart from those of a former one; `size` is that of the data, in bytes of
    /// JSON. Below [`Stamps::least`] it is rounded up.
    pub(crate) fn new(run: u32, size: usize) -> Self {
        let mark = format!("load-{run:08x}-").into_bytes();
        let pad = vec![b'x'; size.saturating_sub(Self::least())];
        Self { finder: Finder::new(&mark).into_owned(), mark, pad }
    }

    /// The smallest data that has room for a stamp.
    pub(crate) const fn least() -> usize {
        HEAD.len() + "load-00000000-".len() + SENT.end + MIDDLE.len() + TAIL.len()
    }

    /// Writes the data of an event.
    pub(crate) fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        out.extend_from_slice(HEAD);
        out.extend_from_slice(&self.mark);
        write_hex(u64::from(stamp.stream), STREAM.len(), out);
        write_hex(stamp.sequence, SEQUENCE.len(), out);
        write_hex(stamp.number, NUMBER.len(), out);
        write_hex(stamp.sent, SENT.len(), out);
        out.extend_from_slice(MIDDLE);
        out.extend_from_slice(&self.pad);
        out.extend_from_slice(TAIL);
    }

    /// All stamps in a batch, in order.
    pub(crate) fn find<'a>(&'a self, batch: &'a [u8]) -> impl Iterator<Item = Stamp> + 'a {
        self.finder.find_iter(batch).filter_map(|at| read(batch.get(at + self.mark.len()..)?))
    }
}

fn read(digits: &[u8]) -> Option<Stamp> {
    Some(Stamp {
        stream: u32::try_from(read_hex(digits.get(STREAM)?)?).ok()?,
        sequence: read_hex(digits.get(SEQUENCE)?)?,
        number: read_hex(digits.get(NUMBER)?)?,
        sent: read_hex(digits.get(SENT)?)?,
    })
}

fn write_hex(value: u64, digits: usize, out: &mut Vec<u8>) {
    for digit in (0..digits).rev() {
        let [.., low] = (value >> (4 * digit)).to_be_bytes();
        out.push(b"0123456789abcdef"[usize::from(low & 0xf)]);
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back_out_of_any_json() {
        let stamps = Stamps::new(7, 300);
        let stamp = |sequence| Stamp { stream: 4_999, sequence, number: 1 << 40, sent: u64::MAX };
        let mut batch = b"[{\"channel\":\"/a\",\"data\":".to_vec();
        let before = batch.len();
        stamps.write(&stamp(1), &mut batch);
        assert_eq!(batch.len() - before, 300);
        batch.extend_from_slice(b"}, { \"data\" :\n");
        stamps.write(&stamp(2), &mut batch);
        batch.extend_from_slice(b",\"channel\":\"/a\"}]");
        assert!(serde_json::from_slice::<serde_json::Value>(&batch).is_ok());
        assert_eq!(stamps.find(&batch).collect::<Vec<_>>(), [stamp(1), stamp(2)]);
        assert_eq!(Stamps::new(8, 300).find(&batch).count(), 0, "another run's");
        assert_eq!(stamps.find(&batch[..60]).count(), 0, "cut short");
    }

    #[test]
    fn the_least_size_is_what_a_stamp_takes() {
        let stamps = Stamps::new(1, 0);
        let mut data = Vec::new();
        stamps.write(&Stamp { stream: 0, sequence: 0, number: 0, sent: 0 }, &mut data);
        assert_eq!(data.len(), Stamps::least());
    }
}
