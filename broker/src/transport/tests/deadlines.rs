//! Peers that are late: with a head, a body, a message, with reading, or with everything.

use std::time::Duration;

use cloud_channel_protocol::Limits;
use cloud_channel_protocol::server::Carrier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use super::sockets::Socket;
use super::{Stage, ends, post, response, send, status};
use crate::happening::Happening;
use crate::transport::{HEAD_DEADLINE, KEEP_ALIVE, MESSAGE_DEADLINE, WRITE_DEADLINE};

/// Virtual time passes in steps of the runtime's timer.
const TICK: Duration = Duration::from_millis(5);

fn assert_about(elapsed: Duration, expected: Duration) {
    assert!(elapsed >= expected && elapsed < expected + TICK, "after {elapsed:?}, expected {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    let begin = Instant::now();
    assert!(ends(&mut stream).await);
    assert_about(begin.elapsed(), HEAD_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_slowly() {
    let stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    let begin = Instant::now();
    let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for byte in head.bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!(ends(&mut stream).await);
    assert!(begin.elapsed() < HEAD_DEADLINE + Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_slowly() {
    let limits = Limits { handshake_deadline: Duration::from_secs(7), ..Limits::default() };
    let stage = Stage::new(limits).await;
    for path in ["/events/connect", "/webhook"] {
        let mut stream = stage.connect().await;
        let request = post(path, &[], "[{}]");
        send(&mut stream, &request[..request.len() - 1]).await;
        let begin = Instant::now();
        let (head, _) = response(&mut stream).await;
        assert_eq!(status(&head), 408, "{head}");
        let expected = Duration::from_secs(if path == "/webhook" { 30 } else { 7 });
        assert_about(begin.elapsed(), expected);
        assert!(ends(&mut stream).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_the_next_request_and_not_for_ever() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    for _ in 0..3 {
        send(&mut stream, &post("/events", &[], "[]")).await;
        let (id, _) = stage.exchange().await;
        // A connect may be held for as long as it likes.
        sleep(Duration::from_secs(1000)).await;
        stage.registry.transmit(id, "[1]".into(), true, 1);
        response(&mut stream).await;
        stage.heard().await;
        sleep(KEEP_ALIVE - Duration::from_secs(1)).await;
    }
    send(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(response(&mut stream).await.1, "ok\n");
    let begin = Instant::now();
    assert!(ends(&mut stream).await);
    assert_about(begin.elapsed(), KEEP_ALIVE);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_read() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events/connect", &[], "[]")).await;
    let (id, _) = stage.exchange().await;
    let begin = Instant::now();
    stage.registry.transmit(id, vec![b'x'; 4 << 20].into(), true, 1);
    stage.closed(id).await;
    assert_about(begin.elapsed(), WRITE_DEADLINE);
}

/// Who takes little, but does not cease to, gets all of it however long that takes.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_read_slowly() {
    const SIZE: usize = 4 << 20;
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    send(&mut stream, &post("/events/connect", &[], "[]")).await;
    let (id, _) = stage.exchange().await;
    let begin = Instant::now();
    stage.registry.transmit(id, vec![b'x'; SIZE].into(), true, 1);
    let mut some = vec![0; 256 * 1024];
    let mut read = 0;
    while read < SIZE {
        sleep(WRITE_DEADLINE - Duration::from_secs(1)).await;
        // As much as a socket holds, so that the system has taken some more whenever the deadline comes.
        stream.read_exact(&mut some).await.expect("the response goes on");
        read += some.len();
    }
    assert!(begin.elapsed() > 10 * WRITE_DEADLINE, "{:?}", begin.elapsed());
    let heard = stage.heard().await;
    assert!(matches!(heard, Happening::Answered { connection } if connection == id), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_not_read() {
    let mut stage = Stage::new(Limits::default()).await;
    let socket = Socket::open(&mut stage).await;
    let begin = Instant::now();
    stage.registry.transmit(socket.id, vec![b'x'; 4 << 20].into(), true, 1);
    stage.closed(socket.id).await;
    assert_about(begin.elapsed(), WRITE_DEADLINE);
}

/// Slow is not late: who takes some of a frame now and then gets all of it, however long that takes.
#[tokio::test(start_paused = true)]
async fn a_frame_that_is_read_slowly() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut stream = stage.connect().await;
    let request = "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    send(&mut stream, request.as_bytes()).await;
    response(&mut stream).await;
    let (id, _) = stage.opened(Carrier::Stream).await;
    let size = 1 << 20;
    stage.registry.transmit(id, vec![b'x'; size].into(), true, 1);
    let mut piece = [0; 8 * 1024];
    let mut rest = size + 10;
    let begin = Instant::now();
    while rest > 0 {
        let now = piece.len().min(rest);
        stream.read_exact(&mut piece[..now]).await.expect("it is not cut off");
        rest -= now;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(begin.elapsed() > 4 * WRITE_DEADLINE, "{:?}", begin.elapsed());
    let heard = stage.heard().await;
    assert!(matches!(heard, Happening::Writable { connection } if connection == id), "{heard:?}");
    // The next one it does not take at all.
    let begin = Instant::now();
    stage.registry.transmit(id, vec![b'x'; size].into(), true, 2);
    stage.closed(id).await;
    assert_about(begin.elapsed(), WRITE_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_finished() {
    let mut stage = Stage::new(Limits::default()).await;
    let mut socket = Socket::open(&mut stage).await;
    let begin = Instant::now();
    // One that is finished, and the header of another.
    socket.send_bytes(&[0x81, 0x81, 0, 0, 0, 0, b'x', 0x81]).await;
    assert_eq!(stage.received(socket.id).await, ["x"]);
    stage.closed(socket.id).await;
    assert_about(begin.elapsed(), MESSAGE_DEADLINE);
    let (code, reason) = socket.close().await;
    assert!(code == 1008 && reason.contains("too long"), "{code} {reason}");
}

/// The door is full of those who do nothing: the one that is idle longest makes room, and only one at a time.
#[tokio::test(start_paused = true)]
async fn idle_connections_make_room_for_newcomers() {
    let limits = Limits { sessions: 1, unbound_connections: 1, ..Limits::default() };
    let mut stage = Stage::new(limits).await;
    let healthz = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut stream = stage.connect().await;
        send(&mut stream, healthz).await;
        response(&mut stream).await;
        idle.push(stream);
        sleep(TICK).await;
    }
    let mut busy = stage.connect().await;
    send(&mut busy, &post("/events/connect", &[], "[]")).await;
    let (id, _) = stage.opened(Carrier::Exchange).await;
    stage.received(id).await;
    let begin = Instant::now();
    let mut newcomer = stage.connect().await;
    send(&mut newcomer, healthz).await;
    assert_eq!(response(&mut newcomer).await.1, "ok\n");
    assert!(ends(&mut idle[0]).await);
    assert_eq!(begin.elapsed(), Duration::ZERO, "nobody had to be waited for");
    send(&mut idle[1], healthz).await;
    assert_eq!(response(&mut idle[1]).await.1, "ok\n", "one was enough");
    stage.registry.transmit(id, "[1]".into(), true, 1);
    assert_eq!(response(&mut busy).await.1, "[1]", "who does something is left alone");
}
