//! Messages that wait to be written to a connection and are never dropped: replies, and what an ack session's connect
//! carries. They are written once, into the frames that will go out.

use std::collections::VecDeque;

/// Frames that are not finished: `[`, messages, and commas between them.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Empty if nothing waits, which is nearly always so.
    first: String,
    later: VecDeque<String>,
    bytes: usize,
}

impl Outgoing {
    /// Adds the message that `write` appends. It joins the last frame if that stays within `longest` bytes when it is
    /// finished; else it begins another, however long it is.
    pub(super) fn push(&mut self, longest: usize, write: impl FnOnce(&mut String)) {
        let frame = self.later.back_mut().unwrap_or(&mut self.first);
        let begin = frame.len();
        frame.push(if begin == 0 { '[' } else { ',' });
        write(frame);
        self.bytes += frame.len() - begin;
        if begin > 0 && frame.len() + 1 > longest {
            let next = ["[", &frame[begin + 1..]].concat();
            frame.truncate(begin);
            self.later.push_back(next);
        }
    }

    /// Takes the oldest frame, still without its `]`; empty if nothing waits.
    pub(super) fn take_frame(&mut self) -> String {
        let next = self.later.pop_front().unwrap_or_default();
        if self.later.is_empty() {
            self.later = VecDeque::new();
        }
        let frame = std::mem::replace(&mut self.first, next);
        self.bytes -= frame.len();
        frame
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that wait, in all frames.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_full_as_they_may_be() {
        let mut outgoing = Outgoing::default();
        for message in ["1", "22", "333", "a long one", "4", "5"] {
            outgoing.push(7, |frame| frame.push_str(message));
        }
        let mut frames = Vec::new();
        while !outgoing.is_empty() {
            frames.push(outgoing.take_frame());
        }
        assert_eq!(frames, ["[1,22", "[333", "[a long one", "[4,5"]);
        assert_eq!((outgoing.bytes(), outgoing.take_frame()), (0, String::new()));
    }
}
