//! The activity extension (CometD's "activity"): a session that only heartbeats is ended.
//!
//! Whatever a client asks for counts, but connects do not. It is looked at when a connect comes in, which is at least
//! as often as connects are held, so a session ends up to that much later than its time.

use std::collections::HashMap;
use std::time::Duration;

use super::{Extension, Incoming, ReplyPart, Veto};
use crate::advice::Reconnect;
use crate::error::{BayeuxError, ErrorCode};
use crate::ids::ClientId;
use crate::time::Now;

/// The extension: when each session last did something.
#[derive(Debug)]
pub struct Activity {
    longest: Duration,
    active: HashMap<ClientId, Duration>,
}

impl Activity {
    /// Ends sessions that have been idle for longer than this.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { longest, active: HashMap::new() }
    }
}

impl Extension for Activity {
    fn received(&mut self, now: Now, message: &Incoming<'_>) -> Result<Option<ReplyPart>, Veto> {
        let Some(client) = message.client else { return Ok(None) };
        if message.channel.as_str() != "/meta/connect" {
            self.active.insert(client, now.uptime);
            return Ok(None);
        }
        // A session's first message may be its connect.
        let since = *self.active.entry(client).or_insert(now.uptime);
        if now.uptime.saturating_sub(since) <= self.longest {
            return Ok(None);
        }
        let text = format!("Session ended, it only sent heartbeats for {} s", self.longest.as_secs());
        // To handshake again by itself would be to go on as before.
        let error = BayeuxError::new(ErrorCode::UnknownClient, "", text);
        Err(Veto { error, ends_session: Some(Reconnect::None) })
    }

    fn ended(&mut self, client: ClientId) {
        self.active.remove(&client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::ChannelName;

    #[test]
    fn heartbeats_alone_do_not_count() {
        let mut activity = Activity::new(Duration::from_secs(60));
        let client = ClientId::from_random(1);
        let mut at = |seconds: u64, channel: &str| {
            let channel = ChannelName::parse(channel).unwrap();
            let now = Now { uptime: Duration::from_secs(seconds), wall: Duration::ZERO };
            activity.received(now, &Incoming { channel: &channel, client: Some(client), ext: None })
        };
        assert!(at(0, "/meta/connect").is_ok());
        assert!(at(50, "/chat").is_ok());
        assert!(at(110, "/meta/connect").is_ok());
        let veto = at(111, "/meta/connect").unwrap_err();
        assert_eq!(veto.ends_session, Some(Reconnect::None));
        assert!(veto.error.to_string().contains("for 60 s"), "{}", veto.error);
        activity.ended(client);
        assert!(activity.active.is_empty());
    }
}
