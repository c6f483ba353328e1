//! What one read of a connection has brought: whole messages, in one buffer.

use std::fmt;
use std::ops::Range;

/// Bayeux batches as they came from the wire, one after the other in one buffer: most reads bring one, and then there
/// is nothing but that buffer.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Messages {
    bytes: Vec<u8>,
    /// Where each but the last ends.
    ends: Vec<usize>,
    /// How many there are.
    count: usize,
}

impl Messages {
    /// A buffer, and where each message in it ends.
    pub(super) fn new(bytes: Vec<u8>, mut ends: Vec<usize>) -> Self {
        debug_assert_eq!(ends.last().copied().unwrap_or_default(), bytes.len(), "no message is cut");
        let count = ends.len();
        ends.pop();
        Self { bytes, ends, count }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each message, in the order they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|at| &self.bytes[self.range(at)])
    }

    fn range(&self, at: usize) -> Range<usize> {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        begin..self.ends.get(at).copied().unwrap_or(self.bytes.len())
    }
}

impl From<Vec<u8>> for Messages {
    /// One message.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, ends: Vec::new(), count: 1 }
    }
}

// Not derived: a message may hold a password.
impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages of {} bytes together", self.count, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        for parts in [&[][..], &["one"], &[""], &["one", "", "three"], &["", ""]] {
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for part in parts {
                bytes.extend_from_slice(part.as_bytes());
                ends.push(bytes.len());
            }
            let messages = Messages::new(bytes, ends);
            assert_eq!(messages.is_empty(), parts.is_empty());
            let taken: Vec<&[u8]> = messages.iter().collect();
            let expected: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(taken, expected);
        }
        let secret = format!("{:?}", Messages::from(b"hunter2".to_vec()));
        assert!(!secret.contains("hunter2"), "{secret}");
    }
}
