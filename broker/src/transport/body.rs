//! The body of a request: read as far as it may be long, and as there is room for it.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use futures_util::StreamExt;

use super::budget::{Budget, NoRoom};
use super::intake::Intake;

/// After how many seconds a request is to be made again that there was no room for: input that stalls is given up by
/// then.
pub(super) const RETRY_AFTER: &str = "10";

/// Why a body was not read.
pub(super) enum BodyError {
    TooLarge,
    Broken,
    NoRoom(NoRoom),
}

/// Reads a body, and no more of it than is allowed and there is room for.
pub(super) async fn read(body: Body, limit: usize, budget: &Arc<Budget>) -> Result<Intake, BodyError> {
    let size = body.size_hint();
    if size.lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    let whole =
        size.upper().and_then(|upper| usize::try_from(upper).ok()).map_or(limit, |upper| upper.min(limit));
    let mut chunks = body.into_data_stream();
    let mut read = Intake::default();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        if read.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge);
        }
        read.make_room(chunk.len(), whole, budget).map_err(BodyError::NoRoom)?;
        read.append(&chunk);
    }
    Ok(read)
}
