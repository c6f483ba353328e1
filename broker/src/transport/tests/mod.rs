//! The transports on real sockets, with the tests in the driver's place. Time is virtual: deadlines pass at once, and
//! exactly.

mod deadlines;
mod endings;
mod endpoints;
mod exchanges;
mod room;
mod sockets;

use std::path::PathBuf;
use std::sync::Arc;

use cloud_channel_protocol::server::{Carrier, Peer};
use cloud_channel_protocol::{ConnectionId, Endpoint, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::budget::Budgets;
use super::http::serve;
use super::listener::Listener;
use super::registry::ConnectionRegistry;
use super::web::{Offers, Web};
use crate::happening::{DriverHandle, Happening, Happenings};

/// A listener that is served, and what its driver hears.
struct Stage {
    registry: Arc<ConnectionRegistry>,
    happenings: Happenings,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new(limits: Limits) -> Self {
        Self::with_origins(limits, &[]).await
    }

    async fn with_origins(limits: Limits, allowed: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let endpoint = Endpoint::Unix { socket: socket.to_str().unwrap().to_owned() };
        let listener = Listener::bind(&endpoint, None).await.unwrap();
        let (driver, happenings) = DriverHandle::new();
        let registry = Arc::new(ConnectionRegistry::default());
        let allowed_origins = allowed.iter().map(|&origin| origin.to_owned()).collect();
        let budgets = Arc::new(Budgets::new(limits.input_bytes));
        tokio::spawn(serve(
            listener,
            Web {
                driver,
                registry: registry.clone(),
                budgets,
                limits,
                allowed_origins,
                offers: Offers::Events,
            },
        ));
        Self { registry, happenings, socket, _folder: folder }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }

    async fn heard(&mut self) -> Happening {
        self.happenings.next().await.expect("the transports are there")
    }

    async fn opened(&mut self, expected: Carrier) -> (ConnectionId, Peer) {
        match self.heard().await {
            Happening::Opened { connection, peer, carrier } if carrier == expected => (connection, *peer),
            other => panic!("expected {expected:?} to be opened, got {other:?}"),
        }
    }

    /// What came in one read.
    async fn received(&mut self, from: ConnectionId) -> Vec<String> {
        match self.heard().await {
            Happening::Received { connection, messages } if connection == from => {
                messages.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
            }
            other => panic!("expected messages of {from}, got {other:?}"),
        }
    }

    async fn closed(&mut self, expected: ConnectionId) {
        match self.heard().await {
            Happening::Closed { connection } if connection == expected => {}
            other => panic!("expected {expected} to be closed, got {other:?}"),
        }
    }

    /// An exchange, up to where the driver has to answer.
    async fn exchange(&mut self) -> (ConnectionId, String) {
        let (id, _) = self.opened(Carrier::Exchange).await;
        let mut messages = self.received(id).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        (id, messages.remove(0))
    }
}

/// A POST as a client of long-polling sends it.
fn post(path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

async fn send(stream: &mut UnixStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
}

/// Reads one response: its head and its body.
async fn response(stream: &mut UnixStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a response has a head"));
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.expect("a response has the body it announces");
    (head, String::from_utf8(body).unwrap())
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// True once the other side has ended the stream, whatever it has said before.
async fn ends(stream: &mut UnixStream) -> bool {
    // Ended by force is ended too.
    let _reset = stream.read_to_end(&mut Vec::new()).await;
    true
}
