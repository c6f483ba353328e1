//! Large input that nobody has looked at: who finds no room for it is told so, and there is room again afterwards.

use std::time::Duration;

use cloud_channel_protocol::Limits;
use tokio::time::sleep;

use super::sockets::Socket;
use super::{Stage, post, response, send, status};
use crate::transport::{HEAD_DEADLINE, MESSAGE_DEADLINE};

/// Room for one message of the size that is sent here, and not for two.
const ROOM: usize = 256 * 1024;
const LARGE: usize = 200 * 1024;

async fn stage() -> Stage {
    Stage::new(Limits { input_bytes: ROOM, ..Limits::default() }).await
}

/// A text frame, whose mask is zero.
fn frame(size: usize) -> Vec<u8> {
    let mut bytes = vec![0x81, 0xff];
    bytes.extend_from_slice(&(size as u64).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.resize(bytes.len() + size, b'x');
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_finds_no_room() {
    let mut stage = stage().await;
    let (mut first, mut second) = (Socket::open(&mut stage).await, Socket::open(&mut stage).await);
    let large = frame(LARGE);
    first.send_bytes(&large[..LARGE]).await;
    // All of it has been read when there is nothing left to do.
    sleep(Duration::from_secs(1)).await;
    second.send_bytes(&frame(10_000)).await;
    assert_eq!(stage.received(second.id).await, ["x".repeat(10_000)], "what is small is free");
    second.send_bytes(&large[..LARGE / 2]).await;
    stage.closed(second.id).await;
    let (code, reason) = second.close().await;
    assert!(code == 1013 && reason.contains("try again later"), "{code} {reason}");

    first.send_bytes(&large[LARGE..]).await;
    let waiting = stage.heard().await;
    let mut third = Socket::open(&mut stage).await;
    third.send_bytes(&large[..LARGE / 2]).await;
    stage.closed(third.id).await;
    assert_eq!(third.close().await.0, 1013, "what waits for the driver is not processed");
    drop(waiting);
    let mut fourth = Socket::open(&mut stage).await;
    fourth.send_bytes(&large).await;
    assert_eq!(stage.received(fourth.id).await[0].len(), LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_finds_no_room() {
    let mut stage = stage().await;
    let body = "x".repeat(LARGE);
    let request = post("/events", &[], &body);
    let mut first = stage.connect().await;
    send(&mut first, &request[..LARGE]).await;
    sleep(Duration::from_secs(1)).await;
    let mut second = stage.connect().await;
    send(&mut second, &request[..LARGE / 2]).await;
    let (head, text) = response(&mut second).await;
    assert_eq!(status(&head), 503, "{head}");
    assert!(head.contains("retry-after: 10\r\n"), "{head}");
    assert!(text.contains(r#""error":"503::no memory"#), "{text}");
    let mut small = stage.connect().await;
    send(&mut small, &post("/events", &[], "[1]")).await;
    assert_eq!(stage.exchange().await.1, "[1]", "what is small is free");

    // The first one goes on, and waits for the driver.
    send(&mut first, &request[LARGE..]).await;
    let opened = stage.heard().await;
    let received = stage.heard().await;
    let mut third = stage.connect().await;
    send(&mut third, &request[..LARGE / 2]).await;
    assert_eq!(status(&response(&mut third).await.0), 503);
    drop((opened, received));
    let mut fourth = stage.connect().await;
    send(&mut fourth, &request).await;
    assert_eq!(stage.exchange().await.1.len(), LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_finds_no_room() {
    let stage = stage().await;
    let request = post("/webhook", &[], &"x".repeat(LARGE));
    let mut first = stage.connect().await;
    send(&mut first, &request[..LARGE]).await;
    sleep(Duration::from_secs(1)).await;
    let mut second = stage.connect().await;
    send(&mut second, &request[..LARGE / 2]).await;
    let (head, _) = response(&mut second).await;
    assert!(status(&head) == 503 && head.contains("retry-after: 10\r\n"), "{head}");
    send(&mut first, &request[LARGE..]).await;
    assert_eq!(status(&response(&mut first).await.0), 400, "it has come, and is no report");
    let mut third = stage.connect().await;
    send(&mut third, &request).await;
    assert_eq!(status(&response(&mut third).await.0), 400, "there is room again");
}

/// Who stalls, in a request or a frame, holds its room no longer than its deadline.
#[tokio::test(start_paused = true)]
async fn room_comes_back_when_input_is_given_up() {
    let mut stage = stage().await;
    let request = post("/events", &[], &"x".repeat(LARGE));
    let mut stalled = stage.connect().await;
    send(&mut stalled, &request[..LARGE]).await;
    sleep(HEAD_DEADLINE + Duration::from_secs(1)).await;
    assert_eq!(status(&response(&mut stalled).await.0), 408);
    let mut socket = Socket::open(&mut stage).await;
    socket.send_bytes(&frame(LARGE)[..LARGE]).await;
    sleep(MESSAGE_DEADLINE + Duration::from_secs(1)).await;
    stage.closed(socket.id).await;
    let mut cut = stage.connect().await;
    send(&mut cut, &request[..LARGE]).await;
    sleep(Duration::from_secs(1)).await;
    drop(cut);
    let mut next = stage.connect().await;
    send(&mut next, &request).await;
    assert_eq!(stage.exchange().await.1.len(), LARGE);
}
