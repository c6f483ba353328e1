//! Bayeux over HTTP long-polling: sessions, held connects, and what becomes of events when a response is cut.

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::http::HttpConnection;
use cloud_channel_tests::message::{assert_accepted, assert_refused, channel};
use cloud_channel_tests::patience::within;
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::stream::{Address, Stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A session over long-polling. It says by hand what clients' libraries do by themselves.
struct Poller {
    address: Address,
    connection: HttpConnection,
    client: String,
}

impl Poller {
    /// Shakes hands, and makes the first connect, which is answered at once.
    async fn join(address: &Address) -> Self {
        let connection = HttpConnection::open(address).await;
        let mut poller = Self { address: address.clone(), connection, client: String::new() };
        let hello = json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]});
        let reply = poller.ask("/handshake", &json!([hello])).await.remove(0);
        assert_accepted(&reply);
        poller.client = reply["clientId"].as_str().unwrap().to_owned();
        let connected = poller.connect().await;
        assert_eq!(connected.len(), 1, "{connected:?}");
        poller
    }

    fn connect_message(&self) -> Value {
        json!({"channel": "/meta/connect", "id": "c", "clientId": self.client, "connectionType": "long-polling"})
    }

    /// One request on the connection that is kept.
    async fn ask(&mut self, path: &str, batch: &Value) -> Vec<Value> {
        post(&mut self.connection, path, batch).await
    }

    /// One connect: what its response brings.
    async fn connect(&mut self) -> Vec<Value> {
        let connect = self.connect_message();
        self.ask("/connect", &json!([connect])).await
    }

    async fn subscribe(&mut self, pattern: &str) {
        let subscribe =
            json!({"channel": "/meta/subscribe", "clientId": self.client, "subscription": pattern});
        assert_accepted(&self.ask("", &json!(subscribe)).await[0]);
    }

    /// Sends a connect on a stream of its own and does not wait for its response.
    async fn hold_connect(&self) -> Stream {
        let mut stream = self.address.open().await.unwrap();
        let body = json!([self.connect_message()]).to_string();
        let request = format!(
            "POST /events/connect HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

async fn post(connection: &mut HttpConnection, path: &str, batch: &Value) -> Vec<Value> {
    let response =
        connection.request("POST", &format!("/events{path}"), &[], batch.to_string().as_bytes()).await;
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

/// The messages of a response that is read to its end.
async fn read_response(mut stream: Stream) -> Vec<Value> {
    let mut text = String::new();
    while serde_json::from_str::<Vec<Value>>(body(&text)).is_err() {
        let mut some = [0; 4096];
        let read = within("a response", stream.read(&mut some)).await.unwrap();
        assert!(read > 0, "the stream ended: {text}");
        text.push_str(std::str::from_utf8(&some[..read]).unwrap());
    }
    serde_json::from_str(body(&text)).unwrap()
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn numbers<'m>(messages: impl IntoIterator<Item = &'m Value>) -> Vec<u64> {
    let events = messages.into_iter().filter(|message| channel(message).starts_with("/custom/"));
    events.filter_map(|event| event["data"]["number"].as_u64()).collect()
}

#[tokio::test]
async fn a_session_from_its_handshake_to_its_end() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut poller = Poller::join(&guest.tcp()).await;
    let mut other = guest.join().await;
    other.subscribe("/custom/**").await;
    poller.subscribe("/custom/*").await;

    // A held connect brings the event, and meanwhile other requests pass.
    let held = poller.hold_connect().await;
    other.status_when("the connect to be held", |status| status["connections"] == 2).await;
    let publish =
        json!([{"channel": "/custom/up", "id": "p", "clientId": poller.client, "data": {"number": 1}}]);
    let replies = poller.ask("/", &publish).await;
    let reply = replies.iter().find(|reply| reply["id"] == "p").unwrap();
    assert_accepted(reply);
    other.event("the event over the WebSocket", |event| numbers([event]) == [1]).await;
    assert_accepted(&other.publish("/custom/down", "d", json!({"number": 2})).await);
    let brought = read_response(held).await;
    let heard: Vec<u64> = numbers(replies.iter().chain(&brought));
    assert!(heard.ends_with(&[2]) || heard == [1], "{replies:?} {brought:?}");
    let heard = if heard.contains(&2) { heard } else { [heard, numbers(&poller.connect().await)].concat() };
    assert_eq!(heard, [1, 2], "each once, and in order");

    // The end of the session releases what is held.
    let held = poller.hold_connect().await;
    other.status_when("the connect to be held", |status| status["connections"] == 2).await;
    let disconnect = json!([{"channel": "/meta/disconnect", "clientId": poller.client}]);
    assert_accepted(&poller.ask("/disconnect", &disconnect).await[0]);
    let released = read_response(held).await;
    assert_eq!(released[0]["advice"]["reconnect"], "none", "{released:?}");
    let gone = poller.connect().await.remove(0);
    assert_refused(&gone, &["402::"]);
    assert_eq!(gone["advice"]["reconnect"], "handshake", "{gone}");
    guest.stop().await;
}

/// The client hangs up while its connect is held: the daemon notices, and what comes later waits for the next connect.
#[tokio::test]
async fn who_hangs_up_misses_nothing() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    for address in [guest.tcp(), guest.unix()] {
        is_missed_at_once(&address).await;
    }
    guest.stop().await;
}

/// Also if it has sent more behind its connect: a line end, or the beginning of its next request.
pub(crate) async fn is_missed_at_once(address: &Address) {
    let mut publisher = Peer::join(address).await;
    for trail in ["", "\r\n", "POST /events HTTP/1.1\r\n"] {
        let mut poller = Poller::join(address).await;
        poller.subscribe("/custom/**").await;
        let mut held = poller.hold_connect().await;
        held.write_all(trail.as_bytes()).await.unwrap();
        publisher.status_when("the connect to be held", |status| status["connections"] == 2).await;
        drop(held);
        publisher.status_when("the connect to be let go", |status| status["connections"] == 1).await;
        for number in 0..3 {
            assert_accepted(&publisher.publish("/custom/x", "", json!({"number": number})).await);
        }
        assert_eq!(numbers(&poller.connect().await), [0, 1, 2], "{trail:?}");
    }
    publisher.leave().await;
}

/// A response larger than what sockets hold is cut in its middle: its events come again, in order.
#[tokio::test]
async fn what_a_cut_response_held_comes_again() {
    const EVENTS: u64 = 60;
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut poller = Poller::join(&guest.unix()).await;
    poller.subscribe("/custom/**").await;
    let mut publisher = guest.join().await;
    let filler = "x".repeat(16 * 1024);
    for number in 0..EVENTS {
        assert_accepted(
            &publisher.publish("/custom/x", "", json!({"number": number, "filler": filler})).await,
        );
    }
    let mut held = poller.hold_connect().await;
    let mut some = [0; 20_000];
    within("the beginning of the response", held.read_exact(&mut some)).await.unwrap();
    assert!(some.starts_with(b"HTTP/1.1 200 "));
    drop(held);
    publisher.status_when("the stream to be gone", |status| status["connections"] == 1).await;
    assert_eq!(numbers(&poller.connect().await), (0..EVENTS).collect::<Vec<u64>>());
    guest.stop().await;
}

/// Some clients always begin over long-polling and go on over a WebSocket.
#[tokio::test]
async fn a_session_may_move_to_a_websocket() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut poller = Poller::join(&guest.unix()).await;
    poller.subscribe("/custom/**").await;
    let held = poller.hold_connect().await;
    let mut peer = Peer::resume(&guest.unix(), &poller.client).await;
    peer.status().await;
    let released = read_response(held).await;
    assert_eq!(channel(&released[0]), "/meta/connect", "{released:?}");
    assert_accepted(&peer.publish("/custom/x", "", json!({"number": 7})).await);
    peer.event("the event over the WebSocket", |event| numbers([event]) == [7]).await;
    guest.stop().await;
}

