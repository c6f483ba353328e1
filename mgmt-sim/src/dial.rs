//! Dialling a guest: an endpoint becomes an open WebSocket.

use std::io;
use std::time::Duration;

use cloud_channel_protocol::{Endpoint, HybridAnswer, Limits, connect_line};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use tokio_vsock::{VsockAddr, VsockStream};

use crate::stream::Stream;

/// How long connecting and the upgrade may take together.
const DEADLINE: Duration = Duration::from_secs(10);

/// A WebSocket to the other side.
pub type Socket = WebSocketStream<Stream>;

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
    #[error("{endpoint} does not speak WebSocket: check its path, and that a Bayeux server listens there")]
    Upgrade {
        /// What was dialled.
        endpoint: Endpoint,
        /// What the library said.
        source: Box<tungstenite::Error>,
    },
    /// It took too long.
    #[error("{endpoint} did not answer within {} s", DEADLINE.as_secs())]
    Deadline {
        /// What was dialled.
        endpoint: Endpoint,
    },
}

/// Connects and upgrades.
///
/// # Errors
/// Says what was dialled and what failed.
pub async fn dial(endpoint: &Endpoint, limits: &Limits) -> Result<Socket, DialError> {
    let opening = async {
        let stream = connect(endpoint)
            .await
            .map_err(|source| DialError::Connect { endpoint: endpoint.clone(), source })?;
        tokio_tungstenite::client_async_with_config(
            request_uri(endpoint),
            stream,
            Some(socket_config(limits)),
        )
        .await
        .map(|(socket, _)| socket)
        .map_err(|source| DialError::Upgrade { endpoint: endpoint.clone(), source: Box::new(source) })
    };
    tokio::time::timeout(DEADLINE, opening)
        .await
        .unwrap_or_else(|_| Err(DialError::Deadline { endpoint: endpoint.clone() }))
}

/// What is read at most: as much as the core takes.
pub(crate) fn socket_config(limits: &Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(limits.batch_bytes))
        .max_frame_size(Some(limits.batch_bytes))
}

/// The request's URI. Where the endpoint is no host, the `Host` header says `localhost`.
fn request_uri(endpoint: &Endpoint) -> String {
    format!("ws://{}{}", endpoint.authority(), endpoint.request_path())
}

async fn connect(endpoint: &Endpoint) -> io::Result<Stream> {
    match endpoint {
        Endpoint::Tcp { .. } if endpoint.is_tls() => {
            Err(io::Error::other("mgmt-sim speaks no TLS, expected ws:// or http://"))
        }
        Endpoint::Tcp { host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::new(stream))
        }
        Endpoint::Unix { socket } => UnixStream::connect(socket).await.map(Stream::new),
        Endpoint::Vsock { cid: Some(cid), port, .. } => {
            VsockStream::connect(VsockAddr::new(*cid, *port)).await.map(Stream::new)
        }
        Endpoint::Vsock { cid: None, .. } => {
            let text = "the guest's CID is missing: expected vsock://CID:PORT/events";
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        Endpoint::HybridVsock { socket, port } => connect_hybrid(socket, *port).await.map(Stream::new),
    }
}

/// Asks a machine monitor for a port of its guest.
async fn connect_hybrid(socket: &str, port: u32) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(connect_line(port).as_bytes()).await?;
    let mut answer = HybridAnswer::default();
    loop {
        let byte = match stream.read_u8().await {
            Ok(byte) => byte,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(io::Error::other(format!("nobody listens on vsock port {port} of the guest")));
            }
            Err(error) => return Err(error),
        };
        if answer.push(byte).map_err(io::Error::other)?.is_some() {
            return Ok(stream);
        }
    }
}
