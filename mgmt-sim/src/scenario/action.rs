//! The kinds of steps, as they are written.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::span::Span;

/// Who dials whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Guests dial us.
    Serve,
    /// We dial the guest.
    Connect,
    /// Either.
    Any,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Waits until the other side is there.
    WaitFor(WaitFor),
    /// Publishes on any channel.
    Publish(Publish),
    /// Publishes on `config/set/<module>`.
    Push(Push),
    /// Asks on `config/get/<module>`.
    Get(Get),
    /// Waits for an event, or for none.
    Expect(Expect),
    /// Drops the link.
    Cut(Cut),
    /// Holds back what we send.
    Delay(Span),
    /// Sends the last push again.
    Duplicate(Duplicate),
    /// Sends what is no message.
    Garbage(Garbage),
}

/// `wait_for: guest`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitFor {
    /// A guest has a session and has subscribed to its config.
    Guest,
    /// The same, as one says it when we are the ones who dial.
    Session,
}

/// What becomes of a message that is published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Taken: a successful publish reply, or the guest's ack.
    Ok,
    /// Refused with this in the text: a publish reply, or a FAIL finish event that names the message.
    Refused(String),
    /// Not waited for.
    Any,
}

/// What is sent. It may be a password, so `Debug` does not show it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Payload(pub Value);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(…)")
    }
}

/// `publish: {channel: …, data: …}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Where.
    pub channel: String,
    /// What.
    pub data: Payload,
    /// Its id; a fresh one if not given.
    pub id: Option<String>,
    /// Its `ext`.
    pub ext: Option<Value>,
    /// `ok` if not given.
    pub reply: Option<Verdict>,
    /// How long the reply may take.
    pub within: Option<Span>,
}

/// `push: {module: …, file: … or data: …}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// As the channel spells it; may be left out if the file's message names it.
    pub module: Option<String>,
    /// A file beside the scenario: one Bayeux message, or a payload alone.
    pub file: Option<String>,
    /// The payload.
    pub data: Option<Payload>,
    /// The message's id; a fresh one if not given.
    pub id: Option<String>,
    /// `ext.cloudinit.generation`
    pub generation: Option<u64>,
    /// `ext.cloudinit.dry_run`
    #[serde(default)]
    pub dry_run: bool,
    /// `ext.cloudinit.confirm_seconds`
    pub confirm_seconds: Option<u64>,
    /// `ok` if not given.
    pub reply: Option<Verdict>,
    /// How long the reply may take.
    pub within: Option<Span>,
}

/// `get: {module: …, answer: …}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// As the channel spells it.
    pub module: String,
    /// What the answer's data has.
    pub answer: Option<Value>,
    /// How long it may take.
    pub within: Option<Span>,
}

/// `expect: {channel: …, data: …}`. An event is expected once: the next `expect` looks at the others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// A channel or a pattern.
    pub channel: String,
    /// What the event's data has.
    pub data: Option<Value>,
    /// What its `ext` has.
    pub ext: Option<Value>,
    /// How long it may take; how long none may come.
    pub within: Option<Span>,
    /// How many; one if not given.
    pub count: Option<usize>,
    /// None may come.
    #[serde(default)]
    pub none: bool,
}

/// `cut: {for: 2s}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// How long the link stays away.
    #[serde(rename = "for")]
    pub away: Option<Span>,
}

/// `duplicate: {}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicate {
    /// `ok` if not given.
    pub reply: Option<Verdict>,
    /// How long the reply may take.
    pub within: Option<Span>,
}

/// `garbage: {send: not_json, error: "expected JSON"}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Garbage {
    /// What.
    pub send: Rubbish,
    /// What the answer, or the close frame, says. Only where we dial: a guest that dialled us answers nothing.
    pub error: Option<String>,
    /// How long the answer may take.
    pub within: Option<Span>,
}

