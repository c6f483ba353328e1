//! A Bayeux server over long-polling whose faults are known. It exercises what servers do to HTTP: cookies that are asked
//! for, chunked bodies, connections that are closed after a response.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cloud_channel_protocol::{ChannelName, ChannelPattern};
use serde_json::{Value, json};

/// How long a connect is held.
const HELD: Duration = Duration::from_secs(5);

/// What the server does wrong. Publishes are counted from 0.
#[derive(Default)]
pub(crate) struct Misdeeds {
    /// Publishes that it answers and does not deliver.
    pub(crate) lose: Vec<usize>,
    /// Publishes that it delivers twice.
    pub(crate) repeat: Vec<usize>,
    /// How many sessions it takes.
    pub(crate) sessions: Option<usize>,
    /// The publish at which it cuts all connections.
    pub(crate) vanish_at: Option<usize>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, Member>,
    published: usize,
    responses: usize,
    streams: Vec<TcpStream>,
    over: bool,
}

#[derive(Default)]
struct Member {
    patterns: Vec<ChannelPattern>,
    queue: Vec<Value>,
    connected: bool,
}

struct Shared {
    misdeeds: Misdeeds,
    state: Mutex<State>,
    changed: Condvar,
}

/// A server in threads of this process. Dropping it cuts all connections.
pub(crate) struct FakeServer {
    pub(crate) url: String,
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
}

impl FakeServer {
    pub(crate) fn start(misdeeds: Misdeeds) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { misdeeds, state: Mutex::default(), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut state = serving.state.lock().unwrap();
                if state.over {
                    return;
                }
                state.streams.push(stream.try_clone().unwrap());
                drop(state);
                let shared = Arc::clone(&serving);
                // A connection that is cut ends its thread; the generator's count says what was missing.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { url: format!("http://{address}/bayeux"), shared, address }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.vanish(&mut self.shared.state.lock().unwrap());
        // Wakes the listener, which then ends and closes.
        drop(TcpStream::connect(self.address));
        while TcpStream::connect(self.address).is_ok() {}
    }
}

impl Shared {
    fn vanish(&self, state: &mut State) {
        state.over = true;
        for stream in state.streams.drain(..) {
            // It may have been closed by the other side.
            drop(stream.shutdown(Shutdown::Both));
        }
        self.changed.notify_all();
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut length, mut cookie) = (0, false);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                cookie |= line == "cookie: browser=7";
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let batch: Vec<Value> = serde_json::from_slice(&body).unwrap();
            let handshake = batch[0]["channel"] == "/meta/handshake";
            assert!(cookie || handshake, "a client keeps its cookie");
            let replies = self.answer(&batch)?;
            if !respond(stream, &replies, self.count_response())? {
                return None;
            }
        }
    }

    fn count_response(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.responses += 1;
        state.responses
    }

    fn answer(&self, batch: &[Value]) -> Option<Vec<Value>> {
        let mut replies = Vec::new();
        for message in batch {
            let channel = message["channel"].as_str().unwrap();
            let client = message["clientId"].as_str().unwrap_or_default().to_owned();
            let mut reply = json!({ "channel": channel, "id": message["id"], "successful": true });
            let mut state = self.state.lock().unwrap();
            match channel {
                "/meta/handshake" => {
                    if self.misdeeds.sessions == Some(state.sessions.len()) {
                        reply["successful"] = false.into();
                        reply["error"] = "503::Too many sessions".into();
                    } else {
                        let client = format!("client{}", state.sessions.len());
                        reply["clientId"] = client.clone().into();
                        state.sessions.insert(client, Member::default());
                    }
                }
                "/meta/subscribe" => {
                    reply["subscription"] = message["subscription"].clone();
                    let pattern = ChannelPattern::parse(message["subscription"].as_str().unwrap()).unwrap();
                    state.sessions.get_mut(&client)?.patterns.push(pattern);
                }
                "/meta/connect" => {
                    let first = !std::mem::replace(&mut state.sessions.get_mut(&client)?.connected, true);
                    let waits = |state: &mut State| {
                        !state.over
                            && state.sessions.get(&client).is_some_and(|member| member.queue.is_empty())
                    };
                    if !first {
                        state = self.changed.wait_timeout_while(state, HELD, waits).unwrap().0;
                    }
                    if state.over {
                        return None;
                    }
                    if let Some(member) = state.sessions.get_mut(&client) {
                        replies.append(&mut member.queue);
                    }
                }
                "/meta/disconnect" => {
                    state.sessions.remove(&client);
                    self.changed.notify_all();
                }
                _ => self.publish(&mut state, message),
            }
            replies.push(reply);
        }
        Some(replies)
    }

    fn publish(&self, state: &mut State, message: &Value) {
        let at = state.published;
        state.published += 1;
        if self.misdeeds.vanish_at == Some(at) {
            return self.vanish(state);
        }
        let copies = match at {
            _ if self.misdeeds.lose.contains(&at) => 0,
            _ if self.misdeeds.repeat.contains(&at) => 2,
            _ => 1,
        };
        let channel = ChannelName::parse(message["channel"].as_str().unwrap()).unwrap();
        // Spaces and another order, as some servers write it.
        let event = json!({ "data": message["data"], "channel": channel.as_str() });
        for member in state.sessions.values_mut() {
            if member.patterns.iter().any(|pattern| pattern.matches(&channel)) {
                member.queue.extend(std::iter::repeat_n(event.clone(), copies));
            }
        }
        self.changed.notify_all();
    }
}

/// Writes a response in one of the ways that there are; false if the connection is closed after it.
fn respond(mut stream: &TcpStream, replies: &[Value], number: usize) -> Option<bool> {
    let body = serde_json::to_string_pretty(replies).unwrap();
    let (closes, chunked) = (number.is_multiple_of(7), number.is_multiple_of(2));
    let connection = if closes { "Connection: close\r\n" } else { "" };
    let head = format!("HTTP/1.1 200 OK\r\nSet-Cookie: browser=7; Path=/\r\n{connection}");
    let text = if chunked {
        let (one, two) = body.split_at(1);
        format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", two.len())
    } else {
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    stream.write_all(text.as_bytes()).ok()?;
    if closes {
        // What has been written arrives first.
        stream.shutdown(Shutdown::Both).ok()?;
    }
    Some(!closes)
}
