//! What the link tells the driver.

use cloud_channel_protocol::{MessageId, Publication};

/// What the link tells the driver.
#[derive(Debug)]
pub(crate) enum LinkReport {
    Up {
        endpoint: String,
        resumed: bool,
    },
    Down {
        reason: String,
    },
    Event(Publication),
    BatchEnd(u64),
    /// A publish's fate: taken, refused with the server's words, or lost with its stream.
    Reply {
        id: MessageId,
        result: Result<(), Option<String>>,
    },
    /// It is there: it has answered a probe.
    Proven,
}
