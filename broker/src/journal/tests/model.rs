//! The journal against a model in plain collections, over generated operations and kills.

use std::collections::BTreeMap;

use cloud_channel_handlers::Held;
use proptest::prelude::*;

use super::*;

const LIMITS: JournalLimits = JournalLimits {
    outbox_events: 4,
    outbox_bytes: 2 << 20,
    retained_events: 3,
    retained_bytes: 2 << 20,
    retained_ms: 8,
    inbox_entries: 3,
    inbox_bytes: 32 << 20,
    seen_per_module: 4,
    preimage_bytes: 1 << 20,
    held_bytes: 1 << 20,
    journal_bytes: 64 << 20,
};

#[derive(Debug, Clone)]
enum Step {
    Accept { module: bool, id: Option<u8>, content: u8, generation: Option<u64> },
    Start,
    Complete { module: bool, held: Option<u8> },
    Append { keep: bool },
    Settle { index: usize },
    Later { ms: u64 },
    Commit,
    Abort,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let id = proptest::option::weighted(0.8, 0..6_u8);
    let generation = proptest::option::weighted(0.4, 1..6_u64);
    prop_oneof![
        6 => (any::<bool>(), id, 0..2_u8, generation)
            .prop_map(|(module, id, content, generation)| Step::Accept { module, id, content, generation }),
        1 => Just(Step::Start),
        4 => (any::<bool>(), proptest::option::of(0..9_u8))
            .prop_map(|(module, held)| Step::Complete { module, held }),
        3 => any::<bool>().prop_map(|keep| Step::Append { keep }),
        4 => (0..4_usize).prop_map(|index| Step::Settle { index }),
        2 => (1..6_u64).prop_map(|ms| Step::Later { ms }),
        4 => Just(Step::Commit),
        1 => Just(Step::Abort),
        2 => Just(Step::Kill),
    ]
}

const fn module(second: bool) -> Module {
    if second { Module::SetPasswords } else { Module::Network }
}

#[derive(Debug, Clone)]
struct Waiting {
    arrival: u64,
    module: Module,
    content: u8,
    generation: Option<u64>,
    started: bool,
    superseded: bool,
}

/// Content, latest and first arrival.
type Sight = (u8, u64, u64);

#[derive(Debug, Clone, Default)]
struct Model {
    arrivals: u64,
    seqs: u64,
    inbox: Vec<Waiting>,
    seen: BTreeMap<(Module, u8), Sight>,
    latest: BTreeMap<Module, u64>,
    modules: BTreeMap<Module, (Option<u8>, Option<u64>)>,
    /// Whether it is kept longest, and when it was recorded.
    outbox: BTreeMap<u64, (bool, u64)>,
    /// When it was recorded.
    retained: BTreeMap<u64, u64>,
    /// The highest number whose event is gone.
    forgotten: u64,
    dropped: Dropped,
    /// Whether there is anything to commit.
    changed: bool,
}

impl Model {
    fn accept(
        &mut self,
        module: Module,
        id: Option<u8>,
        content: u8,
        generation: Option<u64>,
    ) -> &'static str {
        let sight = id.and_then(|id| self.seen.get(&(module, id)).copied());
        if let Some((before, latest, _)) = sight {
            if before != content {
                return "conflict";
            }
            if self.inbox.iter().any(|push| push.arrival == latest) {
                return "pending";
            }
        }
        let pending =
            self.inbox.iter().filter(|push| push.module == module).filter_map(|push| push.generation);
        let applied = self.modules.get(&module).and_then(|state| state.1);
        if let (Some(given), Some(highest)) = (generation, pending.chain(applied).max())
            && (given < highest || (given == highest && sight.is_none()))
        {
            return "stale";
        }
        if self.inbox.len() as u64 >= LIMITS.inbox_entries {
            return "busy";
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        let first = sight.map_or(arrival, |(_, _, first)| first);
        let superseded = self.latest.get(&module).is_some_and(|latest| *latest > first);
        if sight.is_none() {
            self.latest.insert(module, arrival);
        }
        if let Some(id) = id {
            self.seen.insert((module, id), (content, arrival, first));
            self.forget(module);
        }
        self.inbox.push(Waiting { arrival, module, content, generation, started: false, superseded });
        "accepted"
    }

