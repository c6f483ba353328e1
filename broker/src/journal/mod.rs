//! The daemon's journal: what was accepted and is not finished, what was reported and is not delivered, and what
//! the modules remember. It survives a kill at any instruction and a power cut at any write.
//!
//! One thread owns the [`Journal`]. It collects operations in a [`Transaction`] and commits them together; only
//! after the commit may a push be acknowledged. There is no thread, clock or randomness in here.
//!
//! ```text
//!            accept                     started                      complete
//! push ───────────────▶ inbox ──────────────────────▶ inbox ──────────────────────▶ gone
//!        inbox+payloads │       + preimages                │ modules: held, generation
//!        seen+seen_order│                                  │ outbox: the finish event
//!                       ▼                                  ▼
//!               refused: nothing kept           append_event ─▶ outbox ─settle_event─▶ retained ─▶ gone
//! ```
//!
//! The file is `<root>/var/lib/cloud-channel/journal.redb`, a redb database. Its tables, numbers in keys as eight bytes, the
//! high ones first, values in JSON:
//!
//! | table        | key                 | value                                                           |
//! |--------------|---------------------|-----------------------------------------------------------------|
//! | `meta`       | `format`, `tally`   | format number; counters in step with all tables                 |
//! | `inbox`      | arrival             | the push without its payload                                    |
//! | `payloads`   | arrival             | the payload as it came; **secret**                              |
//! | `preimages`  | arrival             | files before the push's first change; **secret**                |
//! | `modules`    | module              | its memory and applied generation; **secret**                   |
//! | `seen`       | module, message     | content's digest, last and first arrival of the message         |
//! | `seen_order` | module, arrival     | the message, to forget the oldest                               |
//! | `events`     | seq                 | the event                                                       |
//! | `outbox`     | seq                 | time and size of an event that nobody has taken                 |
//! | `droppable`  | seq                 | nothing: those of the outbox that go first when it is full      |
//! | `retained`   | seq                 | time and size of an event that somebody has, kept for replays   |
//! | `devices`    | our number          | a card or disk that was told of; no table before the first look |
//!
//! # Cost
//!
//! A commit is one `fdatasync`. After a kill the store walks its file to rebuild what it knows of free space,
//! about one millisecond a mebibyte; a commit that records that knowledge costs a second sync instead. So a
//! small file is walked, and a large one pays with each commit, until it is small again.

mod backend;
mod devices;
mod error;
mod fault;
mod folder;
mod inbox;
mod key;
mod limits;
mod number;
mod outbox;
mod payload;
mod record;
mod retained;
mod seen;
mod sender;
mod size;
mod table;
mod task;
mod transaction;
mod upgrade;
mod work;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloud_channel_protocol::{ChannelName, MessageId, Module};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable};
use serde_json::value::RawValue;

pub use devices::MAX_DEVICES;
pub use error::JournalError;
pub use limits::JournalLimits;
pub use number::{ArrivalNo, Seq, SeqBlock};
pub use payload::{Digest, Payload};
pub use record::{
    Accepted, Admission, Contents, DeviceChange, Dropped, Event, InboxEntry, KnownDevices, ModuleState, Page,
    PageLimits, Push, Window,
};
pub use sender::{InvalidSender, Sender};
pub use size::JournalSize;
pub use task::Task;
pub use transaction::Transaction;

use backend::JournalFile;
use fault::Fault;
use folder::Folder;
use table::{FORMAT, FORMAT_KEY, META, TALLY_KEY, Tally};
use work::Work;

/// The store's page cache. The journal is read once, at the start; all else is appending and removing.
const CACHE_BYTES: usize = 64 * 1024;

/// From this length on, commits record what a repair would have to find out.
const LARGE_FILE: u64 = 2 << 20;

/// The journal, open. See the [module](self).
pub struct Journal {
    folder: Folder,
    limits: JournalLimits,
    /// The file's length.
    length: Arc<AtomicU64>,
    /// `None` after a failure: the store refuses to go on, so the file is opened anew at the next call.
    database: Option<Database>,
}

impl Journal {
    /// Opens the journal below `root`, making folder and file if need be. Repairs what a kill has left.
    ///
    /// # Errors
    /// If the place is not safe, another process has it, the file is of another format or damaged, or the
    /// operating system refuses.
    pub fn open(root: &Path, limits: JournalLimits) -> Result<Self, JournalError> {
        let mut journal =
            Self { folder: Folder::open(root)?, limits, length: Arc::default(), database: None };
        journal.database()?;
        Ok(journal)
    }

