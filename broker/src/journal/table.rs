//! The tables of the file and how records are written in them. [`super`] has them in a picture.

use std::collections::BTreeMap;
use std::fmt::Debug;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::key::{Keys, Message, Name, Number, Place, Table, number};
use super::number::ArrivalNo;
use super::record::Dropped;

/// The format this version writes. It reads the one before as well, see [`super::upgrade`].
pub(super) const FORMAT: u64 = 3;

pub(super) const META: Table<Name> = Table::new("meta");
pub(super) const INBOX: Table<Number> = Table::new("inbox");
pub(super) const PAYLOADS: Table<Number> = Table::new("payloads");
pub(super) const PREIMAGES: Table<Number> = Table::new("preimages");
pub(super) const MODULES: Table<Name> = Table::new("modules");
pub(super) const SEEN: Table<Message> = Table::new("seen");
pub(super) const SEEN_ORDER: Table<Place> = Table::new("seen_order");
pub(super) const EVENTS: Table<Number> = Table::new("events");
pub(super) const OUTBOX: Table<Number> = Table::new("outbox");
pub(super) const DROPPABLE: Table<Number> = Table::new("droppable");
pub(super) const RETAINED: Table<Number> = Table::new("retained");
/// Made with the first look at the machine's devices.
pub(super) const DEVICES: Table<Number> = Table::new("devices");

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
    #[serde(default)]
    pub(super) retained_events: u64,
    #[serde(default)]
    pub(super) retained_bytes: u64,
    /// The highest number that an event was appended under.
    #[serde(default)]
    pub(super) newest: u64,
    /// The highest number whose event is gone: all above it are there.
    #[serde(default)]
    pub(super) forgotten: u64,
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
    /// The highest generation of a signed push that was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signed: Option<u64>,
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
            retained_events: 0,
            retained_bytes: 0,
            newest: 0,
            forgotten: 0,
            dropped: Dropped::default(),
            modules: BTreeMap::new(),
        }
    }
}

/// Makes all tables, so that readers find them.
pub(super) fn create_all(txn: &WriteTransaction) -> Result<(), Fault> {
    let by_number =
        [INBOX, PAYLOADS, PREIMAGES, EVENTS, OUTBOX, DROPPABLE, RETAINED].map(|table| table.definition());
    let others = [MODULES.definition(), SEEN.definition(), SEEN_ORDER.definition()];
    for table in by_number.into_iter().chain(others) {
        txn.open_table(table)?;
    }
    put(txn, META, FORMAT_KEY, &encode(&FORMAT))?;
    put(txn, META, TALLY_KEY, &encode(&Tally::default()))
}

/// Writes a record over the one that is there, if any.
pub(super) fn put<K: Keys>(
    txn: &WriteTransaction,
    table: Table<K>,
    key: K::Key<'_>,
    bytes: &[u8],
) -> Result<(), Fault> {
    txn.open_table(table.definition())?.insert(K::encode(key).as_slice(), bytes)?;
    Ok(())
}

/// Removes a record; its size, if it was there.
pub(super) fn remove<K: Keys>(
    txn: &WriteTransaction,
    table: Table<K>,
    key: K::Key<'_>,
) -> Result<Option<usize>, Fault> {
    let mut table = txn.open_table(table.definition())?;
    let old = table.remove(K::encode(key).as_slice())?;
    Ok(old.map(|old| old.value().len()))
}

/// True if there is such a record.
pub(super) fn has<K: Keys>(txn: &WriteTransaction, table: Table<K>, key: K::Key<'_>) -> Result<bool, Fault> {
    Ok(txn.open_table(table.definition())?.get(K::encode(key).as_slice())?.is_some())
}

/// The first number of a table.
pub(super) fn first(txn: &WriteTransaction, table: Table<Number>) -> Result<Option<u64>, Fault> {
    let rows = txn.open_table(table.definition())?;
    let first = rows.first()?;
    first.map(|(key, _)| number(table.name(), key.value())).transpose()
}

/// The first record of a table.
pub(super) fn first_record<T: DeserializeOwned>(
    txn: &WriteTransaction,
    table: Table<Number>,
) -> Result<Option<(u64, T)>, Fault> {
    let rows = txn.open_table(table.definition())?;
    let Some((key, bytes)) = rows.first()? else { return Ok(None) };
    let number = number(table.name(), key.value())?;
    Ok(Some((number, decode(table.name(), &number, bytes.value())?)))
}

/// Removes a record and gives it, if it was there.
pub(super) fn take<K: Keys, T: DeserializeOwned>(
    txn: &WriteTransaction,
    table: Table<K>,
    key: K::Key<'_>,
) -> Result<Option<T>, Fault> {
    let mut rows = txn.open_table(table.definition())?;
    match rows.remove(K::encode(key).as_slice())? {
        Some(record) => decode(table.name(), &key, record.value()).map(Some),
        None => Ok(None),
    }
}

/// Reads a record within a transaction that may have changed it.
pub(super) fn get<K: Keys, T: DeserializeOwned>(
    txn: &WriteTransaction,
    table: Table<K>,
    key: K::Key<'_>,
) -> Result<Option<T>, Fault> {
    read_from(&txn.open_table(table.definition())?, &table, key)
}

/// Reads a record.
pub(super) fn read<K: Keys, T: DeserializeOwned>(
    txn: &ReadTransaction,
    table: Table<K>,
    key: K::Key<'_>,
) -> Result<Option<T>, Fault> {
    read_from(&txn.open_table(table.definition())?, &table, key)
}

fn read_from<K: Keys, T: DeserializeOwned>(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: &Table<K>,
    key: K::Key<'_>,
) -> Result<Option<T>, Fault> {
    match rows.get(K::encode(key).as_slice())? {
        Some(record) => decode(table.name(), &key, record.value()).map(Some),
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
