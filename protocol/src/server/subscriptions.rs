//! Channel to subscribers. The cost of a look-up is the channel's depth, whatever else is subscribed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::extensions::replay::ReplayFrom;
use super::session::SessionKey;
use crate::channel::{ChannelName, ChannelPattern};

/// What a subscribe is granted: recorded, and answered with, at once or when its replay is.
#[derive(Debug)]
pub(super) struct Granted {
    /// Hear what is published from now on.
    pub(super) live: Vec<ChannelPattern>,
    /// Hear it once their replay has caught up.
    pub(super) replayed: Vec<ChannelPattern>,
    asked: Box<str>,
}

impl Granted {
    /// `patterns` as they were asked for; those among `wanted` are replayed first.
    pub(super) fn new(
        patterns: Vec<ChannelPattern>,
        wanted: &[(ChannelPattern, ReplayFrom)],
        asked: Option<&str>,
    ) -> Self {
        let is_wanted = |pattern: &ChannelPattern| wanted.iter().any(|(wanted, _)| wanted == pattern);
        let (replayed, live) = patterns.into_iter().partition(is_wanted);
        Self { live, replayed, asked: asked.unwrap_or("null").into() }
    }

    /// True if there is nothing new in it.
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.replayed.is_empty()
    }

    /// The request's own words, which every reply repeats.
    pub(super) fn asked(&self) -> &str {
        &self.asked
    }
}

type Subscribers = BTreeSet<SessionKey>;

/// Three maps: exact channels, and the prefixes of both kinds of wildcard.
#[derive(Debug, Default)]
pub(super) struct SubscriptionIndex {
    exact: HashMap<ChannelName, Subscribers>,
    one_segment: HashMap<Arc<str>, Subscribers>,
    any_depth: HashMap<Arc<str>, Subscribers>,
}

impl SubscriptionIndex {
    pub(super) fn insert(&mut self, pattern: &ChannelPattern, session: SessionKey) {
        let subscribers = match pattern {
            ChannelPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            ChannelPattern::OneSegment(prefix) => self.one_segment.entry(prefix.clone()).or_default(),
            ChannelPattern::AnyDepth(prefix) => self.any_depth.entry(prefix.clone()).or_default(),
        };
        subscribers.insert(session);
    }

    pub(super) fn contains(&self, pattern: &ChannelPattern, session: SessionKey) -> bool {
        let subscribers = match pattern {
            ChannelPattern::Exact(name) => self.exact.get(name),
            ChannelPattern::OneSegment(prefix) => self.one_segment.get(prefix),
            ChannelPattern::AnyDepth(prefix) => self.any_depth.get(prefix),
        };
        subscribers.is_some_and(|subscribers| subscribers.contains(&session))
    }

    /// Removes a subscription; a channel without subscribers leaves the map.
    pub(super) fn remove(&mut self, pattern: &ChannelPattern, session: SessionKey) {
        match pattern {
            ChannelPattern::Exact(name) => remove_from(&mut self.exact, name, session),
            ChannelPattern::OneSegment(prefix) => remove_from(&mut self.one_segment, &**prefix, session),
            ChannelPattern::AnyDepth(prefix) => remove_from(&mut self.any_depth, &**prefix, session),
        }
    }

    /// Calls with all subscribers of a channel, each once, in a fixed order.
    pub(super) fn for_each(&self, channel: &ChannelName, mut call: impl FnMut(SessionKey)) {
        let exact = self.exact.get(channel);
        let one = self.one_segment.get(channel.parent());
        // Most servers have no or few of these, and hashing every ancestor is what would cost most here.
        let ancestors = if self.any_depth.is_empty() { None } else { Some(channel.ancestors()) };
        let any = ancestors.into_iter().flatten().filter_map(|ancestor| self.any_depth.get(ancestor));
        let mut sources = exact.into_iter().chain(one).chain(any);
        let Some(first) = sources.next() else { return };
        let Some(second) = sources.next() else { return first.iter().copied().for_each(call) };
        let mut found: Vec<SessionKey> =
            first.iter().chain(second).chain(sources.flatten()).copied().collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().for_each(&mut call);
    }
}

fn remove_from<K, Q>(map: &mut HashMap<K, Subscribers>, key: &Q, session: SessionKey)
where
    K: std::borrow::Borrow<Q> + Eq + std::hash::Hash,
    Q: Eq + std::hash::Hash + ?Sized,
{
    if let Some(subscribers) = map.get_mut(key) {
        subscribers.remove(&session);
        if subscribers.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;

    fn key_of(number: u64) -> SessionKey {
        SessionKey(NonZeroU64::MIN.saturating_add(number))
    }

    fn pattern() -> impl Strategy<Value = ChannelPattern> {
        "(/[ab]){0,3}/(a|b|\\*|\\*\\*)".prop_map(|text| ChannelPattern::parse(&text).unwrap())
    }

    proptest! {
        /// The index finds exactly those whose patterns match, after any inserts and removals.
        #[test]
        fn agrees_with_matching_each_pattern(
            inserted in prop::collection::vec((pattern(), 0_u64..4), 0..20),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            channel in "(/[ab]){1,4}",
        ) {
            let channel = ChannelName::parse(&channel).unwrap();
            let mut index = SubscriptionIndex::default();
            let mut model: BTreeSet<(ChannelPattern, SessionKey)> = BTreeSet::new();
            for (pattern, key) in &inserted {
                index.insert(pattern, key_of(*key));
                model.insert((pattern.clone(), key_of(*key)));
            }
            for chosen in removed {
                if inserted.is_empty() { break; }
                let (pattern, key) = chosen.get(&inserted);
                index.remove(pattern, key_of(*key));
                model.remove(&(pattern.clone(), key_of(*key)));
            }
            let expected: BTreeSet<SessionKey> =
                model.iter().filter(|(p, _)| p.matches(&channel)).map(|(_, key)| *key).collect();
            let mut found = Vec::new();
            index.for_each(&channel, |key| found.push(key));
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            for (pattern, key) in &model {
                index.remove(pattern, *key);
            }
            prop_assert!(index.exact.is_empty() && index.one_segment.is_empty() && index.any_depth.is_empty());
        }
    }
}
