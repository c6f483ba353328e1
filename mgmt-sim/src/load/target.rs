//! The server under load: where it is, and how it is spoken to.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::ValueEnum;
use cloud_channel_protocol::{Endpoint, Scheme};

use super::error::LoadError;

/// How long a server may take to accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How batches travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Frames over one WebSocket for each session; events are pushed.
    #[value(name = "websocket")]
    #[serde(rename = "websocket")]
    WebSocket,
    /// HTTP requests: one connection for a session's held connect, one for its publishes.
    LongPolling,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.connection_type())
    }
}

impl Transport {
    /// Its name in Bayeux.
    #[must_use]
    pub const fn connection_type(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::LongPolling => "long-polling",
        }
    }
}

/// A Bayeux server to put load on.
#[derive(Debug, Clone)]
pub struct Target {
    endpoint: Endpoint,
    transport: Transport,
}

impl Target {
    /// A server at an endpoint. Without a transport its scheme decides: long-polling for `http`, else WebSocket.
    ///
    /// # Errors
    /// If the endpoint is not TCP without TLS, or a Unix socket.
    pub fn new(endpoint: Endpoint, transport: Option<Transport>) -> Result<Self, LoadError> {
        let polling = match &endpoint {
            Endpoint::Tcp { scheme, .. } if !scheme.is_tls() => *scheme == Scheme::Http,
            Endpoint::Unix { .. } => false,
            other => return Err(LoadError::Unsupported { url: other.to_string() }),
        };
        let usual = if polling { Transport::LongPolling } else { Transport::WebSocket };
        Ok(Self { endpoint, transport: transport.unwrap_or(usual) })
    }

    /// Where it is.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How it is spoken to.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The addresses it may have; none if it is a Unix socket.
    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.endpoint {
            Endpoint::Tcp { host, port, .. } => Ok((host.as_str(), *port).to_socket_addrs()?.collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// What goes into the `Host` header.
    pub(crate) fn host(&self) -> String {
        match &self.endpoint {
            Endpoint::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
            _ => "localhost".to_owned(),
        }
    }

    /// A new connection that does not block.
    pub(crate) fn connect(&self) -> io::Result<OwnedFd> {
        if let Endpoint::Unix { socket } = &self.endpoint {
            let stream = UnixStream::connect(socket)?;
            stream.set_nonblocking(true)?;
            return Ok(stream.into());
        }
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.addresses()? {
            match TcpStream::connect_timeout(&address, CONNECT_DEADLINE) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    return Ok(stream.into());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_the_transport() {
        let target = |url: &str, transport| Target::new(Endpoint::parse(url).unwrap(), transport);
        for (url, transport, expected) in [
            ("ws://127.0.0.1:1/x", None, Transport::WebSocket),
            ("http://127.0.0.1:1/x", None, Transport::LongPolling),
            ("http://127.0.0.1:1/x", Some(Transport::WebSocket), Transport::WebSocket),
            ("unix:///x", None, Transport::WebSocket),
            ("unix:///x", Some(Transport::LongPolling), Transport::LongPolling),
        ] {
            assert_eq!(target(url, transport).unwrap().transport(), expected, "{url}");
        }
        assert!(target("wss://127.0.0.1/x", None).is_err());
        assert!(target("vsock://2:1", None).is_err());
        assert_eq!(target("ws://[::1]:80", None).unwrap().host(), "[::1]:80");
    }
}
