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
    let endpoint = arguments.target.endpoint();
    let deadline = arguments.wait.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        let asked = with_session(&endpoint, async |session| session.status().await).await;
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

fn describe(status: &Value) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| text.push_str(&format!("{name:<12} {value}\n"));
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    row("instance", plain(&status["instance"]));
    row("version", plain(&status["version"]));
    row("ready", if status["ready"] == true { "yes" } else { "no" }.to_owned());
    row("uptime", format!("{} s", status["uptime_seconds"]));
    for endpoint in status["listening"].as_array().into_iter().flatten() {
        row("listening", plain(endpoint));
    }
    if let Some(link) = status["link"].as_object() {
        let state = if link["up"] == true { "up" } else { "down" };
        row("link", format!("{state} {}", plain(&link["detail"])));
    }
    row("sessions", plain(&status["sessions"]));
    for (title, group) in [("messages", &status["messages"]), ("events", &status["events"])] {
        row(title, describe_counts(group));
    }
    for (module, lane) in status["modules"].as_object().into_iter().flatten() {
        let results = describe_counts(&lane["results"]);
        row(module, format!("{} at work, {} waiting; {results}", lane["at_work"], lane["waiting"]));
    }
    text
}

fn describe_counts(group: &Value) -> String {
    let counts = group.as_object().into_iter().flatten().map(|(name, value)| match value.as_object() {
        Some(_) => format!("{name} ({})", describe_counts(value)),
        None => format!("{value} {}", name.replace('_', " ")),
    });
    let text = counts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "nothing yet".to_owned() } else { text }
}
