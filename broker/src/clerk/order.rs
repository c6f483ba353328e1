//! What the clerk is asked, and what it says.

use std::sync::mpsc::SyncSender;

use cloud_channel_handlers::{Held, Outlook, Preimage};
use cloud_channel_protocol::{BayeuxError, ChannelName, CloudinitExt, MessageId, Module, Publication};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::replay::{Look, ReplayId};
use crate::journal::{
    Accepted, ArrivalNo, Contents, DeviceChange, Dropped, InboxEntry, Page, Payload, Sender, Seq, Task,
    Window,
};
use crate::request::{Asker, Request};
use crate::witness::Witness;

/// An event that has no number yet.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) channel: ChannelName,
    pub(crate) data: Box<RawValue>,
    /// The message that caused it.
    pub(crate) cause: Option<MessageId>,
    /// cloud-init never sent it.
    pub(crate) inferred: bool,
    /// It is the finish of a push: the last to go when room is short.
    pub(crate) keep: bool,
    /// Whose publish it is, if that waits for a reply.
    pub(crate) asker: Option<Asker>,
}

impl Draft {
    /// A plain event.
    pub(crate) fn event(channel: ChannelName, data: Box<RawValue>, cause: Option<MessageId>) -> Self {
        Self { channel, data, cause, inferred: false, keep: false, asker: None }
    }

    /// The message, once it has its number.
    pub(super) fn numbered(self, seq: Seq) -> (Publication, Option<Asker>) {
        self.publication(Some(seq))
    }

    /// The message of an event that cannot be kept.
    pub(super) fn without_number(self) -> (Publication, Option<Asker>) {
        self.publication(None)
    }

    fn publication(self, seq: Option<Seq>) -> (Publication, Option<Asker>) {
        let ext = CloudinitExt {
            cause: self.cause,
            seq: seq.map(Seq::get),
            inferred: self.inferred,
            ..CloudinitExt::default()
        };
        let publication =
            Publication { channel: self.channel, id: None, data: self.data, ext: Some(ext.to_ext()) };
        (publication, self.asker)
    }
}

/// A push to be checked and accepted, or what is done in its turn like one.
#[derive(Debug)]
pub(crate) struct Admit {
    pub(crate) request: Request,
    pub(crate) work: AdmittedWork,
    /// The scope of the message's id.
    pub(crate) sender: Sender,
    pub(crate) witness: Option<Witness>,
}

/// What is to be admitted, with what it takes to tell whether it can be done.
#[derive(Debug)]
pub(crate) enum AdmittedWork {
    /// A push; its payload is checked.
    Push {
        /// Secret.
        payload: Payload,
        /// True if it carries a signature that was checked.
        signed: bool,
    },
    /// What waited for devices. It was looked at before it was asked for.
    Resume,
    /// The last change is to be taken back, if the module knows what was before.
    Revert(Held),
}

impl AdmittedWork {
    /// As the journal keeps it.
    pub(super) fn into_parts(self) -> (Task, Payload) {
        match self {
            Self::Push { payload, .. } => (Task::Push, payload),
            Self::Resume => (Task::Resume, Payload::of_resume()),
            Self::Revert(_) => (Task::Revert, Payload::of_revert()),
        }
    }

    /// True for what a signature stands for.
    pub(super) const fn is_signed(&self) -> bool {
        matches!(self, Self::Push { signed: true, .. })
    }
}

/// A word that has ended a trial, to be known when it comes again.
#[derive(Debug)]
pub(crate) struct SpokenWord {
    /// With an id.
    pub(crate) request: Request,
    /// The scope of the message's id.
    pub(crate) sender: Sender,
}

/// A question about a module.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) held: Held,
    /// The push whose plan is asked for; without one, what the module holds is.
    pub(crate) dry_run: Option<Box<RawValue>>,
}

/// Something that was observed of the hardware: its event and what is remembered go together.
#[derive(Debug)]
pub(crate) struct Sighting {
    /// None if it is only to be remembered.
    pub(crate) event: Option<Box<Draft>>,
    pub(crate) changes: Vec<DeviceChange>,
}

/// One thing for the clerk to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Check a push, and keep it if it is fit.
    Admit(Box<Admit>),
    /// A word is being obeyed: keep it, and then its reply may go.
    Word(Box<SpokenWord>),
    /// Answer a question.
    Answer(Box<Question>),
    /// Look whether what a module has put off can be done.
    Foresee(Module, Box<Held>),
    /// Number an event and keep it until it is delivered.
    Append(Box<Draft>),
    /// Number events of the hardware and keep them, with what is remembered of it; however often that has to be tried,
    /// since nobody says it again.
    Sightings { sightings: Vec<Sighting>, recorded: oneshot::Sender<()> },
    /// An event was delivered.
    Settle(Seq),
    /// Read events for a replay.
    Look(Box<Look>),
    /// Bring a push back with its payload.
    Fetch(ArrivalNo),
    /// A push is about to change the machine: keep the files as they are, then let it go on.
    Begin { arrival: ArrivalNo, preimage: Box<Preimage>, start: Option<Box<Draft>>, go: SyncSender<()> },
    /// Everything a push wants is done, and waits to be confirmed.
    OnTrial(ArrivalNo),
    /// A push has ended: forget it, keep what its module holds, and number its finish, all at once.
    Finish { arrival: ArrivalNo, module: Module, held: Option<Box<Held>>, finish: Box<Draft> },
}

impl Order {
    /// True for what follows from a push that was accepted, an event that was recorded, or a replay that was granted.
    pub(super) fn follows_a_promise(&self) -> bool {
        match self {
            Self::Admit(_) | Self::Word(_) | Self::Answer(_) | Self::Foresee(..) | Self::Append(_) => false,
            // A replay has one look at a time.
            Self::Look(look) => look.after.is_some(),
            // Its sender waits for one batch before the next.
            Self::Sightings { .. }
            | Self::Settle(_)
            | Self::Fetch(_)
            | Self::Begin { .. }
            | Self::OnTrial(_)
            | Self::Finish { .. } => true,
        }
    }
}

/// What the clerk reports, after the commit that makes it true.
#[derive(Debug)]
pub(crate) enum Report {
    /// The journal is open, and this is in it.
    Opened(Box<Contents>),
    /// A push was accepted (`None`: it waits already, as an earlier copy) or not.
    Verdict { request: Request, admitted: Result<Option<Accepted>, BayeuxError> },
    /// The answer to a question.
    Answer { request: Request, answer: Result<serde_json::Value, BayeuxError> },
    /// What a module has put off, or why that cannot be told.
    Foreseen { module: Module, outlook: Result<Outlook, String> },
    /// An event is kept and may be seen.
    Recorded { seq: Seq, publication: Publication, asker: Option<Asker> },
    /// An event could not be kept.
    Unrecorded { publication: Publication, asker: Option<Asker> },
    /// What a look has found, or why there is nothing to find. All events of the page were reported before, and
    /// none behind it.
    Found { replay: ReplayId, window: Window, page: Result<Page, BayeuxError> },
    /// Events had to go to make room.
    Dropped { events: Vec<Seq>, total: Dropped },
    /// A push, as asked for.
    Fetched(Box<InboxEntry>),
    /// A push cannot be brought back: its record is damaged.
    Unreadable { arrival: ArrivalNo },
    /// A push is ended; this is what its module holds now.
    Finished { module: Module, held: Option<Box<Held>> },
}
