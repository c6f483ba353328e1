//! Dialling: an endpoint becomes an open WebSocket.

use std::io;
use std::time::Duration;

use cloud_channel_protocol::{Endpoint, HOST_CID, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};

use super::{READ_BUFFER, Stream, vsock};

/// How long connecting and the upgrade may take together.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// Longest answer of a hybrid vsock to `CONNECT`.
const MAX_HYBRID_ANSWER: usize = 32;

/// A WebSocket to the other side.
pub type DialledSocket = WebSocketStream<Stream>;

/// Why an endpoint could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// What was dialled.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// A connection, and no WebSocket.
    #[error("{endpoint} does not speak WebSocket there: check its path and that a Bayeux server listens")]
    Upgrade {
        /// What was dialled.
        endpoint: Endpoint,
        /// What the library said.
        source: Box<tungstenite::Error>,
    },
    /// It took too long.
    #[error("{endpoint} did not answer within {} s", DIAL_DEADLINE.as_secs())]
    Deadline {
        /// What was dialled.
        endpoint: Endpoint,
    },
}

/// Connects and upgrades.
///
/// # Errors
/// Says what was dialled and what failed.
pub async fn dial(endpoint: &Endpoint, limits: &Limits) -> Result<DialledSocket, DialError> {
    let opening = async {
        let stream = connect(endpoint)
            .await
            .map_err(|source| DialError::Connect { endpoint: endpoint.clone(), source })?;
        let config = socket_config(limits);
        tokio_tungstenite::client_async_with_config(request_uri(endpoint), stream, Some(config))
            .await
            .map(|(socket, _)| socket)
            .map_err(|source| DialError::Upgrade { endpoint: endpoint.clone(), source: Box::new(source) })
    };
    tokio::time::timeout(DIAL_DEADLINE, opening)
        .await
        .unwrap_or_else(|_| Err(DialError::Deadline { endpoint: endpoint.clone() }))
}

/// Buffers as small as idle connections deserve; a message's size is bounded by the core's limit on batches.
fn socket_config(limits: &Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(limits.queued_bytes + limits.batch_bytes + limits.reply_bytes)
        .max_message_size(Some(limits.batch_bytes))
        .max_frame_size(Some(limits.batch_bytes))
}

/// The request's URI. Where the endpoint is no host, the `Host` header says `localhost`.
fn request_uri(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp { .. } => endpoint.to_string(),
        other => format!("ws://localhost{}", other.request_path()),
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<Stream> {
    match endpoint {
        Endpoint::Tcp { host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            // Messages are small and answers are waited for.
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Endpoint::Unix { socket } => UnixStream::connect(socket).await.map(Stream::Unix),
        Endpoint::Vsock { cid, port, .. } => {
            vsock::connect(cid.unwrap_or(HOST_CID), *port).await.map(Stream::Vsock)
        }
        Endpoint::HybridVsock { socket, port } => connect_hybrid(socket, *port).await.map(Stream::Unix),
    }
}

/// Asks a machine monitor for a port of its guest: `CONNECT <port>`, answered by `OK <number>`.
async fn connect_hybrid(socket: &str, port: u32) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the line belongs to the protocol above.
    while answer.last() != Some(&b'\n') {
        if answer.len() == MAX_HYBRID_ANSWER {
            return Err(io::Error::other(
                "expected `OK <number>` from the machine monitor, got a longer line",
            ));
        }
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(io::Error::other(format!("nobody listens on vsock port {port} of the guest")));
            }
            Err(error) => return Err(error),
        }
    }
    if answer.starts_with(b"OK ") {
        Ok(stream)
    } else {
        Err(io::Error::other("expected `OK <number>` from the machine monitor"))
    }
}
