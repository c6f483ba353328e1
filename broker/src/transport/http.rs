//! The HTTP side: streams come in, each is served in a task of its own, and what is answered where.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloud_channel_protocol::error_chain;
use cloud_channel_protocol::server::Peer;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::body::{self, BodyError, RETRY_AFTER};
use super::coding;
use super::door::Door;
use super::events;
use super::host;
use super::listener::{Accepted, Listener};
use super::ration::Ration;
use super::scratch::linger;
use super::stream::Stream;
use super::watch::{Note, Watch, Watched};
use super::web::{Offers, Web};
use super::websocket::Upgrade;
use crate::guest::webhook;
use crate::happening::Happening;
use crate::metrics::page;

/// How long a request elsewhere than on the events path may take, its body's arrival included.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// The most that the head of a request may take.
const MAX_HEAD: usize = 16 * 1024;

/// The least time between two lines about streams that could not be secured.
const REFUSALS_PAUSE: Duration = Duration::from_secs(10);

/// Accepts streams and serves each in a task of its own, until the driver ends.
pub(crate) async fn serve(mut listener: Listener, web: Web) {
    let web = Arc::new(web);
    let door = Door::new(&web.limits);
    let router = router(web.clone(), listener.is_unix());
    let refusals = Arc::new(Ration::new(REFUSALS_PAUSE));
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                // At the limit one newcomer waits here, and the others in the kernel's bounded backlog.
                let place = door.place().await;
                let (web, door, router, refusals) =
                    (web.clone(), door.clone(), router.clone(), refusals.clone());
                tokio::spawn(async move {
                    match secured(accepted, &refusals).await {
                        Some((stream, peer)) => serve_stream(stream, peer, web, door, router, place).await,
                        None => drop(place),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(endpoint = listener.endpoint(), %error, "cannot accept a connection");
                door.make_room();
                // Out of descriptors or memory passes when something is freed, and nothing tells us when.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The server of hyper on one stream.
type Http = http1::Connection<TokioIo<Watched>, Served>;

/// What may happen to a stream that speaks HTTP.
enum Turn {
    Noted(Note),
    Over(hyper::Result<()>),
}

/// What TLS makes of a stream. Strangers can fail at it as often as they like, and the log is not theirs to fill.
async fn secured(accepted: Accepted, refusals: &Ration) -> Option<(Stream, Peer)> {
    let address = accepted.address().clone();
    match accepted.secured().await {
        Ok(secured) => Some(secured),
        Err(error) => {
            let (peer, reason) = (Peer::from(address), error_chain(&error));
            match refusals.line(Instant::now()) {
                Some(left_out) => tracing::info!(%peer, reason, left_out, "a stream could not be secured"),
                None => tracing::debug!(%peer, reason, "a stream could not be secured"),
            }
            None
        }
    }
}

async fn serve_stream(
    stream: Stream,
    peer: Peer,
    web: Arc<Web>,
    door: Arc<Door>,
    router: Router,
    place: OwnedSemaphorePermit,
) {
    let watch = Arc::new(Watch::new());
    let entered = door.enter(watch.clone());
    let service = Served { web: web.clone(), watch: watch.clone(), peer, router };
    let mut http = http1::Builder::new()
        // The watch has deadlines.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Watched::new(stream, watch.clone())), service);
    let over = converse(&mut http, &watch).await;
    drop(entered);
    for exchange in watch.take_exchanges().into_iter().flatten() {
        exchange.settle().await;
    }
    let Some(over) = over else { return };
    if let Err(error) = over {
        return tracing::debug!(%error, "a connection ended badly");
    }
    let parts = http.into_parts();
    let (stream, ahead) = parts.io.into_inner().into_parts();
    match watch.take_upgrade() {
        Some(peer) => Upgrade { peer }.begin(stream, [&*parts.read_buf, &ahead].concat().into(), &web, place),
        None => linger(stream).await,
    }
}

/// Has a stream's requests answered, until it is over; `None` if it has to make room for others.
async fn converse(http: &mut Http, watch: &Watch) -> Option<hyper::Result<()>> {
    loop {
        // The stream first: what it notes is there at once then.
        let turn = poll_fn(|cx| match http.poll_without_shutdown(cx) {
            Poll::Ready(over) => Poll::Ready(Turn::Over(over)),
            Poll::Pending => watch.poll_note(cx).map(Turn::Noted),
        });
        match turn.await {
            Turn::Noted(Note::Answered(exchange)) => exchange.settle().await,
            Turn::Noted(Note::SentAway) if watch.owes_request_since().is_some() => return None,
            Turn::Noted(Note::SentAway) => {}
            Turn::Over(over) => return Some(over),
        }
    }
}

/// Answers the requests of one stream.
struct Served {
    web: Arc<Web>,
    watch: Arc<Watch>,
    peer: Peer,
    router: Router,
}

impl Service<Request<Incoming>> for Served {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let watch = self.watch.clone();
        watch.request();
        if let Err(error) = host::check(request.version(), request.headers()) {
            watch.answer();
            return Box::pin(ready(Ok(error.into_response())));
        }
        if let Err(error) = coding::check(request.headers()) {
            watch.answer();
            return Box::pin(ready(Ok(error.into_response())));
        }
        if self.web.offers == Offers::Events && events::is_events(request.uri().path()) {
            let answering = events::answer(self.web.clone(), watch.clone(), self.peer.clone(), request);
            return Box::pin(async move {
                let response = answering.await;
                watch.answer();
                Ok(response)
            });
        }
        request.extensions_mut().insert(self.peer.clone());
        let answering = TowerToHyperService::new(self.router.clone()).call(request);
        Box::pin(async move {
            let response = match timeout(REQUEST_DEADLINE, answering).await {
                Ok(response) => response?,
                Err(_elapsed) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
            };
            watch.answer();
            Ok(response)
        })
    }
}

/// What is answered besides Bayeux.
fn router(web: Arc<Web>, is_unix: bool) -> Router {
    if web.offers == Offers::Metrics {
        return Router::new().route("/metrics", get(page::open)).with_state(web);
    }
    let router = if is_unix { Router::new().route("/metrics", get(page::judged)) } else { Router::new() };
    router.route("/webhook", post(report)).route("/healthz", get(|| async { "ok\n" })).with_state(web)
}

/// cloud-init's `reporting: {type: webhook}`: one JSON event a request, without Content-Type.
async fn report(
    State(web): State<Arc<Web>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "reports come from cloud-init, not from web pages\n").into_response();
    }
    if !webhook::may_report(&peer) {
        return (StatusCode::FORBIDDEN, "reports are taken from this machine only\n").into_response();
    }
    let (limit, budget) = (web.limits.message_bytes, web.budgets.of(&peer.address));
    let body = match body::read(body, limit, budget).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => {
            let text = format!("the report is too large, expected at most {limit} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
        }
        Err(BodyError::Broken) => {
            return (StatusCode::BAD_REQUEST, "the request's body is cut\n").into_response();
        }
        Err(BodyError::NoRoom(no_room)) => {
            budget.log_no_room(&peer);
            let retry = [(header::RETRY_AFTER, RETRY_AFTER)];
            return (StatusCode::SERVICE_UNAVAILABLE, retry, format!("{no_room}\n")).into_response();
        }
    };
    let event = match webhook::parse(body.as_slice()) {
        Ok(event) => event,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match web.driver.tell(Happening::Reported(Box::new(event))).await {
        Ok(()) => (StatusCode::OK, "accepted\n").into_response(),
        Err(_ended) => (StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending\n").into_response(),
    }
}
