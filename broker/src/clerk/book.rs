//! Carrying out orders: what only reads is answered, what writes goes into one transaction together.

use cloud_channel_handlers::config_module;
use cloud_channel_protocol::{BayeuxError, ErrorCode};
use tokio::sync::oneshot;

use super::Desk;
use super::entry::{Entry, Numbered, Written, verdict, write_entry};
use super::order::{Admit, AdmittedWork, Draft, Order, Question, Report, Sighting, SpokenWord};
use super::refusal::to_bayeux;
use super::replay::Look;
use crate::journal::{Contents, Journal, JournalError, JournalSize, Push, Seq, SeqBlock, Window};

/// Event numbers reserved at a time: one commit for so many events, so many numbers skipped after a crash.
const SEQ_BLOCK: u32 = 1_024;

/// The journal and what the clerk needs beside it.
pub(super) struct Book {
    journal: Journal,
    desk: Desk,
    numbers: SeqBlock,
    /// Finishes, and what the hardware did, that could not be written yet. They are facts, so they are tried until they are.
    overdue: Vec<Entry>,
    /// Orders that could not even be prepared, and must not be lost.
    postponed: Vec<Order>,
}

impl Book {
    /// Reserves numbers and reads what is there.
    pub(super) fn open(mut journal: Journal, desk: Desk) -> Result<(Self, Contents), JournalError> {
        let contents = journal.load()?;
        let numbers = reserve(&mut journal)?;
        Ok((Self { journal, desk, numbers, overdue: Vec::new(), postponed: Vec::new() }, contents))
    }

    /// How much the journal holds; nothing if it cannot be read, which the next order will tell of.
    pub(super) fn size(&mut self) -> JournalSize {
        self.journal.size().unwrap_or_default()
    }

    /// True if something waits to be written again, without anybody asking.
    pub(super) fn has_overdue(&self) -> bool {
        !self.overdue.is_empty() || !self.postponed.is_empty()
    }

    /// Carries out orders, in their order.
    ///
    /// # Errors
    /// If it is not known whether a commit took place: then what is in memory may not be what is on disk, and only
    /// a new start can tell.
    pub(super) fn carry_out(&mut self, orders: Vec<Order>) -> Result<Vec<Report>, JournalError> {
        let mut reports = Vec::new();
        let mut entries = self.take_overdue();
        let postponed = std::mem::take(&mut self.postponed);
        if orders.iter().any(|order| matches!(order, Order::Look(look) if look.after.is_none())) {
            self.retire()?;
        }
        for order in postponed.into_iter().chain(orders) {
            self.prepare(order, &mut entries, &mut reports);
        }
        if entries.is_empty() {
            return Ok(reports);
        }
        match self.write(&entries) {
            Err(error @ JournalError::Commit { in_doubt: true, .. }) => return Err(error),
            Ok(written) => {
                for (entry, written) in entries.into_iter().zip(written) {
                    self.report(entry, written, &mut reports);
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot write to the journal");
                for entry in entries {
                    self.report_failure(entry, &error, &mut reports);
                }
            }
        }
        Ok(reports)
    }

    fn prepare(&mut self, order: Order, entries: &mut Vec<Entry>, reports: &mut Vec<Report>) {
        match order {
            Order::Admit(admit) => match self.check(*admit) {
                Ok(entry) => entries.push(entry),
                Err(refused) => reports.push(*refused),
            },
            Order::Word(word) => {
                let SpokenWord { request, sender } = *word;
                entries.push(Entry::Word { request, sender });
            }
            Order::Answer(question) => reports.push(self.answer(*question)),
            Order::Foresee(module, held) => {
                let outlook = config_module(module).outlook(&held, &*self.desk.system);
                let outlook = outlook.map_err(|refusal| refusal.to_string());
                reports.push(Report::Foreseen { module, outlook });
            }
            Order::Append(draft) => self.append(*draft, entries, reports),
            Order::Sightings { sightings, recorded } => self.sightings(sightings, recorded, entries),
            Order::Settle(seq) => entries.push(Entry::Settle(seq)),
            // Before anything of this turn is written, and so before any of it is reported.
            Order::Look(look) => self.look(look, reports),
            Order::Fetch(arrival) => match self.journal.entry(arrival) {
                Ok(entry) => reports.push(Report::Fetched(Box::new(entry))),
                Err(error @ (JournalError::Record { .. } | JournalError::NoSuchPush(_))) => {
                    tracing::error!(%arrival, error = &error as &dyn std::error::Error, "a push is unreadable");
                    reports.push(Report::Unreadable { arrival });
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "cannot read the journal, trying again"
                    );
                    self.postponed.push(Order::Fetch(arrival));
                }
            },
            Order::Begin { arrival, preimage, start, go } => {
                entries.push(Entry::Begin { arrival, preimage, go });
                if let Some(draft) = start {
                    self.append(*draft, entries, reports);
                }
            }
            Order::OnTrial(arrival) => entries.push(Entry::OnTrial(arrival)),
            Order::Finish { arrival, module, held, finish } => match self.number(*finish) {
                Ok(finish) => entries.push(Entry::Finish { arrival, module, held, finish }),
                Err(finish) => self.postponed.push(Order::Finish { arrival, module, held, finish }),
            },
        }
    }

