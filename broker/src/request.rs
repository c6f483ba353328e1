//! A message about a module that was understood so far, and who waits for its outcome: what the driver and the clerk
//! talk about.

use cloud_channel_protocol::server::OfferId;
use cloud_channel_protocol::{
    BayeuxError, ClientId, CloudinitExt, ErrorCode, MessageId, Module, ModuleName, Publication,
};

use crate::journal::Sender;

/// Who waits for the outcome of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A publish whose reply is held back.
    Offer { offer: OfferId, client: Option<ClientId> },
    /// A message from the dialled side, where no publish reply exists.
    Link,
    /// The guest itself: nobody.
    Guest,
}

/// A message that was understood so far: where it belongs and what its `ext` says.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) asker: Asker,
    pub(crate) module: Module,
    pub(crate) spelling: ModuleName,
    pub(crate) id: Option<MessageId>,
    pub(crate) ext: CloudinitExt,
}

/// Longest time that a change may wait to be confirmed, in seconds: a day.
const LONGEST_TRIAL: u64 = 86_400;

/// Ids at least this long are taken to be unique wherever they come from (a UUID has 36 characters); shorter ones
/// are counters, which begin again with each session.
const UNIQUE_ID: usize = 16;

/// The scope in which a message's id stands for one message: everything its sender ever says, or one session of it.
pub(crate) fn id_scope(sender: Sender, session: &str, id: Option<&MessageId>) -> Sender {
    let unique = id.is_some_and(|id| id.text().chars().count() >= UNIQUE_ID);
    if unique { sender } else { sender.in_session(session) }
}

impl Request {
    /// Reads what a `config` message asks of which module.
    pub(crate) fn read(
        asker: Asker,
        spelling: ModuleName,
        publication: &Publication,
    ) -> Result<Self, BayeuxError> {
        let Some(module) = spelling.module() else {
            let known: Vec<&str> = Module::all().map(Module::canonical).collect();
            let text = format!("Unknown module {spelling}, expected one of {}", known.join(", "));
            return Err(BayeuxError::new(ErrorCode::NotFound, publication.channel.as_str(), text));
        };
        let ext = CloudinitExt::from_ext(publication.ext.as_deref())
            .map_err(|text| BayeuxError::new(ErrorCode::Malformed, "ext.cloudinit", text))?;
        if let Some(given) = ext.confirm_seconds.filter(|seconds| !(1..=LONGEST_TRIAL).contains(seconds)) {
            let expected = format!("expected 1 to {LONGEST_TRIAL} seconds");
            let error = BayeuxError::wrong("ext.cloudinit.confirm_seconds", &expected, &given.to_string());
            return Err(error);
        }
        Ok(Self { asker, module, spelling, id: publication.id.clone(), ext })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ids_are_unique_and_counters_are_a_sessions_own() {
        let id_scope = |name, session, id| id_scope(Sender::named(name), session, id);
        let uuid = MessageId::from_text("6f1fb0a2-5f0e-4d4c-9d3e-0c7d5b1f2a33");
        assert_eq!(id_scope("host", "s1", Some(&uuid)), id_scope("host", "s2", Some(&uuid)));
        assert_ne!(id_scope("host", "s1", Some(&uuid)), id_scope("root", "s1", Some(&uuid)));
        let counter = MessageId::from_text("7");
        assert_ne!(id_scope("host", "s1", Some(&counter)), id_scope("host", "s2", Some(&counter)));
        assert_ne!(id_scope("host", "s1", None), id_scope("host", "s2", None));
    }
}
