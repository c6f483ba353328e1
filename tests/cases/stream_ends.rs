//! Streams that end with a response, or in spite of one: nothing of them stays, and what they have brought is had.

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::http::HttpConnection;
use cloud_channel_tests::message::{assert_accepted, channel};
use cloud_channel_tests::patience::within;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use cloud_channel_tests::stream::Address;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// More than there are places for connections without a session.
const STRANGERS: usize = 300;

fn request(version: &str, headers: &str, batch: &Value) -> String {
    let body = batch.to_string();
    let length = body.len();
    format!("POST /events {version}\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

fn handshake() -> Value {
    json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}])
}

/// What comes back on a stream of its own, up to its end.
async fn all_of(address: &Address, request: &str) -> String {
    let mut stream = address.open().await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    // An end by force is an end too: some of these deserve it.
    let _reset = within("the end of the stream", stream.read_to_end(&mut text)).await;
    String::from_utf8(text).unwrap()
}

/// The messages of the response to the last request of a stream.
async fn ask(address: &Address, batch: &Value) -> Vec<Value> {
    let text = all_of(address, &request("HTTP/1.1", "Connection: close\r\n", batch)).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{text}");
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn strangers_that_come_and_go_take_nobodys_place() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).tcp().start().await;
    let mut watcher = guest.join().await;
    let closing = request("HTTP/1.1", "Connection: close\r\n", &handshake());
    let old = request("HTTP/1.0", "", &handshake());
    let garbage = request("HTTP/1.1", "", &handshake()) + "\0\0\0\r\n\r\n";
    for request in [&closing, &old, &garbage] {
        for _ in 0..STRANGERS {
            let text = all_of(&guest.tcp(), request).await;
            assert!(text.contains("403::"), "{text}");
        }
    }
    for _ in 0..STRANGERS {
        let mut stream = guest.tcp().open().await.unwrap();
        stream.write_all(garbage.as_bytes()).await.unwrap();
    }
    watcher.status_when("all to be forgotten", |status| status["connections"] == 1).await;
    guest.join().await.leave().await;
    let replies = ask(&guest.unix(), &handshake()).await;
    assert_accepted(&replies[0]);
    guest.stop().await;
}

/// A session whose every request ends its stream: it gets its events once, and ends when it stays away.
#[tokio::test]
async fn what_a_last_response_brings_is_had() {
    let sandbox = Sandbox::machine();
    sandbox.write("etc/cloud-channel/config.yaml", "advice: {timeout: 1s, max-interval: 1s}\n");
    let guest = Launch::on(&sandbox).start().await;
    let mut publisher = guest.join().await;
    let address = guest.unix();
    let client = ask(&address, &handshake()).await.remove(0)["clientId"].clone();
    let connect = json!([{"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling"}]);
    let pattern = format!("/cloudinit/{INSTANCE}/hotplug/*");
    let subscribe = json!([{"channel": "/meta/subscribe", "clientId": client, "subscription": pattern}]);
    assert_accepted(&ask(&address, &connect).await[0]);
    assert_accepted(&ask(&address, &subscribe).await[0]);
    let hotplug = json!({"subsystem": "net", "action": "add", "attrs": {}});
    let happened = format!("/cloudinit/{INSTANCE}/hotplug/network");
    assert_accepted(&publisher.publish(&happened, "h", hotplug).await);
    let brought = ask(&address, &connect).await;
    assert_eq!(brought.iter().filter(|message| channel(message) == happened).count(), 1, "{brought:?}");
    publisher.waiting(0).await;
    publisher.status_when("the session to expire", |status| status["sessions"] == 1).await;
    publisher.status_when("nothing to be left", |status| status["connections"] == 1).await;
    guest.stop().await;
}

#[tokio::test]
async fn requests_have_to_say_whom_they_are_for() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    for address in [guest.tcp(), guest.unix()] {
        for path in ["/events", "/webhook", "/healthz", "/metrics"] {
            for host in ["", "Host: a\r\nHost: b\r\n", "Host: a b<>\r\n"] {
                let text = all_of(&address, &format!("GET {path} HTTP/1.1\r\n{host}\r\n")).await;
                assert!(text.starts_with("HTTP/1.1 400 "), "{path} {host}: {text}");
            }
        }
        let mut connection = HttpConnection::open(&address).await;
        assert_eq!(connection.request("GET", "/healthz", &[], b"").await.status, 200);
    }
    guest.stop().await;
}
