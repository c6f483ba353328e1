//! Streams that end: after a response, in the middle of something, or behind bytes that nobody has asked for yet. The
//! driver hears of each exchange how it ended, and no seat stays taken.

use cloud_channel_protocol::{ConnectionId, Limits};

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