    /// Where its file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.file_path()
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// If the store fails. The next call opens the file anew.
    pub fn begin(&mut self) -> Result<Transaction<'_>, JournalError> {
        let limits = self.limits;
        let database = self.database()?;
        let begun = (|| {
            let txn = database.begin_write()?;
            let tally =
                table::get(&txn, META, TALLY_KEY)?.ok_or_else(|| Fault::unreadable("meta", &TALLY_KEY))?;
            Ok(Work { txn, tally, limits, wall_ms: None, changed: false })
        })();
        let mut work = begun.map_err(|fault| self.failed("begin a change of", fault))?;
        work.txn.set_quick_repair(self.length.load(Ordering::Relaxed) > LARGE_FILE);
        Ok(Transaction::new(self, work))
    }

    /// Reads all that waits and what the modules remember.
    ///
    /// # Errors
    /// If the store fails or a record is unreadable.
    pub fn load(&mut self) -> Result<Contents, JournalError> {
        self.read(|txn| {
            let mut contents = Contents { dropped: read_tally(txn)?.dropped, ..Contents::default() };
            for record in txn.open_table(table::INBOX.definition())?.iter()? {
                let (key, bytes) = record?;
                contents.inbox.push(inbox::read_row(key::number("inbox", key.value())?, bytes.value())?);
            }
            contents.outbox = outbox::read_waiting(txn, None, usize::MAX)?;
            for record in txn.open_table(table::MODULES.definition())?.iter()? {
                let (key, bytes) = record?;
                let name = key::name("modules", key.value())?;
                let module = inbox::module_of(name).ok_or_else(|| Fault::unreadable("modules", &name))?;
                contents.modules.push((module, table::decode("modules", &name, bytes.value())?));
            }
            contents.devices = devices::read_all(txn)?;
            Ok(contents)
        })
    }

    /// Reads one unfinished push with all that belongs to it.
    ///
    /// # Errors
    /// [`JournalError::NoSuchPush`], or if the store fails or a record is unreadable.
    pub fn entry(&mut self, arrival: ArrivalNo) -> Result<InboxEntry, JournalError> {
        self.read(|txn| {
            let number = arrival.0;
            let row = table::read(txn, table::INBOX, number)?;
            let accepted = inbox::accepted_of(number, row)?;
            let payload: Option<Box<RawValue>> = table::read(txn, table::PAYLOADS, number)?;
            let payload = payload.ok_or_else(|| Fault::unreadable("payloads", &number))?.into();
            let preimage = table::read(txn, table::PREIMAGES, number)?;
            Ok(InboxEntry { accepted, payload, preimage })
        })
    }

    /// Reads up to `at_most` undelivered events, in order, from the one after `after` on.
    ///
    /// # Errors
    /// If the store fails or a record is unreadable.
    pub fn events(&mut self, after: Option<Seq>, at_most: usize) -> Result<Vec<(Seq, Event)>, JournalError> {
        self.read(|txn| outbox::read_waiting(txn, after, at_most))
    }

    /// Which events can be replayed.
    ///
    /// # Errors
    /// If the store fails or the record is unreadable.
    pub fn window(&mut self) -> Result<Window, JournalError> {
        self.read(retained::window)
    }

    /// Reads the wanted ones of the events after `after`, delivered or not, in order, as far as `limits` let it.
    ///
    /// # Errors
    /// If the store fails or a record is unreadable.
    pub fn page(
        &mut self,
        after: Seq,
        limits: PageLimits,
        wanted: impl FnMut(Seq, &ChannelName) -> bool,
    ) -> Result<Page, JournalError> {
        self.read(|txn| retained::page(txn, after, limits, wanted))
    }

    /// True if a message was accepted, and is not forgotten.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_seen(
        &mut self,
        module: Module,
        sender: &Sender,
        id: &MessageId,
    ) -> Result<bool, JournalError> {
        self.read(|txn| seen::is_known(txn, module, sender, id))
    }

    /// How much it holds.
    ///
    /// # Errors
    /// If the store fails or the record is unreadable.
    pub fn size(&mut self) -> Result<JournalSize, JournalError> {
        let tally = self.read(read_tally)?;
        Ok(JournalSize::of(self.length.load(Ordering::Relaxed), &tally))
    }

    /// How many events were lost so far because the outbox was full.
    ///
    /// # Errors
    /// If the store fails or the record is unreadable.
    pub fn dropped(&mut self) -> Result<Dropped, JournalError> {
        self.read(|txn| Ok(read_tally(txn)?.dropped))
    }

    fn read<T>(
        &mut self,
        query: impl FnOnce(&ReadTransaction) -> Result<T, Fault>,
    ) -> Result<T, JournalError> {
        let database = self.database()?;
        let answer = database.begin_read().map_err(Fault::from).and_then(|txn| query(&txn));
        answer.map_err(|fault| self.failed("read", fault))
    }

    /// The store, opened anew if it has failed.
    fn database(&mut self) -> Result<&Database, JournalError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.connect()?,
        };
        Ok(self.database.insert(database))
    }

    fn connect(&self) -> Result<Database, JournalError> {
        if let Some(file) = self.folder.open_file()? {
            let database = self.connect_file(file)?;
            self.check_format(&database)?;
            return Ok(database);
        }
        let database = self.connect_file(self.folder.create_draft()?)?;
        let made = (|| {
            let txn = database.begin_write()?;
            table::create_all(&txn)?;
            Ok(txn.commit()?)
        })();
        made.map_err(|fault| self.error("make", fault))?;
        self.folder.publish_draft()?;
        Ok(database)
    }

    fn connect_file(&self, file: std::fs::File) -> Result<Database, JournalError> {
        let path = self.path();
        let file = JournalFile::new(file, self.limits.journal_bytes, Arc::clone(&self.length))
            .map_err(|source| JournalError::File { action: "look at", path: path.clone(), source })?;
        let opened = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(file);
        opened.map_err(|error| match redb::Error::from(error) {
            redb::Error::Io(e) if !is_about_content(&e) => self.error("open", Fault::Store(e.into())),
            source => JournalError::Damaged { path, source },
        })
    }

    fn check_format(&self, database: &Database) -> Result<(), JournalError> {
        let found = (|| -> Result<Option<u64>, Fault> {
            let txn = database.begin_read()?;
            table::read(&txn, META, FORMAT_KEY)
        })();
        let path = self.path();
        match found {
            Ok(Some(FORMAT)) => Ok(()),
            Ok(Some(upgrade::FORMER)) => {
                tracing::info!(from = upgrade::FORMER, to = FORMAT, "bringing the journal up to date");
                upgrade::upgrade(database).map_err(|fault| self.error("bring up to date", fault))
            }
            Ok(Some(found)) => Err(JournalError::Format { path, found, expected: FORMAT }),
            Ok(None) => Err(self.error("open", Fault::unreadable("meta", &FORMAT_KEY))),
            // Only the first format had other types of keys.
            Err(Fault::Store(redb::Error::TableTypeMismatch { .. })) => {
                Err(JournalError::Format { path, found: 1, expected: FORMAT })
            }
            Err(Fault::Store(source)) => Err(JournalError::Damaged { path, source }),
            Err(fault) => Err(self.error("open", fault)),
        }
    }

    /// Gives the store up if it was the store that failed: it would refuse everything from now on.
    fn failed(&mut self, action: &'static str, fault: Fault) -> JournalError {
        if matches!(fault, Fault::Store(_)) {
            self.database = None;
        }
        self.error(action, fault)
    }

    fn error(&self, action: &'static str, fault: Fault) -> JournalError {
        match fault {
            Fault::Refused(refusal) => refusal,
            Fault::Record { table, key } => JournalError::Record { table, key },
            Fault::Store(source) => JournalError::store(action, self.limits.journal_bytes, source),
        }
    }

    /// Finds out what a failed commit has left. `number` is the commit's.
    fn commit_failed(&mut self, number: u64, source: redb::Error) -> JournalError {
        self.database = None;
        // It may be in the file though the sync failed; then nobody can say whether it is on the disk.
        let in_doubt = match self.read(read_tally) {
            Ok(tally) => tally.commits >= number,
            Err(error) => {
                tracing::warn!(error = %error, "the journal cannot be opened again after a failed commit");
                true
            }
        };
        if !in_doubt && error::is_full(&source) {
            return JournalError::Full { limit: self.limits.journal_bytes };
        }
        JournalError::Commit { in_doubt, source }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({}, {:?})", self.path().display(), self.limits)
    }
}

fn read_tally(txn: &ReadTransaction) -> Result<Tally, Fault> {
    table::read(txn, META, TALLY_KEY)?.ok_or_else(|| Fault::unreadable("meta", &TALLY_KEY))
}

/// True if the store did not like what it read, false if it could not read.
fn is_about_content(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}
