//! What is written in one transaction, entry by entry, and what the journal says to each.

use std::sync::mpsc::SyncSender;

use cloud_channel_handlers::{Held, Preimage};
use cloud_channel_protocol::{BayeuxError, CloudinitExt, ErrorCode, Module, Publication};
use tokio::sync::oneshot;

use super::order::Report;
use crate::journal::{
    Accepted, Admission, ArrivalNo, DeviceChange, Event, JournalError, Push, Sender, Seq, Transaction,
};
use crate::request::{Asker, Request};

/// An event under its number.
pub(super) struct Numbered {
    pub(super) seq: Seq,
    pub(super) publication: Publication,
    pub(super) asker: Option<Asker>,
    pub(super) keep: bool,
}

/// Something to write, kept apart from the transaction so that it can be reported, or tried again.
pub(super) enum Entry {
    Push { request: Request, push: Box<Push> },
    Word { request: Request, sender: Sender },
    Event(Numbered),
    Sighting { event: Option<Numbered>, changes: Vec<DeviceChange>, recorded: Option<oneshot::Sender<()>> },
    Settle(Seq),
    Begin { arrival: ArrivalNo, preimage: Box<Preimage>, go: SyncSender<()> },
    OnTrial(ArrivalNo),
    Finish { arrival: ArrivalNo, module: Module, held: Option<Box<Held>>, finish: Numbered },
}

/// What a transaction said to an entry; true once it is committed.
#[derive(Default)]
pub(super) struct Written {
    pub(super) admission: Option<Admission>,
    pub(super) dropped: Vec<Seq>,
    /// The entry alone was refused; the others stand.
    pub(super) refused: Option<JournalError>,
}

impl Numbered {
    pub(super) fn recorded(self) -> Report {
        Report::Recorded { seq: self.seq, publication: self.publication, asker: self.asker }
    }

    pub(super) fn renumber(&mut self, seq: Seq) {
        self.seq = seq;
        // It is our own, so it can be read.
        let ext = CloudinitExt::from_ext(self.publication.ext.as_deref()).unwrap_or_default();
        self.publication.ext = Some(CloudinitExt { seq: Some(seq.get()), ..ext }.to_ext());
    }

    pub(super) fn event(&self) -> Event {
        let Publication { channel, data, ext, .. } = self.publication.clone();
        Event { channel, data, ext, keep: self.keep }
    }
}

pub(super) fn write_entry(transaction: &mut Transaction<'_>, entry: &Entry) -> Result<Written, JournalError> {
    let mut written = Written::default();
    match entry {
        Entry::Push { push, .. } => written.admission = Some(transaction.accept(push)?),
        Entry::Word { request, sender } => {
            if let Some(id) = &request.id {
                transaction.note_word(request.module, sender, id)?;
            }
        }
        Entry::Event(event) => written.dropped = transaction.append_event(event.seq, &event.event())?,
        Entry::Sighting { event, changes, .. } => {
            if let Some(event) = event {
                written.dropped = transaction.append_event(event.seq, &event.event())?;
            }
            let refused = transaction.note_devices(changes)?;
            if refused > 0 {
                tracing::warn!(refused, "the journal has no room for more devices");
            }
        }
        Entry::Settle(seq) => {
            // Already gone if it was dropped in the meantime.
            let _was_there = transaction.settle_event(*seq)?;
        }
        Entry::Begin { arrival, preimage, .. } => match transaction.started(*arrival, preimage) {
            Err(error @ (JournalError::TooLarge { .. } | JournalError::NoSuchPush(_))) => {
                written.refused = Some(error);
            }
            outcome => outcome?,
        },
        Entry::OnTrial(arrival) => match transaction.on_trial(*arrival) {
            Err(error @ JournalError::NoSuchPush(_)) => written.refused = Some(error),
            outcome => outcome?,
        },
        Entry::Finish { arrival, held, finish, .. } => {
            match transaction.complete(*arrival, held.as_deref(), finish.seq, &finish.event()) {
                Err(error @ JournalError::TooLarge { .. }) => {
                    written.refused = Some(error);
                    written.dropped = transaction.complete(*arrival, None, finish.seq, &finish.event())?;
                }
                outcome => written.dropped = outcome?,
            }
        }
    }
    Ok(written)
}

pub(super) fn verdict(
    admission: Option<Admission>,
    push: &Push,
    asker: &Asker,
) -> Result<Option<Accepted>, BayeuxError> {
    match admission {
        Some(Admission::Accepted(accepted)) => Ok(Some(accepted)),
        Some(Admission::Pending(_)) => Ok(None),
        Some(Admission::Conflict) => {
            let text = "This id was used for another message already, give each message an id of its own";
            Err(BayeuxError::new(ErrorCode::Conflict, "id", text))
        }
        Some(Admission::Stale { given, highest }) => {
            let text = format!("Stale generation, expected more than {highest}, got {given}");
            Err(BayeuxError::new(ErrorCode::Conflict, "ext.cloudinit.generation", text))
        }
        // The link brings again what we have not confirmed; it has been finished, and was reported.
        Some(Admission::Replayed { repeated: true, .. }) if *asker == Asker::Link => Ok(None),
        Some(Admission::Replayed { given, highest, .. }) => {
            let text = format!(
                "Replayed: signed config of generation {highest} was accepted already, expected more, got {given}"
            );
            Err(BayeuxError::forbidden("ext.cloudinit.generation", &text))
        }
        Some(Admission::Busy) | None => {
            let text = format!("Too many pushes wait for {}, send it again later", push.module);
            Err(BayeuxError::busy(&text))
        }
    }
}
