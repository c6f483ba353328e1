//! Bayeux over HTTP long-polling: each POST is an exchange of the core's, and its one batch is the response.
//!
//! An exchange that waits costs its stream and a seat in the registry. Its response counts as written when the system
//! has taken the last byte; if the client hangs up before, the core takes the events back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use cloud_channel_protocol::server::{Carrier, Peer};
use cloud_channel_protocol::{BayeuxError, ErrorCode};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::body::{self, BodyError, RETRY_AFTER};
use super::exchange::Exchange;
use super::intake::Intake;
use super::registry::Answer;
use super::watch::Watch;
use super::web::Web;
use super::{form, messages::Messages};
use crate::happening::Happening;

/// Said when there is no driver any more.
const ENDING: &str = "the daemon is ending";

/// Answers one POST.
pub(super) async fn answer(
    web: &Web,
    watch: &Arc<Watch>,
    peer: Peer,
    headers: HeaderMap,
    body: Incoming,
) -> Response {
    let limit = web.limits.batch_bytes;
    let budget = web.budgets.of(&peer.address);
    let body = match timeout(web.limits.handshake_deadline, body::read(Body::new(body), limit, budget)).await
    {
        Ok(Ok(body)) => body,
        Ok(Err(BodyError::TooLarge)) => {
            let text = format!("the batch is too large, expected at most {limit} bytes");
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, &text);
        }
        Ok(Err(BodyError::Broken)) => {
            return refusal(StatusCode::BAD_REQUEST, ErrorCode::Malformed, "the request's body is cut");
        }
        Ok(Err(BodyError::NoRoom(no_room))) => {
            budget.log_no_room(&peer);
            return later(&no_room.to_string());
        }
        Err(_elapsed) => {
            let text = "the request's body took too long to arrive";
            return refusal(StatusCode::REQUEST_TIMEOUT, ErrorCode::Malformed, text);
        }
    };
    let batch = if form::is_form(&headers, body.as_slice()) {
        form::messages(body.as_slice()).map(|messages| body.rewritten(messages))
    } else {
        Ok(body)
    };
    // It holds on to what was read of the request, and there may be a long wait.
    drop(headers);
    match batch {
        Ok(batch) => exchange(web, watch, peer, batch).await,
        Err(error) => refusal(StatusCode::BAD_REQUEST, ErrorCode::Malformed, &error.to_string()),
    }
}

/// Asks the core, and waits for what it says. If this is dropped meanwhile, because the client has hung up, the
/// exchange's owner tells the core.
async fn exchange(web: &Web, watch: &Arc<Watch>, peer: Peer, batch: Intake) -> Response {
    let (exchange, answer) = Exchange::enter(&web.registry, &web.driver);
    let id = exchange.id();
    watch.exchange(exchange);
    let opened = Happening::Opened { connection: id, peer: Box::new(peer), carrier: Carrier::Exchange };
    let received = Happening::Received { connection: id, messages: Messages::from(batch) };
    for happening in [opened, received] {
        if web.driver.tell(happening).await.is_err() {
            return unavailable(watch, ENDING);
        }
    }
    match answer.await {
        Ok(Answer::Batch { batch, understood }) => {
            let status = if understood { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            response(status, Body::new(Telling { batch: Some(batch), watch: watch.clone() }))
        }
        Ok(Answer::Closed(reason)) => unavailable(watch, reason.as_str()),
        Err(_driver_ended) => unavailable(watch, ENDING),
    }
}

/// The core has no answer: the client is to come again.
fn unavailable(watch: &Arc<Watch>, text: &str) -> Response {
    let batch = Some(refusal_batch(ErrorCode::Busy, text));
    response(StatusCode::SERVICE_UNAVAILABLE, Body::new(Telling { batch, watch: watch.clone() }))
}

/// A request that does not reach the core.
pub(super) fn refusal(status: StatusCode, code: ErrorCode, text: &str) -> Response {
    response(status, Body::from(refusal_batch(code, text)))
}

/// There is no room for a request now. That passes.
fn later(text: &str) -> Response {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    response
}

fn refusal_batch(code: ErrorCode, text: &str) -> Bytes {
    let error = BayeuxError::new(code, "", text).to_string();
    let batch = serde_json::json!([{"channel": "/meta/unsuccessful", "successful": false, "error": error}]);
    batch.to_string().into()
}

fn response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().extend([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    response
}

/// A body that tells its watch when it has been taken.
struct Telling {
    batch: Option<Bytes>,
    watch: Arc<Watch>,
}

impl HttpBody for Telling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let batch = self.batch.take();
        self.watch.handed_over();
        Poll::Ready(batch.map(|batch| Ok(Frame::data(batch))))
    }

    fn is_end_stream(&self) -> bool {
        self.batch.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.batch.as_ref().map_or(0, Bytes::len) as u64)
    }
}
