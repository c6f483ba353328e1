//! Endpoints: where to listen and where to dial.
//!
//! ```text
//! ws://HOST[:PORT][/PATH]          Bayeux over WebSocket
//! http://HOST[:PORT][/PATH]        Bayeux over long-polling when dialled; the same as ws:// when listened on
//! wss://…, https://…               the same over TLS
//! unix:///PATH/TO/SOCKET
//! vsock://[CID]:PORT[/PATH]        an empty CID is the host (2) when dialled, any (-1U) when listened on
//! vsock://events                   the design note's: the host, default port, path /events
//! hybrid-vsock:///PATH/TO/SOCKET:PORT
//! ```

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::ids::shorten;

/// vsock port, below 1024 so that no unprivileged process can squat on it.
pub const DEFAULT_VSOCK_PORT: u32 = 169;
/// The one path on which Bayeux is spoken.
pub const EVENTS_PATH: &str = "/events";
/// The host's CID (vsock(7)).
pub const HOST_CID: u32 = 2;

/// How a TCP endpoint is written, and so how it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `ws://`: WebSocket.
    Ws,
    /// `wss://`: WebSocket over TLS.
    Wss,
    /// `http://`: long-polling.
    Http,
    /// `https://`: long-polling over TLS.
    Https,
}

impl Scheme {
    /// As it is written before `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// True if TLS protects it.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Wss | Self::Https)
    }

    /// True if Bayeux goes in requests and responses there, and not in WebSocket frames.
    #[must_use]
    pub const fn is_long_polling(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    const fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }
}

/// One place to listen at or to dial.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP, with TLS or without, host and port as written.
    Tcp {
        /// What is spoken there.
        scheme: Scheme,
        /// Name or address; an IPv6 address without its brackets.
        host: String,
        /// Port; 80 if not given, 443 with TLS.
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

/// What a text may begin with.
const SCHEMES: &str = "ws://, wss://, http://, https://, unix://, vsock:// or hybrid-vsock://";

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
            return Err(wrong(SCHEMES));
        };
        match scheme {
            "ws" => parse_tcp(Scheme::Ws, rest).map_err(wrong),
            "wss" => parse_tcp(Scheme::Wss, rest).map_err(wrong),
            "http" => parse_tcp(Scheme::Http, rest).map_err(wrong),
            "https" => parse_tcp(Scheme::Https, rest).map_err(wrong),
            "unix" if is_absolute(rest) => Ok(Self::Unix { socket: rest.to_owned() }),
            "unix" => Err(wrong("unix:///absolute/path")),
            "vsock" => parse_vsock(rest).map_err(wrong),
            "hybrid-vsock" => parse_hybrid(rest).map_err(wrong),
            _ => Err(wrong(SCHEMES)),
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

    /// What a request's `Host` header says: host and port, and `localhost` where the endpoint is no host.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix { .. } | Self::Vsock { .. } | Self::HybridVsock { .. } => "localhost".to_owned(),
        }
    }

    /// True if TLS protects it.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { scheme, .. } if scheme.is_tls())
    }

    /// True if Bayeux goes over long-polling when it is dialled.
    #[must_use]
    pub const fn is_long_polling(&self) -> bool {
        matches!(self, Self::Tcp { scheme, .. } if scheme.is_long_polling())
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
            Self::Tcp { scheme, path, .. } => write!(f, "{}://{}{path}", scheme.as_str(), self.authority()),
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

fn parse_tcp(scheme: Scheme, rest: &str) -> Result<Endpoint, &'static str> {
    let (authority, path) = split_path(rest)?;
    // `ws://127.0.0.1:8080/` is what people write when they mean the one path there is.
    let path = if path == "/" { EVENTS_PATH.to_owned() } else { path };
    let (host, port) = split_host(authority)?;
    let port = match port {
        Some(port) => decimal(port).ok_or("a port from 0 to 65535")?,
        None => scheme.default_port(),
    };
    Ok(Endpoint::Tcp { scheme, host: host.to_owned(), port, path })
}

/// Splits the port off, if there is one.
fn split_host(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or("`]` after an IPv6 address")?;
        // Behind `%` is the link that a link-local address belongs to (RFC 4007, section 11).
        let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
        if address.parse::<Ipv6Addr>().is_err() || !is_host_name(zone) {
            return Err("an IPv6 address between the brackets");
        }
        let port = match after.strip_prefix(':') {
            None if !after.is_empty() => return Err("`:PORT` or nothing after `]`"),
            port => port,
        };
        return Ok((host, port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if !is_host_name(host) {
        return Err("HOST[:PORT][/PATH] after the scheme");
    }
    Ok((host, port))
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// `parse` would take a `+` as well.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_vsock(rest: &str) -> Result<Endpoint, &'static str> {
    if rest == "events" {
        let path = EVENTS_PATH.to_owned();
        return Ok(Endpoint::Vsock { cid: Some(HOST_CID), port: DEFAULT_VSOCK_PORT, path });
    }
    let (authority, path) = split_path(rest)?;
    let (cid, port) = authority.split_once(':').ok_or("vsock://[CID]:PORT[/PATH] or vsock://events")?;
    let cid = if cid.is_empty() { None } else { Some(decimal(cid).ok_or("a CID that is a number")?) };
    let port = decimal(port).ok_or("a vsock port that is a number")?;
    Ok(Endpoint::Vsock { cid, port, path })
}

fn parse_hybrid(rest: &str) -> Result<Endpoint, &'static str> {
    const EXPECTED: &str = "hybrid-vsock:///path/to/socket:PORT";
    let (socket, port) = rest.rsplit_once(':').ok_or(EXPECTED)?;
    if !is_absolute(socket) {
        return Err(EXPECTED);
    }
    let port = decimal(port).ok_or("a vsock port that is a number")?;
    Ok(Endpoint::HybridVsock { socket: socket.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        for (text, shown) in [
            ("ws://127.0.0.1:8080/events", "ws://127.0.0.1:8080/events"),
            ("http://169.254.169.254/events", "http://169.254.169.254:80/events"),
            ("https://[fe80::1]/cometd", "https://[fe80::1]:443/cometd"),
            ("wss://mgmt.example:8443/", "wss://mgmt.example:8443/events"),
            ("ws://[::1]:8080", "ws://[::1]:8080/events"),
            ("ws://[fe80::1%eth0]", "ws://[fe80::1%eth0]:80/events"),
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
            "wss://",
            "ws://u@h/",
            "ws://h/a b",
            "ws://[::1]8080",
            "ws://[host]:80",
            "ws://::1",
            "ws://h:1:2",
            "ws://h?x=/",
            "ws://h:+80",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        assert!(Endpoint::parse("ws://127.0.0.2:1").unwrap().is_local());
        assert!(!Endpoint::parse("ws://10.0.0.1:1").unwrap().is_local());
        for (text, tls, long_polling) in [
            ("ws://h", false, false),
            ("wss://h", true, false),
            ("http://h", false, true),
            ("https://h", true, true),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.is_tls(), endpoint.is_long_polling()), (tls, long_polling), "{text}");
        }
        assert_eq!(Endpoint::parse("unix:///x").unwrap().authority(), "localhost");
    }
}
