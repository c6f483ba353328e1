//! The inbox: pushes that were accepted and are not finished.
//!
//! Admission, in this order: the same message (see [`super::seen`]), then what is signed and came before, then the
//! generation, then room.

use cloud_channel_handlers::{Held, Preimage};
use cloud_channel_protocol::{ChannelName, MessageId, Module, ModuleName, Place, Topic};
use redb::ReadableTable;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::JournalError;
use super::fault::Fault;
use super::limits::footprint;
use super::number::{ArrivalNo, Seq};
use super::payload::Digest;
use super::record::{Accepted, Admission, Event, ModuleState, Push};
use super::seen::Sighting;
use super::sender::Sender;
use super::table::{INBOX, MODULES, PAYLOADS, PREIMAGES, decode, encode, get, has, put, remove};
use super::task::Task;
use super::work::Work;
use crate::witness::Witness;

/// A row of the inbox table. The payload lies beside it, so that to mark a push as started does not write the
/// payload again, and to list the inbox does not read it.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    task: Task,
    module: String,
    spelling: String,
    cause: Option<Box<RawValue>>,
    sender: String,
    digest: Digest,
    generation: Option<u64>,
    confirm_seconds: Option<u64>,
    #[serde(default)]
    witness: Option<Witness>,
    arrived_ms: u64,
    started: bool,
    #[serde(default)]
    on_trial: bool,
    superseded: bool,
}

/// What is asked of a [`ModuleState`] in a transaction: the memory beside it may be long, and is passed over.
#[derive(Default, Deserialize)]
struct Applied {
    generation: Option<u64>,
}

impl Work {
    pub(super) fn accept(&mut self, push: &Push) -> Result<Admission, Fault> {
        let digest = Digest::of(&push.payload);
        let sighting = self.look_up(push, &digest)?;
        let first = match sighting {
            Sighting::Conflict => return Ok(Admission::Conflict),
            Sighting::Pending(arrival) => return Ok(Admission::Pending(arrival)),
            Sighting::Fresh => None,
            Sighting::Done { first } => Some(first),
        };
        if let Some(replayed) = self.replayed(push, first.is_some()) {
            return Ok(replayed);
        }
        if let Some(stale) = self.stale(push, first.is_some())? {
            return Ok(stale);
        }
        let bytes = footprint(push.payload.as_raw().get().len());
        let full = self.tally.inbox_entries >= self.limits.inbox_entries
            || self.tally.inbox_bytes.saturating_add(bytes) > self.limits.inbox_bytes;
        if full {
            return Ok(Admission::Busy);
        }
        self.store(push, digest, first, bytes).map(Admission::Accepted)
    }

    /// A repetition may carry the highest generation, since it is the very push that set it; any other push must
    /// be above. A push that failed does not count: it may be sent again, corrected.
    fn stale(&self, push: &Push, repeated: bool) -> Result<Option<Admission>, Fault> {
        let Some(given) = push.generation else { return Ok(None) };
        let state: Option<Applied> = get(&self.txn, MODULES, push.module.canonical())?;
        let applied = state.and_then(|state| state.generation);
        let Some(highest) = applied.max(self.highest_pending(push.module)?) else { return Ok(None) };
        let fits = given > highest || (repeated && given == highest);
        Ok((!fits).then_some(Admission::Stale { given, highest }))
    }

    /// A signature stays good for as long as it says, so what is signed is accepted once, also if it failed.
    fn replayed(&self, push: &Push, repeated: bool) -> Option<Admission> {
        let given = push.generation.filter(|_| push.signed)?;
        let highest = self.tally.modules.get(push.module.canonical())?.signed?;
        (given <= highest).then_some(Admission::Replayed { given, highest, repeated })
    }

    /// The highest generation in the inbox. The inbox is bounded, so is this walk.
    fn highest_pending(&self, module: Module) -> Result<Option<u64>, Fault> {
        let mut highest = None;
        for record in self.txn.open_table(INBOX.definition())?.iter()? {
            let (key, bytes) = record?;
            let row: Row = decode("inbox", &key.value(), bytes.value())?;
            if row.module == module.canonical() {
                highest = highest.max(row.generation);
            }
        }
        Ok(highest)
    }

    fn store(
        &mut self,
        push: &Push,
        digest: Digest,
        first: Option<ArrivalNo>,
        bytes: u64,
    ) -> Result<Accepted, Fault> {
        self.changed = true;
        let arrival = ArrivalNo(self.tally.next_arrival);
        self.tally.next_arrival += 1;
        self.tally.inbox_entries += 1;
        self.tally.inbox_bytes += bytes;
        let module = self.tally.modules.entry(push.module.canonical().to_owned()).or_default();
        if push.signed {
            module.signed = module.signed.max(push.generation);
        }
        // To take the last change back twice is to make it again.
        let superseded = first.is_some_and(|first| {
            push.task == Task::Revert || module.latest.is_some_and(|latest| latest > first)
        });
        // What was accepted before is done late: no message is out of date by that.
        if first.is_none() && push.task != Task::Resume {
            module.latest = Some(arrival);
        }
        let accepted = Accepted {
            arrival,
            task: push.task,
            module: push.module,
            spelling: push.spelling.clone(),
            cause: push.cause.clone(),
            sender: push.sender.clone(),
            digest,
            generation: push.generation,
            confirm_seconds: push.confirm_seconds,
            witness: push.witness.clone(),
            arrived_ms: push.arrived_ms,
            started: false,
            on_trial: false,
            superseded,
        };
        self.remember(&accepted, first)?;
        put(&self.txn, INBOX, arrival.0, &encode(&Row::of(&accepted)))?;
        put(&self.txn, PAYLOADS, arrival.0, push.payload.as_raw().get().as_bytes())?;
        Ok(accepted)
    }

