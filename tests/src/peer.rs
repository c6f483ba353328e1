//! A Bayeux client over WebSocket, for tests: raw JSON on the wire and none of the product's code.
//!
//! It reads only while it waits for something. What comes meanwhile is kept in order: [`Peer::events`] is everything
//! it was ever delivered.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::message::{finishes, is_finish};
use crate::patience::{PATIENCE, PAUSE, within};
use crate::sandbox::INSTANCE;
use crate::stream::{Address, Stream};

/// One WebSocket, and the session over it once there is one.
pub struct Peer {
    socket: WebSocketStream<Stream>,
    client: Option<String>,
    last_id: u64,
    replies: Vec<Value>,
    answered_connects: usize,
    events: Vec<Value>,
    /// How the other side closed: code and reason.
    closed: Option<(u16, String)>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({} events, closed {:?})", self.events.len(), self.closed)
    }
}

impl Peer {
    /// Opens a WebSocket and does nothing on it.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn open(address: &Address) -> Self {
        let stream = within("a stream", address.open()).await;
        Self::over(stream.unwrap_or_else(|error| panic!("cannot reach {address:?}: {error}")), &[]).await
    }

    /// Opens a WebSocket over a stream that is open, with further headers.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn over(stream: Stream, headers: &[(&'static str, String)]) -> Self {
        use tungstenite::client::IntoClientRequest;
        let mut request = "ws://localhost/events".into_client_request().expect("the request is valid");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("the header is valid"));
        }
        let (socket, _) = within("a WebSocket", client_async(request, stream))
            .await
            .unwrap_or_else(|error| panic!("no WebSocket: {error}"));
        Self {
            socket,
            client: None,
            last_id: 0,
            replies: Vec::new(),
            answered_connects: 0,
            events: Vec::new(),
            closed: None,
        }
    }

    /// Opens a session and holds a connect.
    pub async fn join(address: &Address) -> Self {
        let mut peer = Self::open(address).await;
        let reply = peer.handshake().await;
        assert_eq!(reply["successful"], true, "{reply}");
        peer.hold_connect().await;
        peer
    }

    /// Takes up the session of another peer, whose stream is gone, on a new one.
    pub async fn resume(address: &Address, client: &str) -> Self {
        let mut peer = Self::open(address).await;
        peer.client = Some(client.to_owned());
        peer.last_id = 1_000_000;
        peer.hold_connect().await;
        peer
    }

    /// Shakes hands; the session is used from now on.
    pub async fn handshake(&mut self) -> Value {
        self.handshake_with(Value::Null).await
    }

    /// Shakes hands with an `ext`, unless that is null.
    pub async fn handshake_with(&mut self, ext: Value) -> Value {
        let mut hello = json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"]});
        if !ext.is_null() {
            hello["ext"] = ext;
        }
        let reply = self.request(hello).await;
        self.client = reply["clientId"].as_str().map(ToOwned::to_owned);
        reply
    }

    /// The session's id.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn client(&self) -> &str {
        self.client.as_deref().expect("the peer has shaken hands")
    }

    /// The session's id for messages that are put together by hand; null if there is no session.
    #[must_use]
    pub fn session(&self) -> Value {
        self.client.clone().map_or(Value::Null, Value::from)
    }

    /// Sends a message that names its session itself, if any, and waits for its reply, a connect's too.
    pub async fn request_as_it_is(&mut self, message: Value) -> Value {
        let client = self.client.take();
        let reply = self.request(message).await;
        self.client = client;
        reply
    }

    /// Sends a connect and does not wait for its reply.
    pub async fn hold_connect(&mut self) {
        self.last_id += 1;
        let id = self.last_id.to_string();
        let connect = json!([
            {"channel": "/meta/connect", "id": id, "clientId": self.client(), "connectionType": "websocket"}
        ]);
        // A server that ends answers the held connect and closes: the next one need not reach it.
        self.try_send_frame(Message::text(connect.to_string())).await;
    }

    /// Sends one message as it is.
    pub async fn send(&mut self, message: &Value) {
        self.send_frame(Message::text(json!([message]).to_string())).await;
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// If the stream does not take it.
    pub async fn send_frame(&mut self, frame: Message) {
        within("a frame to be taken", self.socket.send(frame)).await.expect("the stream takes a frame");
    }

    /// Sends a frame to a peer that may close while it is being sent.
    pub async fn try_send_frame(&mut self, frame: Message) {
        // It may close before it has read all; what it says of it is read afterwards.
        let _closed_early = within("a frame to be taken", self.socket.send(frame)).await;
    }

    /// Sends a message, with an id and the session's id where it has none, and waits for its reply.
    pub async fn request(&mut self, mut message: Value) -> Value {
        if message["id"].is_null() {
            self.last_id += 1;
            message["id"] = format!("peer-{}", self.last_id).into();
        }
        if message["clientId"].is_null() && self.client.is_some() {
            message["clientId"] = self.client().into();
        }
        let id = message["id"].clone();
        self.send(&message).await;
        self.reply(&format!("the reply to {id} on {}", message["channel"]), |reply| reply["id"] == id).await
    }

    /// Waits for a reply.
    ///
    /// # Panics
    /// If the stream ends instead, or it takes too long.
    pub async fn reply(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(at) = self.replies.iter().position(&wanted) {
                return self.replies.remove(at);
            }
            self.read(what).await;
        }
    }

    /// Subscribes, which must be allowed.
    pub async fn subscribe(&mut self, pattern: &str) {
        let reply = self.request(json!({"channel": "/meta/subscribe", "subscription": pattern})).await;
        assert_eq!(reply["successful"], true, "{reply}");
    }

    /// Publishes and waits for the reply.
    pub async fn publish(&mut self, channel: &str, id: &str, data: Value) -> Value {
        self.request(json!({"channel": channel, "id": id, "data": data})).await
    }

    /// Pushes config to a module and waits for the reply.
    pub async fn push(&mut self, module: &str, id: &str, data: Value) -> Value {
        self.publish(&format!("/cloudinit/{INSTANCE}/config/set/{module}"), id, data).await
    }

    /// Pushes config that must be accepted, and waits for its end.
    pub async fn push_through(&mut self, module: &str, id: &str, data: Value) -> Value {
        let reply = self.push(module, id, data).await;
        assert_eq!(reply["successful"], true, "{reply}");
        self.finish(id).await
    }

    /// Waits for the finish that a push caused.
    pub async fn finish(&mut self, push: &str) -> Value {
        self.event(&format!("the finish of {push}"), |event| finishes(event, push)).await
    }

    /// Waits for an event; the first that was ever delivered and fits.
    pub async fn event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(found) = self.events.iter().find(|event| wanted(event)) {
                return found.clone();
            }
            self.read(what).await;
        }
    }

    /// How many of its held connects were answered.
    #[must_use]
    pub fn answered_connects(&self) -> usize {
        self.answered_connects
    }

    /// Every event so far, in order.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// Every finish so far, in order.
    pub fn finishes(&self) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(|event| is_finish(event))
    }

    /// Asks for the daemon's status. What was delivered before the answer has been read then.
    pub async fn status(&mut self) -> Value {
        self.last_id += 1;
        let id = format!("status-{}", self.last_id);
        let reply = self.publish("/service/cloud-channel/status", &id, json!({})).await;
        assert_eq!(reply["successful"], true, "{reply}");
        self.answer(&id).await
    }

    /// Asks for the daemon's status until it is as wanted. Each look is a round trip, so nothing spins.
    ///
    /// # Panics
    /// If it never is.
    pub async fn status_when(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "waited {PATIENCE:?} in vain for {what}, got {status}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until so many events wait for somebody who takes them.
    pub async fn waiting(&mut self, events: u64) {
        self.status_when(&format!("{events} waiting events"), |status| status["events"]["waiting"] == events)
            .await;
    }

    /// The answer to a question, by its cause.
    pub async fn answer(&mut self, question: &str) -> Value {
        let event = self
            .event(&format!("the answer to {question}"), |event| {
                event["ext"]["cloudinit"]["cause"] == question
            })
            .await;
        event["data"].clone()
    }

    /// Waits for the other side to close: code and reason. A stream that just ends has code 0.
    pub async fn close(&mut self) -> (u16, String) {
        while self.closed.is_none() {
            self.take_frame("the stream to be closed").await;
        }
        self.closed.clone().unwrap_or_default()
    }

    /// Leaves well.
    pub async fn leave(mut self) {
        let reply = self.request(json!({"channel": "/meta/disconnect"})).await;
        assert_eq!(reply["successful"], true, "{reply}");
    }

    async fn read(&mut self, what: &str) {
        assert!(self.closed.is_none(), "the stream was closed ({:?}) while waiting for {what}", self.closed);
        self.take_frame(what).await;
    }

    async fn take_frame(&mut self, what: &str) {
        match within(what, self.socket.next()).await {
            Some(Ok(Message::Text(text))) => self.take_batch(text.as_str()).await,
            Some(Ok(Message::Close(frame))) => {
                self.closed =
                    Some(frame.map_or((0, String::new()), |f| (f.code.into(), f.reason.to_string())));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => self.closed = Some((0, error.to_string())),
            None => self.closed = Some((0, "the stream ended".to_owned())),
        }
    }

    async fn take_batch(&mut self, text: &str) {
        let batch: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("the guest sent what is no JSON ({error}): {text}"));
        let messages =
            batch.as_array().unwrap_or_else(|| panic!("the guest sent what is no array: {text}")).clone();
        let mut connect_again = false;
        for message in messages {
            if message.get("successful").is_none() {
                self.events.push(message);
                continue;
            }
            connect_again |= message["channel"] == "/meta/connect"
                && message["successful"] == true
                && message["advice"]["reconnect"] != "none";
            // A peer that speaks for no session of its own holds no connects either: its test does.
            let is_routine = self.client.is_some() && message["channel"] == "/meta/connect";
            if !is_routine || message["successful"] != true {
                self.replies.push(message);
            }
        }
        if connect_again && self.client.is_some() {
            self.answered_connects += 1;
            self.hold_connect().await;
        }
    }
}

/// Tries to open a WebSocket with further headers.
///
/// # Errors
/// The HTTP status of a refusal.
///
/// # Panics
/// If there is no HTTP at all.
pub async fn try_upgrade(address: &Address, headers: &[(&'static str, String)]) -> Result<(), u16> {
    use tungstenite::client::IntoClientRequest;
    let stream = address.open().await.unwrap_or_else(|error| panic!("cannot reach {address:?}: {error}"));
    let mut request = "ws://localhost/events".into_client_request().expect("the request is valid");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("the header is valid"));
    }
    match within("an upgrade", client_async(request, stream)).await {
        Ok(_) => Ok(()),
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("no HTTP answer at {address:?}: {error}"),
    }
}
