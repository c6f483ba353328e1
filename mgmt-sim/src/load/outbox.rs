//! Messages of one publisher that are made and not sent.

use std::collections::VecDeque;

/// Bytes in one batch, unless a single message is larger: half of what servers here accept.
const MAX_BATCH: usize = 512 << 10;

/// A queue of messages. The window bounds it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    lengths: VecDeque<usize>,
}

impl Outbox {
    /// Appends a message, which `write` writes as JSON.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.lengths.push_back(self.bytes.len() - before);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Gives everything to `send` as JSON arrays of at most `most` messages.
    pub(crate) fn send_all(&mut self, most: usize, mut send: impl FnMut(&[u8])) {
        let (mut at, mut batch) = (0, Vec::new());
        while !self.lengths.is_empty() {
            at += self.array(at, most, &mut batch);
            send(&batch);
        }
        self.bytes.clear();
    }

    /// One JSON array of at most `most` messages; nothing if there are none.
    pub(crate) fn next(&mut self, most: usize) -> Option<Vec<u8>> {
        if self.lengths.is_empty() {
            return None;
        }
        let mut batch = Vec::new();
        let taken = self.array(0, most, &mut batch);
        self.bytes.drain(..taken);
        Some(batch)
    }

    fn array(&mut self, at: usize, most: usize, batch: &mut Vec<u8>) -> usize {
        batch.clear();
        let (mut taken, mut count) = (0, 0);
        while let Some(&length) = self.lengths.front() {
            if count == most.max(1) || count > 0 && taken + length > MAX_BATCH {
                break;
            }
            batch.push(if count == 0 { b'[' } else { b',' });
            batch.extend_from_slice(&self.bytes[at + taken..at + taken + length]);
            taken += length;
            count += 1;
            self.lengths.pop_front();
        }
        batch.push(b']');
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_in_order_in_arrays() {
        let mut outbox = Outbox::default();
        let push =
            |outbox: &mut Outbox, text: &str| outbox.push(|out| out.extend_from_slice(text.as_bytes()));
        for text in ["1", "22", "333", "4"] {
            push(&mut outbox, text);
        }
        assert_eq!(outbox.next(1).as_deref(), Some(&b"[1]"[..]));
        let mut sent = Vec::new();
        outbox.send_all(2, |batch| sent.push(String::from_utf8(batch.to_vec()).unwrap()));
        assert_eq!(sent, ["[22,333]", "[4]"]);
        assert!(outbox.is_empty() && outbox.next(9).is_none());
        let large = "x".repeat(300 << 10);
        push(&mut outbox, &large);
        push(&mut outbox, &large);
        assert_eq!(outbox.next(9).map(|batch| batch.len()), Some(large.len() + 2));
        assert_eq!(outbox.next(9).map(|batch| batch.len()), Some(large.len() + 2));
    }
}
