//! How things are, for `cloud-channel status`: asked on a service channel, answered to the asker.

use cloud_channel_protocol::server::Input;
use cloud_channel_protocol::{BayeuxError, ChannelName, CloudinitExt, MessageId, Publication};

use super::Driver;
use crate::journal::Dropped;
use crate::request::Asker;

/// Where to ask.
pub(crate) const CHANNEL: &str = "/service/cloud-channel/status";

/// What is counted since the start, beside what the server counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Events of ours that went out.
    pub(super) events: u64,
    /// Events that could not be kept; who listened then has them.
    pub(super) lost: u64,
    /// Events dropped from a full journal, over its whole life.
    pub(super) dropped: Dropped,
    /// Messages that were not taken.
    pub(super) refused: u64,
    /// Events that the management server did not take.
    pub(super) refused_by_link: u64,
}

impl Driver {
    pub(super) fn tell_status(&mut self, asker: Asker, id: Option<&MessageId>) -> Result<(), BayeuxError> {
        let Asker::Offer { client: Some(client), .. } = asker else {
            return Err(BayeuxError::forbidden("", "An answer needs a session to go to, handshake first"));
        };
        let status = self.status();
        self.accept(&asker);
        let ext = CloudinitExt { cause: id.cloned(), ..CloudinitExt::default() };
        let publication = Publication {
            channel: ChannelName::parse(CHANNEL).expect("a constant is a channel"),
            id: None,
            data: serde_json::value::to_raw_value(&status).expect("a JSON value serialises"),
            ext: Some(ext.to_ext()),
        };
        self.input(Input::Tell { client, publication: &publication, receipt: None });
        Ok(())
    }

    fn status(&self) -> serde_json::Value {
        let stats = self.server.stats();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instance": self.parts.instance.as_str(),
            "ready": self.ready,
            "uptime_seconds": self.parts.clock.now().uptime.as_secs(),
            "listening": self.parts.listening,
            "link": self.parts.link.as_ref().map(|link| serde_json::json!({
                "endpoints": link.endpoints(),
                "up": !self.link.is_down(),
                "detail": self.link.detail,
            })),
            "sessions": stats.sessions,
            "connections": stats.connections,
            "messages": {
                "received": stats.received,
                "refused": self.counters.refused,
                "delivered": stats.delivered,
                "dropped": stats.dropped,
            },
            "events": {
                "sent": self.counters.events,
                "waiting": self.outbox.len(),
                "lost": self.counters.lost,
                "dropped": { "reporting": self.counters.dropped.reporting, "finish": self.counters.dropped.finish },
                "refused_by_link": self.counters.refused_by_link,
            },
            "modules": self.pushes.describe(),
        })
    }
}
