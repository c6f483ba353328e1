//! Draining, and inputs about streams that are not there.

use serde_json::json;

use super::super::{CloseReason, Input};
use super::{Driver, NOTHING, channels, connect, data, publish};
use crate::ids::ConnectionId;

#[test]
fn draining_answers_held_connects_and_closes_all() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.ready(2, &json!({"ack": true}), &json!("/a"));
    driver.send(1, &connect(&client));
    driver.open(3);
    driver.server.handle(
        crate::time::Now { uptime: driver.now, wall: driver.now },
        Input::Publish { publication: &super::driver::publication("/a", 1), receipt: None },
    );
    driver.input(Input::Drain);
    let messages = driver.take(1);
    assert_eq!(channels(&messages), ["/meta/connect", "/a"], "what waits goes out first");
    assert_eq!(data(&messages), [1]);
    // The first had a frame to be written before.
    assert_eq!(driver.closes(), [2, 3, 1].map(|id| (id, CloseReason::GoingAway)));
    assert_eq!(driver.ask(1, &publish(&client, "/a", &json!(1))), NOTHING);
    driver.input(Input::Drain);
    assert_eq!(driver.closes(), [], "told once");
    for id in 1..=3 {
        driver.cut(id);
    }
    assert_eq!(driver.server.stats().streams, 0);
    driver.advance(10.1);
    assert_eq!((driver.ended().len(), driver.server.next_timeout()), (2, None));
}

#[test]
fn unknown_streams_are_no_ones() {
    let mut driver = Driver::new();
    let connection = ConnectionId(9);
    driver.send_text(9, "[{}]");
    driver.input(Input::Writable { connection });
    driver.input(Input::Closed { connection });
    assert_eq!(driver.take(9), NOTHING);
    let stats = driver.server.stats();
    assert_eq!((stats.streams, stats.received), (0, 0));
}

#[test]
fn statistics_count_what_happened() {
    let mut driver = Driver::new();
    driver.ready(1, &json!({}), &json!("/a"));
    driver.ready(2, &json!({}), &json!("/a"));
    driver.open(3);
    driver.send_text(3, "[7,{}]");
    driver.publish("/a", 1);
    let stats = driver.server.stats();
    assert_eq!((stats.sessions, stats.streams, stats.received), (2, 3, 8));
    assert_eq!((stats.delivered, stats.dropped), (2, 0));
}

#[test]
fn receipts_come_when_a_frame_is_written_and_not_before() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    driver.publish("/a", 1);
    driver.tell(&client, "/a", 2);
    driver.publish("/nobody", 3);
    assert_eq!(driver.receipts(), [0_u64; 0]);
    driver.unstall(1);
    assert_eq!(driver.receipts(), [1, 2]);
    // A frame that is lost with its stream gives none.
    driver.stall(1);
    driver.publish("/a", 4);
    driver.cut(1);
    driver.advance(10.1);
    assert_eq!(driver.receipts(), [0_u64; 0]);
}

#[test]
fn a_session_that_ended_while_its_frame_was_on_the_way_still_gives_the_receipt() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!("/a"));
    driver.stall(1);
    driver.publish("/a", 1);
    driver.send(1, &json!({"channel": "/meta/disconnect", "clientId": client}));
    driver.unstall(1);
    assert_eq!(driver.receipts(), [1]);
    assert_eq!(channels(&driver.take(1)), ["/a", "/meta/disconnect"]);
}
