//! One Bayeux session as a client keeps it, without its connections: what it asks next, and what the replies come to.
//!
//! ```text
//! Greeting ──handshake──▶ Subscribing ──subscribe──▶ Open ──disconnect──▶ Left
//!     └──────── nothing to subscribe to ──────────────▲ │
//!                                                     └─┘ connect, again and again
//! ```

use std::borrow::Cow;
use std::time::Duration;

use cloud_channel_protocol::Object;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::target::Transport;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Greeting,
    Subscribing,
    Open,
    Leaving,
    Left,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    subscription: Option<String>,
    transport: Transport,
    client: Option<String>,
    phase: Phase,
    requests: u64,
}

/// What a reply leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send this batch on the session's first connection.
    Ask(Vec<u8>),
    /// The session is open: send its first connect.
    Opened,
    /// Send the next connect after this pause.
    Heartbeat(Duration),
    /// A publish was taken; its number.
    Published(u64),
    /// The session has ended as asked.
    Left,
}

/// A request that was not granted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The request's channel.
    pub(crate) request: String,
    /// The server's words.
    pub(crate) error: String,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    successful: Option<bool>,
    #[serde(default, rename = "clientId")]
    client_id: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default, borrow)]
    advice: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Advice {
    #[serde(default)]
    interval: f64,
}

impl Session {
    /// A session that has said nothing yet.
    pub(crate) const fn new(transport: Transport, subscription: Option<String>) -> Self {
        Self { subscription, transport, client: None, phase: Phase::Greeting, requests: 0 }
    }

