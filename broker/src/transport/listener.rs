//! Listening: endpoints become bound sockets, and bound sockets give accepted streams.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use cloud_channel_protocol::server::{Peer, PeerAddress};
use cloud_channel_protocol::{EVENTS_PATH, Endpoint, Scheme};
use rustix::net::AddressFamily;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

use super::Stream;
use super::tls::{HandshakeError, TlsServer};

/// The name of a socket of the service manager's that speaks TLS (`FileDescriptorName=`, systemd.socket(5)).
const TLS_NAME: &str = "tls";

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    endpoint: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<TlsServer>),
    Unix(UnixListener),
    Vsock(VsockListener),
}

impl Socket {
    /// The endpoint of a socket that was bound elsewhere; none for a Unix socket without a path.
    fn bound_to(&self) -> io::Result<Option<String>> {
        Ok(match self {
            Self::Tcp(listener) => Some(shown(Scheme::Ws, listener, EVENTS_PATH)?),
            Self::Tls(listener, _) => Some(shown(Scheme::Wss, listener, EVENTS_PATH)?),
            Self::Unix(listener) => {
                listener.local_addr()?.as_pathname().map(|path| format!("unix://{}", path.display()))
            }
            Self::Vsock(listener) => {
                let port = listener.local_addr()?.port();
                Some(Endpoint::Vsock { cid: None, port, path: EVENTS_PATH.to_owned() }.to_string())
            }
        })
    }
}

/// The endpoint of a bound TCP socket, with the port that was really given. Bayeux over WebSocket and over
/// long-polling are served there alike, so that `ws` and `http` name the same.
fn shown(scheme: Scheme, listener: &TcpListener, path: &str) -> io::Result<String> {
    Ok(format!("{}://{}{path}", scheme.as_str(), listener.local_addr()?))
}

/// A stream that came in. TLS is not spoken on it yet: that is for a task of its own.
#[derive(Debug)]
pub struct Accepted {
    stream: Incoming,
    peer: PeerAddress,
}

#[derive(Debug)]
enum Incoming {
    Open(Stream),
    Tls(TcpStream, Arc<TlsServer>),
}

impl Accepted {
    /// The stream, and who is at its other end: as the kernel tells it, and as its certificate does. Waits for the
    /// TLS handshake, where there is one, up to a deadline.
    ///
    /// # Errors
    /// If the handshake fails.
    pub async fn secured(self) -> Result<(Stream, Peer), HandshakeError> {
        match self.stream {
            Incoming::Open(stream) => Ok((stream, self.peer.into())),
            Incoming::Tls(stream, tls) => {
                let (stream, certificate) = tls.accept(stream).await?;
                Ok((stream, Peer { certificate, ..self.peer.into() }))
            }
        }
    }

