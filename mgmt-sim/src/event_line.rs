//! One event in one line, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use cloud_channel_protocol::{Place, Publication, Topic};
use serde_json::{Value, json};

use crate::clock::time_of_day;
use crate::screen::Paint;

/// Longest text of an event's own that a line shows, in characters.
const LONGEST: usize = 200;

/// `12:01:02.345  instance-abc  hotplug/network  add 00:11:22:33:44:55`, one line for each reporting event in it.
#[must_use]
pub fn for_people(publication: &Publication, wall: Duration, paint: Paint) -> String {
    let (instance, tail, topic) = address(publication);
    let data: Value = serde_json::from_str(publication.data.get()).unwrap_or(Value::Null);
    let what = match (&topic, &data) {
        (Some(Topic::Hotplug(_)), data) => vec![hotplug(data)],
        (Some(Topic::Config(..)), _) => vec![format!("{} bytes", publication.data.get().len())],
        (_, Value::Array(events)) => events.iter().map(|event| reporting(event, paint)).collect(),
        (_, data) => vec![plain(&data.to_string())],
    };
    let mut lines = String::new();
    let head =
        format!("{}  {instance}  {}", paint.dim(&time_of_day(wall)), paint.bold(&format!("{tail:<31}")));
    for (at, what) in what.iter().enumerate() {
        let newline = if at > 0 { "\n" } else { "" };
        // Writing into a string does not fail.
        let _infallible = write!(lines, "{newline}{head}  {what}");
    }
    lines
}

/// One JSON object: `kind` (`event`), `time`, `instance`, `channel`, `data`, `ext`. Nothing is taken out, nothing is shortened.
#[must_use]
pub fn for_programs(publication: &Publication, wall: Duration) -> String {
    let (instance, ..) = address(publication);
    json!({
        "kind": "event",
        "time": wall.as_secs_f64(),
        "instance": instance,
        "channel": publication.channel.as_str(),
        "data": publication.data,
        "ext": publication.ext,
    })
    .to_string()
}

/// The instance, the channel below it, and its meaning.
fn address(publication: &Publication) -> (String, String, Option<Topic>) {
    match Place::of(&publication.channel) {
        Place::Instance(id, topic) => {
            let skipped = publication.channel.segments().skip(2).collect::<Vec<_>>().join("/");
            (id.to_string(), skipped, topic)
        }
        Place::Elsewhere => ("-".to_owned(), publication.channel.to_string(), None),
    }
}

fn hotplug(data: &Value) -> String {
    let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str).map(plain);
    let action = text("/action").unwrap_or_else(|| "(no action)".to_owned());
    let device = text("/attrs/name").or_else(|| text("/attrs/path"));
    let address = text("/attrs/address").or_else(|| text("/attrs/serial"));
    let attrs: Vec<String> = device.into_iter().chain(address).collect();
    format!("{action:<7} {}", attrs.join(" "))
}

fn reporting(event: &Value, paint: Paint) -> String {
    let text = |key: &str| event.get(key).and_then(Value::as_str).map(plain).unwrap_or_default();
    let result = match text("result").as_str() {
        "" => String::new(),
        result @ "SUCCESS" => format!("{}  ", paint.good(result)),
        result @ "WARN" => format!("{}  ", paint.warn(result)),
        result => format!("{}  ", paint.bad(result)),
    };
    format!("{:<7} {result}{}", text("event_type"), text("description"))
}

/// A peer's text, fit for a terminal: one line, no control characters, not too long.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut fit: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > LONGEST {
        fit.push('…');
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud_channel_protocol::ChannelName;

    fn event(channel: &str, data: &Value) -> Publication {
        let channel = ChannelName::parse(channel).unwrap();
        Publication { channel, id: None, data: crate::push::to_raw(data), ext: None }
    }

    #[test]
    fn lines_can_be_read() {
        let at = Duration::from_millis(1_495_494_121_093);
        let data = json!({"subsystem": "net", "action": "add", "attrs": {"address": "00:11:22:33:44:55"}});
        let line = for_people(&event("/cloudinit/i-1/hotplug/network", &data), at, Paint::PLAIN);
        assert_eq!(line, format!("23:02:01.093  i-1  {:<31}  add     00:11:22:33:44:55", "hotplug/network"));
        let data = json!([{"event_type": "finish", "result": "SUCCESS", "description": "a\u{1b}[31m ran"}]);
        let line = for_people(&event("/cloudinit/i-1/modules-config/network", &data), at, Paint::PLAIN);
        assert!(line.ends_with("finish  SUCCESS  a\u{fffd}[31m ran"), "{line}");
    }

    #[test]
    fn a_config_is_never_shown() {
        let data = json!({"chpasswd": {"list": ["root:secret"]}});
        let line = for_people(
            &event("/cloudinit/i/config/set/cc_set_passwords", &data),
            Duration::ZERO,
            Paint::PLAIN,
        );
        assert!(!line.contains("secret") && line.contains("bytes"), "{line}");
    }
}
