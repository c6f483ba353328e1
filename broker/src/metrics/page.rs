//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloud_channel_protocol::ErrorCode;
use cloud_channel_protocol::server::Peer;
use tokio::sync::oneshot;

use super::exposition::CONTENT_TYPE;
use super::families::render;
use super::{ProcessFigures, Reader};
use crate::happening::Happening;
use crate::transport::web::Web;

/// On the listeners of events: for whom the rules let `get` the daemon's status.
pub(crate) async fn judged(web: State<Arc<Web>>, Extension(peer): Extension<Peer>) -> Response {
    answer(&web, Some(peer)).await
}

/// On a listener that was configured for metrics, which is the permission.
pub(crate) async fn open(web: State<Arc<Web>>) -> Response {
    answer(&web, None).await
}

async fn answer(web: &Web, peer: Option<Peer>) -> Response {
    const ENDING: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending\n");
    let (answer, figures) = oneshot::channel();
    if web.driver.tell(Happening::Figures(Box::new(Reader { peer, answer }))).await.is_err() {
        return ENDING.into_response();
    }
    match figures.await {
        Ok(Ok(snapshot)) => {
            let text = render(&snapshot, &ProcessFigures::read());
            ([(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")], text)
                .into_response()
        }
        Ok(Err(refusal)) => {
            let status = match refusal.code() {
                ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
                _ => StatusCode::FORBIDDEN,
            };
            (status, format!("{}\n", refusal.text())).into_response()
        }
        Err(_dropped) => ENDING.into_response(),
    }
}
