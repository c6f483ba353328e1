//! The messages that were accepted lately, so that one that comes twice is recognised.
//!
//! A row stands for a message: its module, its sender and its id. It says which content came under the id, which
//! push it was last and which it was first. The newest rows of each module are kept; as long as a message's push
//! is in the inbox, its row is among them. A word that has ended the trial of a push has a row as well: its work is done
//! with that push, so it is never in the inbox itself.

use redb::{ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use cloud_channel_protocol::{MessageId, Module};

use super::fault::Fault;
use super::key::{Keys, Place};
use super::number::ArrivalNo;
use super::payload::{Digest, Payload};
use super::record::{Accepted, Push};
use super::sender::Sender;
use super::table::{SEEN, SEEN_ORDER, encode, get, put, read, remove};
use super::work::Work;

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighting {
    /// Nothing, or it has no id.
    Fresh,
    /// Its push is in the inbox.
    Pending(ArrivalNo),
    /// Its push is finished; `first` is the one that came before all repetitions.
    Done { first: ArrivalNo },
    /// Its id came with another content.
    Conflict,
}

#[derive(Serialize, Deserialize)]
struct Row {
    digest: Digest,
    arrival: ArrivalNo,
    first: ArrivalNo,
}

/// Sender and id in 32 bytes: bounded, and a sender may be a credential that need not lie about.
type Key = [u8; 32];

fn key_of(sender: &Sender, id: &MessageId) -> Key {
    let mut hash = Sha256::new();
    // A NUL cannot occur in a message id's JSON text, so no two pairs give the same bytes.
    hash.update(id.json());
    hash.update([0]);
    hash.update(sender.as_str());
    hash.finalize().into()
}

/// True if there is a row for the message.
pub(super) fn is_known(
    txn: &ReadTransaction,
    module: Module,
    sender: &Sender,
    id: &MessageId,
) -> Result<bool, Fault> {
    let row: Option<Row> = read(txn, SEEN, (module.canonical(), &key_of(sender, id)))?;
    Ok(row.is_some())
}

impl Work {
    pub(super) fn look_up(&self, push: &Push, digest: &Digest) -> Result<Sighting, Fault> {
        let Some(id) = &push.cause else { return Ok(Sighting::Fresh) };
        let key = key_of(&push.sender, id);
        let row: Option<Row> = get(&self.txn, SEEN, (push.module.canonical(), &key))?;
        Ok(match row {
            None => Sighting::Fresh,
            Some(row) if row.digest != *digest => Sighting::Conflict,
            Some(row) if self.is_pending(row.arrival)? => Sighting::Pending(row.arrival),
            Some(row) => Sighting::Done { first: row.first },
        })
    }

    /// Notes an accepted push; `first` is the push it repeats.
    pub(super) fn remember(&mut self, accepted: &Accepted, first: Option<ArrivalNo>) -> Result<(), Fault> {
        let Some(id) = &accepted.cause else { return Ok(()) };
        let arrival = accepted.arrival;
        let row = Row { digest: accepted.digest.clone(), arrival, first: first.unwrap_or(arrival) };
        self.keep(accepted.module, &key_of(&accepted.sender, id), &row)
    }

    /// Notes a word that has ended a trial. What came under its id before, if that was something else, stays known.
    pub(super) fn note_word(&mut self, module: Module, sender: &Sender, id: &MessageId) -> Result<(), Fault> {
        let key = key_of(sender, id);
        let digest = Digest::of(&Payload::of_revert());
        let old: Option<Row> = get(&self.txn, SEEN, (module.canonical(), &key))?;
        if old.is_some_and(|old| old.digest != digest) {
            return Ok(());
        }
        let arrival = ArrivalNo(self.tally.next_arrival);
        self.tally.next_arrival += 1;
        self.changed = true;
        self.keep(module, &key, &Row { digest, arrival, first: arrival })
    }

    fn keep(&mut self, module: Module, key: &Key, row: &Row) -> Result<(), Fault> {
        let module = module.canonical();
        let old: Option<Row> = get(&self.txn, SEEN, (module, key))?;
        if let Some(old) = old {
            remove(&self.txn, SEEN_ORDER, (module, old.arrival.0))?;
        } else {
            self.tally.modules.entry(module.to_owned()).or_default().seen += 1;
        }
        put(&self.txn, SEEN, (module, key), &encode(row))?;
        put(&self.txn, SEEN_ORDER, (module, row.arrival.0), key)?;
        self.forget_oldest(module)
    }

    /// The bound covers the whole inbox, and the word that ends the trial of its oldest push, so what is forgotten is
    /// never pending: pushes of one module finish in their order.
    fn forget_oldest(&mut self, module: &str) -> Result<(), Fault> {
        let bound = self.limits.seen_per_module.max(self.limits.inbox_entries + 1);
        let tally = self.tally.modules.entry(module.to_owned()).or_default();
        while tally.seen > bound {
            let mut order = self.txn.open_table(SEEN_ORDER.definition())?;
            let (start, end) = (Place::encode((module, 0)), Place::encode((module, u64::MAX)));
            let oldest = order.range(start.as_slice()..=end.as_slice())?.next().transpose()?;
            let Some((place, key)) =
                oldest.map(|(place, key)| (place.value().to_vec(), key.value().to_vec()))
            else {
                return Err(Fault::unreadable("seen_order", &module));
            };
            order.remove(place.as_slice())?;
            drop(order);
            remove(&self.txn, SEEN, (module, key.as_slice()))?;
            tally.seen -= 1;
        }
        Ok(())
    }
}
