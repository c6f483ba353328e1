//! `status`.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::arguments::{Format, StatusArguments};
use super::client::with_session;
use super::{FAILED, OK, complain, print, print_line};

/// Pause between looks while waiting: there is nothing to be woken by before the socket is there.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn run(arguments: StatusArguments) -> anyhow::Result<u8> {
    let deadline = arguments.wait.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        let asked = with_session(&arguments.target, async |session| session.status().await).await;
        let again = deadline.is_some_and(|deadline| Instant::now() < deadline);
        match asked {
            Ok(status) if status["ready"] == true || !again => return show(&status, arguments.format),
            Err(error) if !again => return Err(error),
            Ok(_) | Err(_) => sleep(PAUSE).await,
        }
    }
}

fn show(status: &Value, format: Format) -> anyhow::Result<u8> {
    match format {
        Format::Json => print_line(&status.to_string())?,
        Format::Text => print(describe(status).as_bytes())?,
    }
    if status["ready"] == true {
        return Ok(OK);
    }
    complain("the daemon is not ready yet");
    Ok(FAILED)
}

/// One aspect a row, its name before it. What a daemon of another version does not tell is left out.
fn describe(status: &Value) -> String {
    let mut rows = Vec::new();
    rows.push(("instance", plain(&status["instance"])));
    rows.push(("version", plain(&status["version"])));
    rows.push(("ready", if status["ready"] == true { "yes" } else { "no" }.to_owned()));
    rows.push(("uptime", format!("{} s", status["uptime_seconds"])));
    let listening = status["listening"].as_array().into_iter().flatten();
    rows.extend(listening.map(|endpoint| ("listening", plain(endpoint))));
    if let Some(link) = status["link"].as_object() {
        let state = if link["up"] == true { "up" } else { "down" };
        rows.push(("link", format!("{state} {}", plain(&link["detail"]))));
    }
    rows.push(("sessions", describe_sessions(status)));
    rows.push(("messages", describe_counts(&status["messages"])));
    if let Some(codes) = status["refused_by_code"].as_object().filter(|codes| !codes.is_empty()) {
        let codes = codes.iter().map(|(code, count)| format!("{count} with {code}"));
        rows.push(("refused", codes.collect::<Vec<_>>().join(", ")));
    }
    rows.push(("events", describe_counts(&status["events"])));
    rows.extend(describe_hotplug(&status["hotplug"]));
    for (title, group) in [("waiting", "queues"), ("journal", "journal"), ("process", "process")] {
        if status[group].is_object() {
            rows.push((title, describe_counts(&status[group])));
        }
    }
    for (module, lane) in status["modules"].as_object().into_iter().flatten() {
        let results = describe_counts(&lane["results"]);
        let trial = lane["on_trial_seconds"].as_u64();
        let trial = trial.map(|left| format!(" (to be confirmed within {left} s)")).unwrap_or_default();
        let (at_work, waiting) = (&lane["at_work"], &lane["waiting"]);
        rows.push((module, format!("{at_work} at work{trial}, {waiting} waiting; {results}")));
        for (device, cards) in lane["deferred"].as_object().into_iter().flatten() {
            let cards: Vec<String> = cards.as_array().into_iter().flatten().map(plain).collect();
            let until = match cards.len() {
                0 => "to be done, or it could not be: see the log".to_owned(),
                1 => format!("until {} is there", cards[0]),
                _ => format!("until {} are there", cards.join(", ")),
            };
            rows.push(("deferred", format!("{device} {until}")));
        }
    }
    rows.into_iter().map(|(name, value)| format!("{name:<16} {value}\n")).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Their number, and which they are: `3 (unix: 2 websocket; tcp: 1 long polling)`.
fn describe_sessions(status: &Value) -> String {
    let mut kinds = Vec::new();
    for (transport, carried) in status["sessions_by_transport"].as_object().into_iter().flatten() {
        let there = carried.as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
        let there: Vec<String> =
            there.map(|(carrier, count)| format!("{count} {}", carrier.replace('_', " "))).collect();
        if !there.is_empty() {
            kinds.push(format!("{transport}: {}", there.join(", ")));
        }
    }
    let total = plain(&status["sessions"]);
    if kinds.is_empty() { total } else { format!("{total} ({})", kinds.join("; ")) }
}

/// Whether the kernel is listened to, and what it has said.
fn describe_hotplug(hotplug: &Value) -> Option<(&'static str, String)> {
    let counts = hotplug.as_object()?;
    let state = if hotplug["listening"] == true { "listening" } else { "not listening" };
    let counts = counts.iter().filter(|(name, _)| *name != "listening");
    let counts = Value::Object(counts.map(|(name, count)| (name.clone(), count.clone())).collect());
    Some(("hardware", format!("{state}; {}", describe_counts(&counts))))
}

fn describe_counts(group: &Value) -> String {
    let counts = group.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let counts = counts.map(|(name, value)| {
        let words = name.replace('_', " ");
        match (value.as_object(), value.as_u64()) {
            (Some(_), _) => format!("{words} ({})", describe_counts(value)),
            (None, Some(bytes)) => match words.strip_suffix("bytes").map(str::trim_end) {
                Some("") => with_unit(bytes),
                Some(what) => format!("{} {what}", with_unit(bytes)),
                None => format!("{bytes} {words}"),
            },
            (None, None) => match (value.as_f64(), words.strip_suffix(" seconds")) {
                (Some(seconds), Some(what)) => format!("{seconds:.2} s {what}"),
                _ => format!("{} {words}", plain(value)),
            },
        }
    });
    let text = counts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "nothing yet".to_owned() } else { text }
}

