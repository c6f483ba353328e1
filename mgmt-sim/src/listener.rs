//! Where guests dial in: TCP, Unix, vsock, and the Unix sockets that a machine monitor forwards its guest's vsock to.

use std::io;
use std::path::{Path, PathBuf};

use cloud_channel_protocol::Endpoint;
use cloud_channel_protocol::server::{Peer, PeerAddress};
use tokio::net::{TcpListener, UnixListener};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

use crate::stream::Stream;

/// A bound socket. A Unix socket's file goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    endpoint: String,
    /// Goes with the listener.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Vsock(VsockListener),
}

/// Removes the file of a Unix socket when nobody listens any more.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever finds it left behind replaces it (see `bind_unix`).
        drop(std::fs::remove_file(&self.0));
    }
}

/// Why we cannot listen somewhere.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refused.
    #[error("cannot listen on {endpoint}")]
    Bind {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// Another process answers there.
    #[error("cannot listen on {endpoint}: another process listens on `{}`, end it or name another", .path.display())]
    Taken {
        /// Where.
        endpoint: Endpoint,
        /// The socket's file.
        path: PathBuf,
    },
}

impl Listener {
    /// Binds an endpoint. A hybrid vsock `/path:PORT` is bound at `/path_PORT`, where the monitor connects for its
    /// guest.
    ///
    /// # Errors
    /// Says where, and what stands against it.
    pub async fn bind(endpoint: &Endpoint) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { endpoint: endpoint.clone(), source };
        let mut file = None;
        let socket = match endpoint {
            Endpoint::Tcp { .. } if endpoint.is_tls() => {
                return Err(failed(io::Error::other("mgmt-sim speaks no TLS, expected ws:// or http://")));
            }
            Endpoint::Tcp { host, port, .. } => {
                Socket::Tcp(TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?)
            }
            Endpoint::Unix { socket } => {
                let (listener, path) = bind_unix(endpoint, PathBuf::from(socket))?;
                file = Some(path);
                Socket::Unix(listener)
            }
            Endpoint::HybridVsock { socket, port } => {
                let (listener, path) = bind_unix(endpoint, PathBuf::from(format!("{socket}_{port}")))?;
                file = Some(path);
                Socket::Unix(listener)
            }
            Endpoint::Vsock { cid, port, .. } => {
                let address = VsockAddr::new(cid.unwrap_or(VMADDR_CID_ANY), *port);
                Socket::Vsock(VsockListener::bind(address).map_err(failed)?)
            }
        };
        let endpoint = match &socket {
            // Port 0 asks for any; what was given is what a guest needs to know.
            Socket::Tcp(tcp) => {
                format!("ws://{}{}", tcp.local_addr().map_err(failed)?, endpoint.request_path())
            }
            Socket::Unix(_) | Socket::Vsock(_) => endpoint.to_string(),
        };
        Ok(Self { socket, endpoint, _file: file })
    }

    /// The endpoint, with the port that was really given.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits for the next stream and says who is at its other end.
    ///
    /// # Errors
    /// What the system says; most of it passes.
    pub async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        match &mut self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::new(stream), PeerAddress::Tcp(address).into()))
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Stream::new(stream), PeerAddress::Unix { uid }.into()))
            }
            Socket::Vsock(listener) => {
                let (stream, address) = listener.accept().await?;
                let peer = PeerAddress::Vsock { cid: address.cid(), port: address.port() }.into();
                Ok((Stream::new(stream), peer))
            }
        }
    }
}

/// Binds a Unix socket, in the place of one that nobody listens on any more.
fn bind_unix(endpoint: &Endpoint, path: PathBuf) -> Result<(UnixListener, SocketFile), ListenError> {
    let failed = |source| ListenError::Bind { endpoint: endpoint.clone(), source };
    if is_socket(&path).map_err(failed)? {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(ListenError::Taken { endpoint: endpoint.clone(), path });
        }
        std::fs::remove_file(&path).map_err(failed)?;
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    Ok((listener, SocketFile(path)))
}

/// True if a socket stands there. Anything else is left for `bind` to complain about.
fn is_socket(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(found.file_type().is_socket()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
