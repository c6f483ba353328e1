//! `replay`, `extensions`, `activity`, `metrics` and `allowed-origins`: what the daemon does beside the channels.

use std::time::Duration;

use cloud_channel_protocol::Endpoint;

use super::read::{Field, one_of, show_bytes, show_duration, word_of};
use super::value::{Row, Value};

/// A protocol extension that can be switched on and off; `ack` is always there for who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExtensionName {
    /// Events of before can be asked for.
    Replay,
    /// Clients learn how far their clock is off.
    Timesync,
    /// Every message says when it was sent.
    Timestamp,
}

/// What a client gets that does not choose; a timestamp makes every message longer, so it has to be asked for.
const DEFAULT_EXTENSIONS: [ExtensionName; 2] = [ExtensionName::Replay, ExtensionName::Timesync];

/// Where metrics are, whatever path an endpoint is written with.
const METRICS_PATH: &str = "/metrics";

/// How much of what was delivered is kept for those who ask for it again. Whatever is reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events at most.
    pub events: u64,
    /// Bytes of the journal that they take at most, about twice their own.
    pub bytes: u64,
    /// How old they get at most.
    pub age: Duration,
}

impl Default for Retention {
    /// A boot and the days after it, within a small part of the journal.
    fn default() -> Self {
        Self { events: 4_096, bytes: 4 << 20, age: Duration::from_secs(7 * 86_400) }
    }
}

/// The keys, while files are put together.
#[derive(Debug)]
pub(super) struct ServicesDraft {
    events: Value<u64>,
    bytes: Value<u64>,
    age: Value<Duration>,
    pub(super) extensions: Value<Vec<ExtensionName>>,
    pub(super) activity: Value<Option<Duration>>,
    pub(super) metrics: Value<Vec<Endpoint>>,
    pub(super) origins: Value<Vec<String>>,
}

impl Default for ServicesDraft {
    fn default() -> Self {
        let Retention { events, bytes, age } = Retention::default();
        Self {
            events: Value::new("replay.events", events),
            bytes: Value::new("replay.bytes", bytes),
            age: Value::new("replay.age", age),
            extensions: Value::new("extensions", DEFAULT_EXTENSIONS.to_vec()),
            activity: Value::new("activity", None),
            metrics: Value::new("metrics.listen", Vec::new()),
            origins: Value::new("allowed-origins", Vec::new()),
        }
    }
}

impl ServicesDraft {
    pub(super) const REPLAY_KEYS: &[&str] = &["events", "bytes", "age"];
    pub(super) const METRICS_KEYS: &[&str] = &["listen"];

    pub(super) fn set_replay(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        match field.key {
            "events" => self.events.set(field.number(0..=1_000_000)?, from),
            // The journal itself ends at 64 MiB; more does not fit beside everything else in it.
            "bytes" => self.bytes.set(field.bytes(0..=8 << 20)?, from),
            _ => {
                let years = Duration::from_secs(10 * 366 * 86_400);
                self.age.set(field.duration(Duration::ZERO..=years)?, from);
            }
        }
        Ok(())
    }

    pub(super) fn set_extensions(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        self.extensions.set(field.list("extensions", |item| item.parsed(one_of))?, from);
        Ok(())
    }

    pub(super) fn set_activity(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let range = Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);
        self.activity.set(Some(field.duration(range)?), from);
        Ok(())
    }

    pub(super) fn set_metrics(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let listen = field.list("endpoints", |item| {
            item.parsed(|text| match Endpoint::parse(text) {
                Ok(Endpoint::Tcp { scheme, host, port, .. }) => {
                    Ok(Endpoint::Tcp { scheme, host, port, path: METRICS_PATH.to_owned() })
                }
                Ok(endpoint @ Endpoint::Unix { .. }) => Ok(endpoint),
                Ok(other) => Err(format!("expected http:// or unix://, got `{other}`")),
                Err(error) => Err(error.to_string()),
            })
        });
        self.metrics.set(listen?, from);
        Ok(())
    }

    pub(super) fn set_origins(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        self.origins.set(field.list("origins", |item| item.parsed(origin))?, from);
        Ok(())
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        let list = |texts: Vec<String>| if texts.is_empty() { "(none)".to_owned() } else { texts.join(" ") };
        rows.push(self.events.row(ToString::to_string));
        rows.push(self.bytes.row(|bytes| show_bytes(*bytes)));
        rows.push(self.age.row(|age| show_duration(*age)));
        rows.push(self.extensions.row(|names| list(names.iter().map(word_of).collect())));
        rows.push(self.activity.row(|time| time.map_or_else(|| "(off)".to_owned(), show_duration)));
        rows.push(self.metrics.row(|listen| list(listen.iter().map(ToString::to_string).collect())));
        rows.push(self.origins.row(|origins| list(origins.clone())));
    }

    pub(super) fn retention(&self) -> Retention {
        Retention { events: self.events.value, bytes: self.bytes.value, age: self.age.value }
    }
}

/// A web origin as browsers send it: scheme, host and perhaps a port, in lower case and nothing behind it.
fn origin(text: &str) -> Result<String, String> {
    let expected = || {
        let given = cloud_channel_protocol::shorten(text);
        format!("expected an origin as a browser sends it, such as `https://console.example`, got `{given}`")
    };
    let lower = text.to_ascii_lowercase();
    let host =
        lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).ok_or_else(expected)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']');
    if host.is_empty() || !host.bytes().all(fits) { Err(expected()) } else { Ok(lower) }
}