    pub(super) fn started(&mut self, arrival: ArrivalNo, preimage: &Preimage) -> Result<(), Fault> {
        let mut row = self.row(arrival)?;
        let bytes = encode(preimage);
        refuse_over("a push's preimage", bytes.len(), self.limits.preimage_bytes)?;
        self.changed = true;
        row.started = true;
        put(&self.txn, INBOX, arrival.0, &encode(&row))?;
        put(&self.txn, PREIMAGES, arrival.0, &bytes)
    }

    pub(super) fn on_trial(&mut self, arrival: ArrivalNo) -> Result<(), Fault> {
        let row = Row { on_trial: true, ..self.row(arrival)? };
        self.changed = true;
        put(&self.txn, INBOX, arrival.0, &encode(&row))
    }

    pub(super) fn complete(
        &mut self,
        arrival: ArrivalNo,
        held: Option<&Held>,
        seq: Seq,
        finish: &Event,
    ) -> Result<Vec<Seq>, Fault> {
        let row = self.row(arrival)?;
        if let Some(held) = held {
            refuse_over("a module's memory", encode(held).len(), self.limits.held_bytes)?;
        }
        let finish = Event { keep: true, ..finish.clone() };
        let dropped = self.append(seq, &finish)?;
        self.changed = true;
        if let Some(held) = held {
            self.apply(&row, held)?;
        }
        remove(&self.txn, INBOX, arrival.0)?;
        remove(&self.txn, PREIMAGES, arrival.0)?;
        let payload = remove(&self.txn, PAYLOADS, arrival.0)?.unwrap_or_default();
        self.tally.inbox_entries -= 1;
        self.tally.inbox_bytes -= footprint(payload);
        Ok(dropped)
    }

    fn apply(&self, row: &Row, held: &Held) -> Result<(), Fault> {
        let key = row.module.as_str();
        let before: Applied = get(&self.txn, MODULES, key)?.unwrap_or_default();
        let after = ModuleState { held: held.clone(), generation: before.generation.max(row.generation) };
        put(&self.txn, MODULES, key, &encode(&after))
    }

    pub(super) fn is_pending(&self, arrival: ArrivalNo) -> Result<bool, Fault> {
        has(&self.txn, INBOX, arrival.0)
    }

    fn row(&self, arrival: ArrivalNo) -> Result<Row, Fault> {
        get(&self.txn, INBOX, arrival.0)?.ok_or(Fault::Refused(JournalError::NoSuchPush(arrival)))
    }
}

impl Row {
    fn of(accepted: &Accepted) -> Self {
        let raw = |id: &MessageId| {
            RawValue::from_string(id.json().to_owned()).expect("a message id is a JSON string or number")
        };
        Self {
            task: accepted.task,
            module: accepted.module.canonical().to_owned(),
            spelling: accepted.spelling.as_str().to_owned(),
            cause: accepted.cause.as_ref().map(raw),
            sender: accepted.sender.as_str().to_owned(),
            digest: accepted.digest.clone(),
            generation: accepted.generation,
            confirm_seconds: accepted.confirm_seconds,
            witness: accepted.witness.clone(),
            arrived_ms: accepted.arrived_ms,
            started: accepted.started,
            on_trial: accepted.on_trial,
            superseded: accepted.superseded,
        }
    }

    fn into_accepted(self, arrival: ArrivalNo) -> Option<Accepted> {
        let cause = self.cause.map(|raw| MessageId::from_raw(&raw)).transpose().ok()?;
        Some(Accepted {
            arrival,
            task: self.task,
            module: module_of(&self.module)?,
            spelling: spelling_of(&self.spelling)?,
            cause,
            sender: Sender::parse(&self.sender).ok()?,
            digest: self.digest,
            generation: self.generation,
            confirm_seconds: self.confirm_seconds,
            witness: self.witness,
            arrived_ms: self.arrived_ms,
            started: self.started,
            on_trial: self.on_trial,
            superseded: self.superseded,
        })
    }
}

/// A row of the inbox as the value it stands for.
pub(super) fn read_row(number: u64, bytes: &[u8]) -> Result<Accepted, Fault> {
    accepted_of(number, Some(decode("inbox", &number, bytes)?))
}

/// As [`read_row`], of a row that may be missing.
pub(super) fn accepted_of(number: u64, row: Option<Row>) -> Result<Accepted, Fault> {
    let row = row.ok_or(Fault::Refused(JournalError::NoSuchPush(ArrivalNo(number))))?;
    row.into_accepted(ArrivalNo(number)).ok_or_else(|| Fault::unreadable("inbox", &number))
}

/// The module with this canonical name.
pub(super) fn module_of(name: &str) -> Option<Module> {
    Module::all().find(|module| module.canonical() == name)
}

/// A spelling is parsed where channels are, so it takes the way of a channel.
pub(super) fn spelling_of(text: &str) -> Option<ModuleName> {
    let channel = ChannelName::parse(&format!("/cloudinit/i/config/set/{text}")).ok()?;
    match Place::of(&channel) {
        Place::Instance(_, Some(Topic::Config(_, name))) => Some(name),
        Place::Instance(..) | Place::Elsewhere => None,
    }
}

const fn refuse_over(what: &'static str, given: usize, limit: usize) -> Result<(), Fault> {
    if given > limit {
        return Err(Fault::Refused(JournalError::TooLarge { what, given, limit }));
    }
    Ok(())
}
