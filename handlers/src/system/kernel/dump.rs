//! One dump: the question, and the datagrams of its answer until the end. It has no socket and no clock.

use netlink_packet_core::{
    DoneBuffer, ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NLMSG_OVERRUN, NetlinkBuffer,
};

use super::attributes::Malformed;

/// The size of `struct nlmsghdr` (netlink(7)).
const HEAD: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// For error texts: "cannot read WHAT".
    pub(super) what: &'static str,
    /// The message's type (`RTM_GET…`).
    pub(super) kind: u16,
    /// The type of the messages that answer (`RTM_NEW…`).
    pub(super) answer: u16,
    /// The message without its head.
    pub(super) body: &'static [u8],
}

impl Question {
    /// The datagram to send.
    pub(super) fn datagram(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        bytes.extend_from_slice(self.body);
        let length = u32::try_from(bytes.len()).expect("a question has a few bytes");
        let mut message = NetlinkBuffer::new(&mut bytes);
        message.set_length(length);
        message.set_message_type(self.kind);
        message.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
        message.set_sequence_number(sequence);
        bytes
    }
}

/// Why an answer is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The kernel says so, with an errno.
    Refused(i32),
    /// It is not netlink.
    Malformed(Malformed),
}

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Dump {
    sequence: u32,
    answer: u16,
    /// What was dumped changed meanwhile, so that something may be missing or twice.
    pub(super) is_interrupted: bool,
}

impl Dump {
    pub(super) const fn of(question: &Question, sequence: u32) -> Self {
        Self { sequence, answer: question.answer, is_interrupted: false }
    }

    /// Reads a datagram and gives each message of the answer to `take`, without its head. True at the end of the dump.
    /// What answers another question is passed over.
    pub(super) fn read(&mut self, mut datagram: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<bool, Fault> {
        while !datagram.is_empty() {
            let message = NetlinkBuffer::new_checked(datagram)
                .map_err(|_| Fault::Malformed(Malformed("a message has a length that cannot be")))?;
            let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
            if message.sequence_number() != self.sequence {
                continue;
            }
            self.is_interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            let payload = message.payload();
            match message.message_type() {
                NLMSG_NOOP => {}
                NLMSG_OVERRUN => self.is_interrupted = true,
                NLMSG_DONE => return end(payload),
                NLMSG_ERROR => refused(payload)?,
                kind if kind == self.answer => take(payload),
                _ => {}
            }
        }
        Ok(false)
    }
}

/// The end may be one because of a fault: then it holds a negative errno.
fn end(payload: &[u8]) -> Result<bool, Fault> {
    match DoneBuffer::new_checked(payload).map(|done| done.code()) {
        Ok(code) if code < 0 => Err(Fault::Refused(code.saturating_neg())),
        // Without a code as well, which a kernel may leave out.
        Ok(_) | Err(_) => Ok(true),
    }
}

fn refused(payload: &[u8]) -> Result<(), Fault> {
    let error =
        ErrorBuffer::new_checked(payload).map_err(|_| Fault::Malformed(Malformed("an error has no code")))?;
    // Code 0 is an acknowledgement.
    error.code().map_or(Ok(()), |code| Err(Fault::Refused(code.get().saturating_neg())))
}
