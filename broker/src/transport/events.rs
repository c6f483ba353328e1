//! `/events` and what is below: where Bayeux is spoken.
//!
//! Clients of long-polling append `/handshake`, `/connect`, `/disconnect` or just `/` to the path; what they mean
//! stands in the messages, so every path below is the same.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloud_channel_protocol::EVENTS_PATH;
use cloud_channel_protocol::server::{BearerToken, Peer};
use hyper::Request;
use hyper::body::Incoming;

use super::origin::Origin;
use super::watch::Watch;
use super::web::Web;
use super::{longpoll, websocket};

/// Longest bearer token, in bytes.
const MAX_TOKEN: usize = 4 * 1024;
/// What is understood here.
const METHODS: &str = "GET, POST, OPTIONS";

/// True for the paths answered here.
pub(super) fn is_events(path: &str) -> bool {
    path.strip_prefix(EVENTS_PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request; an upgrade is left with the watch, which carries it out.
pub(super) async fn answer(
    web: Arc<Web>,
    watch: Arc<Watch>,
    mut peer: Peer,
    request: Request<Incoming>,
) -> Response {
    let origin = Origin::of(request.headers(), &web.allowed_origins);
    if origin == Origin::Foreign {
        tracing::warn!(%peer, "refused a request from another origin");
        let text = "requests from another origin are not accepted\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    if *request.method() == Method::OPTIONS {
        let mut response = (StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response();
        origin.tell_before(response.headers_mut());
        return response;
    }
    peer.bearer = match bearer(request.headers()) {
        Ok(bearer) => bearer,
        Err(too_long) => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return (status, format!("{too_long}\n")).into_response();
        }
    };
    let mut response = match *request.method() {
        Method::POST => {
            let (headers, body) = taken_apart(request);
            longpoll::answer(&web, &watch, peer, headers, body).await
        }
        Method::GET => upgraded(&watch, peer, &request),
        _ => {
            let hint = "expected GET with an upgrade to WebSocket, or POST with messages\n";
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, METHODS)], hint).into_response()
        }
    };
    origin.tell(response.headers_mut());
    response
}

/// What long-polling needs of a request. The rest goes: it would hold on to what was read, for as long as a connect.
fn taken_apart(request: Request<Incoming>) -> (HeaderMap, Incoming) {
    let (head, body) = request.into_parts();
    (head.headers, body)
}

fn upgraded(watch: &Watch, peer: Peer, request: &Request<Incoming>) -> Response {
    match websocket::grant(request) {
        Ok(response) => {
            watch.upgrade(peer);
            response
        }
        Err(no_upgrade) => {
            tracing::debug!(%peer, ?no_upgrade, "a GET that is no upgrade");
            no_upgrade.into_response()
        }
    }
}

/// A token that is not looked at.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a bearer token of at most {MAX_TOKEN} bytes")]
struct TokenTooLong;

/// The token of `Authorization: Bearer TOKEN` (RFC 6750). Other schemes are nobody's business here.
fn bearer(headers: &HeaderMap) -> Result<Option<BearerToken>, TokenTooLong> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let Some((scheme, token)) = text.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim();
    if token.len() > MAX_TOKEN {
        return Err(TokenTooLong);
    }
    Ok(Some(BearerToken::new(token.to_owned())))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn which_paths_are_ours() {
        for (path, ours) in [
            ("/events", true),
            ("/events/", true),
            ("/events/connect", true),
            ("/eventsx", false),
            ("/event", false),
            ("/", false),
            ("/x/events", false),
        ] {
            assert_eq!(is_events(path), ours, "{path}");
        }
    }

    #[test]
    fn tokens_are_taken_from_their_header() {
        for (value, expected) in [
            (None, Ok(None)),
            (Some("Bearer abc.def".to_owned()), Ok(Some("abc.def"))),
            (Some("bearer  abc ".to_owned()), Ok(Some("abc"))),
            (Some("Basic abc".to_owned()), Ok(None)),
            (Some("abc".to_owned()), Ok(None)),
            (Some(format!("Bearer {}", "x".repeat(MAX_TOKEN + 1))), Err(TokenTooLong)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value.as_deref() {
                headers.insert(header::AUTHORIZATION, value.parse::<HeaderValue>().unwrap());
            }
            let taken = bearer(&headers);
            let taken = taken.map(|token| token.map(|token| token.reveal().to_owned()));
            assert_eq!(taken, expected.map(|token| token.map(ToOwned::to_owned)), "{value:?}");
        }
    }
}
