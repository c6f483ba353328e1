//! The request that becomes a WebSocket (RFC 6455, 4.2).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use cloud_channel_protocol::server::Peer;
use hyper::body::{Bytes, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::connection::Connection;
use crate::transport::Stream;
use crate::transport::web::Web;

/// How long sixteen bytes are in base64, `==` at the end.
const KEY_SIZE: usize = 24;
/// The only version there is.
const VERSION: &str = "13";

/// An upgrade that was granted: what becomes of the stream once the answer is written.
#[derive(Debug)]
pub(in crate::transport) struct Upgrade {
    /// Who asked for it.
    pub(in crate::transport) peer: Peer,
}

impl Upgrade {
    /// Begins the WebSocket, in a task of its own: it lives long, and shall not carry what HTTP needed.
    /// `early` are bytes that came with the request.
    pub(in crate::transport) fn begin(
        self,
        stream: Stream,
        early: Bytes,
        web: &Web,
        place: OwnedSemaphorePermit,
    ) {
        let connection = Connection::new(stream, &self.peer, web, place);
        tokio::spawn(connection.run(Box::new(self.peer), early));
    }
}

/// A request that cannot become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum NoUpgrade {
    /// It does not ask for it.
    NotAsked,
    /// It asks for another version than there is.
    Version,
    /// Its key is none.
    Key,
}

impl IntoResponse for NoUpgrade {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NotAsked => (
                StatusCode::UPGRADE_REQUIRED,
                "Bayeux is spoken here: upgrade to WebSocket, or POST messages\n",
            ),
            Self::Version => (StatusCode::UPGRADE_REQUIRED, "expected version 13 of WebSocket\n"),
            Self::Key => (StatusCode::BAD_REQUEST, "expected sixteen bytes in base64 as Sec-WebSocket-Key\n"),
        };
        let mut response = (status, text).into_response();
        if status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().extend([
                (header::CONNECTION, HeaderValue::from_static("upgrade")),
                (header::UPGRADE, HeaderValue::from_static("websocket")),
                (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)),
            ]);
        }
        response
    }
}

/// Grants an upgrade.
pub(in crate::transport) fn grant(request: &hyper::Request<Incoming>) -> Result<Response, NoUpgrade> {
    let headers = request.headers();
    let asks = has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket");
    if request.method() != Method::GET || request.version() != Version::HTTP_11 || !asks {
        return Err(NoUpgrade::NotAsked);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(NoUpgrade::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).filter(|key| is_key(key));
    let accept = derive_accept_key(key.ok_or(NoUpgrade::Key)?);
    let accept = HeaderValue::try_from(accept).expect("base64 is a header's value");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().extend([
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ]);
    Ok(response)
}

/// True for sixteen bytes in base64 (RFC 6455, 4.2.1). The last of its characters has bits that mean nothing, and clients
/// that fill them.
fn is_key(text: &[u8]) -> bool {
    let characters = text.strip_suffix(b"==").unwrap_or_default();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.len() == KEY_SIZE && characters.iter().all(is_base64) && !characters.is_empty()
}

/// True if a header is a list that has this token, in whatever case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}
