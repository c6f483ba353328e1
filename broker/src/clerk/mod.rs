//! The clerk: one thread that owns the journal. It checks pushes, records what must survive, and answers
//! questions about modules, so that the driver never waits for a disk.
//!
//! Orders that arrive together are carried out in one transaction: a burst costs one fsync, not many. What an order
//! promises is reported only after its commit.

mod book;
mod entry;
mod order;
mod queue;
mod refusal;
mod replay;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use cloud_channel_handlers::System;

use book::Book;
pub(crate) use order::{Admit, AdmittedWork, Draft, Order, Question, Report, Sighting, SpokenWord};
pub(crate) use queue::ClerkHandle;
use queue::OrderQueue;
pub(crate) use replay::{Look, ReplayId, number_of};

use crate::clock::Clock;
use crate::happening::{DriverHandle, Happening};
use crate::journal::{Journal, JournalError, JournalLimits};

/// Orders carried out in one transaction at most.
const BATCH: usize = 128;
/// Pause before a finish that could not be written is written again.
const RETRY: Duration = Duration::from_secs(5);

/// What the clerk works with.
pub(crate) struct Desk {
    /// The folder of the journal.
    pub(crate) folder: PathBuf,
    pub(crate) limits: JournalLimits,
    pub(crate) system: Arc<dyn System>,
    pub(crate) driver: DriverHandle,
    pub(crate) clock: Clock,
}

/// Starts the thread. It opens the journal by itself, so that nobody waits for that either.
///
/// # Errors
/// If the system gives no thread.
pub(crate) fn start(desk: Desk) -> std::io::Result<(ClerkHandle, JoinHandle<Result<(), JournalError>>)> {
    let queue = Arc::new(OrderQueue::default());
    let handle = ClerkHandle::new(queue.clone());
    let thread = std::thread::Builder::new().name("clerk".to_owned()).spawn(move || {
        let driver = desk.driver.clone();
        let outcome = work(desk, &queue);
        if outcome.is_err() {
            // Without a journal nothing can be promised: the daemon ends, and its main thread says why.
            queue.close();
            let _ended_already = driver.tell_blocking(Happening::Stop);
        }
        outcome
    })?;
    Ok((handle, thread))
}

fn work(desk: Desk, queue: &OrderQueue) -> Result<(), JournalError> {
    let journal = Journal::open(&desk.folder, desk.limits)?;
    let driver = desk.driver.clone();
    let (mut book, contents) = Book::open(journal, desk)?;
    queue.note_size(book.size());
    if driver.tell_blocking(Happening::Clerk(vec![Report::Opened(Box::new(contents))])).is_err() {
        return Ok(());
    }
    loop {
        // What could not be written is tried again even if nobody orders anything.
        let patience = book.has_overdue().then_some(RETRY);
        let Some(orders) = queue.take(BATCH, patience) else { return Ok(()) };
        let reports = book.carry_out(orders)?;
        queue.note_size(book.size());
        if !reports.is_empty() {
            // A driver that has ended hears of nothing more, but what it ordered before is still to be recorded:
            // an event of cloud-init was answered already.
            let _ended = driver.tell_blocking(Happening::Clerk(reports));
        }
    }
}
