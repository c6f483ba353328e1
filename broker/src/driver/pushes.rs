//! Accepted pushes: one at a time for each module, in order of arrival; modules do not wait for one another.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use cloud_channel_handlers::Held;
use cloud_channel_protocol::server::Input;
use cloud_channel_protocol::{
    BayeuxError, CloudinitExt, EventResult, EventType, MessageId, Module, ModuleName, Publication,
    ReportingEvent, Stage, Topic, Verb,
};
use tracing::Span;

use super::Driver;
use super::deferred::Deferred;
use super::receipt::Receipt;
use super::trials::Trials;
use crate::clerk::{Draft, Order};
use crate::job::{Ending, Job, JobReport};
use crate::journal::{Accepted, ArrivalNo, Contents, InboxEntry, Task};
use crate::metrics::{ChangeFigures, Results};
use crate::request::{Asker, Request};

/// What waits and what is at work.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    lanes: HashMap<Module, Lane>,
}

/// One module's.
#[derive(Debug, Default)]
struct Lane {
    held: Held,
    backlog: VecDeque<Accepted>,
    running: Option<Accepted>,
    /// Of what is at work.
    span: Option<Span>,
    /// True if what is at work runs commands, and may so cut off who comes over a network.
    runs_commands: bool,
    /// Finished pushes.
    results: Results,
    deferred: Deferred,
}

impl Pushes {
    pub(super) fn held(&self, module: Module) -> Held {
        self.lanes.get(&module).map(|lane| lane.held.clone()).unwrap_or_default()
    }

    /// The push of a module that is at work.
    pub(super) fn running(&self, module: Module) -> Option<&Accepted> {
        self.lanes.get(&module)?.running.as_ref()
    }

    pub(super) fn any_running(&self) -> bool {
        self.lanes.values().any(|lane| lane.running.is_some())
    }

    /// Of each module that there is.
    pub(super) fn figures(&self, trials: &Trials, now: Duration) -> Vec<ChangeFigures> {
        let figures = |module| {
            let lane = self.lanes.get(&module);
            ChangeFigures {
                module,
                waiting: lane.map_or(0, |lane| lane.backlog.len()),
                at_work: lane.is_some_and(|lane| lane.running.is_some()),
                on_trial: trials.remaining(module, now),
                deferred: lane.map(|lane| lane.deferred.waiting().clone()).unwrap_or_default(),
                results: lane.map_or_else(Results::default, |lane| lane.results),
            }
        };
        Module::all().map(figures).collect()
    }

    /// The span of the change at work.
    fn span(&self, module: Module) -> Span {
        self.lanes.get(&module).and_then(|lane| lane.span.clone()).unwrap_or_else(Span::none)
    }

    /// What a module has put off.
    pub(super) fn deferred(&mut self, module: Module) -> &mut Deferred {
        &mut self.lane(module).deferred
    }

    fn lane(&mut self, module: Module) -> &mut Lane {
        self.lanes.entry(module).or_default()
    }
}

impl Lane {
    /// Nothing is at work any more.
    fn rest(&mut self) {
        self.running = None;
        self.span = None;
        self.runs_commands = false;
    }
}

/// What the log tells of a change stands in its span, from its turn until its result is recorded.
fn change_span(accepted: &Accepted) -> Span {
    tracing::info_span!(
        "change",
        module = %accepted.module,
        request = accepted.cause.as_ref().map(MessageId::json),
        generation = accepted.generation,
        result = tracing::field::Empty,
    )
}

impl Driver {
    /// The journal is open: take up what an earlier run has left.
    pub(super) fn journal_opened(&mut self, contents: Contents) {
        let Contents { inbox, outbox, modules, dropped, devices } = contents;
        tracing::info!(pushes = inbox.len(), events = outbox.len(), "journal open");
        self.counters.dropped = dropped;
        for (seq, event) in outbox {
            let publication =
                Publication { channel: event.channel, id: None, data: event.data, ext: event.ext };
            // Who has subscribed while the journal was being opened has found nothing waiting.
            if self.parts.link.is_none() {
                let receipt = Some(Receipt::Event(seq).into());
                self.input(Input::Publish { publication: &publication, receipt });
            }
            self.outbox.insert(seq, publication);
        }
        for (module, state) in modules {
            self.pushes.lane(module).held = state.held;
        }
        for accepted in inbox {
            self.pushes.lane(accepted.module).backlog.push_back(accepted);
        }
        self.ready = true;
        for draft in std::mem::take(&mut self.early) {
            if self.send_out(draft).is_err() {
                self.counters.lost += 1;
            }
        }
        for module in Module::all() {
            self.start_next(module);
            self.look_ahead(module);
        }
        self.parts.hotplug.begin(devices);
        crate::shutdown::notify_ready();
        tracing::info!(instance = %self.parts.instance, listening = ?self.parts.listening, "ready");
    }