/// Bytes in the unit that leaves few digits.
fn with_unit(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{} KiB", bytes / KIB),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_for_people() {
        let status = json!({
            "version": "1.2.3", "instance": "i-abc", "ready": true, "uptime_seconds": 7,
            "listening": ["unix:///run/x.sock"],
            "link": {"up": false, "detail": "cannot connect"},
            "sessions": 3,
            "sessions_by_transport": {
                "unix": {"websocket": 2, "long_polling": 0}, "tcp": {"websocket": 0, "long_polling": 1},
                "vsock": {"websocket": 0, "long_polling": 0},
            },
            "messages": {"received": 5, "refused": 1},
            "refused_by_code": {"403": 1},
            "events": {"sent": 2, "dropped": {"reporting": 0}},
            "hotplug": {"listening": true, "events": {"network_add": 2}, "overruns": 0},
            "queues": {"sessions": {"messages": 1, "bytes": 2_048}, "driver": {"now": 0, "most": 3}},
            "journal": {"file_bytes": 3_670_016, "events": {"entries": 1, "bytes": 200}},
            "process": {"resident_bytes": 900, "cpu_seconds": 0.25, "open_fds": null},
            "modules": {"network": {
                "waiting": 0, "at_work": 1, "results": {"success": 1}, "seconds": 0.5, "deferred": {"br0": ["e1", "e2"]},
            }},
        });
        let expected = "\
instance         i-abc
version          1.2.3
ready            yes
uptime           7 s
listening        unix:///run/x.sock
link             down cannot connect
sessions         3 (unix: 2 websocket; tcp: 1 long polling)
messages         5 received, 1 refused
refused          1 with 403
events           2 sent, dropped (0 reporting)
hardware         listening; events (2 network add), 0 overruns
waiting          sessions (1 messages, 2 KiB), driver (0 now, 3 most)
journal          3.5 MiB file, events (1 entries, 200 B)
process          900 B resident, 0.25 s cpu
network          1 at work, 0 waiting; 1 success
deferred         br0 until e1, e2 are there
";
        assert_eq!(describe(&status), expected);
    }

    #[test]
    fn an_older_daemon_tells_less() {
        let text = describe(&json!({"version": "0.1.0", "sessions": 2, "messages": {}}));
        assert!(text.contains("sessions         2\n") && !text.contains("journal"), "{text}");
    }
}
