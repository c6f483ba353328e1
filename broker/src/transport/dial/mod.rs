//! Dialling: an endpoint becomes an open stream, and the stream a line to talk over.

mod cookies;
mod line;
mod polling;

pub(crate) use line::Incoming;
pub use line::{Gone, Line};
pub use polling::LongPolling;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloud_channel_protocol::{Endpoint, HOST_CID, HybridAnswer, Limits, connect_line};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};

use cookies::CookieJar;

use super::tls::{TlsClient, TlsError, is_distrust};
use super::{READ_BUFFER, Stream, vsock};
use crate::link_token::{LinkToken, LinkTokenError};
use crate::settings::DialTlsSettings;

/// How long connecting, the TLS handshake and the upgrade may take together.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);

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
    /// A connection, and no TLS.
    #[error("{endpoint} does not speak TLS with us")]
    Tls {
        /// What was dialled.
        endpoint: Endpoint,
        /// What the library said.
        source: io::Error,
    },
    /// A server that cannot prove who it is.
    #[error(
        "{endpoint} is not trusted: expected a certificate for that name, from an authority in `{}`",
        .authorities.display()
    )]
    Distrusted {
        /// What was dialled.
        endpoint: Endpoint,
        /// By whom it was judged.
        authorities: PathBuf,
        /// What the library said.
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
    /// A server that wants to know who we are, or does and wants nothing of us.
    #[error(
        "{endpoint} refuses us with HTTP status {status}; check the token it is shown (`link.token-file`)"
    )]
    Refused {
        /// What was dialled.
        endpoint: Endpoint,
        /// 401 or 403.
        status: StatusCode,
    },
    /// We have no token to show, and were told to show one.
    #[error("cannot dial {endpoint} without a token")]
    Token {
        /// What was to be dialled.
        endpoint: Endpoint,
        /// What is wrong with its file.
        source: LinkTokenError,
    },
    /// A connection, and no HTTP.
    #[error("{endpoint} does not speak HTTP there")]
    Http {
        /// What was dialled.
        endpoint: Endpoint,
        /// What the library said.
        source: hyper::Error,
    },
    /// It took too long.
    #[error("{endpoint} did not answer within {} s", DIAL_DEADLINE.as_secs())]
    Deadline {
        /// What was dialled.
        endpoint: Endpoint,
    },
}

/// Opens lines to endpoints, and keeps what they have to have in common: whom to trust, and cookies.
#[derive(Debug)]
pub struct Dialler {
    limits: Limits,
    tls: Option<TlsClient>,
    token: Option<LinkToken>,
    /// By authority. As many as there are endpoints.
    cookies: Mutex<HashMap<String, CookieJar>>,
}

impl Dialler {
    /// Prepares for these endpoints. Where one of them is reached over TLS, the certificates are read now. `root` is
    /// the folder that plays the machine, if one does.
    ///
    /// # Errors
    /// If certificates are needed and cannot be used.
    pub fn new(
        endpoints: &[Endpoint],
        tls: &DialTlsSettings,
        root: Option<&Path>,
        limits: Limits,
    ) -> Result<Self, TlsError> {
        let needed = endpoints.iter().any(Endpoint::is_tls);
        let tls = if needed { Some(TlsClient::new(tls, root)?) } else { None };
        Ok(Self { limits, tls, token: None, cookies: Mutex::default() })
    }

    /// The same, and each line shows this token. The endpoints are of a kind that nobody listens in on.
    #[must_use]
    pub fn showing(self, token: Option<LinkToken>) -> Self {
        Self { token, ..self }
    }