    /// Where it comes from.
    #[must_use]
    pub const fn address(&self) -> &PeerAddress {
        &self.peer
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
    #[error("cannot listen on {endpoint}: another process is already listening there")]
    Taken {
        /// Where.
        endpoint: Endpoint,
    },
    /// What stands at the socket's path is something else.
    #[error("cannot listen on {endpoint}: what is there is no socket, and will not be replaced")]
    NoSocket {
        /// Where.
        endpoint: Endpoint,
    },
    /// An endpoint that can only be dialled.
    #[error("cannot listen on {endpoint}: expected ws://, wss://, unix:// or vsock://")]
    NotForListening {
        /// Where.
        endpoint: Endpoint,
    },
    /// TLS, and nothing to prove who we are.
    #[error(
        "cannot listen on {endpoint}: TLS needs a certificate; name its files as `certificate` and `key` of `tls` in \
         the configuration"
    )]
    NoCertificate {
        /// Where.
        endpoint: String,
    },
    /// A socket that was passed to us is of no use.
    #[error(
        "the inherited socket {name} is of no use: expected a listening TCP, Unix or vsock stream socket"
    )]
    Inherited {
        /// Its number and name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Listener {
    /// Binds an endpoint. `tls` is who we are, for those that need it.
    ///
    /// # Errors
    /// Says where, and what stands against it.
    pub async fn bind(endpoint: &Endpoint, tls: Option<&Arc<TlsServer>>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { endpoint: endpoint.clone(), source };
        let socket = match endpoint {
            Endpoint::Tcp { host, port, .. } => {
                let own = needed(endpoint.is_tls(), tls, || endpoint.to_string())?;
                let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
                tcp_socket(listener, own)
            }
            Endpoint::Unix { socket } => Socket::Unix(bind_unix(endpoint, Path::new(socket))?),
            Endpoint::Vsock { cid, port, .. } => {
                let address = VsockAddr::new(cid.unwrap_or(VMADDR_CID_ANY), *port);
                Socket::Vsock(VsockListener::bind(address).map_err(failed)?)
            }
            Endpoint::HybridVsock { .. } => {
                return Err(ListenError::NotForListening { endpoint: endpoint.clone() });
            }
        };
        let endpoint = match &socket {
            // Port 0 asks for any; what was given is what a client needs to know.
            Socket::Tcp(tcp) => shown(Scheme::Ws, tcp, endpoint.request_path()).map_err(failed)?,
            Socket::Tls(tcp, _) => shown(Scheme::Wss, tcp, endpoint.request_path()).map_err(failed)?,
            Socket::Unix(_) | Socket::Vsock(_) => endpoint.to_string(),
        };
        Ok(Self { socket, endpoint })
    }

    /// Takes a listening socket that another process has bound for us, number and name. One with the name `tls`
    /// speaks it.
    ///
    /// # Errors
    /// If it is no stream socket of a family that we know, or needs a certificate that is not there.
    pub fn inherited(
        fd: OwnedFd,
        number: i32,
        name: &str,
        tls: Option<&Arc<TlsServer>>,
    ) -> Result<Self, ListenError> {
        let shown = format!("{number} ({name})");
        let failed = |source| ListenError::Inherited { name: shown.clone(), source };
        let family = rustix::net::sockopt::socket_domain(&fd).map_err(|error| failed(error.into()))?;
        rustix::io::ioctl_fionbio(&fd, true).map_err(|error| failed(error.into()))?;
        let socket = match family {
            AddressFamily::INET | AddressFamily::INET6 => {
                let own = needed(name == TLS_NAME, tls, || format!("the inherited socket {shown}"))?;
                tcp_socket(TcpListener::from_std(fd.into()).map_err(failed)?, own)
            }
            AddressFamily::UNIX => Socket::Unix(UnixListener::from_std(fd.into()).map_err(failed)?),
            AddressFamily::VSOCK => Socket::Vsock(VsockListener::from(fd)),
            _ => return Err(failed(io::Error::from(io::ErrorKind::Unsupported))),
        };
        let endpoint = socket.bound_to().map_err(failed)?.unwrap_or_else(|| format!("inherited {shown}"));
        Ok(Self { socket, endpoint })
    }

    /// The endpoint as clients write it, with the port that was really given.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The same for whoever asks there in plain HTTP, without Bayeux.
    #[must_use]
    pub fn http_endpoint(&self) -> String {
        let Some((scheme, place)) = self.endpoint.split_once("://") else { return self.endpoint.clone() };
        let scheme = match &self.socket {
            Socket::Tcp(_) => Scheme::Http.as_str(),
            Socket::Tls(..) => Scheme::Https.as_str(),
            Socket::Unix(_) | Socket::Vsock(_) => scheme,
        };
        format!("{scheme}://{place}")
    }

    /// True for a Unix socket.
    #[must_use]
    pub const fn is_unix(&self) -> bool {
        matches!(self.socket, Socket::Unix(_))
    }

    /// True if only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.socket {
            Socket::Unix(_) => true,
            Socket::Tcp(tcp) | Socket::Tls(tcp, _) => {
                tcp.local_addr().is_ok_and(|address| address.ip().is_loopback())
            }
            Socket::Vsock(_) => false,
        }
    }

    /// Waits for the next stream.
    ///
    /// # Errors
    /// What the system says; most of it passes, so the caller goes on.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        match &mut self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = accept_tcp(listener).await?;
                Ok(Accepted { stream: Incoming::Open(Stream::Tcp(stream)), peer: address })
            }
            Socket::Tls(listener, tls) => {
                let (stream, address) = accept_tcp(listener).await?;
                Ok(Accepted { stream: Incoming::Tls(stream, tls.clone()), peer: address })
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(Accepted { stream: Incoming::Open(Stream::Unix(stream)), peer: PeerAddress::Unix { uid } })
            }
            Socket::Vsock(listener) => {
                let (stream, address) = listener.accept().await?;
                let peer = PeerAddress::Vsock { cid: address.cid(), port: address.port() };
                Ok(Accepted { stream: Incoming::Open(Stream::Vsock(stream)), peer })
            }
        }
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, PeerAddress)> {
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, PeerAddress::Tcp(address)))
}

fn tcp_socket(listener: TcpListener, tls: Option<Arc<TlsServer>>) -> Socket {
    match tls {
        Some(tls) => Socket::Tls(listener, tls),
        None => Socket::Tcp(listener),
    }
}

/// Who we are, where TLS is to be spoken.
fn needed(
    is_tls: bool,
    tls: Option<&Arc<TlsServer>>,
    endpoint: impl FnOnce() -> String,
) -> Result<Option<Arc<TlsServer>>, ListenError> {
    match (is_tls, tls) {
        (false, _) => Ok(None),
        (true, Some(tls)) => Ok(Some(tls.clone())),
        (true, None) => Err(ListenError::NoCertificate { endpoint: endpoint() }),
    }
}

/// Binds a Unix socket that only its owner can open, in the place of one that nobody listens on any more. It is
/// made under another name and moved into place, so that it never stands there with wider permissions.
fn bind_unix(endpoint: &Endpoint, path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Bind { endpoint: endpoint.clone(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NoSocket { endpoint: endpoint.clone() });
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(ListenError::Taken { endpoint: endpoint.clone() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
    }
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh).map_err(failed)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    Ok(listener)
}
