//! The outbox: events that nobody has taken yet. What was taken stays behind for a while, see [`super::retained`].
//!
//! Bounded in number and bytes. When it is full, reporting events go first, oldest first; the finish events of
//! pushes go only when nothing else is left. Each loss is counted in the same transaction.

use std::ops::Bound;

use cloud_channel_protocol::ChannelName;
use redb::ReadTransaction;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::JournalError;
use super::fault::Fault;
use super::key::{Keys, Number, number};
use super::number::Seq;
use super::record::Event;
use super::table::{DROPPABLE, EVENTS, OUTBOX, RETAINED, decode, encode, first, put, read, remove, take};
use super::work::Work;

/// A row of the events table, whatever has become of the event.
#[derive(Serialize, Deserialize)]
struct Row {
    channel: String,
    keep: bool,
    data: Box<RawValue>,
    ext: Option<Box<RawValue>>,
}

/// A row of the tables that say what has become of an event.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Wall clock when it was recorded, in milliseconds since the Unix epoch, if that is known.
    pub(super) at: Option<u64>,
    /// Its row's bytes.
    pub(super) bytes: u64,
}

impl Work {
    pub(super) fn append(&mut self, seq: Seq, event: &Event) -> Result<Vec<Seq>, Fault> {
        if seq.0 <= self.tally.newest {
            return Err(Fault::Refused(JournalError::SeqInUse(seq)));
        }
        self.changed = true;
        self.tally.newest = seq.0;
        let row = encode(&Row::of(event));
        let bytes = row.len() as u64;
        if bytes > self.limits.outbox_bytes {
            // It alone is over the bound: to make room would empty the outbox for nothing.
            self.count_loss(event.keep);
            self.forget(seq.0);
            return Ok(vec![seq]);
        }
        put(&self.txn, EVENTS, seq.0, &row)?;
        put(&self.txn, OUTBOX, seq.0, &encode(&Stamp { at: self.wall_ms, bytes }))?;
        if !event.keep {
            put(&self.txn, DROPPABLE, seq.0, &[])?;
        }
        self.tally.outbox_events += 1;
        self.tally.outbox_bytes += bytes;
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
            self.take_out(oldest)?.ok_or_else(|| Fault::unreadable("outbox", &oldest))?;
            remove(&self.txn, EVENTS, oldest)?;
            self.forget(oldest);
            self.count_loss(keep);
            dropped.push(Seq(oldest));
        }
        Ok(dropped)
    }

    /// Somebody has it: it is retained from now on.
    pub(super) fn settle(&mut self, seq: Seq) -> Result<bool, Fault> {
        let Some(stamp) = self.take_out(seq.0)? else { return Ok(false) };
        put(&self.txn, RETAINED, seq.0, &encode(&stamp))?;
        self.tally.retained_events += 1;
        self.tally.retained_bytes += stamp.footprint();
        Ok(true)
    }

    fn take_out(&mut self, seq: u64) -> Result<Option<Stamp>, Fault> {
        let Some(stamp) = take::<_, Stamp>(&self.txn, OUTBOX, seq)? else { return Ok(None) };
        self.changed = true;
        remove(&self.txn, DROPPABLE, seq)?;
        self.tally.outbox_events -= 1;
        self.tally.outbox_bytes -= stamp.bytes;
        Ok(Some(stamp))
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

/// The channel of a row of the events table.
pub(super) fn read_channel(seq: u64, bytes: &[u8]) -> Result<ChannelName, Fault> {
    #[derive(Deserialize)]
    struct Head {
        channel: String,
    }
    let head: Head = decode("events", &seq, bytes)?;
    channel_of(seq, &head.channel)
}

/// A row of the events table as the event it stands for.
pub(super) fn read_event(seq: u64, bytes: &[u8]) -> Result<Event, Fault> {
    event_of(seq, decode("events", &seq, bytes)?)
}

fn event_of(seq: u64, row: Row) -> Result<Event, Fault> {
    Ok(Event { channel: channel_of(seq, &row.channel)?, data: row.data, ext: row.ext, keep: row.keep })
}

fn channel_of(seq: u64, text: &str) -> Result<ChannelName, Fault> {
    ChannelName::parse(text).map_err(|_| Fault::unreadable("events", &seq))
}

/// Up to `at_most` undelivered events, in order, from the one after `after` on.
pub(super) fn read_waiting(
    txn: &ReadTransaction,
    after: Option<Seq>,
    at_most: usize,
) -> Result<Vec<(Seq, Event)>, Fault> {
    let after = after.map(|seq| Number::encode(seq.0));
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let table = txn.open_table(OUTBOX.definition())?;
    let mut events = Vec::new();
    for record in table.range::<&[u8]>((from, Bound::Unbounded))?.take(at_most) {
        let (key, _) = record?;
        let seq = number("outbox", key.value())?;
        let row = read(txn, EVENTS, seq)?.ok_or_else(|| Fault::unreadable("events", &seq))?;
        events.push((Seq(seq), event_of(seq, row)?));
    }
    Ok(events)
}
