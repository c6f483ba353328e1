//! Looks at the journal for replays: whether a number can be replayed from, and the next events behind it.

use cloud_channel_protocol::server::ReplayFrom;
use cloud_channel_protocol::{BayeuxError, ChannelName, ChannelPattern, ErrorCode};

use crate::journal::{PageLimits, Seq, Window};

/// Names a replay, among all of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplayId(pub(crate) u64);

/// An order to look.
#[derive(Debug)]
pub(crate) struct Look {
    /// Given back with what is found.
    pub(crate) replay: ReplayId,
    /// What it covers, and from where on each.
    pub(crate) wanted: Vec<(ChannelPattern, ReplayFrom)>,
    /// The last event that was looked at; none before the first look, which also judges the numbers.
    pub(crate) after: Option<Seq>,
    pub(crate) limits: PageLimits,
}

impl Look {
    /// Behind which event the look begins.
    pub(super) fn start(&self) -> Seq {
        let lowest = self.wanted.iter().map(|(_, from)| number_of(*from)).min();
        self.after.unwrap_or_else(|| Seq::from(lowest.unwrap_or_default()))
    }

    pub(super) fn covers(&self, seq: Seq, channel: &ChannelName) -> bool {
        self.wanted.iter().any(|(pattern, from)| number_of(*from) < seq.get() && pattern.matches(channel))
    }

    /// The first look's verdict. A replay that is granted brings every event after its number.
    pub(super) fn judge(&self, window: Window) -> Result<(), BayeuxError> {
        let (forgotten, newest) = (window.forgotten.get(), window.newest.get());
        for (_, from) in &self.wanted {
            let ReplayFrom::After(number) = *from else { continue };
            let problem = match number {
                gone if gone < forgotten => format!("Events {} to {forgotten} are gone", gone + 1),
                future if future > newest => "There is no such event yet".to_owned(),
                _ => continue,
            };
            let text = format!(
                "{problem}, expected {forgotten} to {newest}, or -2 for all that are retained, or -1 for new ones only"
            );
            return Err(BayeuxError::new(ErrorCode::Malformed, number.to_string(), text));
        }
        Ok(())
    }
}

/// The number that everything wanted is above.
pub(crate) const fn number_of(from: ReplayFrom) -> u64 {
    match from {
        ReplayFrom::Oldest => 0,
        ReplayFrom::After(number) => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(wanted: &[(&str, ReplayFrom)]) -> Look {
        let parse = |(text, from): &(&str, ReplayFrom)| (ChannelPattern::parse(text).unwrap(), *from);
        let limits = PageLimits { events: 1, bytes: 1, looked_at: 1 };
        Look { replay: ReplayId(1), wanted: wanted.iter().map(parse).collect(), after: None, limits }
    }

    fn judged(number: u64, forgotten: u64, newest: u64) -> Result<(), String> {
        let window = Window { forgotten: forgotten.into(), newest: newest.into() };
        look(&[("/a", ReplayFrom::After(number))]).judge(window).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_is_good_if_nothing_after_it_is_gone() {
        for number in [41, 50, 97] {
            assert_eq!(judged(number, 41, 97), Ok(()));
        }
        assert_eq!(judged(0, 0, 0), Ok(()));
        let rest = "expected 41 to 97, or -2 for all that are retained, or -1 for new ones only";
        assert_eq!(judged(40, 41, 97), Err(format!("400:40:Events 41 to 41 are gone, {rest}")));
        assert_eq!(judged(3, 41, 97), Err(format!("400:3:Events 4 to 41 are gone, {rest}")));
        assert_eq!(judged(98, 41, 97), Err(format!("400:98:There is no such event yet, {rest}")));
        let all = look(&[("/a", ReplayFrom::Oldest)]);
        assert_eq!(all.judge(Window { forgotten: 41.into(), newest: 97.into() }), Ok(()));
    }

    #[test]
    fn each_pattern_has_its_own_number() {
        let look = look(&[
            ("/a/*", ReplayFrom::After(5)),
            ("/a/b", ReplayFrom::After(7)),
            ("/c", ReplayFrom::Oldest),
        ]);
        let covers = |seq: u64, channel: &str| look.covers(seq.into(), &ChannelName::parse(channel).unwrap());
        assert_eq!(look.start().get(), 0);
        assert!(covers(6, "/a/b") && covers(1, "/c"));
        assert!(!covers(5, "/a/b") && !covers(9, "/d"));
    }
}