    /// A push was judged: its sender hears of it, and if it was taken its turn comes.
    pub(super) fn verdict(&mut self, request: &Request, admitted: Result<Option<Accepted>, BayeuxError>) {
        match admitted {
            Ok(accepted) => {
                self.accept(&request.asker);
                if let Some(accepted) = accepted {
                    let _session = self.span_of(&request.asker).entered();
                    tracing::info!(module = %accepted.module, arrival = %accepted.arrival, "push accepted");
                    self.pushes.lane(accepted.module).backlog.push_back(accepted);
                    self.start_next(request.module);
                }
            }
            Err(error) => {
                self.refuse(&request.asker, &error);
                match request.asker {
                    Asker::Link => self.report_refusal(&request.spelling, request.id.clone(), &error),
                    Asker::Guest => {
                        tracing::warn!(module = %request.module, %error, "what waited is not done now");
                        self.pushes.deferred(request.module).resumed();
                    }
                    Asker::Offer { .. } => {}
                }
            }
        }
        self.link_settled(&request.asker);
    }

    /// Where no publish reply exists, a refusal is a failed finish that names its cause.
    pub(super) fn report_refusal(
        &mut self,
        spelling: &ModuleName,
        cause: Option<MessageId>,
        error: &BayeuxError,
    ) {
        let name = spelling.module().map_or("config-unknown", Module::event_name);
        let event = self.event(name, EventType::Finish, format!("{name} was refused: {error}"));
        let event = ReportingEvent { result: Some(EventResult::Fail), ..event };
        let draft = self.result_draft(spelling, event, cause);
        if let Err(error) = self.send_out(draft) {
            self.counters.lost += 1;
            tracing::warn!(%error, "a refusal could not be reported");
        }
    }

    fn start_next(&mut self, module: Module) {
        let lane = self.pushes.lane(module);
        if self.stopping || !self.ready || lane.running.is_some() {
            return;
        }
        let Some(next) = lane.backlog.pop_front() else { return };
        let arrival = next.arrival;
        lane.span = Some(change_span(&next));
        lane.running = Some(next);
        if let Err(error) = self.parts.clerk.order(Order::Fetch(arrival)) {
            tracing::warn!(%arrival, %error, "a push has to wait for the next start");
            self.pushes.lane(module).rest();
        }
    }

    /// A push has come back from the journal with its payload.
    pub(super) fn fetched(&mut self, entry: InboxEntry) {
        let (module, arrival) = (entry.accepted.module, entry.accepted.arrival);
        let held = self.pushes.held(module);
        let span = self.pushes.span(module);
        let (system, driver) = (self.parts.system.clone(), self.parts.handle.clone());
        let job = Job { entry, held, system, driver, span };
        if let Err(error) = job.start() {
            let reason = format!("no thread could be started ({error}), so nothing was changed");
            self.ended(module, arrival, Ending::failed(reason), Duration::ZERO);
        }
    }

    pub(super) fn unreadable(&mut self, arrival: ArrivalNo) {
        let running = |lane: &Lane| lane.running.as_ref().is_some_and(|accepted| accepted.arrival == arrival);
        let module = self.pushes.lanes.iter().find(|(_, lane)| running(lane)).map(|(module, _)| *module);
        if let Some(module) = module {
            let ending = Ending::failed("its record in the journal is damaged");
            self.ended(module, arrival, ending, Duration::ZERO);
        }
    }

    pub(super) fn job_report(&mut self, report: JobReport) {
        match report {
            JobReport::Begin { arrival, module, preimage, go } => {
                self.pushes.lane(module).runs_commands = !preimage.commands.is_empty();
                let start = self.start_draft(module).map(Box::new);
                // If the clerk has ended, `go` is dropped with the order and the job changes nothing.
                let order = Order::Begin { arrival, preimage: Box::new(preimage), start, go };
                if let Err(error) = self.parts.clerk.order(order) {
                    tracing::warn!(%arrival, %error, "a push cannot begin");
                }
            }
            JobReport::OnTrial { arrival, module, end } => self.begin_trial(arrival, module, end),
            JobReport::Ended { arrival, module, ending, took } => self.ended(module, arrival, ending, took),
        }
    }

