//! Replays: what a subscriber wants of the time before, read from the journal page by page.
//!
//! ```text
//! Replay ─▶ Judging ──refused──▶ gone                            (the subscribe's reply carries the reason)
//!              │ granted
//!              ▼            first of its client          page handed over
//!           Waiting ───────────────────────▶ Looking ───────────────────────▶ Delivering
//!                                               ▲                                │ its last event has arrived
//!                                               └────────────────────────────────┘
//!                                               │ the page ends where the journal does
//!                                               ▼
//!                                           caught up: the subscription hears what is published
//! ```
//!
//! The clerk reports in order: a page holds all events that were reported as recorded before it, and none that is
//! reported after it. So a subscription that is caught up at the journal's end misses nothing and has nothing twice.
//! A slow reader gets its next page when it has the one before, and delays nobody. A client has one page at a time,
//! however many replays it has asked for.
//!
//! What a client hears by another of its subscriptions is not handed to it once more: [`Listener::heard`].

use std::collections::{HashMap, VecDeque};

use cloud_channel_protocol::server::{Input, OfferId, ReplayFrom};
use cloud_channel_protocol::{BayeuxError, ChannelName, ChannelPattern, ClientId, Publication};

use super::Driver;
use super::receipt::Receipt;
use crate::clerk::{Look, Order, ReplayId, number_of};
use crate::journal::{Event, Page, PageLimits, Seq, Window};

/// Clients with replays under way, at most: each has a page in memory.
const CLIENTS: usize = 32;
/// Of a page, at most; less if sessions' queues are small, of which a page takes a quarter.
const PAGE_EVENTS: usize = 64;
const PAGE_BYTES: usize = 128 << 10;
/// Events that one look passes over at most: some milliseconds of the clerk's time.
const LOOKED_AT: usize = 2_048;

/// All replays under way.
#[derive(Debug, Default)]
pub(super) struct Replays {
    listeners: HashMap<ClientId, Listener>,
    last_id: u64,
    last_page: u64,
    /// The highest number that was reported as recorded.
    newest: u64,
    /// What the server had dropped when it was last looked at.
    dropped: u64,
}

/// A client that replays.
#[derive(Debug, Default)]
struct Listener {
    runs: VecDeque<Run>,
    /// Its other subscriptions, with the number after which it has, or will have, every event of theirs.
    heard: Vec<(ChannelPattern, u64)>,
}

/// One subscribe's replay.
#[derive(Debug)]
struct Run {
    id: ReplayId,
    wanted: Vec<(ChannelPattern, ReplayFrom)>,
    /// How far the journal was looked at.
    reached: Seq,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first look is to tell whether it is granted.
    Judging(OfferId),
    /// Another replay of the same client comes first.
    Waiting,
    Looking,
    /// A page of this number was handed over, and awaits the receipt for its last event.
    Delivering {
        page: u64,
        last: Seq,
    },
}

impl Listener {
    fn is_judging(run: &Run) -> bool {
        matches!(run.stage, Stage::Judging(_))
    }

    fn position(&self, id: ReplayId) -> Option<usize> {
        self.runs.iter().position(|run| run.id == id)
    }

    /// The client has every event of a subscription after this number.
    fn hears(&mut self, pattern: ChannelPattern, after: u64) {
        self.heard.retain(|(heard, _)| *heard != pattern);
        self.heard.push((pattern, after));
    }

    fn has(&self, seq: Seq, channel: &ChannelName) -> bool {
        self.heard.iter().any(|(pattern, after)| seq.get() > *after && pattern.matches(channel))
    }
}

impl Run {
    /// The subscription that an event is handed over for.
    fn pattern_of(&self, seq: Seq, channel: &ChannelName) -> Option<&ChannelPattern> {
        let covers = |(pattern, from): &&(ChannelPattern, ReplayFrom)| {
            number_of(*from) < seq.get() && pattern.matches(channel)
        };
        self.wanted.iter().find(covers).map(|(pattern, _)| pattern)
    }
}

impl Replays {
    /// The client whose run this is, taken out so that the driver can work with it.
    fn take(&mut self, wanted: impl Fn(&Run) -> bool) -> Option<(ClientId, Listener)> {
        let has_it = |listener: &Listener| listener.runs.iter().any(&wanted);
        let client =
            self.listeners.iter().find(|(_, listener)| has_it(listener)).map(|(client, _)| *client)?;
        Some((client, self.listeners.remove(&client)?))
    }

    fn put_back(&mut self, client: ClientId, listener: Listener) {
        if !listener.runs.is_empty() {
            self.listeners.insert(client, listener);
        }
    }

    /// How many clients have some under way.
    pub(super) fn clients(&self) -> usize {
        self.listeners.len()
    }

    /// An event was reported as recorded.
    pub(super) fn recorded(&mut self, seq: Seq) {
        self.newest = self.newest.max(seq.get());
    }

