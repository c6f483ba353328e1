//! cloud-init's reporting events: exactly its fields, nothing of ours (cloud-init, `reporting/events.py`).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Start or finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventType {
    /// Work begins.
    Start,
    /// Work has ended, well or not.
    Finish,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventResult {
    /// Done and verified.
    Success,
    /// Done, with something the sender should know.
    Warn,
    /// Not done; everything is as it was, unless the description says otherwise.
    Fail,
}

/// One reporting event, with cloud-init's fields in cloud-init's order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportingEvent {
    /// `modules-config/config-set-passwords`, or just the stage.
    pub name: String,
    /// For people.
    pub description: String,
    /// Start or finish.
    pub event_type: EventType,
    /// Who reports: `cloudinit`.
    pub origin: String,
    /// Seconds since the Unix epoch.
    pub timestamp: f64,
    /// How it ended; only in a finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<EventResult>,
    /// Seconds from start to finish (cloud-init 26.1 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Files the step wrote, as cloud-init sends them; passed on as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Box<RawValue>>,
}

impl ReportingEvent {
    /// The `data` of an event message: a list of one, as the design note has it.
    ///
    /// # Panics
    /// If a timestamp or duration is not finite, which no clock gives.
    #[must_use]
    pub fn to_data(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(&[self]).expect("finite numbers and strings serialise")
    }
}
