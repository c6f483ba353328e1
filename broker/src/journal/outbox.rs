//! The outbox: events that nobody has taken yet.
//!
//! Bounded in number and bytes. When it is full, reporting events go first, oldest first; the finish events of
//! pushes go only when nothing else is left. Each loss is counted in the same transaction.

use std::ops::Bound;

use cloud_channel_protocol::ChannelName;
use redb::ReadTransaction;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::JournalError;
use super::key::{Keys, Number, number};
use super::record::{Event, Seq};
use super::table::{DROPPABLE, Fault, OUTBOX, decode, encode, first, has, put, remove};
use super::transaction::Work;

#[derive(Serialize, Deserialize)]
struct Row {
    channel: String,
    keep: bool,
    data: Box<RawValue>,
    ext: Option<Box<RawValue>>,
}

impl Work {
    pub(super) fn append(&mut self, seq: Seq, event: &Event) -> Result<Vec<Seq>, Fault> {
        if has(&self.txn, OUTBOX, seq.0)? {
            return Err(Fault::Refused(JournalError::SeqInUse(seq)));
        }
        self.changed = true;
        let bytes = encode(&Row::of(event));
        if bytes.len() as u64 > self.limits.outbox_bytes {
            // It alone is over the bound: to make room would empty the outbox for nothing.
            self.count_loss(event.keep);
            return Ok(vec![seq]);
        }
        put(&self.txn, OUTBOX, seq.0, &bytes)?;
        if !event.keep {
            put(&self.txn, DROPPABLE, seq.0, &[])?;
        }
        self.tally.outbox_events += 1;
        self.tally.outbox_bytes += bytes.len() as u64;
        self.make_room()
    }

    fn make_room(&mut self) -> Result<Vec<Seq>, Fault> {
        let mut dropped = Vec::new();
        while self.tally.outbox_events > self.limits.outbox_events
            || self.tally.outbox_bytes > self.limits.outbox_bytes
        {
            let reporting = first(&self.txn, DROPPABLE)?;
            let keep = reporting.is_none();
            let oldest = match reporting {
                Some(seq) => seq,
                None => first(&self.txn, OUTBOX)?.ok_or_else(|| Fault::unreadable("outbox", &"first"))?,
            };
            self.settle(Seq(oldest))?;
            self.count_loss(keep);
            dropped.push(Seq(oldest));
        }
        Ok(dropped)
    }

    pub(super) fn settle(&mut self, seq: Seq) -> Result<bool, Fault> {
        let bytes = remove(&self.txn, OUTBOX, seq.0)?;
        let Some(bytes) = bytes else { return Ok(false) };
        self.changed = true;
        remove(&self.txn, DROPPABLE, seq.0)?;
        self.tally.outbox_events -= 1;
        self.tally.outbox_bytes -= bytes as u64;
        Ok(true)
    }

    const fn count_loss(&mut self, keep: bool) {
        let dropped = &mut self.tally.dropped;
        let counter = if keep { &mut dropped.finish } else { &mut dropped.reporting };
        *counter += 1;
    }
}

impl Row {
    fn of(event: &Event) -> Self {
        Self {
            channel: event.channel.as_str().to_owned(),
            keep: event.keep,
            data: event.data.clone(),
            ext: event.ext.clone(),
        }
    }
}

/// Up to `at_most` events of the table, in order, from the one after `after` on.
pub(super) fn read_rows(
    txn: &ReadTransaction,
    after: Option<Seq>,
    at_most: usize,
) -> Result<Vec<(Seq, Event)>, Fault> {
    let after = after.map(|seq| Number::encode(seq.0));
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let table = txn.open_table(OUTBOX.definition())?;
    let mut events = Vec::new();
    for record in table.range::<&[u8]>((from, Bound::Unbounded))?.take(at_most) {
        let (key, bytes) = record?;
        let number = number("outbox", key.value())?;
        let row: Row = decode("outbox", &number, bytes.value())?;
        let channel = ChannelName::parse(&row.channel).map_err(|_| Fault::unreadable("outbox", &number))?;
        events.push((Seq(number), Event { channel, data: row.data, ext: row.ext, keep: row.keep }));
    }
    Ok(events)
}
