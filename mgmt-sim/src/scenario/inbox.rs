//! Events that have come, and which of them a step has asked for already.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use cloud_channel_protocol::{ChannelPattern, CloudinitExt, Place, Publication};
use serde_json::Value;

use crate::event_line;
use crate::matching::mismatch;
use crate::screen::Paint;

/// Events kept; over it the oldest go.
const EVENTS: usize = 10_000;

struct Arrived {
    publication: Publication,
    data: Value,
    ext: Value,
    wall: Duration,
    used: bool,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) channel: ChannelPattern,
    pub(super) data: Option<Value>,
    pub(super) ext: Option<Value>,
}

#[derive(Default)]
pub(super) struct Inbox {
    events: VecDeque<Arrived>,
    /// Numbers of guests' events: after a lost link a guest sends again what it does not know to have arrived.
    seen: HashSet<(String, u64)>,
}

impl Inbox {
    pub(super) fn add(&mut self, publication: Publication, wall: Duration) {
        let ext = CloudinitExt::from_ext(publication.ext.as_deref()).unwrap_or_default();
        if let (Some(seq), Place::Instance(instance, _)) = (ext.seq, Place::of(&publication.channel))
            && !self.seen.insert((instance.to_string(), seq))
        {
            return;
        }
        let parse = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        let data = parse(publication.data.get());
        let ext = publication.ext.as_deref().map_or(Value::Null, |ext| parse(ext.get()));
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Arrived { publication, data, ext, wall, used: false });
    }

    /// Uses the first so many events that match; nothing is used unless there are as many.
    pub(super) fn take(&mut self, wanted: &Wanted, count: usize) -> Option<Vec<Value>> {
        let found = self
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| !event.used && wanted.why_not(event).is_none());
        let places: Vec<usize> = found.map(|(at, _)| at).take(count).collect();
        if places.len() < count {
            return None;
        }
        Some(
            places
                .into_iter()
                .map(|at| {
                    self.events[at].used = true;
                    self.events[at].data.clone()
                })
                .collect(),
        )
    }

    /// Events that match and were not used: how many.
    pub(super) fn count(&self, wanted: &Wanted) -> usize {
        self.events.iter().filter(|event| !event.used && wanted.why_not(event).is_none()).count()
    }

    /// Why the events on the wanted channel do not match, and the last events of all.
    pub(super) fn explain(&self, wanted: &Wanted) -> Vec<String> {
        let line = |event: &Arrived| event_line::for_people(&event.publication, event.wall, Paint::PLAIN);
        let near =
            self.events.iter().rev().filter(|event| wanted.channel.matches(&event.publication.channel));
        let mut lines: Vec<String> = near
            .take(5)
            .map(|event| match wanted.why_not(event) {
                Some(why) => format!("{}   ({why})", line(event)),
                None => format!("{}   (expected before)", line(event)),
            })
            .collect();
        if lines.is_empty() {
            lines = self.last(5);
            lines.insert(0, format!("no event on {}; the last of all:", wanted.channel));
        }
        lines
    }

    /// The last events, newest first.
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        let line = |event: &Arrived| event_line::for_people(&event.publication, event.wall, Paint::PLAIN);
        let lines: Vec<String> = self.events.iter().rev().take(count).map(line).collect();
        if lines.is_empty() { vec!["no event has come at all".to_owned()] } else { lines }
    }
}

impl Wanted {
    fn why_not(&self, event: &Arrived) -> Option<String> {
        if !self.channel.matches(&event.publication.channel) {
            return Some("another channel".to_owned());
        }
        let differs = |wanted: &Option<Value>, given: &Value, place: &str| {
            wanted.as_ref().and_then(|wanted| mismatch(wanted, Some(given), place))
        };
        differs(&self.data, &event.data, "data").or_else(|| differs(&self.ext, &event.ext, "ext"))
    }
}