    /// The start event, unless an interrupted run has sent it already.
    fn start_draft(&self, module: Module) -> Option<Draft> {
        let accepted = self.pushes.lanes.get(&module)?.running.as_ref()?;
        if accepted.started {
            return None;
        }
        let name = module.event_name();
        let how = match accepted.task {
            Task::Push => "with frequency always",
            Task::Resume => "for devices that have come",
            Task::Revert => "to take the last change back",
        };
        let event = self.event(name, EventType::Start, format!("running {name} {how}"));
        Some(self.result_draft(&accepted.spelling, event, accepted.cause.clone()))
    }

    fn ended(&mut self, module: Module, arrival: ArrivalNo, ending: Ending, took: Duration) {
        let span = self.pushes.span(module).entered();
        let lane = self.pushes.lane(module);
        let Some(accepted) = lane.running.clone() else { return };
        let name = module.event_name();
        let (verb, result) = match ending.result {
            EventResult::Success => ("ran successfully", "success"),
            EventResult::Warn => ("ran with warnings", "warn"),
            EventResult::Fail => ("failed", "fail"),
        };
        let runs_commands = lane.runs_commands;
        lane.results.count(ending.result, took);
        span.record("result", result);
        let text = match ending.remark {
            None => format!("{name} {verb}"),
            Some(remark) => format!("{name} {verb}: {remark}"),
        };
        tracing::info!(%arrival, result, took_ms = took.as_millis(), "push finished");
        if module == Module::Network && runs_commands {
            self.ask_all_remote();
        }
        let event = self.event(name, EventType::Finish, text);
        // Four digits, as cloud-init writes them.
        let duration = (took.as_secs_f64() * 1e4).round() / 1e4;
        let event = ReportingEvent { result: Some(ending.result), duration: Some(duration), ..event };
        let finish = Draft { keep: true, ..self.result_draft(&accepted.spelling, event, accepted.cause) };
        let held = ending.held.map(Box::new);
        let order = Order::Finish { arrival, module, held, finish: Box::new(finish) };
        if let Err(error) = self.parts.clerk.order(order) {
            tracing::error!(%arrival, %error, "a result cannot be recorded: the push runs again after the next start");
            self.pushes.lane(module).rest();
        }
    }

    /// A push and its result are durable: the next may come.
    pub(super) fn push_recorded(&mut self, module: Module, held: Option<Held>) {
        let lane = self.pushes.lane(module);
        if lane.running.as_ref().is_some_and(|accepted| accepted.task == Task::Resume) {
            lane.deferred.resumed();
        }
        lane.rest();
        if let Some(held) = held.filter(|held| *held != lane.held) {
            lane.held = held;
            lane.deferred.forget_tries();
        }
        self.start_next(module);
        self.look_ahead(module);
    }

    /// The answer to `config/get` or a dry run, to its asker alone.
    pub(super) fn answer(&mut self, request: &Request, answer: Result<serde_json::Value, BayeuxError>) {
        let value = match answer {
            Ok(value) => value,
            Err(error) => {
                self.refuse(&request.asker, &error);
                if request.asker == Asker::Link {
                    self.report_refusal(&request.spelling, request.id.clone(), &error);
                }
                return self.link_settled(&request.asker);
            }
        };
        self.accept(&request.asker);
        let topic = Topic::Config(Verb::Get, request.spelling.clone());
        let answer = request.asker == Asker::Link;
        let ext = CloudinitExt { cause: request.id.clone(), answer, ..CloudinitExt::default() };
        let publication = Publication {
            channel: topic.channel(&self.parts.instance),
            id: None,
            data: serde_json::value::to_raw_value(&value).expect("a JSON value serialises"),
            ext: Some(ext.to_ext()),
        };
        match &request.asker {
            Asker::Offer { client: Some(client), .. } => {
                self.input(Input::Tell { client: *client, publication: &publication, receipt: None });
            }
            Asker::Offer { client: None, .. } | Asker::Guest => {}
            Asker::Link => self.answer_over_link(publication),
        }
        self.link_settled(&request.asker);
    }

    fn event(&self, name: &str, event_type: EventType, description: String) -> ReportingEvent {
        ReportingEvent {
            name: format!("{}/{name}", Stage::ModulesConfig.as_str()),
            description,
            event_type,
            origin: "cloudinit".to_owned(),
            timestamp: self.parts.clock.now().timestamp(),
            result: None,
            duration: None,
            files: None,
        }
    }

    /// Results go to the channel of the module, spelled as the request spells it.
    fn result_draft(&self, spelling: &ModuleName, event: ReportingEvent, cause: Option<MessageId>) -> Draft {
        let topic = Topic::StageStep(Stage::ModulesConfig, spelling.clone());
        Draft::event(topic.channel(&self.parts.instance), event.to_data(), cause)
    }
}
