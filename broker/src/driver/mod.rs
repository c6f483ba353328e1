//! The one task that owns the Bayeux server. Everything that happens comes to it as a [`Happening`]; everything
//! that is to be done goes out through slots and bounded queues, and it never waits for any of them.
//!
//! ```text
//! connections ─┐                         ┌─▶ slots of connections (frames)
//! webhook ─────┤                         ├─▶ clerk  (journal thread)
//! clerk ───────┼─▶ Happening ─▶ driver ──┼─▶ jobs   (a thread for each push at work)
//! jobs ────────┤      (Server + state)   └─▶ link   (dialled connection)
//! link ────────┘
//! ```
//!
//! This file is the loop and the dispatch; `offers` decides about publishes, `events` sends ours out, `pushes`
//! runs accepted pushes in order, `deferred` has done later what waits for devices, `trials` waits for changes that may have cut the machine off and
//! `words` hears what is said of them (by a `speaker`), `hardware` sends out what was plugged, `replays` reads what was before, `receipt` is what is heard of both once somebody has it, `link` minds the dialled side, `status` tells how things are.

mod alarm;
mod allowance;
mod counters;
mod deferred;
mod events;
mod hardware;
mod link;
mod link_message;
mod offers;
mod pushes;
mod receipt;
mod replays;
mod sessions;
mod speaker;
mod status;
mod trials;
mod words;

use std::sync::Arc;
use std::time::Duration;

use alarm::Alarm;
use cloud_channel_handlers::System;
use cloud_channel_protocol::server::extensions::Extension;
use cloud_channel_protocol::server::{
    CloseReason, Input, LocalId, LocalSession, Output, Server, ServerConfig,
};
use cloud_channel_protocol::signing::ManagementKey;
use cloud_channel_protocol::{ChannelPattern, InstanceId, Now};

use crate::clerk::{ClerkHandle, Report};
use crate::clock::Clock;
use crate::guest::outbox::Outbox;
use crate::guest::stages::StageTracker;
use crate::happening::{DriverHandle, Happening, Happenings};
use crate::hotplug::{Burst, Hotplug};
use crate::ids::RandomIds;
use crate::link::LinkHandle;
use crate::policy::PeerPolicy;
use crate::shutdown::Watchdog;
use crate::status_channel::STATUS_CHANNEL;
use crate::transport::registry::ConnectionRegistry;
use crate::transport::websocket::Sent;

/// Happenings taken in before their outputs go out, so that many small ones share frames: as many as there can be.
const BATCH: usize = crate::happening::QUEUE;
/// How long streams may take to close at the end; their sessions' events are in the journal.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// The guest's one local session: it is asked about everything below `/cloudinit/`.
const GUEST: LocalId = LocalId(0);

/// What the driver is made of.
pub(crate) struct Parts {
    pub(crate) instance: InstanceId,
    pub(crate) server: ServerConfig,
    pub(crate) policy: PeerPolicy,
    pub(crate) extensions: Vec<Box<dyn Extension>>,
    /// Whose signature config has to carry; without any it needs none.
    pub(crate) management_keys: Vec<ManagementKey>,
    pub(crate) registry: Arc<ConnectionRegistry>,
    pub(crate) clerk: ClerkHandle,
    pub(crate) link: Option<LinkHandle>,
    pub(crate) hotplug: Hotplug,
    pub(crate) system: Arc<dyn System>,
    pub(crate) handle: DriverHandle,
    pub(crate) clock: Clock,
    /// The endpoints listened on, for status.
    pub(crate) listening: Vec<String>,
    pub(crate) watchdog: Watchdog,
}

