//! Tests of the journal as a whole: its rules one by one, against a model, on failing disks, under kill -9.

mod crash;
mod faults;
mod model;
mod retention;
mod rules;

use std::path::Path;

use cloud_channel_handlers::Held;
use cloud_channel_protocol::{ChannelName, MessageId, Module};
use serde_json::value::RawValue;

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn push(id: &str, payload: &str) -> Push {
    Push {
        task: Task::Push,
        module: Module::Network,
        spelling: Module::Network.into(),
        cause: Some(MessageId::from_text(id)),
        sender: Sender::parse("link").unwrap(),
        payload: raw(payload).into(),
        generation: None,
        confirm_seconds: None,
        witness: None,
        arrived_ms: 7,
        signed: false,
    }
}

fn event(text: &str, keep: bool) -> Event {
    Event {
        channel: ChannelName::parse("/cloudinit/i/modules-config").unwrap(),
        data: raw(text),
        ext: None,
        keep,
    }
}

fn open(root: &Path) -> Journal {
    Journal::open(root, JournalLimits::default()).unwrap()
}

/// The journal as a kill at this moment would leave it: a copy of the file, open or not.
fn killed(journal: &Journal, root: &Path) {
    let folder = root.join("var/lib/cloud-channel");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(journal.path(), folder.join("journal.redb")).unwrap();
}

/// One operation in a transaction of its own.
fn once<T>(
    journal: &mut Journal,
    operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, JournalError>,
) -> T {
    let mut txn = journal.begin().unwrap();
    let result = operation(&mut txn).unwrap();
    txn.commit().unwrap();
    result
}

/// Accepts a push that must be accepted.
fn accept(journal: &mut Journal, push: &Push) -> Accepted {
    match once(journal, |txn| txn.accept(push)) {
        Admission::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

/// Finishes a push.
fn finish(journal: &mut Journal, arrival: ArrivalNo, held: Option<&Held>) {
    once(journal, |txn| {
        let seq = txn.reserve_seq(1)?.next().unwrap();
        txn.complete(arrival, held, seq, &event("[]", true))
    });
}