    /// Reaches an endpoint, and gets ready to talk Bayeux over it.
    ///
    /// # Errors
    /// Says what was dialled and what failed.
    pub async fn open(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Line, DialError> {
        if endpoint.is_long_polling() {
            return LongPolling::open(self.clone(), endpoint).await.map(Line::LongPolling);
        }
        within_deadline(endpoint, async {
            let token = self.token(endpoint)?;
            let stream = self.stream(endpoint).await?;
            let config = self.socket_config();
            let failed = |source| upgrade_error(endpoint, source);
            let mut request = request_uri(endpoint).into_client_request().map_err(failed)?;
            if let Some(token) = token {
                request.headers_mut().insert(AUTHORIZATION, token);
            }
            tokio_tungstenite::client_async_with_config(request, stream, Some(config))
                .await
                .map(|(socket, _)| Line::WebSocket(Box::new(socket)))
                .map_err(failed)
        })
        .await
    }

    /// What is shown to an endpoint, as it stands in the file now.
    fn token(&self, endpoint: &Endpoint) -> Result<Option<HeaderValue>, DialError> {
        let read = self.token.as_ref().map(LinkToken::read).transpose();
        read.map_err(|source| DialError::Token { endpoint: endpoint.clone(), source })
    }

    /// What is read and kept of messages at most.
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Works on the cookies of an endpoint.
    fn with_cookies<T>(&self, endpoint: &Endpoint, work: impl FnOnce(&mut CookieJar) -> T) -> T {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        work(cookies.entry(endpoint.authority()).or_default())
    }

    /// An open stream, TLS included.
    async fn stream(&self, endpoint: &Endpoint) -> Result<Stream, DialError> {
        let failed = |source| DialError::Connect { endpoint: endpoint.clone(), source };
        match endpoint {
            Endpoint::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
                // Messages are small and answers are waited for.
                stream.set_nodelay(true).map_err(failed)?;
                if endpoint.is_tls() {
                    self.secure(endpoint, host, stream).await
                } else {
                    Ok(Stream::Tcp(stream))
                }
            }
            Endpoint::Unix { socket } => UnixStream::connect(socket).await.map(Stream::Unix).map_err(failed),
            Endpoint::Vsock { cid, port, .. } => {
                let stream = vsock::connect(cid.unwrap_or(HOST_CID), *port).await;
                stream.map(Stream::Vsock).map_err(failed)
            }
            Endpoint::HybridVsock { socket, port } => {
                connect_hybrid(socket, *port).await.map(Stream::Unix).map_err(failed)
            }
        }
    }

    async fn secure(&self, endpoint: &Endpoint, host: &str, stream: TcpStream) -> Result<Stream, DialError> {
        let endpoint = endpoint.clone();
        let Some(tls) = &self.tls else {
            let source = io::Error::other("no authorities were read for it");
            return Err(DialError::Tls { endpoint, source });
        };
        tls.connect(host, stream).await.map_err(|source| {
            if is_distrust(&source) {
                let authorities = tls.authorities().to_owned();
                return DialError::Distrusted { endpoint, authorities, source };
            }
            DialError::Tls { endpoint, source }
        })
    }

    /// Buffers as small as idle connections deserve; a message's size is bounded by the core's limit on batches.
    fn socket_config(&self) -> WebSocketConfig {
        let limits = &self.limits;
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(limits.queued_bytes + limits.batch_bytes + limits.reply_bytes)
            .max_message_size(Some(limits.batch_bytes))
            .max_frame_size(Some(limits.batch_bytes))
    }
}

/// Gives up what takes longer than dialling may.
async fn within_deadline<T>(
    endpoint: &Endpoint,
    dialling: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    timeout(DIAL_DEADLINE, dialling)
        .await
        .unwrap_or_else(|_| Err(DialError::Deadline { endpoint: endpoint.clone() }))
}

fn upgrade_error(endpoint: &Endpoint, source: tungstenite::Error) -> DialError {
    let endpoint = endpoint.clone();
    match &source {
        tungstenite::Error::Http(response) if is_refusal(response.status()) => {
            DialError::Refused { endpoint, status: response.status() }
        }
        _ => DialError::Upgrade { endpoint, source: Box::new(source) },
    }
}

/// True for the answers to whom a server does not know or does not want.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The upgrade request's URI. TLS is a matter of the stream below.
fn request_uri(endpoint: &Endpoint) -> String {
    format!("ws://{}{}", endpoint.authority(), endpoint.request_path())
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
