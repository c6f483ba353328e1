//! A management server that speaks HTTP long-polling alone, with the test as its mind: each request is handed over, and
//! is answered, left waiting or cut as the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::patience::within;

/// Requests that wait for the test.
const QUEUE: usize = 64;

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct PollingServer {
    address: String,
    requests: mpsc::Receiver<Request>,
    load: Arc<Load>,
    accepting: JoinHandle<()>,
}

/// How many requests were under way at a time.
#[derive(Debug, Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A request that waits for its response. Dropped without one, its connection is cut.
#[derive(Debug)]
pub struct Request {
    /// The connection it came over, counted from 1.
    pub connection: usize,
    /// Its messages.
    pub messages: Vec<Value>,
    head: String,
    response: oneshot::Sender<Vec<u8>>,
}

impl PollingServer {
    /// Begins on a free port of the loopback.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        let (sender, requests) = mpsc::channel(QUEUE);
        let load = Arc::new(Load::default());
        let accepting = tokio::spawn(accept(listener, sender, load.clone()));
        Self { address, requests, load, accepting }
    }

    /// What guests dial.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/cometd", self.address)
    }

    /// The next request.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next(&mut self, what: &str) -> Request {
        within(what, self.requests.recv()).await.expect("the server goes on")
    }

    /// The next request, which has to be for this channel.
    ///
    /// # Panics
    /// If it is another.
    pub async fn expect(&mut self, channel: &str) -> Request {
        let request = self.next(channel).await;
        assert_eq!(request.channel(), channel, "{request:?}");
        request
    }

    /// The most requests that were ever under way at a time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.load.most.load(Ordering::SeqCst)
    }
}

impl Drop for PollingServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Request {
    /// The channel of its first message.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.messages[0]["channel"].as_str().expect("a message has a channel")
    }

    /// The request line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// A header's value, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let named = |line: &str| line.split_once(':').is_some_and(|(of, _)| of.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| named(line)).map_or("", |line| line[name.len() + 1..].trim())
    }

    /// Answers with messages; `headers` are whole lines.
    pub fn answer_with(self, headers: &[&str], messages: &Value) {
        self.respond("200 OK", headers, messages.to_string().as_bytes());
    }

    /// Answers with messages.
    pub fn answer(self, messages: &Value) {
        self.answer_with(&[], messages);
    }

    /// Says of each of its messages that all is well.
    pub fn accept(self) {
        let reply = |message: &Value| {
            let mut reply =
                serde_json::json!({"channel": message["channel"], "id": message["id"], "successful": true});
            if !message["subscription"].is_null() {
                reply["subscription"] = message["subscription"].clone();
            }
            reply
        };
        let replies: Value = self.messages.iter().map(reply).collect();
        self.answer(&replies);
    }

    /// Answers with anything.
    pub fn respond(self, status: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.write([head.as_bytes(), body].concat());
    }

    /// Answers with these bytes as they are.
    pub fn write(self, bytes: Vec<u8>) {
        // Who has gone meanwhile hears nothing.
        let _gone = self.response.send(bytes);
    }

    /// Cuts the connection.
    pub fn cut(self) {}
}

async fn accept(listener: TcpListener, requests: mpsc::Sender<Request>, load: Arc<Load>) {
    let mut connections = JoinSet::new();
    for number in 1.. {
        let (stream, _) = listener.accept().await.expect("a listener accepts");
        connections.spawn(serve(stream, number, requests.clone(), load.clone()));
    }
}

/// One connection, until it is cut or either side closes it.
async fn serve(mut stream: TcpStream, connection: usize, requests: mpsc::Sender<Request>, load: Arc<Load>) {
    while let Some((head, body)) = read_request(&mut stream).await {
        let messages = serde_json::from_slice(&body).expect("a request is an array of messages");
        let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
        load.most.fetch_max(now, Ordering::SeqCst);
        let (response, answered) = oneshot::channel();
        if requests.send(Request { connection, messages, head, response }).await.is_err() {
            return;
        }
        let answered = tokio::select! {
            bytes = answered => bytes.ok(),
            // Nothing more comes before the response: it is the end.
            _ = stream.read_u8() => None,
        };
        load.now.fetch_sub(1, Ordering::SeqCst);
        let Some(bytes) = answered else { return };
        let closes = String::from_utf8_lossy(&bytes).contains("Connection: close");
        if stream.write_all(&bytes).await.is_err() || closes {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("the head of a request is text");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.expect("a POST has a length")];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}
