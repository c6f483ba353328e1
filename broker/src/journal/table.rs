//! The tables of the file and how records are written in them. [`super`] has them in a picture.

use std::collections::BTreeMap;
use std::fmt::Debug;

use redb::{Key, ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::record::{ArrivalNo, Dropped};

/// The only format this version reads and writes.
pub(super) const FORMAT: u64 = 1;

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const INBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("inbox");
pub(super) const PAYLOADS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("payloads");
pub(super) const PREIMAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("preimages");
pub(super) const MODULES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("modules");
pub(super) const SEEN: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("seen");
pub(super) const SEEN_ORDER: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("seen_order");
pub(super) const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
pub(super) const DROPPABLE: TableDefinition<'_, u64, ()> = TableDefinition::new("droppable");

/// Keys of [`META`].
pub(super) const FORMAT_KEY: &str = "format";
pub(super) const TALLY_KEY: &str = "tally";

/// The counters, kept in step with the tables by every transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Commits so far: after a failed one it says whether it is in the file all the same.
    pub(super) commits: u64,
    pub(super) next_arrival: u64,
    pub(super) next_seq: u64,
    pub(super) inbox_entries: u64,
    pub(super) inbox_bytes: u64,
    pub(super) outbox_events: u64,
    pub(super) outbox_bytes: u64,
    pub(super) dropped: Dropped,
    pub(super) modules: BTreeMap<String, ModuleTally>,
}

/// The counters of one module.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct ModuleTally {
    /// The latest push that was no repetition.
    pub(super) latest: Option<ArrivalNo>,
    /// Rows in [`SEEN`].
    pub(super) seen: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            commits: 0,
            next_arrival: 1,
            next_seq: 1,
            inbox_entries: 0,
            inbox_bytes: 0,
            outbox_events: 0,
            outbox_bytes: 0,
            dropped: Dropped::default(),
            modules: BTreeMap::new(),
        }
    }
}

/// A failure below the journal's own errors; [`super::Journal`] knows what to make of it.
#[derive(Debug)]
pub(super) enum Fault {
    Store(redb::Error),
    /// Table and key of a record that cannot be read. The decoder's own words may quote the record, so they
    /// are left out.
    Record {
        table: String,
        key: String,
    },
    /// The operation was refused before it changed anything.
    Refused(JournalError),
}

impl Fault {
    pub(super) fn unreadable(table: &str, key: &impl Debug) -> Self {
        Self::Record { table: table.to_owned(), key: format!("{key:?}") }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// Makes all tables, so that readers find them.
pub(super) fn create_all(txn: &WriteTransaction) -> Result<(), Fault> {
    txn.open_table(INBOX)?;
    txn.open_table(PAYLOADS)?;
    txn.open_table(PREIMAGES)?;
    txn.open_table(MODULES)?;
    txn.open_table(SEEN)?;
    txn.open_table(SEEN_ORDER)?;
    txn.open_table(OUTBOX)?;
    txn.open_table(DROPPABLE)?;
    put(txn, META, FORMAT_KEY, &encode(&FORMAT))?;
    put(txn, META, TALLY_KEY, &encode(&Tally::default()))
}

/// Writes a record over the one that is there, if any.
pub(super) fn put<K: Key + 'static>(
    txn: &WriteTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
    key: K::SelfType<'_>,
    bytes: &[u8],
) -> Result<(), Fault> {
    txn.open_table(table)?.insert(key, bytes)?;
    Ok(())
}

/// Removes a record; its size, if it was there.
pub(super) fn remove<K: Key + 'static>(
    txn: &WriteTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
    key: K::SelfType<'_>,
) -> Result<Option<usize>, Fault> {
    let mut table = txn.open_table(table)?;
    let old = table.remove(key)?;
    Ok(old.map(|old| old.value().len()))
}

/// Reads a record within a transaction that may have changed it.
pub(super) fn get<K, T>(
    txn: &WriteTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
    key: K::SelfType<'_>,
) -> Result<Option<T>, Fault>
where
    K: Key + 'static,
    T: DeserializeOwned,
{
    read(&txn.open_table(table)?, redb::TableHandle::name(&table), key)
}

/// Reads a record.
pub(super) fn read<K, T>(
    table: &impl ReadableTable<K, &'static [u8]>,
    name: &str,
    key: K::SelfType<'_>,
) -> Result<Option<T>, Fault>
where
    K: Key + 'static,
    T: DeserializeOwned,
{
    match table.get(&key)? {
        Some(record) => decode(name, &key, record.value()).map(Some),
        None => Ok(None),
    }
}

/// The JSON text of a record.
pub(super) fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("the journal's records have string keys and finite numbers")
}

/// A record of its JSON text.
pub(super) fn decode<T: DeserializeOwned>(table: &str, key: &impl Debug, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|_| Fault::unreadable(table, key))
}
