//! Advice: what a server tells its clients to do next (Bayeux 1.0, "advice").

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What to do after a connect, or instead of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reconnect {
    /// Send `/meta/connect` again, after the interval.
    Retry,
    /// The session is gone: handshake anew.
    Handshake,
    /// Stop.
    None,
}

/// The three values that a client needs, always sent together: clients merge advice in three different ways, and
/// only a complete one comes out the same in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What next.
    pub reconnect: Reconnect,
    /// Least pause between connects.
    pub interval: Duration,
    /// How long the server holds a connect.
    pub timeout: Duration,
}

#[derive(Serialize)]
struct Written {
    reconnect: Reconnect,
    interval: u64,
    timeout: u64,
}

impl Advice {
    /// The same times with another next step.
    #[must_use]
    pub const fn with(self, reconnect: Reconnect) -> Self {
        Self { reconnect, ..self }
    }

    /// As JSON, times in milliseconds.
    #[must_use]
    pub fn to_json(&self) -> String {
        let written = Written {
            reconnect: self.reconnect,
            interval: millis(self.interval),
            timeout: millis(self.timeout),
        };
        serde_json::to_string(&written).expect("a struct of numbers serialises")
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Advice as it comes from the other side: any of it may be missing or nonsense, and nonsense is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceivedAdvice {
    /// What next, if it said so.
    pub reconnect: Option<Reconnect>,
    /// Least pause between connects.
    pub interval: Option<Duration>,
    /// In a reply: how long the server holds a connect. In a request: how long it is asked to.
    pub timeout: Option<Duration>,
}

impl ReceivedAdvice {
    /// Reads an `advice` object; whatever is not understood is left out.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return Self::default() };
        let time = |name: &str| value.get(name)?.as_u64().map(Duration::from_millis);
        Self {
            reconnect: value.get("reconnect").and_then(|next| Reconnect::deserialize(next).ok()),
            interval: time("interval"),
            timeout: time("timeout"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_complete_and_nonsense_is_ignored() {
        let advice = Advice {
            reconnect: Reconnect::Retry,
            interval: Duration::ZERO,
            timeout: Duration::from_secs(30),
        };
        assert_eq!(advice.to_json(), r#"{"reconnect":"retry","interval":0,"timeout":30000}"#);
        let read = ReceivedAdvice::from_json(r#"{"reconnect":"maybe","interval":-5,"timeout":"1"}"#);
        assert_eq!(read, ReceivedAdvice::default());
        let read = ReceivedAdvice::from_json(r#"{"reconnect":"none","timeout":0}"#);
        assert_eq!(read.reconnect, Some(Reconnect::None));
        assert_eq!(read.timeout, Some(Duration::ZERO));
    }
}
