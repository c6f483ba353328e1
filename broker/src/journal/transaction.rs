//! A transaction: many changes, one durable commit.

use cloud_channel_handlers::{Held, Preimage};
use cloud_channel_protocol::{MessageId, Module};

use super::Journal;
use super::error::JournalError;
use super::fault::Fault;
use super::number::{ArrivalNo, Seq, SeqBlock};
use super::record::{Admission, DeviceChange, Event, Push};
use super::retained::AT_ONCE;
use super::sender::Sender;
use super::table::{META, TALLY_KEY, encode, put};
use super::work::Work;

/// Changes that become durable together, or not at all. Dropping it undoes them.
///
/// ```text
/// begin ──▶ open ──any operation──▶ open ──commit──▶ durable
///             │ an operation is refused: still open, nothing changed by it
///             └ an operation fails: spoiled; every further call says so, nothing of it is kept
/// ```
#[derive(Debug)]
pub struct Transaction<'j> {
    journal: &'j mut Journal,
    work: Work,
    spoiled: bool,
}

impl<'j> Transaction<'j> {
    pub(super) const fn new(journal: &'j mut Journal, work: Work) -> Self {
        Self { journal, work, spoiled: false }
    }

    /// Tells the time, in milliseconds since the Unix epoch: events appended from now on are of this time, and with
    /// the commit the retained ones go that are too old by then.
    pub fn at(&mut self, wall_ms: u64) {
        self.work.wall_ms = Some(wall_ms);
    }

    /// Takes a push in, or says why not. Whatever it says counts only once the commit has succeeded.
    ///
    /// # Errors
    /// If the store fails; the transaction is lost.
    pub fn accept(&mut self, push: &Push) -> Result<Admission, JournalError> {
        self.step(|work| work.accept(push))
    }

    /// Records the files before a push's first change. It may be called again: a later preimage replaces the
    /// earlier, which the plan has already taken into account.
    ///
    /// # Errors
    /// [`JournalError::NoSuchPush`] and [`JournalError::TooLarge`] change nothing. If the store fails the
    /// transaction is lost.
    pub fn started(&mut self, arrival: ArrivalNo, preimage: &Preimage) -> Result<(), JournalError> {
        self.step(|work| work.started(arrival, preimage))
    }

    /// Everything a push wants is done, and waits to be confirmed.
    ///
    /// # Errors
    /// [`JournalError::NoSuchPush`] changes nothing. If the store fails the transaction is lost.
    pub fn on_trial(&mut self, arrival: ArrivalNo) -> Result<(), JournalError> {
        self.step(|work| work.on_trial(arrival))
    }

    /// A word has ended a module's trial: the same message again, accepted as a revert, is known.
    ///
    /// # Errors
    /// If the store fails; the transaction is lost.
    pub fn note_word(&mut self, module: Module, sender: &Sender, id: &MessageId) -> Result<(), JournalError> {
        self.step(|work| work.note_word(module, sender, id))
    }

    /// Ends a push: takes it out of the inbox, keeps what the module now holds, and puts its finish event into
    /// the outbox under its number. `held` is `None` if nothing was applied; then the module's memory and
    /// generation stay. Gives the numbers of events that had to go to make room.
    ///
    /// # Errors
    /// [`JournalError::NoSuchPush`], [`JournalError::TooLarge`] and [`JournalError::SeqInUse`] change nothing.
    /// If the store fails the transaction is lost.
    pub fn complete(
        &mut self,
        arrival: ArrivalNo,
        held: Option<&Held>,
        seq: Seq,
        finish: &Event,
    ) -> Result<Vec<Seq>, JournalError> {
        self.step(|work| work.complete(arrival, held, seq, finish))
    }

    /// Puts an event into the outbox. Gives the numbers of events that had to go to make room, oldest first; if
    /// all others must be kept, the event itself is among them.
    ///
    /// # Errors
    /// [`JournalError::SeqInUse`] changes nothing: numbers have to rise. If the store fails the transaction is lost.
    pub fn append_event(&mut self, seq: Seq, event: &Event) -> Result<Vec<Seq>, JournalError> {
        self.step(|work| work.append(seq, event))
    }

    /// Takes a delivered event out of the outbox; it is retained for replays. True if it was there.
    ///
    /// # Errors
    /// If the store fails; the transaction is lost.
    pub fn settle_event(&mut self, seq: Seq) -> Result<bool, JournalError> {
        self.step(|work| work.settle(seq))
    }

    /// Keeps or forgets devices that were told of, and that the machine was looked at. Gives how many found no room:
    /// [`MAX_DEVICES`](super::MAX_DEVICES) are kept.
    ///
    /// # Errors
    /// If the store fails; the transaction is lost.
    pub fn note_devices(&mut self, changes: &[DeviceChange]) -> Result<usize, JournalError> {
        self.step(|work| work.note_devices(changes))
    }

    /// Reserves that many event numbers, above all that were ever reserved. Use them in this transaction, or
    /// after its commit.
    ///
    /// # Errors
    /// If the store fails; the transaction is lost.
    pub fn reserve_seq(&mut self, count: u32) -> Result<SeqBlock, JournalError> {
        self.step(|work| {
            let next = work.tally.next_seq;
            let end = next.saturating_add(count.into());
            work.tally.next_seq = end;
            work.changed |= end > next;
            Ok(SeqBlock { next, end })
        })
    }

    /// Lets go of retained events that are over their bounds, without waiting for a commit that adds to them. True
    /// if there may be more.
    ///
    /// # Errors
    /// If the store fails; the transaction is lost.
    pub fn retire_events(&mut self) -> Result<bool, JournalError> {
        self.step(|work| work.prune(AT_ONCE))
    }

    /// Makes everything durable. A transaction that changed nothing costs nothing.
    ///
    /// # Errors
    /// [`JournalError::Commit`] or [`JournalError::Full`]; see there for what is true then.
    pub fn commit(mut self) -> Result<(), JournalError> {
        if self.spoiled {
            return Err(JournalError::Spoiled);
        }
        if !self.work.changed {
            return Ok(());
        }
        self.work.tally.commits += 1;
        self.step(|work| work.prune(AT_ONCE))?;
        self.step(|work| put(&work.txn, META, TALLY_KEY, &encode(&work.tally)))?;
        let Self { journal, work: Work { txn, tally, .. }, .. } = self;
        txn.commit().map_err(|e| journal.commit_failed(tally.commits, e.into()))
    }

    fn step<T>(&mut self, operation: impl FnOnce(&mut Work) -> Result<T, Fault>) -> Result<T, JournalError> {
        if self.spoiled {
            return Err(JournalError::Spoiled);
        }
        operation(&mut self.work).map_err(|fault| match fault {
            Fault::Refused(refusal) => refusal,
            fault => {
                self.spoiled = true;
                self.journal.failed("change", fault)
            }
        })
    }
}