/// The owner of the server and of all that this guest knows of itself.
pub(crate) struct Driver {
    server: Server,
    parts: Parts,
    stages: StageTracker,
    outbox: Outbox,
    pushes: pushes::Pushes,
    link: link::LinkState,
    sessions: sessions::Sessions,
    replays: replays::Replays,
    trials: trials::Trials,
    /// Changes of the kernel's links that were not looked at yet.
    kernel_links: Burst,
    counters: counters::Counters,
    /// Events from before the journal was open.
    early: Vec<crate::clerk::Draft>,
    ready: bool,
    stopping: bool,
    /// Until when the streams may take to close, once the end has begun.
    close_by: Duration,
    /// True while nobody is connected and nothing is at work.
    resting: bool,
    /// How many times outputs have gone out.
    turn: u64,
    /// When this turn's happenings were taken in: the clock is read once for all of them.
    now: Now,
}

impl Driver {
    pub(crate) fn new(mut parts: Parts) -> Self {
        let policy = Box::new(parts.policy.clone());
        let mut server = Server::new(parts.server.clone(), policy, Box::new(RandomIds));
        let accepts = ["/cloudinit/**", STATUS_CHANNEL]
            .map(|text| ChannelPattern::parse(text).expect("a constant is a pattern"));
        for extension in std::mem::take(&mut parts.extensions) {
            server.extend(extension);
        }
        server.attach(LocalSession { id: GUEST, accepts: accepts.to_vec(), subscribes: Vec::new() });
        Self {
            server,
            stages: StageTracker::default(),
            outbox: Outbox::default(),
            pushes: pushes::Pushes::default(),
            link: link::LinkState::default(),
            sessions: sessions::Sessions::default(),
            replays: replays::Replays::default(),
            trials: trials::Trials::default(),
            kernel_links: Burst::default(),
            counters: counters::Counters::default(),
            early: Vec::new(),
            ready: false,
            stopping: false,
            close_by: Duration::MAX,
            resting: false,
            turn: 0,
            now: parts.clock.now(),
            parts,
        }
    }

    /// Runs until it has been told to stop and everything under way is done.
    pub(crate) async fn run(mut self, mut happenings: Happenings) {
        let mut alarm = Alarm::default();
        loop {
            alarm.set(self.next_deadline());
            let first = tokio::select! {
                // What is due is looked at in every turn.
                biased;
                happening = happenings.next() => match happening {
                    Some(happening) => Some(happening),
                    None => return,
                },
                () = alarm.rings() => None,
            };
            self.now = self.parts.clock.now();
            if let Some(happening) = first {
                self.counters.happenings.note(happenings.len() + 1);
                self.take(happening);
            }
            for _ in 1..BATCH {
                let Some(happening) = happenings.try_next() else { break };
                self.take(happening);
            }
            self.server.handle_timeout(self.now);
            self.mind_trials();
            self.mind_kernel_links();
            self.parts.watchdog.feed(self.now.uptime);
            self.pump();
            if self.stopping && self.is_idle() {
                return;
            }
            self.rest();
        }
    }

    /// Lets go of memory at the beginning of each rest: after the start, and when the last peer has left.
    fn rest(&mut self) {
        let rested = self.resting;
        self.resting = self.ready && self.parts.registry.is_empty() && !self.pushes.any_running();
        if self.resting
            && !rested
            && let Err(error) = crate::footprint::release_code()
        {
            tracing::debug!(%error, "the code stays in memory");
        }
    }

