//! What goes out over the link and is answered there, by the message ids it has.

use cloud_channel_protocol::{InstanceId, MessageId};

use crate::journal::Seq;

/// A message of ours that the management server replies to (`specs/protocol.md`, the dialled side).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkMessage {
    /// An event; its reply settles it.
    Event(Seq),
    /// The answer to a question, by its number. It is sent once.
    Answer(u64),
}

impl LinkMessage {
    /// `<instance-id>-<seq>`, or `answer-<n>-`: an instance may be called `answer`, but no event's id ends in a dash.
    pub(super) fn to_id(self, instance: &InstanceId) -> MessageId {
        let text = match self {
            Self::Event(seq) => format!("{instance}-{seq}"),
            Self::Answer(number) => format!("answer-{number}-"),
        };
        MessageId::from_text(&text)
    }

    /// Reads such an id; `None` if it is neither.
    pub(super) fn parse(id: &MessageId) -> Option<Self> {
        let text = id.text();
        if let Some(answer) = text.strip_suffix('-') {
            return answer.strip_prefix("answer-")?.parse().ok().map(Self::Answer);
        }
        let (_, seq) = text.rsplit_once('-')?;
        seq.parse::<u64>().ok().map(|seq| Self::Event(seq.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_its_reply_is_to_whatever_the_instance_is_called() {
        for instance in ["i-1", "answer", "answer-", "i-0-"] {
            let instance = InstanceId::parse(instance).unwrap();
            for message in [LinkMessage::Event(Seq::from(7)), LinkMessage::Answer(7)] {
                assert_eq!(LinkMessage::parse(&message.to_id(&instance)), Some(message), "{instance}");
            }
        }
    }

    #[test]
    fn ids_are_as_they_are_documented() {
        let instance = InstanceId::parse("i-1").unwrap();
        assert_eq!(LinkMessage::Event(Seq::from(7)).to_id(&instance).text(), "i-1-7");
        assert_eq!(LinkMessage::Answer(2).to_id(&instance).text(), "answer-2-");
    }

    #[test]
    fn other_ids_are_no_message_of_ours() {
        for id in ["", "7", "-", "answer--", "answer-x-", "i-1-7-", "i-1-", "i-1-x"] {
            assert_eq!(LinkMessage::parse(&MessageId::from_text(id)), None, "{id}");
        }
    }
}
