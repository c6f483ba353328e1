//! Servers that send nonsense: nothing panics, nothing grows, nothing spins.

use proptest::prelude::*;

use super::*;

#[test]
fn nonsense_is_told_and_passed_over() {
    let mut script = Script::connected();
    for (frame, expected) in [
        ("[]", vec![]),
        (
            "hello",
            vec![
                "Unreadable(400::cannot read the JSON at byte 0, expected a value; a message or an array of messages is what is read here)",
            ],
        ),
        (r#"[{"channel":"/meta/unheard","successful":true}]"#, vec![]),
        (r#"[{"channel":"/meta/connect","id":"99","successful":true}]"#, vec![]),
        (r#"[{"channel":"/meta/subscribe","id":"99","successful":true}]"#, vec![]),
        (
            r#"[{"channel":"/a/*","data":1}]"#,
            vec!["Unreadable(405:/a/*:`/a/*` is no channel: expected a name without wildcards)"],
        ),
        (
            r#"[{"channel":"/a","data":1,"successful":"yes"}]"#,
            vec!["Unreadable(400:successful:expected a boolean, got a string)"],
        ),
        (
            r#"[{"channel":"/a"},{"channel":"/b","data":2},{}]"#,
            vec!["/b 2", "Unreadable(400:data:Missing required field, the first of 2 in one frame)"],
        ),
    ] {
        assert_eq!(script.receive(frame), expected, "{frame}");
    }
    let nonsense = r#"[{"channel":"/meta/connect","id":"2","successful":true,"ext":{"ack":-1},
        "advice":{"reconnect":"perhaps","interval":-5,"timeout":"long"}}]"#;
    assert_eq!(script.receive(nonsense), [connect(3)]);
    assert_eq!(script.client.next_timeout(), Some(secs(140)), "the last good advice stands");
}

#[test]
fn frames_are_bounded() {
    let limits = crate::Limits { batch_bytes: 1_000, ..crate::Limits::default() };
    let mut script = Script::new(ClientConfig { limits, ..ClientConfig::default() });
    script.open();
    let outputs = script.receive(&format!(r#"[{{"channel":"/a","data":"{}"}}]"#, "x".repeat(1_000)));
    assert!(outputs.len() == 1 && outputs[0].contains("the limit is 1000"), "{outputs:?}");
}

#[test]
fn long_error_texts_are_cut() {
    let mut script = Script::connected();
    script.publish("p");
    let frame = format!(
        r#"[{{"channel":"/a","id":"p","successful":false,"error":"{}"}}]"#,
        "x\\u001b".repeat(10_000)
    );
    let outputs = script.receive(&frame);
    assert!(outputs[0].len() < 1_100 && !outputs[0].contains('\u{1b}'), "{outputs:?}");
}

/// Messages that go to the quick of the client: right channels and ids, wrong moments and mixtures.
fn message() -> impl Strategy<Value = String> {
    let channel = prop::sample::select(vec![
        "/meta/handshake",
        "/meta/connect",
        "/meta/subscribe",
        "/meta/unsubscribe",
        "/meta/disconnect",
        "/meta/x",
        "/a",
        "/a/b",
        "//",
        "",
    ]);
    let advice = prop::sample::select(vec![
        "{}",
        "7",
        r#"{"reconnect":"handshake"}"#,
        r#"{"reconnect":"none"}"#,
        r#"{"reconnect":"retry","interval":0,"timeout":0}"#,
        r#"{"interval":18446744073709551615,"timeout":18446744073709551615}"#,
        r#"{"reconnect":"handshake","interval":500}"#,
    ]);
    let ext =
        prop::sample::select(vec![r#"{"ack":true}"#, r#"{"ack":18446744073709551615}"#, r#"{"ack":1}"#, "0"]);
    let rest = prop::sample::select(vec![
        r#""successful":true,"clientId":"s""#,
        r#""successful":true"#,
        r#""data":1"#,
        r#""successful":false,"error":"402::Unknown client""#,
        r#""successful":false,"error":"500::x""#,
        r#""successful":null,"clientId":7"#,
    ]);
    (channel, 1_u64..40, any::<bool>(), advice, ext, rest).prop_map(
        |(channel, id, named, advice, ext, rest)| {
            let id = if named { format!(r#""id":"{id}","#) } else { String::new() };
            format!(r#"{{"channel":"{channel}",{id}"advice":{advice},"ext":{ext},{rest}}}"#)
        },
    )
}

#[derive(Debug, Clone)]
enum Step {
    Open,
    Close,
    Messages(Vec<String>),
    Bytes(Vec<u8>),
    Subscribe(u8),
    Unsubscribe(u8),
    Publish(u8),
    Confirm(u64),
    Pass(u64),
    Disconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Open),
        1 => Just(Step::Close),
        12 => prop::collection::vec(message(), 0..4).prop_map(Step::Messages),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Bytes),
        2 => any::<u8>().prop_map(Step::Subscribe),
        1 => any::<u8>().prop_map(Step::Unsubscribe),
        3 => any::<u8>().prop_map(Step::Publish),
        1 => (0_u64..5).prop_map(Step::Confirm),
        3 => (0_u64..100).prop_map(Step::Pass),
        1 => Just(Step::Disconnect),
    ]
}

impl Script {
    /// True if a publish was taken.
    fn take(&mut self, step: &Step) -> bool {
        let now = self.now();
        let channel = |n: u8| pattern(&format!("/a/{}", n % 8));
        match step {
            Step::Open => self.client.opened(now),
            Step::Close => self.client.closed(now),
            Step::Messages(messages) => {
                self.client.received(now, format!("[{}]", messages.join(",")).as_bytes());
            }
            Step::Bytes(bytes) => self.client.received(now, bytes),
            Step::Subscribe(n) => self.client.subscribe(now, channel(*n)),
            Step::Unsubscribe(n) => self.client.unsubscribe(now, &channel(*n)),
            Step::Publish(n) => return self.client.publish(now, &publication(&n.to_string())).is_ok(),
            Step::Confirm(batch) => self.client.confirm(now, *batch),
            Step::Pass(seconds) => {
                self.now += secs(*seconds);
                self.client.handle_timeout(self.now());
            }
            Step::Disconnect => self.client.disconnect(now),
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes(ack in any::<bool>(), steps in prop::collection::vec(step(), 0..60)) {
        let limits = crate::Limits { subscriptions_per_session: 4, ..crate::Limits::default() };
        let config = ClientConfig { ack, limits, max_in_flight: 3, ..ClientConfig::default() };
        let mut script = Script::new(config);
        let (mut taken, mut answered) = (0_usize, 0_usize);
        for step in std::iter::once(&Step::Open).chain(&steps).chain([&Step::Close]) {
            taken += usize::from(script.take(step));
            let outputs = script.outputs();
            prop_assert!(outputs.len() < 40, "{} outputs after {step:?}", outputs.len());
            answered += outputs.iter().filter(|output| output.starts_with("PublishReply(")).count();
            for frame in outputs.iter().filter(|output| output.starts_with('[')) {
                prop_assert!(serde_json::from_str::<Vec<serde_json::Value>>(frame).is_ok(), "{frame}");
            }
            prop_assert!(script.client.publishes.len() <= 3);
            // A deadline that has passed is gone once it was handled: the shell does not spin.
            for _ in 0..4 {
                script.client.handle_timeout(script.now());
                answered += script.outputs().iter().filter(|output| output.starts_with("PublishReply(")).count();
            }
            prop_assert!(script.client.next_timeout().is_none_or(|at| at > script.now), "{:?}", script.client);
        }
        prop_assert_eq!(taken, answered, "each publish has one outcome");
    }
}