    fn append(&mut self, draft: Draft, entries: &mut Vec<Entry>, reports: &mut Vec<Report>) {
        match self.number(draft) {
            Ok(event) => entries.push(Entry::Event(event)),
            Err(draft) => {
                let (publication, asker) = draft.without_number();
                reports.push(Report::Unrecorded { publication, asker });
            }
        }
    }

    /// Each is an entry of its own; the last one tells that all are durable.
    fn sightings(
        &mut self,
        sightings: Vec<Sighting>,
        recorded: oneshot::Sender<()>,
        entries: &mut Vec<Entry>,
    ) {
        let mut recorded = Some(recorded);
        let mut rest = sightings.into_iter().peekable();
        while let Some(Sighting { event, changes }) = rest.next() {
            let event = match event.map(|draft| self.number(*draft)).transpose() {
                Ok(event) => event,
                Err(draft) => {
                    let sightings = std::iter::once(Sighting { event: Some(draft), changes }).chain(rest);
                    if let Some(recorded) = recorded {
                        self.postponed.push(Order::Sightings { sightings: sightings.collect(), recorded });
                    }
                    return;
                }
            };
            let recorded = if rest.peek().is_none() { recorded.take() } else { None };
            entries.push(Entry::Sighting { event, changes, recorded });
        }
    }

    /// Asks the module, which may look at the machine, before anything is promised.
    fn check(&mut self, admit: Admit) -> Result<Entry, Box<Report>> {
        let is_repeated = self.is_repeated(&admit);
        let Admit { request, work, sender, witness } = admit;
        let (module, system) = (config_module(request.module), &*self.desk.system);
        let checked = match &work {
            AdmittedWork::Push { payload, .. } => module.check(payload.as_raw(), system),
            AdmittedWork::Resume => Ok(()),
            // It changes nothing, so it need not be possible.
            AdmittedWork::Revert(_) if is_repeated => Ok(()),
            AdmittedWork::Revert(held) => module.revert(held, system).map(drop),
        };
        if let Err(refusal) = checked {
            let admitted = Err(to_bayeux(&refusal));
            return Err(Box::new(Report::Verdict { request, admitted }));
        }
        let signed = work.is_signed();
        let (task, payload) = work.into_parts();
        let push = Push {
            task,
            module: request.module,
            spelling: request.spelling.clone(),
            cause: request.id.clone(),
            sender,
            payload,
            generation: request.ext.generation,
            confirm_seconds: request.ext.confirm_seconds,
            witness,
            arrived_ms: self.wall_ms(),
            signed,
        };
        Ok(Entry::Push { request, push: Box::new(push) })
    }

    /// True for a word that is known; what cannot be told is told when it is written.
    fn is_repeated(&mut self, admit: &Admit) -> bool {
        let Some(id) = &admit.request.id else { return false };
        let is_word = matches!(admit.work, AdmittedWork::Revert(_));
        is_word && self.journal.has_seen(admit.request.module, &admit.sender, id).unwrap_or_default()
    }

    fn answer(&self, question: Question) -> Report {
        let Question { request, held, dry_run } = question;
        let module = config_module(request.module);
        let answer = match dry_run {
            None => Ok(module.describe(&held, &*self.desk.system)),
            Some(payload) => module
                .plan(&held, &payload, &*self.desk.system)
                .map(|plan| serde_json::json!({ "plan": plan.to_json() }))
                .map_err(|refusal| to_bayeux(&refusal)),
        };
        Report::Answer { request, answer }
    }

    /// Gives an event its number. There is none only if the journal cannot reserve any more.
    fn number(&mut self, draft: Draft) -> Result<Numbered, Box<Draft>> {
        let keep = draft.keep;
        let Some(seq) = self.next_seq() else { return Err(Box::new(draft)) };
        let (publication, asker) = draft.numbered(seq);
        Ok(Numbered { seq, publication, asker, keep })
    }

