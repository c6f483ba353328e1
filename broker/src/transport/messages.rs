//! What one read of a connection has brought: whole messages, in one buffer.

use std::fmt;
use std::ops::Range;

use super::intake::Intake;

/// Bayeux batches as they came from the wire, one after the other in one buffer: most reads bring one, and then there
/// is nothing but that buffer. What it has taken of its budget is given back when it is dropped, after the core has
/// read it.
#[derive(Default)]
pub(crate) struct Messages {
    intake: Intake,
    /// Where each but the last ends.
    ends: Vec<usize>,
    /// How many there are.
    count: usize,
}

impl Messages {
    /// A buffer, and where each message in it ends.
    pub(super) fn new(intake: Intake, ends: Ends) -> Self {
        debug_assert_eq!(ends.last(), intake.len(), "no message is cut");
        let count = ends.earlier.len() + usize::from(ends.last.is_some());
        Self { intake, ends: ends.earlier, count }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each message, in the order they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|at| &self.intake.as_slice()[self.range(at)])
    }

    fn range(&self, at: usize) -> Range<usize> {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        begin..self.ends.get(at).copied().unwrap_or(self.intake.len())
    }
}

/// Where messages end, as they are found. The first takes no memory of its own: most reads bring no second.
#[derive(Default)]
pub(super) struct Ends {
    earlier: Vec<usize>,
    last: Option<usize>,
}

impl Ends {
    /// Another one ends here.
    pub(super) fn push(&mut self, end: usize) {
        self.earlier.extend(self.last.replace(end));
    }

    /// Where the last one ends, or the first begins.
    pub(super) fn last(&self) -> usize {
        self.last.unwrap_or_default()
    }
}

impl From<Intake> for Messages {
    /// One message.
    fn from(intake: Intake) -> Self {
        Self { intake, ends: Vec::new(), count: 1 }
    }
}

// Not derived: a message may hold a password.
impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages of {} bytes together", self.count, self.intake.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        for parts in [&[][..], &["one"], &[""], &["one", "", "three"], &["", ""]] {
            let mut bytes = Vec::new();
            let mut ends = Ends::default();
            for part in parts {
                bytes.extend_from_slice(part.as_bytes());
                ends.push(bytes.len());
            }
            let messages = Messages::new(Intake::uncounted(bytes), ends);
            assert_eq!(messages.is_empty(), parts.is_empty());
            let taken: Vec<&[u8]> = messages.iter().collect();
            let expected: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(taken, expected);
        }
        let secret = format!("{:?}", Messages::from(Intake::uncounted(b"hunter2".to_vec())));
        assert!(!secret.contains("hunter2"), "{secret}");
    }
}
