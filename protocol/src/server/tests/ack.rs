//! The ack extension: events travel with connect replies and come again until they are acknowledged.

use serde_json::{Value, json};

use super::{Driver, NOTHING, assert_success, channels, connect, data, publish, subscribe};

fn connect_seen(client: &str, batch: &Value) -> Value {
    let mut message = connect(client);
    message["ext"] = json!({"ack": batch});
    message
}

/// A session with the extension, connected once (batch 1) and subscribed to `/a`.
fn ready(driver: &mut Driver, id: u64) -> String {
    driver.ready(id, &json!({"ack": true}), &json!("/a"))
}

fn batch(messages: &[Value]) -> Option<u64> {
    messages.iter().find(|message| message["channel"] == "/meta/connect")?["ext"]["ack"].as_u64()
}

#[test]
fn the_handshake_agrees_on_it() {
    let agreed = |ext: Value| {
        let mut driver = Driver::new();
        driver.open(1);
        let reply = driver.ask_one(
            1,
            &json!({"channel": "/meta/handshake", "version": "1.0",
            "supportedConnectionTypes": ["websocket"], "ext": ext}),
        );
        assert_success(&reply);
        reply["ext"]["ack"] == json!(true)
    };
    for ext in [json!({"ack": true}), json!({"ack": {"enabled": true}}), json!({"x": 1, "ack": true})] {
        assert!(agreed(ext.clone()), "{ext}");
    }
    for ext in [json!({"ack": false}), json!({"ack": 1}), json!({"ack": "true"}), json!({}), json!(null)] {
        assert!(!agreed(ext.clone()), "{ext}");
    }
}

#[test]
fn events_come_with_a_connect_reply_that_names_their_batch() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    driver.publish("/a", 1);
    driver.publish("/a", 2);
    assert_eq!(driver.take(1), NOTHING, "no connect, no events");
    let messages = driver.ask(1, &connect_seen(&client, &json!(1)));
    assert_eq!((data(&messages), batch(&messages)), (vec![1, 2], Some(2)));
    assert_eq!(driver.ask(1, &connect_seen(&client, &json!(2))), NOTHING, "held");
    driver.publish("/a", 3);
    let messages = driver.take(1);
    assert_eq!((data(&messages), batch(&messages)), (vec![3], Some(3)), "an event wakes a held connect");
    driver.publish("/a", 4);
    assert_eq!(driver.take(1), NOTHING);
}

#[test]
fn other_replies_bring_no_events() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    let messages = driver.ask(1, &publish(&client, "/a", &json!(1)));
    assert_eq!(messages, [json!({"channel": "/a", "id": "p", "successful": true})]);
    assert_eq!(data(&driver.ask(1, &connect_seen(&client, &json!(1)))), [1]);
}

#[test]
fn what_was_queued_before_the_first_connect_is_in_the_first_batch() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({"ack": true}));
    assert_success(&driver.ask_one(1, &subscribe(&client, &json!("/a"))));
    driver.publish("/a", 1);
    let messages = driver.ask(1, &connect(&client));
    assert_eq!((data(&messages), batch(&messages)), (vec![1], Some(1)));
}

#[test]
fn unacknowledged_events_come_again_at_once() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    driver.publish("/a", 1);
    driver.send(1, &connect_seen(&client, &json!(1)));
    driver.take(1);
    let messages = driver.ask(1, &connect_seen(&client, &json!(1)));
    assert_eq!(
        (data(&messages), batch(&messages)),
        (vec![1], Some(3)),
        "nothing new waits, and still no holding"
    );
    driver.publish("/a", 2);
    let messages = driver.ask(1, &connect_seen(&client, &json!(2)));
    assert_eq!(data(&messages), [2], "the first has been seen with batch 2, whatever batch 3 repeats");
    assert_eq!(driver.ask(1, &connect_seen(&client, &json!(4))), NOTHING);
}

#[test]
fn nonsense_numbers_change_nothing() {
    for nonsense in [
        json!(99),
        json!(-1),
        json!("2"),
        json!(2.5),
        json!(null),
        json!([2]),
        json!(true),
        json!({"ack": 2}),
    ] {
        let mut driver = Driver::new();
        let client = ready(&mut driver, 1);
        driver.publish("/a", 1);
        driver.send(1, &connect_seen(&client, &json!(1)));
        driver.take(1);
        assert_eq!(driver.receipts(), [0_u64; 0]);
        let messages = driver.ask(1, &connect_seen(&client, &nonsense));
        assert_eq!(data(&messages), [1], "{nonsense}");
        assert_eq!(driver.receipts(), [0_u64; 0], "{nonsense}");
    }
}

