//! One connection to the server, and the dialect spoken on it: batches in, batches out.

use std::borrow::Cow;
use std::io;

use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::frame::{self, Kind};
use super::http;
use super::socket::Socket;
use super::target::{Target, Transport};

/// What every request names.
#[derive(Debug)]
pub(crate) struct Address {
    host: String,
    path: String,
}

impl Address {
    pub(crate) fn of(target: &Target) -> Self {
        Self { host: target.host(), path: target.endpoint().request_path().to_owned() }
    }
}

#[derive(Debug)]
enum Dialect {
    /// The upgrade to WebSocket was asked for with this key.
    Upgrading(String),
    /// WebSocket, and what has come of a message in several frames.
    Frames(Vec<u8>),
    /// HTTP, one request at a time.
    Requests { busy: bool, cookie: Option<String> },
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// None for an HTTP connection that the server has closed between two requests.
    socket: Option<Socket>,
    dialect: Dialect,
    /// What has come of something that is not complete. Empty, without memory, most of the time.
    pub(crate) pending: Vec<u8>,
    key: u32,
}

/// What a connection brings.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// The connection takes batches now.
    Upgraded,
    /// Messages, as JSON.
    Batch(Cow<'a, [u8]>),
    /// Something that is dealt with already.
    Nothing,
}

impl Wire {
    /// Begins to speak on a connection. A WebSocket takes its first batch after [`Piece::Upgraded`].
    pub(crate) fn new(mut socket: Socket, transport: Transport, address: &Address) -> Self {
        let dialect = match transport {
            Transport::WebSocket => {
                let key = generate_key();
                http::upgrade(socket.out(), &address.path, &address.host, &key);
                Dialect::Upgrading(key)
            }
            Transport::LongPolling => Dialect::Requests { busy: false, cookie: None },
        };
        Self { socket: Some(socket), dialect, pending: Vec::new(), key: 1 }
    }

    pub(crate) const fn socket(&mut self) -> Option<&mut Socket> {
        self.socket.as_mut()
    }

    /// Puts a new connection in the place of one that was closed.
    pub(crate) fn replace(&mut self, socket: Socket) {
        self.socket = Some(socket);
    }

    /// True if a batch may be sent now.
    pub(crate) const fn is_free(&self) -> bool {
        match self.dialect {
            Dialect::Upgrading(_) => false,
            Dialect::Frames(_) => true,
            Dialect::Requests { busy, .. } => !busy,
        }
    }

    /// The cookie that the server has given this connection's client.
    pub(crate) fn cookie(&self) -> Option<&str> {
        match &self.dialect {
            Dialect::Requests { cookie, .. } => cookie.as_deref(),
            _ => None,
        }
    }

    /// Shows the server this cookie from now on.
    pub(crate) fn set_cookie(&mut self, given: Option<&str>) {
        if let Dialect::Requests { cookie, .. } = &mut self.dialect {
            *cookie = given.map(str::to_owned);
        }
    }

    /// Appends a batch to what is to be written.
    pub(crate) fn send(&mut self, address: &Address, batch: &[u8]) {
        let Some(socket) = &mut self.socket else { return };
        match &mut self.dialect {
            Dialect::Upgrading(_) | Dialect::Frames(_) => {
                // A step of a full-period generator: a mask hides nothing, it has to change.
                self.key = self.key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                frame::text(socket.out(), self.key, |out| out.extend_from_slice(batch));
            }
            Dialect::Requests { busy, cookie } => {
                *busy = true;
                http::post(socket.out(), &address.path, &address.host, cookie.as_deref(), batch);
            }
        }
    }

    /// Splits off the first thing that is complete in `bytes`, and says how many of them it took.
    ///
    /// # Errors
    /// What is wrong with it, as a text.
    pub(crate) fn split<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Piece<'a>, usize)>, String> {
        match &mut self.dialect {
            Dialect::Upgrading(key) => {
                let Some((response, taken)) = http::split(bytes)? else { return Ok(None) };
                http::check_upgrade(&response, key)?;
                self.dialect = Dialect::Frames(Vec::new());
                Ok(Some((Piece::Upgraded, taken)))
            }
            Dialect::Requests { busy, cookie } => {
                if bytes.is_empty() {
                    return Ok(None);
                }
                let Some((response, taken)) = http::split(bytes)? else { return Ok(None) };
                if response.status != 200 {
                    let body = cloud_channel_protocol::shorten(&String::from_utf8_lossy(&response.body));
                    return Err(format!("HTTP {} {}: {body}", response.status, response.reason));
                }
                *busy = false;
                if let Some(given) = response.cookie {
                    *cookie = Some(given.to_owned());
                }
                if response.closes {
                    self.socket = None;
                }
                Ok(Some((Piece::Batch(response.body), taken)))
            }
            Dialect::Frames(_) => self.split_frame(bytes),
        }
    }

    fn split_frame<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Piece<'a>, usize)>, String> {
        let Some((frame, taken)) = frame::split(bytes)? else { return Ok(None) };
        let Dialect::Frames(parts) = &mut self.dialect else { return Ok(None) };
        let piece = match frame.kind {
            Kind::Message if frame.last && parts.is_empty() => Piece::Batch(frame.payload.into()),
            Kind::Message | Kind::Continuation => {
                parts.extend_from_slice(frame.payload);
                if frame.last { Piece::Batch(std::mem::take(parts).into()) } else { Piece::Nothing }
            }
            Kind::Ping => {
                if let Some(socket) = &mut self.socket {
                    frame::pong(socket.out(), self.key, frame.payload);
                }
                Piece::Nothing
            }
            Kind::Pong => Piece::Nothing,
            Kind::Close => {
                let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default()).into_owned();
                return Err(format!(
                    "a close frame, code {code} `{}`",
                    cloud_channel_protocol::shorten(&reason)
                ));
            }
        };
        Ok(Some((piece, taken)))
    }

    /// The other side has closed.
    ///
    /// # Errors
    /// If it was not to: only an HTTP connection may end, between two requests.
    pub(crate) fn closed(&mut self) -> io::Result<()> {
        match self.dialect {
            Dialect::Requests { busy: false, .. } if self.pending.is_empty() => {
                self.socket = None;
                Ok(())
            }
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
        }
    }
}