/// Kinds of garbage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rubbish {
    /// A text frame that is no JSON.
    NotJson,
    /// Arrays in arrays, 100,000 of them.
    DeepNesting,
    /// A message of 2 MiB.
    Huge,
    /// A binary frame that is no UTF-8.
    InvalidUtf8,
    /// A text frame that is no UTF-8, which the WebSocket standard forbids.
    InvalidUtf8Text,
    /// This text.
    Text(String),
}

impl Action {
    /// What it is called where the scenario gives no name.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::WaitFor(WaitFor::Guest) => "wait for the guest".to_owned(),
            Self::WaitFor(WaitFor::Session) => "wait for the session".to_owned(),
            Self::Publish(publish) => format!("publish on {}", publish.channel),
            Self::Push(push) => {
                let module = push.module.as_deref().or(push.file.as_deref()).unwrap_or_default();
                let what = if push.dry_run { "dry run of a push" } else { "push" };
                match &push.reply {
                    Some(Verdict::Refused(text)) => format!("{what}: {module}, refused with \"{text}\""),
                    _ => format!("{what}: {module}"),
                }
            }
            Self::Get(get) => format!("get {}", get.module),
            Self::Expect(expect) => expect.title(),
            Self::Cut(Cut { away: Some(away) }) => format!("cut the link for {away}"),
            Self::Cut(Cut { away: None }) => "cut the link".to_owned(),
            Self::Delay(time) => format!("hold back what we send for {time}"),
            Self::Duplicate(_) => "send the last push again".to_owned(),
            Self::Garbage(garbage) => format!("garbage: {:?}", garbage.send),
        }
    }

    /// Every text in which variables may stand.
    pub(super) fn visit_texts(&mut self, visit: &mut dyn FnMut(&mut String)) {
        match self {
            Self::WaitFor(_) | Self::Cut(_) | Self::Delay(_) => {}
            Self::Publish(publish) => {
                visit(&mut publish.channel);
                visit_value(&mut publish.data.0, visit);
                publish.ext.iter_mut().for_each(|ext| visit_value(ext, visit));
                publish.id.iter_mut().for_each(&mut *visit);
                visit_verdict(publish.reply.as_mut(), visit);
            }
            Self::Push(push) => {
                let texts = [&mut push.module, &mut push.file, &mut push.id];
                texts.into_iter().flatten().for_each(&mut *visit);
                push.data.iter_mut().for_each(|data| visit_value(&mut data.0, visit));
                visit_verdict(push.reply.as_mut(), visit);
            }
            Self::Get(get) => {
                visit(&mut get.module);
                get.answer.iter_mut().for_each(|answer| visit_value(answer, visit));
            }
            Self::Expect(expect) => {
                visit(&mut expect.channel);
                let values = [&mut expect.data, &mut expect.ext];
                values.into_iter().flatten().for_each(|value| visit_value(value, visit));
            }
            Self::Duplicate(duplicate) => visit_verdict(duplicate.reply.as_mut(), visit),
            Self::Garbage(garbage) => garbage.error.iter_mut().for_each(&mut *visit),
        }
    }
}

impl Expect {
    fn title(&self) -> String {
        let count = self.count.filter(|count| *count != 1).map(|count| format!(", {count} times"));
        let count = count.unwrap_or_default();
        let first = self.data.as_ref().and_then(|data| data.get(0).or(Some(data)));
        let word = |key: &str| first.and_then(|data| data.get(key)).and_then(Value::as_str);
        let words: Vec<&str> = ["action", "event_type", "result"].into_iter().filter_map(word).collect();
        let words = if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) };
        let none = if self.none { "no event" } else { "an event" };
        format!("expect {none} on {}{words}{count}", self.channel)
    }
}

fn visit_verdict(verdict: Option<&mut Verdict>, visit: &mut dyn FnMut(&mut String)) {
    if let Some(Verdict::Refused(text)) = verdict {
        visit(text);
    }
}

fn visit_value(value: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| visit_value(item, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| visit_value(field, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