    /// Events to be written again. Others were numbered since, so they get new numbers: numbers rise in the journal,
    /// and nobody has seen the old ones.
    fn take_overdue(&mut self) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.overdue);
        for entry in &mut entries {
            if let Entry::Finish { finish: event, .. } | Entry::Sighting { event: Some(event), .. } = entry
                && let Some(seq) = self.next_seq()
            {
                event.renumber(seq);
            }
        }
        entries
    }

    /// Whoever asks for old events is not to get what is too old by now.
    fn retire(&mut self) -> Result<(), JournalError> {
        let wall = self.wall_ms();
        let mut retire = || -> Result<(), JournalError> {
            let mut transaction = self.journal.begin()?;
            transaction.at(wall);
            while transaction.retire_events()? {}
            transaction.commit()
        };
        match retire() {
            Err(error @ JournalError::Commit { in_doubt: true, .. }) => Err(error),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot let go of old events");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn look(&mut self, look: Box<Look>, reports: &mut Vec<Report>) {
        let found = self.journal.window().and_then(|window| {
            if look.after.is_none()
                && let Err(refusal) = look.judge(window)
            {
                return Ok((window, Err(refusal)));
            }
            let page =
                self.journal.page(look.start(), look.limits, |seq, channel| look.covers(seq, channel))?;
            Ok((window, Ok(page)))
        });
        match found {
            Ok((window, page)) => reports.push(Report::Found { replay: look.replay, window, page }),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot read events for a replay");
                // What is damaged stays damaged; a disk may come back.
                if look.after.is_some() && !matches!(error, JournalError::Record { .. }) {
                    self.postponed.push(Order::Look(look));
                    return;
                }
                let text = "The journal cannot be read, subscribe without a replay, or with -1";
                let page = Err(BayeuxError::new(ErrorCode::Internal, "", text));
                let window = Window { forgotten: Seq::from(0), newest: Seq::from(0) };
                reports.push(Report::Found { replay: look.replay, window, page });
            }
        }
    }

    fn wall_ms(&self) -> u64 {
        u64::try_from(self.desk.clock.now().wall.as_millis()).unwrap_or(u64::MAX)
    }

    fn next_seq(&mut self) -> Option<Seq> {
        if let Some(seq) = self.numbers.next() {
            return Some(seq);
        }
        match reserve(&mut self.journal) {
            Ok(numbers) => self.numbers = numbers,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot number an event");
            }
        }
        self.numbers.next()
    }

    /// One transaction. If it fails, nothing of it is there.
    fn write(&mut self, entries: &[Entry]) -> Result<Vec<Written>, JournalError> {
        let wall = self.wall_ms();
        let mut transaction = self.journal.begin()?;
        transaction.at(wall);
        let written =
            entries.iter().map(|entry| write_entry(&mut transaction, entry)).collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(written)
    }

    fn report(&mut self, entry: Entry, written: Written, reports: &mut Vec<Report>) {
        match entry {
            Entry::Push { request, push } => {
                let admitted = verdict(written.admission, &push, &request.asker);
                reports.push(Report::Verdict { request, admitted });
            }
            Entry::Word { request, .. } => reports.push(Report::Verdict { request, admitted: Ok(None) }),
            Entry::Event(event) => reports.push(event.recorded()),
            Entry::Sighting { event, recorded, .. } => {
                reports.extend(event.map(Numbered::recorded));
                if let Some(recorded) = recorded {
                    // The listener may have ended.
                    let _unheard = recorded.send(());
                }
            }
            Entry::Settle(_) => {}
            Entry::Begin { arrival, go, .. } => match written.refused {
                // The job may have given up; then nobody waits for the word.
                None => drop(go.try_send(())),
                Some(error) => {
                    tracing::error!(%arrival, error = &error as &dyn std::error::Error, "cannot record a push's start");
                }
            },
            Entry::OnTrial(arrival) => {
                if let Some(error) = written.refused {
                    tracing::error!(%arrival, error = &error as &dyn std::error::Error, "cannot record a trial");
                }
            }
            Entry::Finish { arrival, module, held, finish } => {
                if let Some(error) = written.refused {
                    tracing::error!(%arrival, error = &error as &dyn std::error::Error, "cannot keep a module's state");
                }
                reports.push(finish.recorded());
                reports.push(Report::Finished { module, held });
            }
        }
        if !written.dropped.is_empty() {
            let total = self.journal.dropped().unwrap_or_default();
            reports.push(Report::Dropped { events: written.dropped, total });
        }
    }

    fn report_failure(&mut self, entry: Entry, error: &JournalError, reports: &mut Vec<Report>) {
        match entry {
            Entry::Push { request, .. } => {
                let text = format!("The message cannot be recorded and was not accepted ({error})");
                let error = BayeuxError::new(ErrorCode::Internal, "", text);
                reports.push(Report::Verdict { request, admitted: Err(error) });
            }
            // It is obeyed, which is what its reply says; it is only not known any more after the next start.
            Entry::Word { request, .. } => reports.push(Report::Verdict { request, admitted: Ok(None) }),
            Entry::Event(Numbered { publication, asker, .. }) => {
                reports.push(Report::Unrecorded { publication, asker });
            }
            // It is sent again after the next start, under the same number; a change is done again, and tried again.
            Entry::Settle(_) | Entry::OnTrial(_) => {}
            // The job sees its channel closed, and changes nothing.
            Entry::Begin { go, .. } => drop(go),
            fact @ (Entry::Finish { .. } | Entry::Sighting { .. }) => self.overdue.push(fact),
        }
    }
}

fn reserve(journal: &mut Journal) -> Result<SeqBlock, JournalError> {
    let mut transaction = journal.begin()?;
    let block = transaction.reserve_seq(SEQ_BLOCK)?;
    transaction.commit()?;
    Ok(block)
}