    fn next_deadline(&self) -> Option<tokio::time::Instant> {
        let server = self.server.next_timeout();
        let watchdog = self.parts.watchdog.next();
        let close_by = Some(self.close_by).filter(|by| self.stopping && self.now.uptime < *by);
        server
            .into_iter()
            .chain(watchdog)
            .chain(self.trials.next())
            .chain(self.kernel_links.due())
            .chain(close_by)
            .min()
            .map(|uptime| self.parts.clock.instant(uptime))
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            // Newcomers would keep us from ending.
            Happening::Opened { connection, .. } if self.stopping => {
                self.parts.registry.close(connection, CloseReason::GoingAway);
            }
            Happening::Opened { connection, peer, carrier } => {
                self.input(Input::Opened { connection, peer: *peer, carrier });
            }
            Happening::Received { connection, messages } => {
                for bytes in messages.iter() {
                    self.input(Input::Received { connection, bytes });
                }
            }
            Happening::Writable { connection } => self.input(Input::Writable { connection }),
            Happening::Answered { connection } => {
                self.input(Input::Writable { connection });
                self.input(Input::Closed { connection });
            }
            Happening::Closed { connection } => self.input(Input::Closed { connection }),
            Happening::Reported(event) => self.reported(*event),
            Happening::Clerk(reports) => {
                // Who has just subscribed gets what waits first, and then what these bring, once.
                self.pump();
                for report in reports {
                    self.clerk_report(report);
                }
            }
            Happening::Job(report) => self.job_report(*report),
            Happening::Link(report) => self.link_report(report),
            Happening::Hardware(observed) => self.hardware(*observed),
            Happening::KernelLinksChanged => self.kernel_links_stirred(),
            Happening::Figures(reader) => self.tell_figures(*reader),
            Happening::Stop => self.stop(),
        }
    }

    fn clerk_report(&mut self, report: Report) {
        match report {
            Report::Opened(contents) => self.journal_opened(*contents),
            Report::Verdict { request, admitted } => self.verdict(&request, admitted),
            Report::Answer { request, answer } => self.answer(&request, answer),
            Report::Foreseen { module, outlook } => self.foreseen(module, outlook),
            Report::Recorded { seq, publication, asker } => self.recorded(seq, publication, asker),
            Report::Unrecorded { publication, asker } => self.unrecorded(&publication, asker),
            Report::Found { replay, window, page } => self.found(replay, window, page),
            Report::Dropped { events, total } => self.events_dropped(&events, total),
            Report::Fetched(entry) => self.fetched(*entry),
            Report::Unreadable { arrival } => self.unreadable(arrival),
            Report::Finished { module, held } => self.push_recorded(module, held.map(|held| *held)),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.now, input);
    }

    /// Carries out what the server has decided, until it wants nothing more. What a stream takes at once is written
    /// from here. That ends, as queues do: nothing is read meanwhile.
    fn pump(&mut self) {
        self.turn += 1;
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit { connection, batch, understood } => {
                    let sent = self.parts.registry.transmit(connection, batch, understood, self.turn);
                    if sent == Sent::Whole {
                        self.input(Input::Writable { connection });
                    }
                }
                Output::Close { connection, reason } => self.parts.registry.close(connection, reason),
                Output::Offer { offer, sender, publication, .. } => {
                    let _session = self.sessions.span(sender.client).entered();
                    self.offered(offer, sender, publication);
                }
                Output::Receipt(number) => self.receipt(number.into()),
                Output::Subscribed { client, principal, added, had } => {
                    self.subscribed(client, &principal, &added, &had);
                }
                Output::SessionBegun { client, principal, connection, address } => {
                    self.sessions.begun(client, &principal, connection, &address);
                    self.greet_witness(client);
                }
                Output::SessionEnded { client, reason } => {
                    self.sessions.ended(client, reason);
                    self.replays.session_ended(client);
                }
                Output::Proven { client } => self.proven(client),
                Output::Replay { offer, client, wanted } => self.replay(offer, client, wanted),
                // The guest's local session subscribes to nothing.
                Output::Deliver { .. } => {}
            }
        }
        self.mind_lost_pages();
        self.pump_link();
    }

    fn stop(&mut self) {
        if self.stopping {
            return;
        }
        tracing::info!("stopping: finishing what is under way");
        self.stopping = true;
        self.close_by = self.parts.clock.now().uptime + CLOSE_DEADLINE;
        self.end_trials();
        self.input(Input::Drain);
        if let Some(link) = &self.parts.link {
            link.stop();
        }
    }

    /// Nothing under way that would be lost or cut: accepted pushes that were not begun wait in the journal.
    /// A peer that does not read its last frame does not keep us.
    fn is_idle(&self) -> bool {
        let late = self.parts.clock.now().uptime >= self.close_by;
        let closed = self.parts.registry.is_empty() && self.link.is_down();
        !self.pushes.any_running() && (closed || late)
    }
}