/// The end of the daemon is no reason to leave a client without its response.
#[tokio::test]
async fn the_end_of_the_daemon_answers_who_waits() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let poller = Poller::join(&guest.unix()).await;
    let mut watcher = guest.join().await;
    let held = poller.hold_connect().await;
    watcher.status_when("the connect to be held", |status| status["connections"] == 2).await;
    guest.terminate();
    let released = read_response(held).await;
    assert_eq!(channel(&released[0]), "/meta/connect", "{released:?}");
    guest.end().await;
}

#[tokio::test]
async fn hostile_requests_are_told_what_is_wrong() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut watcher = guest.join().await;
    let many: Vec<Value> = (0..50_000).map(|_| json!({"channel": "/a"})).collect();
    for (body, status, part) in [
        (String::new(), 400, "400:"),
        ("nonsense".to_owned(), 400, "400:"),
        ("[".repeat(100_000), 400, "400:"),
        (json!(many).to_string(), 400, "413:"),
        (" ".repeat(2 << 20), 413, "413::"),
        (json!([{"channel": "/meta/connect", "clientId": "x"}]).to_string(), 200, "402::"),
    ] {
        let mut connection = HttpConnection::open(&guest.unix()).await;
        let response = connection.request("POST", "/events", &[], body.as_bytes()).await;
        let shown: String = response.body.chars().take(300).collect();
        assert_eq!(response.status, status, "{body:.20}: {shown}");
        let replies: Vec<Value> = serde_json::from_str(&response.body).unwrap();
        assert_refused(&replies[0], &[part]);
    }
    watcher.status().await;
    guest.stop().await;
}
