//! From the format before: its outbox held the undelivered events themselves, and nothing was kept of the others.

use redb::{Database, ReadableTable};

use super::fault::Fault;
use super::outbox::Stamp;
use super::table::{EVENTS, FORMAT, FORMAT_KEY, META, OUTBOX, RETAINED, TALLY_KEY, Tally, encode, get, put};

/// The format that can be brought up to date.
pub(super) const FORMER: u64 = 2;

/// Brings a journal of the former format up to date, as a whole or not at all.
pub(super) fn upgrade(database: &Database) -> Result<(), Fault> {
    let txn = database.begin_write()?;
    // What an event is lies in one table, what has become of it in others.
    txn.rename_table(OUTBOX.definition(), EVENTS.definition())?;
    {
        let events = txn.open_table(EVENTS.definition())?;
        let mut waiting = txn.open_table(OUTBOX.definition())?;
        for record in events.iter()? {
            let (key, row) = record?;
            let stamp = Stamp { at: None, bytes: row.value().len() as u64 };
            waiting.insert(key.value(), encode(&stamp).as_slice())?;
        }
        txn.open_table(RETAINED.definition())?;
    }
    let mut tally: Tally =
        get(&txn, META, TALLY_KEY)?.ok_or_else(|| Fault::unreadable("meta", &TALLY_KEY))?;
    // Nobody wrote down which numbers were used; any of those reserved may have been delivered and gone.
    tally.newest = tally.next_seq.saturating_sub(1);
    tally.forgotten = tally.newest;
    put(&txn, META, TALLY_KEY, &encode(&tally))?;
    put(&txn, META, FORMAT_KEY, &encode(&FORMAT))?;
    Ok(txn.commit()?)
}
