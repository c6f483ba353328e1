//! Strangers who send the beginnings of large messages and no ends: the daemon's memory stays small, they are told to come
//! again, and who comes another way does not notice.

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::message::assert_accepted;
use cloud_channel_tests::patience::within;
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::stream::{Address, Stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

/// A message that is as large as it may be.
const LARGE: usize = 1 << 20;
/// Streams that send one, all but its end.
const SOCKETS: usize = 100;
const REQUESTS: usize = 20;
/// What fits in at a time, with some to spare: the others are turned away.
const HELD: usize = 17;
/// What the daemon may grow by: the room for large messages, what is free of all the others, and slack.
const GROWTH: u64 = 32 << 20;

/// The most memory the daemon has had resident so far (proc_pid_status(5)), in bytes.
fn peak(guest: &Guest<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", guest.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

async fn head(stream: &mut Stream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer has a head"));
    }
    String::from_utf8(head).unwrap()
}

/// A WebSocket message without its end; the code of the close frame that answers it.
async fn unfinished_message(address: Address) -> u16 {
    let mut stream = address.open().await.unwrap();
    let upgrade = "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
    let mut bytes = vec![0x81, 0xff];
    bytes.extend_from_slice(&(LARGE as u64).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.resize(LARGE, b' ');
    // It may be turned away before all is written.
    let _closed_early = stream.write_all(&bytes).await;
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).await.expect("a close frame");
    assert_eq!(frame[0], 0x88, "{frame:?}");
    u16::from_be_bytes([frame[2], frame[3]])
}

/// A request without the end of its body; the head of its answer.
async fn unfinished_request(address: Address) -> String {
    let mut stream = address.open().await.unwrap();
    let mut bytes =
        format!("POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n").into_bytes();
    bytes.resize(LARGE, b' ');
    let _closed_early = stream.write_all(&bytes).await;
    head(&mut stream).await
}

#[tokio::test]
async fn unfinished_messages_of_strangers_cost_no_more_than_their_room() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).tcp().start().await;
    let mut peer = guest.join().await;
    peer.status().await;
    let before = peak(&guest);

    let mut sockets: JoinSet<u16> = (0..SOCKETS).map(|_| unfinished_message(guest.tcp())).collect();
    for _ in HELD..SOCKETS {
        let code = within("a close frame", sockets.join_next()).await.unwrap().unwrap();
        assert_eq!(code, 1013, "try again later");
    }
    // The rest holds its room for as long as a message may take; requests find none.
    let mut requests: JoinSet<String> = (0..REQUESTS).map(|_| unfinished_request(guest.tcp())).collect();
    for _ in 3..REQUESTS {
        let head = within("an answer", requests.join_next()).await.unwrap().unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: "), "{head}");
    }

    // On the Unix socket there is room for the largest batches, and on TCP for what is small.
    the_largest_batches_come_through(&mut peer).await;
    let mut small = Peer::open(&guest.tcp()).await;
    let reply = small.handshake().await;
    assert!(reply["channel"] == "/meta/handshake", "{reply}");
    let growth = peak(&guest).saturating_sub(before);
    assert!(growth < GROWTH, "the daemon grew by {growth} bytes");
    let told = sandbox.log().matches("no room for large input").count();
    assert!((1..10).contains(&told), "said, and not for each: {told}");
    guest.stop().await;
}

async fn the_largest_batches_come_through(peer: &mut Peer) {
    let client = peer.client().to_owned();
    for round in 0..5 {
        let data = "x".repeat(LARGE / 4 - 200);
        let message = |number: usize| {
            let id = format!("{round}-{number}");
            json!({"channel": "/custom/large", "id": id, "clientId": client, "data": data})
        };
        let batch: Vec<Value> = (0..4).map(message).collect();
        peer.send_frame(Message::text(json!(batch).to_string())).await;
        let last = format!("{round}-3");
        let reply = peer.reply("the last reply of a large batch", |reply| reply["id"] == last.as_str()).await;
        assert_accepted(&reply);
    }
}
