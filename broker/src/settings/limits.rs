//! `limits` and `advice`: what the server accepts and keeps, and what it tells its clients.

use std::time::Duration;

use cloud_channel_protocol::Limits;
use cloud_channel_protocol::server::ServerConfig;

use super::read::{Field, show_bytes, show_duration};
use super::value::{Row, Value};

/// What a setting of `limits` may be.
#[derive(Clone, Copy)]
enum Measure {
    /// So many things, at least and at most.
    Count(u64, u64),
    /// Bytes, at least and at most.
    Bytes(u64, u64),
}

/// One limit: its key and where it is kept.
struct Limit {
    /// With the group's name, for `config show`.
    name: &'static str,
    measure: Measure,
    place: fn(&mut Limits) -> &mut usize,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What one peer may have by default follows it.
const ALL_SESSIONS: &str = "limits.sessions";

/// The upper ends are what a machine with some memory to spare can bear; each limit bounds memory, so none can be
/// lifted.
const LIMITS: [Limit; 13] = [
    limit(ALL_SESSIONS, Measure::Count(1, 100_000), |limits| &mut limits.sessions),
    limit("limits.sessions-per-peer", Measure::Count(1, 100_000), |limits| &mut limits.sessions_per_peer),
    limit("limits.unbound-connections", Measure::Count(1, 100_000), |limits| &mut limits.unbound_connections),
    limit("limits.subscriptions", Measure::Count(1, 65_536), |limits| &mut limits.subscriptions_per_session),
    limit("limits.message-bytes", Measure::Bytes(KIB, 16 * MIB), |limits| &mut limits.message_bytes),
    limit("limits.batch-bytes", Measure::Bytes(4 * KIB, 64 * MIB), |limits| &mut limits.batch_bytes),
    limit("limits.input-bytes", Measure::Bytes(64 * KIB, 1024 * MIB), |limits| &mut limits.input_bytes),
    limit("limits.batch-messages", Measure::Count(2, 65_536), |limits| &mut limits.batch_messages),
    limit("limits.json-depth", Measure::Count(8, 100), |limits| &mut limits.json_depth),
    limit("limits.queued-messages", Measure::Count(16, 1_000_000), |limits| &mut limits.queued_messages),
    limit("limits.queued-bytes", Measure::Bytes(64 * KIB, 256 * MIB), |limits| &mut limits.queued_bytes),
    limit("limits.reply-bytes", Measure::Bytes(64 * KIB, 64 * MIB), |limits| &mut limits.reply_bytes),
    limit("limits.pending-publishes", Measure::Count(1, 65_536), |limits| &mut limits.pending_offers),
];

const fn limit(name: &'static str, measure: Measure, place: fn(&mut Limits) -> &mut usize) -> Limit {
    Limit { name, measure, place }
}

impl Limit {
    /// The key within its group.
    fn key(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, key)| key)
    }

    fn show(&self, number: usize) -> String {
        match self.measure {
            Measure::Count(..) => number.to_string(),
            Measure::Bytes(..) => show_bytes(number as u64),
        }
    }
}

/// Both groups, while files are put together.
#[derive(Debug)]
pub(super) struct ServerDraft {
    /// Those that were set, in the order of [`LIMITS`].
    limits: Vec<Value<Option<usize>>>,
    handshake: Value<Duration>,
    timeout: Value<Duration>,
    interval: Value<Duration>,
    max_interval: Value<Duration>,
    /// Everybody is the same peer then, and may have all sessions.
    dev: bool,
}

impl ServerDraft {
    pub(super) const ADVICE_KEYS: &[&str] = &["timeout", "interval", "max-interval"];

    pub(super) fn new(dev: bool) -> Self {
        let ServerConfig { limits, advice, max_interval, .. } = ServerConfig::default();
        Self {
            limits: LIMITS.iter().map(|limit| Value::new(limit.name, None)).collect(),
            handshake: Value::new("limits.handshake", limits.handshake_deadline),
            timeout: Value::new("advice.timeout", advice.timeout),
            interval: Value::new("advice.interval", advice.interval),
            max_interval: Value::new("advice.max-interval", max_interval),
            dev,
        }
    }

