//! A client against scripted servers: what comes in as text, what goes out as text.

mod ack;
mod hostile;
mod long_polling;
mod publishing;
mod reconnecting;
mod subscribing;

use std::time::Duration;

use super::{Client, ClientConfig, ClientOutput};
use crate::channel::{ChannelName, ChannelPattern};
use crate::ext::raw;
use crate::ids::MessageId;
use crate::publication::Publication;
use crate::time::Now;

/// A reply to the first handshake, from a server that holds connects for 30 s.
const SHAKEN: &str = r#"[{"channel":"/meta/handshake","id":"1","successful":true,"clientId":"abc","version":"1.0",
    "supportedConnectionTypes":["websocket"],"advice":{"reconnect":"retry","interval":0,"timeout":30000}}]"#;

/// A client, and what time it is for it.
struct Script {
    client: Client,
    now: Duration,
}

impl Script {
    fn new(config: ClientConfig) -> Self {
        Self { client: Client::new(config).unwrap(), now: Duration::from_secs(100) }
    }

    /// Handshaken; the first connect (id 2) is outstanding.
    fn connected() -> Self {
        let mut script = Self::new(ClientConfig::default());
        script.open();
        script.receive(SHAKEN);
        script
    }

    fn now(&self) -> Now {
        Now { uptime: self.now, wall: Duration::ZERO }
    }

    fn open(&mut self) -> Vec<String> {
        self.client.opened(self.now());
        self.outputs()
    }

    fn close(&mut self) -> Vec<String> {
        self.client.closed(self.now());
        self.outputs()
    }

    fn receive(&mut self, frame: &str) -> Vec<String> {
        self.client.received(self.now(), frame.as_bytes());
        self.outputs()
    }

    fn subscribe(&mut self, patterns: &[&str]) -> Vec<String> {
        for text in patterns {
            self.client.subscribe(self.now(), pattern(text));
        }
        self.outputs()
    }

    fn publish(&mut self, id: &str) -> Vec<String> {
        self.client.publish(self.now(), &publication(id)).unwrap();
        self.outputs()
    }

    fn confirm(&mut self, batch: u64) -> Vec<String> {
        self.client.confirm(self.now(), batch);
        self.outputs()
    }

    /// Lets time pass, at most to the next deadline.
    fn pass(&mut self, most: Duration) -> Vec<String> {
        let next = self.client.next_timeout().unwrap_or(Duration::MAX);
        self.now = next.min(self.now + most).max(self.now);
        self.client.handle_timeout(self.now());
        self.outputs()
    }