    fn forget(&mut self, module: Module) {
        let of_module = |(key, _): &(&(Module, u8), &Sight)| key.0 == module;
        if self.seen.iter().filter(of_module).count() as u64 > LIMITS.seen_per_module {
            let oldest =
                self.seen.iter().filter(of_module).min_by_key(|(_, sight)| sight.1).map(|(key, _)| *key);
            self.seen.remove(&oldest.unwrap());
        }
    }

    fn append(&mut self, keep: bool, now: u64) {
        self.seqs += 1;
        self.changed = true;
        self.outbox.insert(self.seqs, (keep, now));
        if self.outbox.len() as u64 > LIMITS.outbox_events {
            let reporting = self.outbox.iter().find(|(_, (keep, _))| !keep).map(|(seq, _)| *seq);
            let counter =
                if reporting.is_some() { &mut self.dropped.reporting } else { &mut self.dropped.finish };
            *counter += 1;
            let oldest = reporting.or_else(|| self.outbox.keys().next().copied());
            self.outbox.remove(&oldest.unwrap());
            self.forgotten = self.forgotten.max(oldest.unwrap());
        }
    }

    fn settle(&mut self, seq: u64) -> bool {
        let Some((_, at)) = self.outbox.remove(&seq) else { return false };
        self.retained.insert(seq, at);
        self.changed = true;
        true
    }

    /// What a commit lets go. Nothing else goes with a commit that changes nothing.
    fn prune(&mut self, now: u64) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        while let Some((seq, at)) = self.retained.first_key_value().map(|(seq, at)| (*seq, *at)) {
            let too_many = self.retained.len() as u64 > LIMITS.retained_events;
            if !too_many && now - at < LIMITS.retained_ms {
                return;
            }
            self.retained.remove(&seq);
            self.forgotten = self.forgotten.max(seq);
        }
    }

    fn check_events(&self, journal: &mut Journal) -> Result<(), TestCaseError> {
        let window = journal.window().unwrap();
        prop_assert_eq!((window.forgotten.0, window.newest.0), (self.forgotten, self.seqs));
        let mut there: Vec<u64> = self.outbox.keys().chain(self.retained.keys()).copied().collect();
        there.sort_unstable();
        let above: Vec<u64> = there.iter().copied().filter(|seq| *seq > self.forgotten).collect();
        prop_assert_eq!(above, (self.forgotten + 1..=self.seqs).collect::<Vec<_>>(), "no hole above it");
        // Page by page is as good as all at once.
        let mut found = Vec::new();
        let mut after = Seq(0);
        loop {
            let limits = PageLimits { events: 2, bytes: usize::MAX, looked_at: 3 };
            let page = journal.page(after, limits, |seq, _| seq.0 % 2 == 0).unwrap();
            prop_assert!(page.is_last || page.reached > after);
            found.extend(page.events.iter().map(|(seq, _)| seq.0));
            after = page.reached;
            if page.is_last {
                break;
            }
        }
        prop_assert_eq!(found, there.into_iter().filter(|seq| seq % 2 == 0).collect::<Vec<_>>());
        Ok(())
    }

    fn check(&self, journal: &mut Journal) -> Result<(), TestCaseError> {
        let contents = journal.load().unwrap();
        let inbox: Vec<_> = contents
            .inbox
            .iter()
            .map(|push| (push.arrival.0, push.module, push.generation, push.started, push.superseded))
            .collect();
        let expected: Vec<_> = self
            .inbox
            .iter()
            .map(|push| (push.arrival, push.module, push.generation, push.started, push.superseded))
            .collect();
        prop_assert_eq!(inbox, expected);
        for push in &self.inbox {
            let entry = journal.entry(ArrivalNo(push.arrival)).unwrap();
            prop_assert_eq!(entry.payload.as_raw().get(), push.content.to_string());
            prop_assert_eq!(entry.preimage.is_some(), push.started);
        }
        let outbox: Vec<_> = contents.outbox.iter().map(|(seq, event)| (seq.0, event.keep)).collect();
        prop_assert_eq!(outbox, self.outbox.iter().map(|(seq, (keep, _))| (*seq, *keep)).collect::<Vec<_>>());
        self.check_events(journal)?;
        prop_assert_eq!(contents.dropped, self.dropped);
        let modules: BTreeMap<_, _> = contents.modules.into_iter().collect();
        let expected = self.modules.iter().map(|(module, (held, generation))| {
            let held = held.map_or_else(Held::nothing, |held| Held::document(held.into()));
            (*module, ModuleState { held, generation: *generation })
        });
        prop_assert_eq!(modules, expected.collect());
        Ok(())
    }
}