    /// A client hears more than before.
    pub(super) fn subscribed(&mut self, client: ClientId, added: &[ChannelPattern]) {
        let Some(listener) = self.listeners.get_mut(&client) else { return };
        for pattern in added {
            listener.hears(pattern.clone(), self.newest);
        }
    }

    /// A client is gone. What is still being judged is awaited: its offer has to be settled.
    pub(super) fn session_ended(&mut self, client: ClientId) {
        let Some(mut listener) = self.listeners.remove(&client) else { return };
        listener.runs.retain(Listener::is_judging);
        self.put_back(client, listener);
    }
}

impl Driver {
    /// A client subscribes and wants what is retained.
    pub(super) fn replay(
        &mut self,
        offer: OfferId,
        client: ClientId,
        wanted: Vec<(ChannelPattern, ReplayFrom)>,
    ) {
        let replays = &mut self.replays;
        if replays.clients() >= CLIENTS && !replays.listeners.contains_key(&client) {
            let busy = BayeuxError::busy("Too many clients replay events, subscribe again later");
            return self.input(Input::Settled { offer, verdict: Err(busy) });
        }
        replays.last_id += 1;
        let id = ReplayId(replays.last_id);
        let reached = wanted.iter().map(|(_, from)| number_of(*from)).min().unwrap_or_default().into();
        let run = Run { id, wanted, reached, stage: Stage::Judging(offer) };
        if let Err(error) = self.look(&run, None) {
            return self.input(Input::Settled { offer, verdict: Err(error) });
        }
        self.replays.listeners.entry(client).or_default().runs.push_back(run);
    }

    fn look(&self, run: &Run, after: Option<Seq>) -> Result<(), BayeuxError> {
        let queue = &self.parts.server.limits;
        let limits = PageLimits {
            events: PAGE_EVENTS.min(queue.queued_messages / 4).max(1),
            bytes: PAGE_BYTES.min(queue.queued_bytes / 4),
            looked_at: LOOKED_AT,
        };
        let look = Look { replay: run.id, wanted: run.wanted.clone(), after, limits };
        self.parts.clerk.order(Order::Look(Box::new(look)))
    }

    /// The clerk has looked.
    pub(super) fn found(&mut self, id: ReplayId, window: Window, page: Result<Page, BayeuxError>) {
        self.replays.recorded(window.newest);
        // None if its client is gone.
        let Some((client, mut listener)) = self.replays.take(|run| run.id == id) else { return };
        if let Some(at) = listener.position(id)
            && let Some(run) = listener.runs.remove(at)
        {
            match run.stage {
                Stage::Judging(offer) => self.judged(client, &mut listener, run, offer, page),
                Stage::Waiting | Stage::Looking | Stage::Delivering { .. } => match page {
                    Ok(page) => self.hand_over(client, &mut listener, run, page),
                    Err(_) => self.caught_up(client, &mut listener, run),
                },
            }
        }
        self.replays.put_back(client, listener);
    }

