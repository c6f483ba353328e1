//! Streams that end: after a response, in the middle of something, or behind bytes that nobody has asked for yet. The
//! driver hears of each exchange how it ended, and no seat stays taken.

use cloud_channel_protocol::server::Carrier;
use cloud_channel_protocol::{ConnectionId, Limits};
use tokio::time::Instant;

use super::{Stage, ends, post, response, send, status};
use crate::happening::Happening;

/// More requests than there are places for connections without a session.
const MANY: usize = 300;

fn answer(stage: &Stage, id: ConnectionId) {
    stage.registry.transmit(id, "[1]".into(), true, 1);
}

async fn answered(stage: &mut Stage, id: ConnectionId) {
    let heard = stage.heard().await;
    assert!(matches!(heard, Happening::Answered { connection } if connection == id), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn with_the_last_response_or_right_behind_it() {
    let mut stage = Stage::new(Limits::default()).await;
    let old = b"POST /events HTTP/1.0\r\nContent-Length: 2\r\n\r\n[]".to_vec();
    let garbage = [post("/events", &[], "[]"), b"\0\0\0\r\n\r\n".to_vec()].concat();
    for request in [post("/events", &["Connection: close"], "[]"), old, garbage] {
        for _ in 0..MANY {
            let mut stream = stage.connect().await;
            send(&mut stream, &request).await;
            let (id, _) = stage.exchange().await;
            answer(&stage, id);
            assert_eq!(response(&mut stream).await.1, "[1]");
            assert!(ends(&mut stream).await);
            answered(&mut stage, id).await;
            assert!(stage.registry.is_empty());
        }
    }
}

/// The answer and the end of the stream meet: whichever is first, the exchange is over.
#[tokio::test(start_paused = true)]
async fn while_the_answer_is_on_its_way() {
    let mut stage = Stage::new(Limits::default()).await;
    for _ in 0..MANY {
        let mut stream = stage.connect().await;
        send(&mut stream, &post("/events", &[], "[]")).await;
        let (id, _) = stage.exchange().await;
        answer(&stage, id);
        drop(stream);
        match stage.heard().await {
            Happening::Answered { connection } | Happening::Closed { connection } if connection == id => {}
            other => panic!("{other:?}"),
        }
        assert!(stage.registry.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn behind_bytes_that_nobody_has_asked_for() {
    let mut stage = Stage::new(Limits::default()).await;
    let next = post("/events", &[], "[2]");
    for trail in [&b"\r\n"[..], b"POST /events HTTP/1.1\r\n", &next, &next.repeat(20)] {
        for together in [true, false] {
            let mut stream = stage.connect().await;
            let request = post("/events/connect", &[], "[]");
            if together {
                send(&mut stream, &[&request, trail].concat()).await;
            } else {
                send(&mut stream, &request).await;
            }
            let (id, _) = stage.exchange().await;
            if !together {
                send(&mut stream, trail).await;
            }
            let before = Instant::now();
            drop(stream);
            stage.closed(id).await;
            assert_eq!(before.elapsed(), std::time::Duration::ZERO, "no deadline has to pass");
            assert!(stage.registry.is_empty());
        }
    }
}

/// So much that the end cannot be seen behind it: it is looked for before anything is written.
#[tokio::test(start_paused = true)]
async fn behind_more_than_is_read_ahead() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events/connect", &[], "[]")).await;
    let (id, _) = stage.exchange().await;
    send(&mut stream, &vec![b'x'; 100_000]).await;
    drop(stream);
    answer(&stage, id);
    stage.closed(id).await;
    assert!(stage.registry.is_empty());
}

/// What was read ahead is served in its turn, and nothing of it is lost.
#[tokio::test(start_paused = true)]
async fn those_that_stay_are_served_in_order() {
    const FRAMES: usize = 300;
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events/connect", &[], "[1]")).await;
    let (id, _) = stage.exchange().await;
    let upgrade = "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let frames: Vec<u8> = (0..FRAMES)
        .flat_map(|number| [&[0x81, 0x80 + 60, 0, 0, 0, 0][..], format!("{number:060}").as_bytes()].concat())
        .collect();
    let all = [b"\r\n", &*post("/events", &[], "[2]"), upgrade.as_bytes(), &frames].concat();
    send(&mut stream, &all).await;
    answer(&stage, id);
    assert_eq!(response(&mut stream).await.1, "[1]");
    answered(&mut stage, id).await;
    let (id, batch) = stage.exchange().await;
    assert_eq!(batch, "[2]");
    answer(&stage, id);
    assert_eq!(response(&mut stream).await.1, "[1]");
    assert_eq!(status(&response(&mut stream).await.0), 101);
    answered(&mut stage, id).await;
    let (id, _) = stage.opened(Carrier::Stream).await;
    let mut received = Vec::new();
    while received.len() < FRAMES {
        received.extend(stage.received(id).await);
    }
    let expected: Vec<String> = (0..FRAMES).map(|number| format!("{number:060}")).collect();
    assert_eq!(received, expected);
}

#[tokio::test(start_paused = true)]
async fn that_do_not_say_properly_whom_they_are_for() {
    let mut stage = Stage::new(Limits::default()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, headers) in [
        ("POST /events", "Content-Length: 0\r\n"),
        ("POST /webhook", "Content-Length: 0\r\n"),
        ("GET /healthz", ""),
        ("GET /nothing", ""),
        ("OPTIONS /events", ""),
        ("GET /events", upgrade),
        ("GET http://a/events", upgrade),
    ] {
        for host in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nhost: a\r\n", "Host: a b<>\r\n"] {
            let mut stream = stage.connect().await;
            send(&mut stream, format!("{request} HTTP/1.1\r\n{host}{headers}\r\n").as_bytes()).await;
            let (head, body) = response(&mut stream).await;
            assert!(status(&head) == 400 && body.contains("Host header"), "{request} {host}: {head}{body}");
            assert!(ends(&mut stream).await);
        }
    }
    let mut stream = stage.connect().await;
    send(&mut stream, b"POST /events HTTP/1.0\r\nContent-Length: 2\r\n\r\n[]").await;
    let (id, _) = stage.exchange().await;
    answer(&stage, id);
    assert_eq!(status(&response(&mut stream).await.0), 200, "HTTP/1.0 knows none");
}

#[tokio::test(start_paused = true)]
async fn whose_bodies_are_in_a_coding_that_is_not_known() {
    let mut stage = Stage::new(Limits::default()).await;
    for coding in ["gzip, chunked", "chunked, chunked", "gzip\r\nTransfer-Encoding: chunked"] {
        for path in ["/events", "/webhook", "/nothing"] {
            let mut stream = stage.connect().await;
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
            send(
                &mut stream,
                format!("{head}2\r\n[]\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
            )
            .await;
            let (head, body) = response(&mut stream).await;
            assert!(
                status(&head) == 501 && body.contains("Transfer-Encoding"),
                "{path} {coding}: {head}{body}"
            );
            assert!(ends(&mut stream).await, "what follows is not served");
        }
    }
    let mut stream = stage.connect().await;
    let chunked =
        b"POST /events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n";
    send(&mut stream, chunked).await;
    let (id, _) = stage.exchange().await;
    answer(&stage, id);
    assert_eq!(status(&response(&mut stream).await.0), 200);
}