/// Does one step on both. Kills and commits are the caller's.
fn apply(
    txn: &mut Transaction<'_>,
    model: &mut Model,
    step: &Step,
    now: &mut u64,
) -> Result<(), TestCaseError> {
    match *step {
        Step::Accept { module: second, id, content, generation } => {
            let mut wanted = push(&format!("{id:?}"), &content.to_string());
            wanted.module = module(second);
            wanted.generation = generation;
            if id.is_none() {
                wanted.cause = None;
            }
            let admission = match txn.accept(&wanted).unwrap() {
                Admission::Accepted(_) => "accepted",
                Admission::Pending(_) => "pending",
                Admission::Conflict => "conflict",
                Admission::Stale { .. } => "stale",
                Admission::Replayed { .. } => "replayed",
                Admission::Busy => "busy",
            };
            prop_assert_eq!(admission, model.accept(module(second), id, content, generation));
            model.changed |= admission == "accepted";
        }
        Step::Start => {
            if let Some(push) = model.inbox.first_mut() {
                push.started = true;
                model.changed = true;
                txn.started(ArrivalNo(push.arrival), &Default::default()).unwrap();
            }
        }
        Step::Complete { module: second, held } => {
            let place = model.inbox.iter().position(|push| push.module == module(second));
            let Some(done) = place.map(|place| model.inbox.remove(place)) else { return Ok(()) };
            let document = held.map(|held| Held::document(held.into()));
            let seq = txn.reserve_seq(1).unwrap().next().unwrap();
            txn.complete(ArrivalNo(done.arrival), document.as_ref(), seq, &event("[]", false)).unwrap();
            model.append(true, *now);
            if held.is_some() {
                let state = model.modules.entry(done.module).or_default();
                *state = (held, state.1.max(done.generation));
            }
        }
        Step::Append { keep } => {
            let seq = txn.reserve_seq(1).unwrap().next().unwrap();
            txn.append_event(seq, &event("[]", keep)).unwrap();
            model.append(keep, *now);
        }
        Step::Settle { index } => {
            let seq = model.outbox.keys().nth(index).copied().unwrap_or(0);
            prop_assert_eq!(txn.settle_event(Seq(seq)).unwrap(), model.settle(seq));
        }
        Step::Later { ms } => {
            *now += ms;
            txn.at(*now);
        }
        Step::Commit | Step::Abort | Step::Kill => {}
    }
    Ok(())
}

fn play(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut root = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(root.path(), LIMITS).unwrap();
    let mut committed = Model::default();
    let mut now = 1_000;
    // Each part of the steps is one transaction; its last step says how it ends.
    for part in steps.split_inclusive(|step| matches!(step, Step::Commit | Step::Abort | Step::Kill)) {
        let mut model = committed.clone();
        let mut txn = journal.begin().unwrap();
        txn.at(now);
        for step in part {
            apply(&mut txn, &mut model, step, &mut now)?;
        }
        match part.last() {
            Some(Step::Commit) => {
                txn.commit().unwrap();
                model.prune(now);
                committed = model;
            }
            Some(Step::Kill) => {
                drop(txn);
                let next = tempfile::tempdir().unwrap();
                killed(&journal, next.path());
                journal = Journal::open(next.path(), LIMITS).unwrap();
                root = next;
            }
            _ => drop(txn),
        }
        committed.check(&mut journal)?;
    }
    drop(root);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_is_its_model(steps in proptest::collection::vec(step(), 1..60)) {
        play(&steps)?;
    }
}
