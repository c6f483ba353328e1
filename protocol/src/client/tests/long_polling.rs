//! The same session over requests and responses.

use super::*;

fn polled(text: &str) -> String {
    text.replace("websocket", "long-polling")
}

fn hold(id: u64) -> String {
    format!("hold {}", polled(&connect(id)))
}

impl Script {
    fn open_polling(&mut self) -> Vec<String> {
        self.client.opened_long_polling(self.now());
        self.outputs()
    }

    fn answer(&mut self, response: &str) -> Vec<String> {
        self.client.answered(self.now(), response.as_bytes());
        self.outputs()
    }

    /// Handshaken; the first connect (id 2) is held.
    fn polling(config: ClientConfig) -> Self {
        let mut script = Self::new(config);
        assert_eq!(script.open_polling(), [polled(&handshake(1))]);
        assert_eq!(script.answer(SHAKEN), ["Connected(resumed false, ack false)", &hold(2)]);
        script
    }
}

fn published(id: &str) -> String {
    format!(r#"[{{"channel":"/a","id":"{id}","successful":true}}]"#)
}

#[test]
fn a_connect_is_held_while_all_else_passes() {
    let mut script = Script::polling(ClientConfig::default());
    assert_eq!(script.publish("p").len(), 1);
    assert_eq!(script.publish("q"), [""; 0], "one request at a time beside the connect");
    assert_eq!(script.subscribe(&["/b", "/c"]), [""; 0]);
    let outputs = script.answer(&published("p"));
    assert_eq!(outputs[0], r#"PublishReply("p", Ok(()))"#);
    let batch: Vec<serde_json::Value> = serde_json::from_str(&outputs[1]).unwrap();
    let channels: Vec<_> = batch.iter().map(|message| message["channel"].as_str().unwrap()).collect();
    assert_eq!(channels, ["/a", "/meta/subscribe", "/meta/subscribe"], "what has waited goes together");
    // The connect's response carries events, and the next connect follows at once.
    let response = r#"[{"channel":"/b","data":1},{"channel":"/meta/connect","id":"2","successful":true}]"#;
    assert_eq!(script.receive(response), ["/b 1", &hold(5)]);
    // So may any other.
    assert_eq!(script.answer(r#"[{"channel":"/b","data":2}]"#), ["/b 2"]);
    assert_eq!(script.publish("r").len(), 1, "an answer makes room, whatever is in it");
}

#[test]
fn a_lost_session_is_begun_anew_behind_what_is_under_way() {
    let mut script = Script::polling(ClientConfig::default());
    script.publish("p");
    script.publish("q");
    let gone = r#"[{"channel":"/meta/connect","id":"2","successful":false,"error":"402::Unknown client",
        "advice":{"reconnect":"handshake","interval":0}}]"#;
    assert_eq!(script.receive(gone), [""; 0]);
    let refused =
        |id| format!(r#"[{{"channel":"/a","id":"{id}","successful":false,"error":"402::Unknown client"}}]"#);
    let outputs = script.answer(&refused("p"));
    assert_eq!(outputs[0], r#"PublishReply("p", Err(Lost))"#);
    assert!(outputs[1].contains(r#""id":"q""#), "{outputs:?}");
    assert_eq!(script.answer(&refused("q")), [r#"PublishReply("q", Err(Lost))"#, &polled(&handshake(3))]);
    assert_eq!(
        script.answer(&shaken(3, "new")),
        ["Connected(resumed false, ack false)", &hold(4).replace("abc", "new")]
    );
}

#[test]
fn a_session_moves_between_carriers() {
    let mut script = Script::polling(ClientConfig::default());
    script.publish("p");
    script.publish("q");
    assert_eq!(script.close(), [r#"PublishReply("p", Err(Lost))"#, r#"PublishReply("q", Err(Lost))"#]);
    assert_eq!(script.open(), [connect_at_once(3)], "over a WebSocket");
    assert_eq!(script.receive(&good("connect", 3)), ["Connected(resumed true, ack false)", &connect(4)]);
    script.close();
    assert_eq!(script.open_polling(), [format!("hold {}", polled(&connect_at_once(5)))], "and back");
    assert_eq!(script.receive(&good("connect", 5)), ["Connected(resumed true, ack false)", &hold(6)]);
    assert_eq!(script.publish("r").len(), 1, "what was under way then blocks nothing now");
}

#[test]
fn silence_closes_it() {
    let mut script = Script::polling(ClientConfig { network_delay: secs(3), ..ClientConfig::default() });
    assert_eq!(script.pass(secs(60)), ["Close(no reply to a connect in time)"]);
    assert_eq!(script.now, secs(133));
    assert_eq!(script.open_polling().len(), 1);
    script.receive(&good("connect", 3));
    script.now += secs(10);
    script.publish("p");
    script.now += secs(10);
    script.receive(&good("connect", 4));
    assert_eq!(
        script.pass(secs(60)),
        [r#"PublishReply("p", Err(Lost))"#, "Close(no reply to a publish in time)"],
        "a connection may hang while the other works"
    );
}

#[test]
fn goodbye_passes_the_held_connect() {
    let mut script = Script::polling(ClientConfig::default());
    script.client.disconnect(script.now());
    assert_eq!(script.outputs(), [r#"[{"channel":"/meta/disconnect","id":"3","clientId":"abc"}]"#]);
    assert_eq!(script.answer(&good("disconnect", 3)), ["Ended(disconnected)"]);
}
