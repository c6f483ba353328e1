//! What is sent and what arrives: numbers, losses, duplicates, latencies.

use super::histogram::Histogram;
use super::stamp::Stamp;
use super::tally::Tally;
use super::window::Window;
use super::workload::Layout;

/// The books of one run.
#[derive(Debug)]
pub(crate) struct Course {
    layout: Layout,
    window: Window,
    /// Messages sent, for each stream.
    sent: Vec<u64>,
    /// What has come, for each pair of a stream and its receiver.
    tallies: Vec<Tally>,
    published: u64,
    replies: u64,
    arrivals: u64,
    duplicates: u64,
    strays: u64,
    since: Since,
}

/// What the measurement proper counts, without the warm-up.
#[derive(Debug, Clone, Default)]
pub struct Since {
    /// Messages published.
    pub messages: u64,
    /// Events received.
    pub deliveries: u64,
    /// From the write of a publish to the read of its event.
    pub latency: Histogram,
}

/// What went wrong with messages, over the whole run. All of it has to be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Faults {
    /// Events that never came.
    pub lost: u64,
    /// Events that came again.
    pub duplicated: u64,
    /// Events that came to somebody who had not subscribed to their channel.
    pub misdelivered: u64,
    /// Publishes that were not answered.
    pub unanswered: u64,
}

impl Faults {
    /// True if there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Course {
    pub(crate) fn new(layout: Layout, in_flight: usize) -> Self {
        Self {
            window: Window::new(in_flight),
            sent: vec![0; layout.streams()],
            tallies: vec![Tally::default(); layout.pairs()],
            published: 0,
            replies: 0,
            arrivals: 0,
            duplicates: 0,
            strays: 0,
            since: Since::default(),
            layout,
        }
    }

    /// The next message's stamp, if one more may be in flight.
    pub(crate) fn publish(&mut self, now: u64) -> Option<Stamp> {
        // Each receiver, and the reply.
        let number = self.window.open(self.layout.receivers() + 1)?;
        let stream = self.layout.turn(self.published);
        let sequence = self.sent[stream];
        self.sent[stream] += 1;
        self.published += 1;
        self.since.messages += 1;
        let stream = u32::try_from(stream).expect("fewer streams than file descriptors");
        Some(Stamp { stream, sequence, number, sent: now })
    }

    /// An event has come.
    pub(crate) fn delivered(&mut self, session: usize, stamp: &Stamp, now: u64) {
        let stream = stamp.stream as usize;
        let pair = self.layout.pair(session, stream);
        let Some(pair) = pair.filter(|_| self.sent.get(stream).is_some_and(|sent| stamp.sequence < *sent))
        else {
            self.strays += 1;
            return;
        };
        self.arrivals += 1;
        if !self.tallies[pair].note(stamp.sequence) {
            self.duplicates += 1;
            return;
        }
        self.since.deliveries += 1;
        self.since.latency.record(now.saturating_sub(stamp.sent));
        self.window.arrived(stamp.number);
    }

    /// A publish was answered.
    pub(crate) fn answered(&mut self, number: u64) {
        self.replies += 1;
        self.window.arrived(number);
    }

    /// True if all that was sent has come.
    pub(crate) fn is_settled(&self) -> bool {
        self.window.is_empty()
    }

    /// Grows with everything that comes: as long as it does, waiting makes sense.
    pub(crate) const fn movement(&self) -> u64 {
        self.arrivals + self.replies
    }

    /// Counts anew, and gives what was counted.
    pub(crate) fn restart(&mut self) -> Since {
        std::mem::take(&mut self.since)
    }

    /// What has been counted since the last restart.
    pub(crate) const fn since(&self) -> &Since {
        &self.since
    }

    /// What went wrong so far; what is in flight counts as lost.
    pub(crate) fn faults(&self) -> Faults {
        let pairs = self.tallies.iter().enumerate();
        Faults {
            lost: pairs.map(|(pair, tally)| self.sent[self.layout.stream_of(pair)] - tally.come()).sum(),
            duplicated: self.duplicates,
            misdelivered: self.strays,
            unanswered: self.published.saturating_sub(self.replies),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::workload::Workload;

    #[test]
    fn every_fault_is_counted_for_itself() {
        let mut course = Course::new(Layout::new(Workload::FanOut, 2, "/bench", 1), 2);
        let (first, second) = (course.publish(100).unwrap(), course.publish(200).unwrap());
        assert_eq!(course.publish(300), None, "two in flight");
        for (session, stamp) in [(1, &first), (2, &first), (1, &second), (1, &second)] {
            course.delivered(session, stamp, 1_100);
        }
        course.delivered(0, &second, 1_100);
        course.delivered(1, &Stamp { sequence: 9, ..second }, 1_100);
        course.answered(first.number);
        assert_eq!(course.faults(), Faults { lost: 1, duplicated: 1, misdelivered: 2, unanswered: 1 });
        assert!(!course.is_settled());
        course.delivered(2, &second, 1_100);
        course.answered(second.number);
        assert_eq!(course.faults(), Faults { duplicated: 1, misdelivered: 2, ..Faults::default() });
        assert!(course.is_settled());
        let since = course.restart();
        assert_eq!((since.messages, since.deliveries, since.latency.total()), (2, 4, 4));
        assert_eq!(since.latency.longest().as_nanos(), 1_000);
        assert_eq!(course.restart().deliveries, 0);
    }
}
