//! What happens at the limits of queues and frames.

use serde_json::{Value, json};

use super::super::CloseReason;
use super::{Driver, NOTHING, assert_success, channels, connect, data, publish, subscribe};

fn gap(dropped: u64) -> Value {
    json!({"channel": "/service/gap", "data": {"dropped": dropped}})
}

#[test]
fn many_events_while_nothing_is_polled_make_one_frame() {
    let mut driver = Driver::new();
    driver.ready(1, &json!({}), &json!("/a"));
    driver.take(1);
    driver.publish_burst("/a", 0..50);
    assert_eq!(driver.take_frames(1).iter().map(|frame| data(frame).len()).collect::<Vec<_>>(), [50]);
}

#[test]
fn what_waits_for_a_slow_stream_leaves_as_one_frame() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    for number in 0..100 {
        driver.publish("/a", number);
    }
    driver.send(1, &publish(&client, "/b", &json!(1)));
    assert_eq!(driver.take_frames(1).len(), 1, "no second frame before the first is written");
    driver.unstall(1);
    let frames = driver.take_frames(1);
    assert_eq!(frames.len(), 1);
    assert_eq!(channels(&frames[0])[0], "/b", "replies first");
    assert_eq!(data(&frames[0]), (1..100).collect::<Vec<_>>());
}

#[test]
fn overflow_drops_the_oldest_and_counts_exactly() {
    let mut driver = Driver::with(|config| config.limits.queued_messages = 3);
    driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    for number in 0..10 {
        driver.publish("/a", number);
    }
    assert_eq!(data(&driver.take(1)), [0]);
    driver.unstall(1);
    let messages = driver.take(1);
    assert_eq!(messages[0], gap(6));
    assert_eq!(data(&messages), [7, 8, 9]);
    assert_eq!(driver.server.stats().dropped, 6);
    assert_eq!(driver.receipts(), [0, 7, 8, 9], "what was dropped was not taken");
    driver.publish("/a", 10);
    assert_eq!(driver.take(1), [json!({"channel": "/a", "data": 10})], "and the gap is told once");
}

#[test]
fn a_gap_is_counted_exactly_though_its_marker_was_lost() {
    let mut driver = Driver::with(|config| config.limits.queued_messages = 3);
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    for number in 0..10 {
        driver.publish("/a", number);
    }
    driver.take(1);
    // The second frame, with the marker for 1 to 6, is given to the stream and lost with it.
    driver.write_one(1);
    assert_eq!(driver.take(1)[0], gap(6));
    driver.publish("/a", 10);
    driver.cut(1);
    driver.open(2);
    let messages = driver.ask(2, &connect(&client));
    assert_eq!(messages.iter().filter(|message| **message == gap(7)).count(), 1, "{messages:?}");
    assert_eq!(data(&messages), [8, 9, 10]);
    assert_eq!(driver.server.stats().dropped, 7);
}

#[test]
fn bytes_count_as_well() {
    let mut driver = Driver::with(|config| config.limits.queued_bytes = 100);
    driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    for number in 0..10 {
        driver.publish("/a", number);
    }
    driver.take(1);
    driver.unstall(1);
    // `{"channel":"/a","data":0}` is 25 bytes.
    let messages = driver.take(1);
    assert_eq!(messages[0], gap(5));
    assert_eq!(data(&messages), [6, 7, 8, 9]);
}

