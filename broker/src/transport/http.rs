//! The HTTP side: one router for every listener, served on each accepted stream.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloud_channel_protocol::server::Peer;
use cloud_channel_protocol::{EVENTS_PATH, Limits};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use super::HEAD_DEADLINE;
use super::listener::{Accepted, Listener};
use super::registry::ConnectionRegistry;
use crate::guest::webhook;
use crate::happening::{DriverHandle, Happening};

/// What every request needs.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) driver: DriverHandle,
    pub(crate) registry: Arc<ConnectionRegistry>,
    pub(crate) limits: Limits,
}

/// Accepts streams and serves each in a task of its own, until the driver ends.
pub(crate) async fn serve(mut listener: Listener, web: Web) {
    let streams = Arc::new(Semaphore::new(web.limits.sessions + web.limits.unbound_connections));
    let router = router(web);
    loop {
        // Taken before accepting: at the limit, newcomers wait in the kernel's bounded backlog.
        let Ok(permit) = streams.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok(accepted) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve_stream(accepted, router).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(endpoint = listener.endpoint(), %error, "cannot accept a connection");
                // Out of descriptors or memory passes when something is freed, and nothing tells us when.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_stream(accepted: Accepted, router: Router) {
    let Accepted { stream, peer } = accepted;
    let router = router.layer(Extension(peer));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended badly");
    }
}

fn router(web: Web) -> Router {
    let limit = web.limits.message_bytes;
    Router::new()
        .route(EVENTS_PATH, get(events))
        .route("/webhook", post(report))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(web)
}

async fn events(
    State(web): State<Web>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    if !is_own_origin(&headers) {
        tracing::warn!(%peer, "refused an upgrade from another origin");
        return (StatusCode::FORBIDDEN, "requests from another origin are not accepted\n").into_response();
    }
    match upgrade {
        Ok(upgrade) => super::websocket::upgrade(upgrade, peer, web.driver, web.registry, &web.limits),
        Err(rejection) => {
            tracing::debug!(%peer, "a request without upgrade on the events path");
            let hint = "Bayeux is spoken here over WebSocket: upgrade the connection\n";
            (rejection.into_response().status(), hint).into_response()
        }
    }
}

/// cloud-init's `reporting: {type: webhook}`: one JSON event a request, without Content-Type.
async fn report(
    State(web): State<Web>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "reports come from cloud-init, not from web pages\n").into_response();
    }
    if !webhook::may_report(&peer) {
        return (StatusCode::FORBIDDEN, "reports are taken from this machine only\n").into_response();
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    let event = match webhook::parse(&body) {
        Ok(event) => event,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match web.driver.tell(Happening::Reported(Box::new(event))).await {
        Ok(()) => (StatusCode::OK, "accepted\n").into_response(),
        Err(_ended) => (StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending\n").into_response(),
    }
}

/// A web page of another origin must not reach us through a browser on this machine. Programs send no Origin, or
/// the one they connect to, and a page can only claim that one if its host is a name: so names other than
/// `localhost` are refused too.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let text = |value: &axum::http::HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let origin = text(origin).unwrap_or_default();
    let host = headers.get(header::HOST).and_then(text).unwrap_or_default();
    let own = origin.strip_prefix("http://").is_some_and(|rest| rest == host);
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _port)| name);
    let literal = name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    own && literal
}