    /// True once it is open, and until it leaves.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Its id at the server, once it has one.
    pub(crate) fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// What it is doing, for an error.
    pub(crate) const fn doing(&self) -> &'static str {
        match self.phase {
            Phase::Greeting => "opening",
            Phase::Subscribing => "subscribing",
            Phase::Open => "measuring",
            Phase::Leaving | Phase::Left => "leaving",
        }
    }

    /// The handshake; `ext` is JSON.
    pub(crate) fn handshake(&mut self, ext: Option<&str>) -> Vec<u8> {
        let ext = ext.map(|ext| format!(r#","ext":{ext}"#)).unwrap_or_default();
        let kind = self.transport.connection_type();
        let fields =
            format!(r#""version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["{kind}"]{ext}"#);
        self.request("/meta/handshake", &fields)
    }

    /// The next connect.
    pub(crate) fn connect(&mut self) -> Vec<u8> {
        let kind = self.transport.connection_type();
        self.request("/meta/connect", &format!(r#""connectionType":"{kind}""#))
    }

    /// Says goodbye.
    pub(crate) fn leave(&mut self) -> Vec<u8> {
        self.phase = Phase::Leaving;
        let mut batch = self.request("/meta/disconnect", "");
        // There are no further fields, and JSON takes no comma before the brace.
        if let Some(comma) = memchr::memmem::find(&batch, b",}]") {
            batch.remove(comma);
        }
        batch
    }

    fn request(&mut self, channel: &str, fields: &str) -> Vec<u8> {
        self.requests += 1;
        // A server's id for us is alphanumeric; one that is not is escaped as JSON wants it.
        let client = self.client.as_ref().map(|client| format!(r#""clientId":{},"#, quoted(client)));
        let client = client.unwrap_or_default();
        format!(r#"[{{"channel":"{channel}","id":"m{}",{client}{fields}}}]"#, self.requests).into_bytes()
    }

    /// Takes in the replies of a batch, which may hold events as well.
    ///
    /// # Errors
    /// The inner one if a request was refused, the outer one if the batch is not made of messages.
    pub(crate) fn replies(
        &mut self,
        batch: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<Result<(), Refusal>, serde_json::Error> {
        for Object(reply) in serde_json::from_slice::<Vec<Object<Reply<'_>>>>(batch)? {
            let Some(successful) = reply.successful else { continue };
            // The held connect of a session that leaves ends as its server likes.
            let granted = successful || self.is_leaving() && reply.channel == "/meta/connect";
            if !granted {
                let error = reply.error.unwrap_or_else(|| "no reason is given".to_owned());
                return Ok(Err(Refusal { request: reply.channel.into_owned(), error }));
            }
            if !reply.channel.starts_with("/meta/") {
                effects.extend(number(reply.id).map(Effect::Published));
            } else if let Err(error) = self.advance(&reply, effects) {
                return Ok(Err(Refusal { request: reply.channel.into_owned(), error }));
            }
        }
        Ok(Ok(()))
    }

    /// True once it has said goodbye: its connections may end.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving | Phase::Left)
    }

    fn advance(&mut self, reply: &Reply<'_>, effects: &mut Vec<Effect>) -> Result<(), String> {
        match (&*reply.channel, self.phase) {
            ("/meta/handshake", Phase::Greeting) => {
                let missing = || "granted without a clientId".to_owned();
                self.client = Some(reply.client_id.clone().ok_or_else(missing)?);
                if let Some(pattern) = self.subscription.clone() {
                    self.phase = Phase::Subscribing;
                    let fields = format!(r#""subscription":{}"#, quoted(&pattern));
                    effects.push(Effect::Ask(self.request("/meta/subscribe", &fields)));
                } else {
                    self.phase = Phase::Open;
                    effects.push(Effect::Opened);
                }
            }
            ("/meta/subscribe", Phase::Subscribing) => {
                self.phase = Phase::Open;
                effects.push(Effect::Opened);
            }
            ("/meta/connect", Phase::Open) => effects.push(Effect::Heartbeat(interval(reply.advice))),
            ("/meta/disconnect", Phase::Leaving) => {
                self.phase = Phase::Left;
                effects.push(Effect::Left);
            }
            ("/meta/disconnect", Phase::Open) => return Err("the server has ended the session".to_owned()),
            // Late replies of a session that leaves.
            _ => {}
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A publish's number: its id, which servers give back as the string that was sent.
fn number(id: Option<&RawValue>) -> Option<u64> {
    id?.get().trim_matches('"').parse().ok()
}

/// The pause that the server wants before the next connect.
fn interval(advice: Option<&RawValue>) -> Duration {
    let milliseconds = advice
        .and_then(|advice| Object::<Advice>::read(advice.get()).ok())
        .map_or(0.0, |advice| advice.interval);
    Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(session: &mut Session, batch: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        session.replies(batch.as_bytes(), &mut effects).unwrap().unwrap();
        effects
    }

    fn text(batch: &[u8]) -> String {
        serde_json::from_slice::<serde_json::Value>(batch).unwrap();
        String::from_utf8(batch.to_vec()).unwrap()
    }

    #[test]
    fn a_life() {
        let mut session = Session::new(Transport::WebSocket, Some("/a/*".to_owned()));
        assert!(text(&session.handshake(Some(r#"{"x":1}"#))).ends_with(r#"["websocket"],"ext":{"x":1}}]"#));
        let greeted =
            effects(&mut session, r#"[{"channel":"/meta/handshake","successful":true,"clientId":"c\"1"}]"#);
        let [Effect::Ask(subscribe)] = &greeted[..] else { panic!("{greeted:?}") };
        assert_eq!(
            text(subscribe),
            r#"[{"channel":"/meta/subscribe","id":"m2","clientId":"c\"1","subscription":"/a/*"}]"#
        );
        let subscribed = effects(
            &mut session,
            r#"[{"channel":"/a/b","data":1},{"channel":"/meta/subscribe","successful":true}]"#,
        );
        assert_eq!(subscribed, [Effect::Opened]);
        text(&session.connect());
        let replies = r#"[{"successful":true,"channel":"/meta/connect","advice":{"interval":250}},
            {"channel":"/a/b","id":"77","successful":true},{"channel":"/a/b","id":78,"successful":true}]"#;
        let beat = Effect::Heartbeat(Duration::from_millis(250));
        assert_eq!(effects(&mut session, replies), [beat, Effect::Published(77), Effect::Published(78)]);
        assert_eq!(text(&session.leave()), r#"[{"channel":"/meta/disconnect","id":"m4","clientId":"c\"1"}]"#);
        let last = r#"[{"channel":"/meta/connect","successful":false,"error":"402::Unknown client"},
            {"channel":"/meta/disconnect","successful":true}]"#;
        assert_eq!(effects(&mut session, last), [Effect::Left]);
    }

    #[test]
    fn refusals_are_told_in_the_servers_words() {
        let mut session = Session::new(Transport::WebSocket, None);
        let refused =
            br#"[{"channel":"/meta/handshake","successful":false,"error":"503::Too many sessions"}]"#;
        let refusal = session.replies(refused, &mut Vec::new()).unwrap().unwrap_err();
        assert_eq!((&*refusal.request, &*refusal.error), ("/meta/handshake", "503::Too many sessions"));
        for wrong in ["[7]", r#"[["/a","1",true]]"#] {
            assert!(session.replies(wrong.as_bytes(), &mut Vec::new()).is_err(), "{wrong}");
        }
    }
}