#[test]
fn a_second_connect_loses_nothing_of_the_first() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    assert_eq!(driver.ask(1, &connect_seen(&client, &json!(1))), NOTHING);
    let messages = driver.ask(1, &connect_seen(&client, &json!(1)));
    assert_eq!((channels(&messages), batch(&messages)), (vec!["/meta/connect"], Some(2)));
    driver.publish("/a", 1);
    let messages = driver.take(1);
    assert_eq!((data(&messages), batch(&messages)), (vec![1], Some(3)));
    // Two in one frame: both carry what is unseen.
    driver.publish("/a", 2);
    let messages =
        driver.ask(1, &json!([connect_seen(&client, &json!(2)), connect_seen(&client, &json!(2))]));
    assert_eq!(data(&messages), [1, 2, 1, 2]);
}

#[test]
fn an_older_number_twice_is_harmless() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    for number in 1..=3 {
        driver.publish("/a", number);
        let messages = driver.ask(1, &connect_seen(&client, &json!(number)));
        assert_eq!((data(&messages), batch(&messages)), (vec![number], Some(number + 1)));
    }
    assert_eq!(data(&driver.ask(1, &connect_seen(&client, &json!(2)))), [3]);
}

#[test]
fn receipts_come_with_the_acknowledgement() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    driver.publish("/a", 1);
    driver.publish("/a", 2);
    driver.send(1, &connect_seen(&client, &json!(1)));
    assert_eq!(driver.receipts(), [0_u64; 0], "written is not seen");
    driver.send(1, &connect_seen(&client, &json!(2)));
    assert_eq!(driver.receipts(), [1, 2]);
}

#[test]
fn unseen_events_survive_the_stream() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    driver.publish("/a", 1);
    driver.send(1, &connect_seen(&client, &json!(1)));
    driver.cut(1);
    driver.publish("/a", 2);
    driver.open(2);
    let messages = driver.ask(2, &connect_seen(&client, &json!(1)));
    assert_eq!((data(&messages), batch(&messages)), (vec![1, 2], Some(3)));
}

#[test]
fn a_silent_reader_is_bounded_and_told_of_the_gap() {
    let mut driver = Driver::with(|config| config.limits.queued_messages = 4);
    let client = ready(&mut driver, 1);
    let mut last = 0;
    for round in 0..10 {
        driver.publish_burst("/a", round * 10..round * 10 + 10);
        let messages = driver.ask(1, &connect_seen(&client, &json!(1)));
        last = batch(&messages).unwrap();
        assert!(messages.len() <= 4 + 1 + 1, "{} messages in round {round}", messages.len());
    }
    // It wakes up: what it has not seen, the gap, and the newest.
    driver.publish("/a", 100);
    let messages = driver.ask(1, &connect_seen(&client, &json!(last)));
    assert_eq!(messages[0], json!({"channel": "/service/gap", "data": {"dropped": 87}}));
    assert_eq!(data(&messages), [97, 98, 99, 100]);
}

#[test]
fn no_more_than_the_limit_is_unseen_and_the_rest_waits() {
    let mut driver = Driver::with(|config| config.limits.queued_messages = 4);
    let client = ready(&mut driver, 1);
    driver.publish_burst("/a", 0..3);
    let first = driver.ask(1, &connect_seen(&client, &json!(1)));
    assert_eq!(data(&first), [0, 1, 2]);
    driver.publish_burst("/a", 3..7);
    let again = driver.ask(1, &connect_seen(&client, &json!(1)));
    assert_eq!(data(&again), [0, 1, 2, 3]);
    let rest = driver.ask(1, &connect_seen(&client, &json!(batch(&first).unwrap())));
    assert_eq!(data(&rest), [3, 4, 5, 6], "nothing is lost");
}

#[test]
fn unseen_bytes_are_bounded_too() {
    let mut driver = Driver::with(|config| config.limits.queued_bytes = 1_000);
    let client = ready(&mut driver, 1);
    let mut most = 0;
    for _ in 0..50 {
        driver.send(1, &publish(&client, "/a", &json!("x".repeat(300))));
        let messages = driver.ask(1, &connect_seen(&client, &json!(0)));
        most = most.max(messages.iter().filter(|message| message.get("data").is_some()).count());
    }
    assert!((3..=4).contains(&most), "{most} events of 300 bytes and a limit of 1000");
}

#[test]
fn what_came_again_is_seen_with_its_first_batch() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    driver.send(1, &connect_seen(&client, &json!(0)));
    driver.publish("/a", 1);
    let first = batch(&driver.take(1)).unwrap();
    driver.publish("/a", 2);
    let again = driver.ask(1, &connect_seen(&client, &json!(0)));
    assert_eq!(data(&again), [1, 2]);
    let rest = driver.ask(1, &connect_seen(&client, &json!(first)));
    assert_eq!(data(&rest), [2], "the first has been seen");
}

#[test]
fn a_connect_that_a_disconnect_releases_names_a_batch_too() {
    let mut driver = Driver::new();
    let client = ready(&mut driver, 1);
    driver.send(1, &connect_seen(&client, &json!(0)));
    driver.take(1);
    driver.send(1, &connect_seen(&client, &json!(1)));
    let last = driver.ask(1, &json!({"channel": "/meta/disconnect", "clientId": client}));
    assert!(batch(&last).is_some(), "{last:?}");
}
