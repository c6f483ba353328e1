//! WebSockets: what is written from the driver's turn, what waits for the task, and how they end.

use cloud_channel_protocol::server::{Carrier, CloseReason};
use cloud_channel_protocol::{ConnectionId, Limits};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Stage, response, send, status};
use crate::happening::Happening;
use crate::transport::websocket::Sent;

/// A WebSocket to a stage, and its number there.
pub(super) struct Socket {
    stream: WebSocketStream<UnixStream>,
    pub(super) id: ConnectionId,
}

impl Socket {
    pub(super) async fn open(stage: &mut Stage) -> Self {
        let (stream, _) = client_async("ws://localhost/events", stage.connect().await).await.unwrap();
        let (id, _) = stage.opened(Carrier::Stream).await;
        Self { stream, id }
    }

    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    async fn text(&mut self) -> String {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("expected a text, got {other:?}"),
        }
    }

    pub(super) async fn close(&mut self) -> (u16, String) {
        match self.stream.next().await {
            Some(Ok(Message::Close(Some(frame)))) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("expected a close frame, got {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_writes_what_the_socket_takes() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut socket = Socket::open(&mut stage).await;
    for turn in 1..4 {
        for _ in 0..4 {
            assert_eq!(stage.registry.transmit(socket.id, "[1]".into(), true, turn), Sent::Whole);
            assert_eq!(socket.text().await, "[1]");
        }
    }
    // One connection does not get all of a turn: the next frame is its task's to write.
    assert_eq!(stage.registry.transmit(socket.id, "[2]".into(), true, 3), Sent::Later);
    let heard = stage.heard().await;
    assert!(matches!(heard, Happening::Writable { connection } if connection == socket.id), "{heard:?}");
    assert_eq!(socket.text().await, "[2]");
}

#[tokio::test(start_paused = true)]
async fn what_the_socket_does_not_take_follows_in_order() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut socket = Socket::open(&mut stage).await;
    let large = "x".repeat(4 << 20);
    assert_eq!(stage.registry.transmit(socket.id, large.clone().into(), true, 1), Sent::Later);
    // An answer to a ping waits for the end of the frame that is half out.
    socket.send_bytes(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i', 0x81, 0x81, 0, 0, 0, 0, b'y']).await;
    assert_eq!(stage.received(socket.id).await, ["y"]);
    assert_eq!(socket.text().await, large);
    let heard = stage.heard().await;
    assert!(matches!(heard, Happening::Writable { .. }), "{heard:?}");
    let pong = socket.stream.next().await;
    assert!(matches!(&pong, Some(Ok(Message::Pong(payload))) if payload.as_ref() == b"hi"), "{pong:?}");
    assert_eq!(stage.registry.transmit(socket.id, "[1]".into(), true, 2), Sent::Whole);
    assert_eq!(socket.text().await, "[1]");
}

#[tokio::test(start_paused = true)]
async fn one_read_is_one_happening() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut socket = Socket::open(&mut stage).await;
    socket.stream.feed(Message::text("[1]")).await.unwrap();
    socket.stream.feed(Message::text("[2]")).await.unwrap();
    socket.stream.flush().await.unwrap();
    let mut received = stage.received(socket.id).await;
    if received.len() == 1 {
        received.extend(stage.received(socket.id).await);
    }
    assert_eq!(received, ["[1]", "[2]"]);
    // By hand, they are surely in one write.
    socket.send_bytes(&[0x81, 0x81, 0, 0, 0, 0, b'a', 0x82, 0x81, 0, 0, 0, 0, b'b']).await;
    assert_eq!(stage.received(socket.id).await, ["a", "b"]);
}

/// Bytes that come with the request are part of the WebSocket.
#[tokio::test(start_paused = true)]
async fn frames_may_come_with_the_upgrade() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    let request = "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    send(&mut stream, &[request.as_bytes(), &[0x81, 0x81, 0, 0, 0, 0, b'a', 0x81]].concat()).await;
    let (head, _) = response(&mut stream).await;
    assert_eq!(status(&head), 101);
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    assert!(!head.contains("extensions"), "{head}");
    let (id, _) = stage.opened(Carrier::Stream).await;
    assert_eq!(stage.received(id).await, ["a"]);
    send(&mut stream, &[0x81, 0, 0, 0, 0, b'b']).await;
    assert_eq!(stage.received(id).await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn upgrades_that_are_none() {
    let stage = Stage::new(Limits::default()).await;
    let good = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for (at, bad, code) in [
        (0, "Connection: close", 426),
        (1, "Upgrade: h2c", 426),
        (2, "Sec-WebSocket-Version: 8", 426),
        (3, "Sec-WebSocket-Key: short", 400),
        (3, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==", 400),
        (3, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEh", 400),
        (3, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===", 400),
        (3, "X: y", 400),
    ] {
        let mut headers = good;
        headers[at] = bad;
        let mut stream = stage.connect().await;
        let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", headers.join("\r\n"));
        send(&mut stream, request.as_bytes()).await;
        let (head, body) = response(&mut stream).await;
        assert_eq!(status(&head), code, "{bad}: {head}{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_may_close() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut socket = Socket::open(&mut stage).await;
    let large = "x".repeat(1 << 20);
    stage.registry.transmit(socket.id, large.clone().into(), true, 1);
    stage.registry.close(socket.id, CloseReason::Moved);
    assert_eq!(stage.registry.transmit(socket.id, "[lost]".into(), true, 2), Sent::Later);
    assert_eq!(socket.text().await, large, "what was given before is written before");
    let heard = stage.heard().await;
    assert!(matches!(heard, Happening::Writable { .. }), "{heard:?}");
    let (code, reason) = socket.close().await;
    assert!(code == 1000 && reason.contains("another connection"), "{code} {reason}");
    stage.closed(socket.id).await;
    assert!(stage.registry.is_empty());

    let mut socket = Socket::open(&mut stage).await;
    socket.send_bytes(&[0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa0]).await;
    let (code, _) = socket.close().await;
    assert_eq!(code, 4000, "said back");
    stage.closed(socket.id).await;

    let mut socket = Socket::open(&mut stage).await;
    socket.send_bytes(&[0xc1, 0x81, 0, 0, 0, 0, b'x']).await;
    let (code, reason) = socket.close().await;
    assert!(code == 1002 && reason.contains("compression"), "{code} {reason}");
    stage.closed(socket.id).await;
}

/// What comes right before a close is answered before we close, and who is owed nothing does not wait.
#[tokio::test(start_paused = true)]
async fn the_answer_to_the_last_message_comes_before_the_close() {
    let mut stage = Stage::new(Limits::default()).await;
    // What the driver writes at once, and what is left to the task.
    for answer in ["[answer]".to_owned(), "x".repeat(4 << 20)] {
        let mut socket = Socket::open(&mut stage).await;
        socket.send_bytes(&[0x81, 0x81, 0, 0, 0, 0, b'q', 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await;
        assert_eq!(stage.received(socket.id).await, ["q"]);
        stage.registry.transmit(socket.id, answer.clone().into(), true, 1);
        assert_eq!(socket.text().await, answer);
        if answer.len() > 1000 {
            let heard = stage.heard().await;
            assert!(matches!(heard, Happening::Writable { .. }), "{heard:?}");
        }
        let begin = tokio::time::Instant::now();
        assert_eq!(socket.close().await.0, 1000);
        stage.closed(socket.id).await;
        assert_eq!(begin.elapsed(), std::time::Duration::ZERO, "nothing more is waited for");
    }
    // A message that nobody answers does not keep it for ever.
    let mut socket = Socket::open(&mut stage).await;
    socket.send_bytes(&[0x81, 0x81, 0, 0, 0, 0, b'q', 0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(stage.received(socket.id).await, ["q"]);
    let begin = tokio::time::Instant::now();
    stage.closed(socket.id).await;
    assert!(begin.elapsed() <= std::time::Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(stage.registry.transmit(socket.id, "[late]".into(), true, 1), Sent::Later);
}

/// A peer that is still sending when it is closed gets to read why.
#[tokio::test(start_paused = true)]
async fn the_last_words_are_not_overtaken() {
    let mut stage = Stage::new(Limits { batch_bytes: 1000, ..Limits::default() }).await;
    let mut socket = Socket::open(&mut stage).await;
    let mut bytes = vec![0x81, 0xff];
    bytes.extend_from_slice(&(1_u64 << 20).to_be_bytes());
    bytes.resize(1 << 20, 0);
    let (mut read, mut write) = tokio::io::split(socket.stream.get_mut());
    let sent = write.write_all(&bytes);
    let mut words = Vec::new();
    let heard = read.read_to_end(&mut words);
    let (sent, heard) = tokio::join!(sent, heard);
    sent.unwrap();
    heard.unwrap();
    assert_eq!(words[2..4], 1009_u16.to_be_bytes());
    assert!(String::from_utf8_lossy(&words).contains("1000 bytes"), "{words:?}");
    stage.closed(socket.id).await;
}

/// The driver is full: nothing more is read, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn who_sends_too_fast_waits() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut socket = Socket::open(&mut stage).await;
    let sending = tokio::spawn(async move {
        for number in 0..2000 {
            socket.stream.send(Message::text(format!("[{number},\"{}\"]", "x".repeat(2000)))).await.unwrap();
        }
        socket
    });
    let mut next = 0;
    let mut id = None;
    while next < 2000 {
        match stage.heard().await {
            Happening::Received { connection, messages } => {
                id = Some(connection);
                for message in messages.iter() {
                    assert!(message.starts_with(format!("[{next},").as_bytes()));
                    next += 1;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let socket = sending.await.unwrap();
    assert_eq!(id, Some(socket.id));
}
