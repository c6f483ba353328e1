//! Requests and their responses: what reaches the driver, and what it hears of what became of its answers.

use bytes::Bytes;
use cloud_channel_protocol::Limits;
use cloud_channel_protocol::server::{Carrier, CloseReason};

use super::{Stage, ends, post, response, send, status};
use crate::happening::Happening;
use crate::transport::registry::ConnectionRegistry;
use cloud_channel_protocol::ConnectionId;

const BATCH: &str = r#"[{"channel":"/meta/handshake"}]"#;

fn answer(registry: &ConnectionRegistry, id: ConnectionId, batch: &'static str, understood: bool) {
    registry.transmit(id, Bytes::from_static(batch.as_bytes()), understood, 1);
}

#[tokio::test(start_paused = true)]
async fn bodies_of_every_kind_reach_the_core() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    for (path, headers, body, expected) in [
        ("/events", &[][..], BATCH, BATCH),
        ("/events/", &["Content-Type: application/json;charset=UTF-8"], BATCH, BATCH),
        ("/events/handshake", &["Content-Type: nonsense"], "{}", "{}"),
        ("/events/connect", &[form], "message=%5B%7B%7D%5D", "[{}]"),
        ("/events/disconnect", &[form], "message={}&message=%5b{}%5d", "[{},{}]"),
        ("/events/whatever/else", &[form], "[{}]", "[{}]"),
        ("/events", &[], "", ""),
    ] {
        send(&mut stream, &post(path, headers, body)).await;
        let (id, batch) = stage.exchange().await;
        assert_eq!(batch, expected, "{path} {headers:?} {body}");
        answer(&stage.registry, id, "[1]", true);
        let (head, body) = response(&mut stream).await;
        assert_eq!((status(&head), &*body), (200, "[1]"), "{head}");
        assert!(head.contains("content-type: application/json;charset=UTF-8\r\n"), "{head}");
        assert!(head.contains("cache-control: no-store\r\n"), "{head}");
        assert!(!head.contains("access-control"), "{head}");
        let heard = stage.heard().await;
        assert!(matches!(heard, Happening::Answered { connection } if connection == id), "{heard:?}");
        assert!(stage.registry.is_empty(), "its seat is free");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_understood_and_what_has_no_answer() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events", &[], "nonsense")).await;
    let (id, _) = stage.exchange().await;
    answer(&stage.registry, id, "[400]", false);
    let (head, body) = response(&mut stream).await;
    assert_eq!((status(&head), &*body), (400, "[400]"));
    assert!(matches!(stage.heard().await, Happening::Answered { .. }));

    send(&mut stream, &post("/events", &[], BATCH)).await;
    let (id, _) = stage.exchange().await;
    stage.registry.close(id, CloseReason::GoingAway);
    let (head, body) = response(&mut stream).await;
    assert_eq!(status(&head), 503);
    assert!(body.contains(r#""error":"503::the server is ending""#), "{body}");
    assert!(matches!(stage.heard().await, Happening::Answered { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_reach_the_core() {
    let stage = Stage::new(Limits { batch_bytes: 100, ..Limits::default() }).await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    let token = format!("Authorization: Bearer {}", "x".repeat(5000));
    let chunked = "POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{chunked}40\r\n{0}\r\n40\r\n{0}\r\n", "x".repeat(64));
    for (request, code, part) in [
        (
            post("/events", &[], &"x".repeat(101)),
            413,
            r#"[{"channel":"/meta/unsuccessful","successful":false,"error":"413::the batch is too large, expected at most 100 bytes"}]"#,
        ),
        (chunks.into_bytes(), 413, r#""error":"413::"#),
        (post("/events", &[form], "massage=1"), 400, r#""error":"400::expected `message=`"#),
        (post("/events", &[form], "message=%zz"), 400, "hexadecimal"),
        (post("/events", &[&token], BATCH), 431, "4096 bytes"),
        (post("/events", &["Origin: http://evil.example"], BATCH), 403, "another origin"),
        (b"PUT /events HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 405, "POST"),
        (b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 426, "upgrade"),
        (b"GET /eventsx HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 404, ""),
    ] {
        let mut stream = stage.connect().await;
        send(&mut stream, &request).await;
        let (head, body) = response(&mut stream).await;
        assert_eq!(status(&head), code, "{head}{body}");
        assert!(body.contains(part), "{body}");
        assert!(!head.contains("access-control"), "{head}");
    }
}

/// The driver hears at once that nobody waits any more, and not that anything was written.
#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_is_noticed_at_once() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events/connect", &[], BATCH)).await;
    let (id, _) = stage.exchange().await;
    let before = tokio::time::Instant::now();
    drop(stream);
    stage.closed(id).await;
    assert_eq!(before.elapsed(), std::time::Duration::ZERO, "no deadline has to pass");
    assert!(stage.registry.is_empty());
    answer(&stage.registry, id, "[1]", true);
}

/// A response that is cut does not count as written, however much of it the system has taken.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_cut_is_not_written() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events/connect", &[], BATCH)).await;
    let (id, _) = stage.exchange().await;
    // More than a socket holds.
    stage.registry.transmit(id, vec![b'x'; 4 << 20].into(), true, 1);
    let mut some = [0; 1000];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut some).await.unwrap();
    drop(stream);
    stage.closed(id).await;
    assert!(stage.registry.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_large_response_is_written_once_it_is_read() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events/connect", &[], BATCH)).await;
    let (id, _) = stage.exchange().await;
    stage.registry.transmit(id, vec![b'x'; 4 << 20].into(), true, 1);
    let (head, body) = response(&mut stream).await;
    assert_eq!((status(&head), body.len()), (200, 4 << 20));
    let heard = stage.heard().await;
    assert!(matches!(heard, Happening::Answered { connection } if connection == id), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_with_which_token() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events", &["Authorization: Bearer s3cret"], BATCH)).await;
    let (id, peer) = stage.opened(Carrier::Exchange).await;
    assert_eq!(peer.bearer.as_ref().map(|token| token.reveal()), Some("s3cret"));
    assert!(!format!("{peer:?} {peer}").contains("s3cret"), "{peer:?}");
    stage.received(id).await;
    answer(&stage.registry, id, "[1]", true);
    response(&mut stream).await;
    assert!(matches!(stage.heard().await, Happening::Answered { .. }));
    // A token counts for the request that carries it.
    send(&mut stream, &post("/events", &[], BATCH)).await;
    let (_, peer) = stage.opened(Carrier::Exchange).await;
    assert_eq!(peer.bearer, None);
}

#[tokio::test(start_paused = true)]
async fn web_pages_that_are_allowed() {
    let mut stage = Stage::with_origins(Limits::default(), &["https://console.example"]).await;
    let origin = "Origin: https://console.example";
    let mut stream = stage.connect().await;
    let ask = format!(
        "OPTIONS /events HTTP/1.1\r\nHost: x\r\n{origin}\r\nAccess-Control-Request-Method: POST\r\n\r\n"
    );
    send(&mut stream, ask.as_bytes()).await;
    let (head, _) = response(&mut stream).await;
    assert_eq!(status(&head), 204);
    for line in [
        "access-control-allow-origin: https://console.example",
        "access-control-allow-methods: POST",
        "access-control-allow-headers: Content-Type, Authorization",
        "vary: Origin",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    send(&mut stream, &post("/events", &[origin], BATCH)).await;
    let (id, _) = stage.exchange().await;
    answer(&stage.registry, id, "[1]", true);
    let (head, _) = response(&mut stream).await;
    assert!(head.contains("access-control-allow-origin: https://console.example\r\n"), "{head}");
    let mut stream = stage.connect().await;
    send(&mut stream, ask.replace("console", "evil").as_bytes()).await;
    let (head, _) = response(&mut stream).await;
    assert!(status(&head) == 403 && !head.contains("access-control"), "{head}");
}

/// Several requests in one write: one after the other, each with its answer.
#[tokio::test(start_paused = true)]
async fn requests_may_follow_each_other_closely() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    let both = [post("/events", &[], "[1]"), post("/events", &["Connection: close"], "[2]")].concat();
    send(&mut stream, &both).await;
    let (first, batch) = stage.exchange().await;
    assert_eq!(batch, "[1]");
    answer(&stage.registry, first, "[1]", true);
    let (second, batch) = loop {
        match stage.heard().await {
            Happening::Answered { connection } if connection == first => {}
            Happening::Opened { connection, .. } => {
                let mut messages = Vec::new();
                while messages.is_empty() {
                    match stage.heard().await {
                        Happening::Answered { connection } if connection == first => {}
                        Happening::Received { messages: received, .. } => {
                            messages.extend(received.iter().map(<[u8]>::to_vec));
                        }
                        other => panic!("{other:?}"),
                    }
                }
                break (connection, messages.remove(0));
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(batch, b"[2]");
    answer(&stage.registry, second, "[2]", true);
    assert_eq!(response(&mut stream).await.1, "[1]");
    assert_eq!(response(&mut stream).await.1, "[2]");
    assert!(ends(&mut stream).await);
}
