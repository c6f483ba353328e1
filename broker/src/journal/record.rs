//! What the journal keeps, as typed values. `Debug` of none of them shows a payload.

use std::fmt;

use cloud_channel_handlers::{Held, Preimage};
use cloud_channel_protocol::{ChannelName, MessageId, Module, ModuleName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::number::{ArrivalNo, Seq};
use super::payload::{Digest, Payload};
use super::sender::Sender;
use super::task::Task;
use crate::hotplug::Device;
use crate::witness::Witness;

/// A push that wants to be accepted, or what stands in the row of pushes like one.
#[derive(Debug, Clone)]
pub struct Push {
    /// What is to be done.
    pub task: Task,
    /// Whom it is for.
    pub module: Module,
    /// How its channel spells the module.
    pub spelling: ModuleName,
    /// The message's id. Without one, repetitions cannot be recognised.
    pub cause: Option<MessageId>,
    /// Whom it came from.
    pub sender: Sender,
    /// The config.
    pub payload: Payload,
    /// `ext.cloudinit.generation`.
    pub generation: Option<u64>,
    /// `ext.cloudinit.confirm_seconds`.
    pub confirm_seconds: Option<u64>,
    /// Whose messages confirm it, if it has to be confirmed.
    pub witness: Option<Witness>,
    /// Wall clock at its arrival, in milliseconds since the Unix epoch.
    pub arrived_ms: u64,
    /// True if it carries a signature that was checked: then its generation is taken once.
    pub signed: bool,
}

/// A push that was accepted and is not finished, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its number.
    pub arrival: ArrivalNo,
    /// What is to be done.
    pub task: Task,
    /// Whom it is for.
    pub module: Module,
    /// How its channel spells the module.
    pub spelling: ModuleName,
    /// The message's id.
    pub cause: Option<MessageId>,
    /// Whom it came from.
    pub sender: Sender,
    /// Of its payload.
    pub digest: Digest,
    /// `ext.cloudinit.generation`.
    pub generation: Option<u64>,
    /// `ext.cloudinit.confirm_seconds`.
    pub confirm_seconds: Option<u64>,
    /// Whose messages confirm it, if it has to be confirmed.
    pub witness: Option<Witness>,
    /// Wall clock at its arrival, in milliseconds since the Unix epoch.
    pub arrived_ms: u64,
    /// True once its preimage was recorded: the machine may have been changed by it.
    pub started: bool,
    /// True once everything is done and waits to be confirmed: whoever finds it so takes it back.
    pub on_trial: bool,
    /// True if it repeats a message that was finished before, and another push for the module was accepted in
    /// between: to apply it would undo the newer one.
    pub superseded: bool,
}

/// A push with everything that belongs to it.
#[derive(Debug, Clone)]
pub struct InboxEntry {
    /// What it is.
    pub accepted: Accepted,
    /// Its config.
    pub payload: Payload,
    /// The files before its first change, if it was started.
    pub preimage: Option<Preimage>,
}

/// What became of a [`Push`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is in the inbox.
    Accepted(Accepted),
    /// The same message is in the inbox already; nothing was stored, and there will be one finish.
    Pending(ArrivalNo),
    /// The same message id with another content: refused.
    Conflict,
    /// Its generation is not above the highest that is applied or in the inbox: refused.
    Stale {
        /// The push's.
        given: u64,
        /// The module's.
        highest: u64,
    },
    /// It is signed, and its generation is not above that of every signed push that was ever accepted: refused.
    Replayed {
        /// The push's.
        given: u64,
        /// The highest so far.
        highest: u64,
        /// True if it is the same message again, and not only the same content.
        repeated: bool,
    },
    /// The inbox has no room for it now: refused.
    Busy,
}

/// What a module remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModuleState {
    /// Its own memory.
    pub held: Held,
    /// The highest generation that was applied, if any had one.
    pub generation: Option<u64>,
}

/// An event on its way out.
#[derive(Clone)]
pub struct Event {
    /// Where it goes.
    pub channel: ChannelName,
    /// Its data.
    pub data: Box<RawValue>,
    /// Its extensions.
    pub ext: Option<Box<RawValue>>,
    /// True for the finish of a push: it goes only when no other event is left to make room.
    pub keep: bool,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({}, {} bytes, keep {})", self.channel, self.data.get().len(), self.keep)
    }
}

/// How many events were dropped because the outbox was full, since the journal was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dropped {
    /// Reporting events.
    pub reporting: u64,
    /// Finish events of pushes.
    pub finish: u64,
}

/// Which events the journal still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Every event above this number is there; some below may be. Nought if none ever went.
    pub forgotten: Seq,
    /// The highest number that was ever recorded; nought if none was.
    pub newest: Seq,
}

/// What one look at the journal's events may take.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// Events at most.
    pub events: usize,
    /// Bytes of their data; one event may be larger.
    pub bytes: usize,
    /// Events looked at, wanted or not.
    pub looked_at: usize,
}

/// Some events, in order.
#[derive(Debug)]
pub struct Page {
    /// Those that were wanted.
    pub events: Vec<(Seq, Event)>,
    /// How far it reaches: go on after this one.
    pub reached: Seq,
    /// True if there is nothing behind it.
    pub is_last: bool,
}

/// What the journal knows of a machine's devices, each under its number; none before the first look.
pub type KnownDevices = Option<Vec<(u64, Device)>>;

/// A change of what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChange {
    /// It is there, and like this.
    Keep(u64, Device),
    /// It has gone.
    Forget(u64),
}

/// Everything that waits, and what the modules remember.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Unfinished pushes, in order of arrival. Their payloads stay in the file until
    /// [`Journal::entry`](super::Journal::entry) asks for one.
    pub inbox: Vec<Accepted>,
    /// Undelivered events, in order.
    pub outbox: Vec<(Seq, Event)>,
    /// The modules that were ever pushed to.
    pub modules: Vec<(Module, ModuleState)>,
    /// Events lost so far.
    pub dropped: Dropped,
    /// The devices that were told of.
    pub devices: KnownDevices,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let payload = Payload::from(RawValue::from_string("\"hunter2\"".to_owned()).unwrap());
        let digest = Digest::of(&payload);
        let entry = InboxEntry {
            accepted: Accepted {
                task: Task::Push,
                arrival: ArrivalNo(1),
                module: Module::SetPasswords,
                spelling: Module::SetPasswords.into(),
                cause: Some(MessageId::from_text("m")),
                sender: Sender::parse("0123456789abcdef").unwrap(),
                digest: digest.clone(),
                generation: None,
                confirm_seconds: None,
                arrived_ms: 1,
                on_trial: false,
                witness: None,
                started: false,
                superseded: false,
            },
            payload,
            preimage: None,
        };
        let text = format!("{entry:?}");
        for secret in ["hunter2", "89abcdef", digest.hex()] {
            assert!(!text.contains(secret), "{text}");
        }
        let event = Event {
            channel: ChannelName::parse("/a").unwrap(),
            data: RawValue::from_string("\"hunter2\"".to_owned()).unwrap(),
            ext: None,
            keep: true,
        };
        assert_eq!(format!("{event:?}"), "Event(/a, 9 bytes, keep true)");
    }
}