#[test]
fn a_slow_reader_disturbs_no_other() {
    let mut driver = Driver::with(|config| config.limits.queued_messages = 3);
    driver.ready(1, &json!({}), &json!("/a"));
    driver.ready(2, &json!({}), &json!("/a"));
    driver.stall(1);
    for number in 0..100 {
        driver.publish("/a", number);
    }
    assert_eq!(data(&driver.take(2)), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_does_not_take_its_replies_is_closed() {
    let mut driver = Driver::with(|config| config.limits.reply_bytes = 1_000);
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    let mut sent = 0;
    while driver.closes().is_empty() {
        driver.send(1, &publish(&client, "/b", &json!(1)));
        sent += 1;
        assert!(sent < 100, "never closed");
    }
    assert!(sent > 10, "closed after {sent}");
    // It is told once, and what it still sends is not done.
    driver.ready(2, &json!({}), &json!("/b"));
    driver.send(1, &json!([publish(&client, "/b", &json!(1)), publish(&client, "/b", &json!(1))]));
    assert_eq!(driver.take(2), NOTHING);
    assert_eq!(driver.closes(), []);
    driver.unstall(1);
    assert_eq!(driver.take_frames(1).len(), 1, "nothing is written after the close");
    driver.cut(1);
    driver.open(3);
    assert_success(&driver.ask_one(3, &publish(&client, "/c", &json!(1))));
}

#[test]
fn a_reader_that_keeps_up_is_not_closed_for_many_replies_at_once() {
    let mut driver = Driver::with(|config| config.limits.reply_bytes = 1_000);
    let client = driver.begin(1, &json!({}));
    let batch: Vec<Value> = (0..30).map(|number| publish(&client, "/b", &json!(number))).collect();
    let replies = driver.ask(1, &json!(batch));
    assert_eq!((replies.len(), driver.closes()), (30, vec![]));
    assert!(json!(replies).to_string().len() > 1_000);
}

#[test]
fn the_rest_of_a_batch_is_not_done_once_its_stream_is_stuck() {
    let mut driver = Driver::with(|config| config.limits.reply_bytes = 500);
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    driver.publish("/a", 0);
    let batch: Vec<Value> = (0..100).map(|number| publish(&client, "/a", &json!(number))).collect();
    driver.send(1, &json!(batch));
    assert_eq!(driver.closes(), [(1, CloseReason::StuckReader)]);
    let delivered = driver.server.stats().delivered;
    assert!(delivered < 30, "{delivered}");
}

#[test]
fn frames_are_no_larger_than_what_we_would_take_ourselves() {
    let mut driver = Driver::with(|config| config.limits.batch_bytes = 2_000);
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    driver.publish("/a", 0);
    driver.take(1);
    for number in 1..200 {
        driver.publish("/a", number);
        if number % 10 == 0 {
            driver.send(1, &publish(&client, "/b", &json!(1)));
        }
    }
    driver.unstall(1);
    let frames = driver.take_frames(1);
    for frame in &frames {
        let size = json!(frame).to_string().len();
        assert!(size <= 2_000, "{size}");
    }
    let all: Vec<Value> = frames.into_iter().flatten().collect();
    assert_eq!(data(&all), (1..200).collect::<Vec<_>>());
    assert_eq!(all.iter().filter(|message| message["channel"] == "/b").count(), 19);
}

#[test]
fn one_frame_cannot_make_the_server_hold_many_copies() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({"ack": true}), &json!("/a"));
    for _ in 0..4 {
        assert_success(&driver.ask_one(1, &publish(&client, "/a", &json!("x".repeat(200_000)))));
    }
    driver.stall(1);
    let connects: Vec<Value> = (0..500).map(|_| connect(&client)).collect();
    driver.send(1, &json!(connects));
    assert_eq!(driver.closes(), [(1, CloseReason::StuckReader)]);
    let waiting = driver.server.connections.get(crate::ids::ConnectionId(1)).unwrap().outgoing.bytes();
    assert!(waiting < 4 << 20, "{waiting}");
}

#[test]
fn a_huge_array_of_subscriptions_is_refused() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    let many: Vec<String> = (0..20_000).map(|number| format!("/{number}")).collect();
    let reply = driver.ask_one(1, &subscribe(&client, &json!(many)));
    assert_eq!(super::error(&reply), "403::Too many subscriptions, the limit is 256 a session");
}

#[test]
fn who_has_no_session_and_does_not_read_is_closed_early() {
    let mut driver = Driver::new();
    driver.open(1);
    driver.stall(1);
    let nonsense = json!([{"channel": "/meta/connect", "clientId": "nobody"}]);
    let limit = driver.server.config.limits.unbound_reply_bytes;
    let mut sent = 0;
    while driver.closes().is_empty() {
        driver.send(1, &nonsense);
        sent += 1;
        assert!(sent < 10_000, "never closed");
    }
    let waiting = driver.server.connections.get(crate::ids::ConnectionId(1)).unwrap().outgoing.bytes();
    assert!(waiting <= limit + 1_000, "{waiting}");
}

#[test]
fn a_reader_with_acks_gets_a_queue_that_is_larger_than_its_replies_may_be() {
    let mut driver = Driver::with(|config| {
        config.limits.reply_bytes = 4_000;
        config.limits.queued_bytes = 100_000;
    });
    let client = driver.begin(1, &json!({"ack": true}));
    driver.ask(1, &connect(&client));
    driver.ask(1, &subscribe(&client, &json!("/a")));
    driver.publish_burst("/a", 0..500);
    let mut seen = Vec::new();
    let mut batch = 1;
    while seen.len() < 500 {
        let mut message = connect(&client);
        message["ext"] = json!({"ack": batch});
        let answer = driver.ask(1, &message);
        batch = answer.last().unwrap()["ext"]["ack"].as_u64().unwrap();
        seen.extend(data(&answer));
    }
    assert!(seen.iter().copied().eq(0..500), "{seen:?}");
    assert_eq!(driver.closes(), []);
}
