//! Messages that wait to be written to a connection and are never dropped: replies, and what an ack session's connect
//! carries. They are written once, into the frames that will go out.

use std::collections::VecDeque;

/// Frames that are not finished: `[`, messages, and commas between them.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Empty if nothing waits, which is nearly always so.
    first: String,
    later: Option<Box<Later>>,
}

/// What does not fit into the first frame.
#[derive(Default)]
struct Later {
    frames: VecDeque<String>,
    bytes: usize,
}

impl Outgoing {
    /// Adds a message. It joins the last frame if that stays within `longest` bytes when it is finished; else it begins
    /// another, however long it is.
    pub(super) fn push(&mut self, longest: usize, message: &str) {
        if self.first.is_empty() {
            self.first = begin(message);
            return;
        }
        let Self { first, later } = self;
        let last = later.as_mut().and_then(|later| later.frames.back_mut()).unwrap_or(first);
        // A comma before it, and the bracket behind.
        let joins = last.len() + message.len() + 2 <= longest;
        if joins {
            last.push(',');
            last.push_str(message);
        }
        match later {
            Some(later) if joins => later.bytes += message.len() + 1,
            None if joins => {}
            later => later.get_or_insert_default().push(begin(message)),
        }
    }

    /// Takes the oldest frame, still without its `]`; empty if nothing waits.
    pub(super) fn take_frame(&mut self) -> String {
        let next = self.later.as_mut().map(|later| later.pop()).unwrap_or_default();
        self.later.take_if(|later| later.frames.is_empty());
        std::mem::replace(&mut self.first, next)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Bytes that wait, in all frames.
    pub(super) fn bytes(&self) -> usize {
        self.first.len() + self.later.as_ref().map_or(0, |later| later.bytes)
    }
}

impl Later {
    fn push(&mut self, frame: String) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> String {
        let frame = self.frames.pop_front().unwrap_or_default();
        self.bytes -= frame.len();
        frame
    }
}

/// A frame of one message, with room for its end and no more: most stay alone.
fn begin(message: &str) -> String {
    let mut frame = String::with_capacity(message.len() + 2);
    frame.push('[');
    frame.push_str(message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_full_as_they_may_be() {
        let mut outgoing = Outgoing::default();
        for message in ["1", "22", "333", "a long one", "4", "5"] {
            outgoing.push(7, message);
        }
        assert_eq!(outgoing.bytes(), "[1,22[333[a long one[4,5".len());
        let mut frames = Vec::new();
        while !outgoing.is_empty() {
            frames.push(outgoing.take_frame());
        }
        assert_eq!(frames, ["[1,22", "[333", "[a long one", "[4,5"]);
        assert_eq!((outgoing.bytes(), outgoing.take_frame()), (0, String::new()));
    }
}