    /// All outputs, frames as their JSON.
    fn outputs(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.client.poll_output())
            .map(|output| match output {
                ClientOutput::Transmit(frame) => frame,
                ClientOutput::Hold(frame) => format!("hold {frame}"),
                ClientOutput::Event(event) => format!("{} {}", event.channel, event.data),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text).unwrap()
}

fn publication(id: &str) -> Publication {
    Publication {
        channel: ChannelName::parse("/a").unwrap(),
        id: Some(MessageId::from_text(id)),
        data: raw(r#"{"x":12345678901234567890}"#),
        ext: None,
    }
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The connect with this id, as it is sent without the ack extension.
fn connect(id: u64) -> String {
    format!(r#"[{{"channel":"/meta/connect","id":"{id}","clientId":"abc","connectionType":"websocket"}}]"#)
}

/// The connect that asks to be answered at once.
fn connect_at_once(id: u64) -> String {
    format!(
        r#"[{{"channel":"/meta/connect","id":"{id}","clientId":"abc","connectionType":"websocket","advice":{{"timeout":0}}}}]"#
    )
}

fn handshake(id: u64) -> String {
    format!(
        r#"[{{"channel":"/meta/handshake","id":"{id}","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["websocket"]}}]"#
    )
}

/// A successful reply on a meta channel.
fn good(channel: &str, id: u64) -> String {
    format!(r#"[{{"channel":"/meta/{channel}","id":"{id}","successful":true}}]"#)
}

/// An answer to a handshake, with this session.
fn shaken(id: u64, client: &str) -> String {
    format!(
        r#"[{{"channel":"/meta/handshake","id":"{id}","successful":true,"clientId":"{client}","advice":{{"reconnect":"retry","interval":0,"timeout":30000}}}}]"#
    )
}

#[test]
fn the_first_session() {
    let mut script = Script::new(ClientConfig::default());
    assert_eq!(script.open(), [handshake(1)]);
    assert_eq!(script.receive(SHAKEN), ["Connected(resumed false, ack false)", &connect(2)]);
    assert!(script.client.is_connected());
    assert_eq!(script.receive(&good("connect", 2)), [connect(3)]);
    assert_eq!(script.client.next_timeout(), Some(secs(140)), "held 30 s, delayed 10 s");
    assert_eq!(
        script.receive(r#"[{"channel":"/a","data":1},{"channel":"/a/b","data":null}]"#),
        ["/a 1", "/a/b null"]
    );
}

#[test]
fn the_handshake_carries_the_given_ext_and_the_ack_offer() {
    let ext = Some(raw(r#"{"cloudinit":{"instance":"i-1"}}"#));
    let mut script = Script::new(ClientConfig { ack: true, handshake_ext: ext, ..ClientConfig::default() });
    let sent = script.open().remove(0);
    assert!(sent.ends_with(r#""ext":{"ack":true,"cloudinit":{"instance":"i-1"}}}]"#), "{sent}");
    let odd = ClientConfig { handshake_ext: Some(raw("[1]")), ..ClientConfig::default() };
    assert!(Client::new(odd).is_err());
}

#[test]
fn a_server_that_holds_the_first_connect_blocks_nothing() {
    let mut script = Script::connected();
    assert_eq!(
        script.subscribe(&["/b"]),
        [r#"[{"channel":"/meta/subscribe","id":"3","clientId":"abc","subscription":"/b"}]"#]
    );
    assert_eq!(script.publish("p").len(), 1);
    assert_eq!(
        script.receive(r#"[{"channel":"/a","id":"p","successful":true},{"channel":"/b","data":2}]"#),
        [r#"PublishReply("p", Ok(()))"#, "/b 2"]
    );
}

#[test]
fn goodbye() {
    let mut script = Script::connected();
    script.publish("p");
    script.client.disconnect(script.now());
    assert_eq!(script.outputs(), [r#"[{"channel":"/meta/disconnect","id":"3","clientId":"abc"}]"#]);
    let frame = r#"[{"channel":"/meta/connect","id":"2","successful":true,"advice":{"reconnect":"none"}},
        {"channel":"/a","data":1},{"channel":"/meta/disconnect","id":"3","successful":true}]"#;
    assert_eq!(script.receive(frame), ["/a 1", r#"PublishReply("p", Err(Lost))"#, "Ended(disconnected)"]);
    assert_eq!(script.close(), [""; 0]);
    assert_eq!(script.open(), [handshake(4)], "it may still come back, with a new session");
}

#[test]
fn goodbye_without_an_answer() {
    for lose_stream in [false, true] {
        let mut script = Script::connected();
        script.client.disconnect(script.now());
        script.outputs();
        let outputs = if lose_stream { script.close() } else { script.pass(secs(60)) };
        assert_eq!(outputs, ["Ended(disconnected)"]);
        assert_eq!(script.client.next_timeout(), None);
    }
    let mut never_open = Script::new(ClientConfig::default());
    never_open.client.disconnect(never_open.now());
    assert_eq!(never_open.outputs(), ["Ended(disconnected)"]);
}

#[test]
fn secrets_are_not_shown() {
    let mut script = Script::new(ClientConfig::default());
    script.client.opened(script.now());
    script.client.received(script.now(), SHAKEN.as_bytes());
    let event = br#"[{"channel":"/a","data":"hunter2"},{"channel":7,"data":"hunter2"}]"#;
    script.client.received(script.now(), event);
    script.client.publish(script.now(), &publication("hunter-id")).unwrap();
    let mut shown = format!("{:?}", script.client);
    while let Some(output) = script.client.poll_output() {
        shown.push_str(&format!("{output:?}"));
    }
    assert!(
        shown.contains("Transmit(") && shown.contains("Event(") && shown.contains("Unreadable("),
        "{shown}"
    );
    for secret in ["hunter2", "\"abc\"", "12345678901234567890"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let config = ClientConfig { handshake_ext: Some(raw(r#"{"key":"hunter2"}"#)), ..ClientConfig::default() };
    assert!(!format!("{config:?}").contains("hunter2"));
}
