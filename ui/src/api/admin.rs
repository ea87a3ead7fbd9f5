//! What operators ask for.

use axum::{Json, extract::State as Extracted};

use crate::{State, error::Answer, wire};

/// Writes every row in memory to segments.
#[utoipa::path(post, path = "/api/admin/flush", tag = "server", responses((status = 200, body = wire::Done), (status = "default", body = wire::Problem)))]
pub(crate) async fn flush(Extracted(state): Extracted<State>) -> Answer<Json<wire::Done>> {
    let started = state.process().now_unix_nano();
    state.query().flush().await?;
    Ok(Json(done(&state, started)))
}

/// Merges the segments that are worth merging.
#[utoipa::path(post, path = "/api/admin/compact", tag = "server", responses((status = 200, body = wire::Done), (status = "default", body = wire::Problem)))]
pub(crate) async fn compact(Extracted(state): Extracted<State>) -> Answer<Json<wire::Done>> {
    let started = state.process().now_unix_nano();
    state.query().compact().await?;
    Ok(Json(done(&state, started)))
}

fn done(state: &State, started_unix_nano: i64) -> wire::Done {
    let elapsed = state.process().now_unix_nano().saturating_sub(started_unix_nano);
    wire::Done { done: true, elapsed_ms: u64::try_from(elapsed / 1_000_000).unwrap_or(0) }
}
