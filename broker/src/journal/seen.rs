//! The messages that were accepted lately, so that one that comes twice is recognised.
//!
//! A row stands for a message: its module, its sender and its id. It says which content came under the id, which
//! push it was last and which it was first. The newest rows of each module are kept; as long as a message's push
//! is in the inbox, its row is among them.

use redb::ReadableTable;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use cloud_channel_protocol::MessageId;

use super::key::{Keys, Place};
use super::record::{Accepted, ArrivalNo, Digest, Push, Sender};
use super::table::{Fault, SEEN, SEEN_ORDER, encode, get, put, remove};
use super::transaction::Work;

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
        let module = accepted.module.canonical();
        let key = key_of(&accepted.sender, id);
        let old: Option<Row> = get(&self.txn, SEEN, (module, &key))?;
        if let Some(old) = old {
            remove(&self.txn, SEEN_ORDER, (module, old.arrival.0))?;
        } else {
            self.tally.modules.entry(module.to_owned()).or_default().seen += 1;
        }
        let arrival = accepted.arrival;
        let row = Row { digest: accepted.digest.clone(), arrival, first: first.unwrap_or(arrival) };
        put(&self.txn, SEEN, (module, &key), &encode(&row))?;
        put(&self.txn, SEEN_ORDER, (module, arrival.0), &key)?;
        self.forget_oldest(module)
    }

    /// The bound covers the whole inbox, so what is forgotten is never pending: pushes of one module finish in
    /// their order.
    fn forget_oldest(&mut self, module: &str) -> Result<(), Fault> {
        let bound = self.limits.seen_per_module.max(self.limits.inbox_entries);
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