    fn judged(
        &mut self,
        client: ClientId,
        listener: &mut Listener,
        mut run: Run,
        offer: OfferId,
        page: Result<Page, BayeuxError>,
    ) {
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.input(Input::Settled { offer, verdict: Err(error) }),
        };
        self.input(Input::Settled { offer, verdict: Ok(()) });
        let is_first = listener.runs.iter().all(Listener::is_judging);
        if is_first {
            for pattern in self.server.hears(client) {
                // What has just caught up is known already, from further back on.
                if listener.heard.iter().all(|(heard, _)| *heard != pattern) {
                    listener.hears(pattern, self.replays.newest);
                }
            }
        } else {
            // Asked for again: the newer wish counts.
            for other in listener.runs.iter_mut().filter(|run| !Listener::is_judging(run)) {
                other.wanted.retain(|(pattern, _)| run.wanted.iter().all(|(newer, _)| newer != pattern));
            }
        }
        tracing::debug!(%client, wanted = ?run.wanted, "replay");
        if is_first {
            self.hand_over(client, listener, run, page);
        } else {
            run.stage = Stage::Waiting;
            listener.runs.push_back(run);
        }
    }

    /// Gives a client the events of a page that it is to have, and goes on.
    fn hand_over(&mut self, client: ClientId, listener: &mut Listener, mut run: Run, page: Page) {
        run.wanted.retain(|(pattern, _)| self.server.is_catching_up(client, pattern));
        if run.wanted.is_empty() {
            return self.next_run(client, listener);
        }
        let live = self.server.hears(client);
        listener.heard.retain(|(pattern, _)| live.contains(pattern));
        run.reached = page.reached;
        let mut events = page.events;
        events.retain(|(seq, event)| {
            run.pattern_of(*seq, &event.channel).is_some()
                && !listener.has(*seq, &event.channel)
                && self.server.may_be_given(client, &event.channel)
        });
        // What follows the last page is not awaited, so its events need no more than their own receipts.
        let ends = if page.is_last { None } else { events.last().map(|(seq, _)| *seq) };
        if let Some(last) = ends {
            self.replays.last_page += 1;
            run.stage = Stage::Delivering { page: self.replays.last_page, last };
        }
        for (seq, event) in events {
            self.hand(client, &run, seq, event);
        }
        match ends {
            _ if page.is_last => self.caught_up(client, listener, run),
            Some(_) => listener.runs.push_front(run),
            None => self.look_on(client, listener, run),
        }
    }

    fn hand(&mut self, client: ClientId, run: &Run, seq: Seq, event: Event) {
        let Some(pattern) = run.pattern_of(seq, &event.channel).cloned() else { return };
        let receipt = match run.stage {
            Stage::Delivering { page, last } if last == seq => Some(Receipt::Page(page)),
            // As with any subscriber: who takes an event that waits, settles it.
            _ => (self.parts.link.is_none() && self.outbox.has(seq)).then_some(Receipt::Event(seq)),
        };
        let publication = Publication { channel: event.channel, id: None, data: event.data, ext: event.ext };
        let receipt = receipt.map(u64::from);
        self.input(Input::Replayed { client, pattern: &pattern, publication: &publication, receipt });
    }

    /// The next page of a run that is its client's first.
    fn look_on(&mut self, client: ClientId, listener: &mut Listener, mut run: Run) {
        run.wanted.retain(|(pattern, _)| self.server.is_catching_up(client, pattern));
        if run.wanted.is_empty() {
            return self.next_run(client, listener);
        }
        run.stage = Stage::Looking;
        // Refused only when the daemon ends, and every replay with it.
        if let Err(error) = self.look(&run, Some(run.reached)) {
            tracing::debug!(%client, %error, "a replay ends early");
        }
        listener.runs.push_front(run);
    }

    /// A run has reached the end of the journal, or cannot go on: its subscriptions hear what is published now.
    fn caught_up(&mut self, client: ClientId, listener: &mut Listener, run: Run) {
        for (pattern, from) in run.wanted {
            self.input(Input::CaughtUp { client, pattern: &pattern });
            listener.hears(pattern, number_of(from));
        }
        self.next_run(client, listener);
    }

    fn next_run(&mut self, client: ClientId, listener: &mut Listener) {
        if let Some(at) = listener.runs.iter().position(|run| run.stage == Stage::Waiting)
            && let Some(run) = listener.runs.remove(at)
        {
            self.look_on(client, listener, run);
        }
    }

    /// A subscriber has an event: without a link, that settles it. One may be the last of a page.
    pub(super) fn receipt(&mut self, receipt: Receipt) {
        match receipt {
            Receipt::Event(seq) => self.settle(seq),
            Receipt::Page(page) => {
                if let Some(last) = self.page_done(page)
                    && self.parts.link.is_none()
                {
                    self.settle(last);
                }
            }
        }
    }

    /// A page is read, or lost: the next one may come. The number of its last event, if it was awaited.
    fn page_done(&mut self, page: u64) -> Option<Seq> {
        let is_it = |run: &Run| matches!(run.stage, Stage::Delivering { page: of, .. } if of == page);
        let (client, mut listener) = self.replays.take(is_it)?;
        let run = listener.runs.iter().position(is_it).and_then(|at| listener.runs.remove(at));
        let last = run.as_ref().and_then(|run| match run.stage {
            Stage::Delivering { last, .. } => Some(last),
            Stage::Judging(_) | Stage::Waiting | Stage::Looking => None,
        });
        if let Some(run) = run {
            self.look_on(client, &mut listener, run);
        }
        self.replays.put_back(client, listener);
        last
    }

    /// Something was published that is recorded nowhere, so that no replay will bring it.
    pub(super) fn tell_replaying(&mut self, publication: &Publication) {
        let kept_from = |client: &&ClientId| self.server.is_kept_from(**client, &publication.channel);
        let clients: Vec<ClientId> = self.replays.listeners.keys().filter(kept_from).copied().collect();
        for client in clients {
            self.input(Input::Tell { client, publication, receipt: None });
        }
    }

    /// An overflowing queue may have dropped the end of a page, whose receipt will never come. The reader is told of
    /// the gap; its replay goes on.
    pub(super) fn mind_lost_pages(&mut self) {
        let dropped = self.server.dropped();
        if std::mem::replace(&mut self.replays.dropped, dropped) == dropped {
            return;
        }
        let pages = self.replays.listeners.iter().flat_map(|(client, listener)| {
            let awaited = listener.runs.iter().filter_map(|run| match run.stage {
                Stage::Delivering { page, .. } => Some(page),
                Stage::Judging(_) | Stage::Waiting | Stage::Looking => None,
            });
            awaited.map(|page| (*client, page))
        });
        let lost: Vec<u64> = pages
            .filter(|(client, page)| !self.server.is_underway(*client, Receipt::Page(*page).into()))
            .map(|(_, page)| page)
            .collect();
        for page in lost {
            // Nobody has its last event, so nothing is settled.
            let _last = self.page_done(page);
        }
    }
}