    pub(super) fn keys() -> Vec<&'static str> {
        LIMITS.iter().map(Limit::key).chain(["handshake"]).collect()
    }

    pub(super) fn set_limit(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let Some(at) = LIMITS.iter().position(|limit| limit.key() == field.key) else {
            let range = Duration::from_secs(1)..=Duration::from_secs(300);
            self.handshake.set(field.duration(range)?, from);
            return Ok(());
        };
        let number = match LIMITS[at].measure {
            Measure::Count(least, most) => field.number(least..=most)?,
            Measure::Bytes(least, most) => field.bytes(least..=most)?,
        };
        let number = usize::try_from(number).map_err(|_| field.wrong("more than this machine can count"))?;
        self.limits[at].set(Some(number), from);
        Ok(())
    }

    pub(super) fn set_advice(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let day = Duration::from_secs(86_400);
        let (value, range) = match field.key {
            // A tenth of a second: below it, a client that polls does nothing else.
            "timeout" => (&mut self.timeout, Duration::from_millis(100)..=Duration::from_secs(3_600)),
            "interval" => (&mut self.interval, Duration::ZERO..=Duration::from_secs(3_600)),
            _ => (&mut self.max_interval, Duration::from_millis(100)..=day),
        };
        value.set(field.duration(range)?, from);
        Ok(())
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        let mut limits = self.limits();
        for (limit, value) in LIMITS.iter().zip(&self.limits) {
            let number = *(limit.place)(&mut limits);
            rows.push(value.row(|_| limit.show(number)));
        }
        for value in [&self.handshake, &self.timeout, &self.interval, &self.max_interval] {
            rows.push(value.row(|duration| show_duration(*duration)));
        }
    }

    /// Those that were set, and what the others are beside them.
    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for (limit, value) in LIMITS.iter().zip(&self.limits) {
            if let Some(number) = value.value {
                *(limit.place)(&mut limits) = number;
            }
            if limit.name == ALL_SESSIONS {
                // Before its own turn.
                let all = limits.sessions;
                limits.sessions_per_peer = if self.dev { all } else { Limits::sessions_for_one(all) };
            }
        }
        limits
    }

    pub(super) fn finish(self) -> Result<ServerConfig, String> {
        let mut config = ServerConfig { limits: self.limits(), ..ServerConfig::default() };
        let Limits { sessions, sessions_per_peer, .. } = config.limits;
        if sessions_per_peer > sessions {
            return Err(format!(
                "`limits.sessions-per-peer` is {sessions_per_peer} and `limits.sessions` is {sessions}: expected one \
                 peer's share to be no more than all"
            ));
        }
        let Limits { message_bytes, batch_bytes, input_bytes, queued_bytes, .. } = config.limits;
        if message_bytes > batch_bytes {
            return Err(format!(
                "`limits.message-bytes` is {message_bytes} and `limits.batch-bytes` is {batch_bytes}: expected a batch \
                 to have room for a message"
            ));
        }
        if batch_bytes > input_bytes {
            return Err(format!(
                "`limits.batch-bytes` is {batch_bytes} and `limits.input-bytes` is {input_bytes}: expected what comes in \
                 to have room for a batch"
            ));
        }
        if message_bytes > queued_bytes {
            return Err(format!(
                "`limits.message-bytes` is {message_bytes} and `limits.queued-bytes` is {queued_bytes}: expected a \
                 session's queue to have room for a message"
            ));
        }
        config.limits.handshake_deadline = self.handshake.value;
        config.advice.timeout = self.timeout.value;
        config.advice.interval = self.interval.value;
        config.max_interval = self.max_interval.value;
        Ok(config)
    }
}
