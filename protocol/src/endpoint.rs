//! Endpoints: where to listen and where to dial.
//!
//! ```text
//! ws://HOST[:PORT][/PATH]          http:// is the same endpoint
//! unix:///PATH/TO/SOCKET
//! vsock://[CID]:PORT[/PATH]        an empty CID is the host (2) when dialled, any (-1U) when listened on
//! vsock://events                   the design note's: the host, default port, path /events
//! hybrid-vsock:///PATH/TO/SOCKET:PORT
//! ```

use std::fmt;

use crate::ids::shorten;

/// vsock port, below 1024 so that no unprivileged process can squat on it.
pub const DEFAULT_VSOCK_PORT: u32 = 169;
/// The one path on which Bayeux is spoken.
pub const EVENTS_PATH: &str = "/events";
/// The host's CID (vsock(7)).
pub const HOST_CID: u32 = 2;

/// One place to listen at or to dial.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP, host and port as written.
    Tcp {
        /// Name or address; an IPv6 address without its brackets.
        host: String,
        /// Port; 80 if not given.
        port: u16,
        /// Request path.
        path: String,
    },
    /// A Unix socket.
    Unix {
        /// Absolute path of the socket.
        socket: String,
    },
    /// `AF_VSOCK`.
    Vsock {
        /// The other side, if named.
        cid: Option<u32>,
        /// Port.
        port: u32,
        /// Request path.
        path: String,
    },
    /// The Unix-socket form of vsock that some machine monitors give the host.
    HybridVsock {
        /// Absolute path of the monitor's socket.
        socket: String,
        /// The guest's port.
        port: u32,
    },
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no endpoint: expected {expected}")]
pub struct InvalidEndpoint {
    given: String,
    expected: &'static str,
}

impl Endpoint {
    /// Parses the grammar above.
    ///
    /// # Errors
    /// Says what was given and what was expected.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let wrong = |expected| InvalidEndpoint { given: shorten(text), expected };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong("ws://, http://, unix://, vsock:// or hybrid-vsock://"));
        };
        match scheme {
            "ws" | "http" => parse_tcp(rest).map_err(wrong),
            "wss" | "https" => Err(wrong("ws:// or http://, since TLS is not built in yet")),
            "unix" if is_absolute(rest) => Ok(Self::Unix { socket: rest.to_owned() }),
            "unix" => Err(wrong("unix:///absolute/path")),
            "vsock" => parse_vsock(rest).map_err(wrong),
            "hybrid-vsock" => parse_hybrid(rest).map_err(wrong),
            _ => Err(wrong("ws://, http://, unix://, vsock:// or hybrid-vsock://")),
        }
    }

    /// The request path of a WebSocket upgrade or POST.
    #[must_use]
    pub fn request_path(&self) -> &str {
        match self {
            Self::Tcp { path, .. } | Self::Vsock { path, .. } => path,
            Self::Unix { .. } | Self::HybridVsock { .. } => EVENTS_PATH,
        }
    }

    /// True if only this machine can reach it: a Unix socket, or TCP at a loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix { .. } => true,
            Self::Tcp { host, .. } => {
                host == "localhost"
                    || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Self::Vsock { .. } | Self::HybridVsock { .. } => false,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, path } if host.contains(':') => write!(f, "ws://[{host}]:{port}{path}"),
            Self::Tcp { host, port, path } => write!(f, "ws://{host}:{port}{path}"),
            Self::Unix { socket } => write!(f, "unix://{socket}"),
            Self::Vsock { cid: Some(cid), port, path } => write!(f, "vsock://{cid}:{port}{path}"),
            Self::Vsock { cid: None, port, path } => write!(f, "vsock://:{port}{path}"),
            Self::HybridVsock { socket, port } => write!(f, "hybrid-vsock://{socket}:{port}"),
        }
    }
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && path.len() > 1 && !path.ends_with('/') && !path.contains('\0')
}

fn split_path(rest: &str) -> Result<(&str, String), &'static str> {
    let (authority, path) = rest.find('/').map_or((rest, EVENTS_PATH), |at| rest.split_at(at));
    let fits = path.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok((authority, path.to_owned())) } else { Err("a path of visible ASCII characters") }
}

fn parse_tcp(rest: &str) -> Result<Endpoint, &'static str> {
    let (authority, path) = split_path(rest)?;
    // `ws://127.0.0.1:8080/` is what people write when they mean the one path there is.
    let path = if path == "/" { EVENTS_PATH.to_owned() } else { path };
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or("`]` after an IPv6 address")?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'@') {
        return Err("ws://HOST[:PORT][/PATH]");
    }
    let port = port.map_or(Ok(80), str::parse).map_err(|_| "a port from 0 to 65535")?;
    Ok(Endpoint::Tcp { host: host.to_owned(), port, path })
}

fn parse_vsock(rest: &str) -> Result<Endpoint, &'static str> {
    if rest == "events" {
        let path = EVENTS_PATH.to_owned();
        return Ok(Endpoint::Vsock { cid: Some(HOST_CID), port: DEFAULT_VSOCK_PORT, path });
    }
    let (authority, path) = split_path(rest)?;
    let (cid, port) = authority.split_once(':').ok_or("vsock://[CID]:PORT[/PATH] or vsock://events")?;
    let cid = if cid.is_empty() { None } else { Some(cid.parse().map_err(|_| "a CID that is a number")?) };
    let port = port.parse().map_err(|_| "a vsock port that is a number")?;
    Ok(Endpoint::Vsock { cid, port, path })
}

fn parse_hybrid(rest: &str) -> Result<Endpoint, &'static str> {
    const EXPECTED: &str = "hybrid-vsock:///path/to/socket:PORT";
    let (socket, port) = rest.rsplit_once(':').ok_or(EXPECTED)?;
    if !is_absolute(socket) {
        return Err(EXPECTED);
    }
    let port = port.parse().map_err(|_| "a vsock port that is a number")?;
    Ok(Endpoint::HybridVsock { socket: socket.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        for (text, shown) in [
            ("ws://127.0.0.1:8080/events", "ws://127.0.0.1:8080/events"),
            ("http://169.254.169.254/events", "ws://169.254.169.254:80/events"),
            ("ws://[::1]:8080", "ws://[::1]:8080/events"),
            ("ws://localhost:8080/", "ws://localhost:8080/events"),
            ("ws://localhost:8080/cometd", "ws://localhost:8080/cometd"),
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("vsock://events", "vsock://2:169/events"),
            ("vsock://:169/events", "vsock://:169/events"),
            ("vsock://2:1024", "vsock://2:1024/events"),
            ("hybrid-vsock:///tmp/vm.vsock:169", "hybrid-vsock:///tmp/vm.vsock:169"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for bad in [
            "",
            "127.0.0.1:80",
            "ftp://x",
            "ws://",
            "ws://:80",
            "ws://h:70000",
            "ws://[::1",
            "unix://x",
            "unix:///",
            "vsock://2",
            "vsock://x:1",
            "vsock://2:y",
            "hybrid-vsock://x:1",
            "hybrid-vsock:///x",
            "wss://h",
            "ws://u@h/",
            "ws://h/a b",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        assert!(Endpoint::parse("ws://127.0.0.2:1").unwrap().is_local());
        assert!(!Endpoint::parse("ws://10.0.0.1:1").unwrap().is_local());
    }
}
