//! The server itself: probes, metrics, status, who asks.

use axum::{
    Extension, Json,
    extract::State as Extracted,
    http::{HeaderName, StatusCode, header},
};
use config::Role;

use crate::{State, auth::Identity, error::Answer, json::timestamp, wire};

/// The process runs.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Stored data is recovered and new data is accepted.
pub(crate) async fn readyz(Extracted(state): Extracted<State>) -> (StatusCode, &'static str) {
    if state.process().is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// Prometheus text.
pub(crate) async fn metrics(Extracted(state): Extracted<State>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.process().metrics_text())
}

/// State of the server.
#[utoipa::path(get, path = "/api/status", tag = "server", responses((status = 200, body = wire::Status)))]
pub(crate) async fn status(Extracted(state): Extracted<State>) -> Answer<Json<wire::Status>> {
    let (process, config) = (state.process(), state.config());
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let uptime_nano = process.now_unix_nano().saturating_sub(process.started_at_unix_nano());
    Ok(Json(wire::Status {
        version: process.version().to_owned(),
        commit: process.commit().map(str::to_owned),
        started_at: timestamp(process.started_at_unix_nano()),
        uptime_seconds: u64::try_from(uptime_nano / 1_000_000_000).unwrap_or(0),
        roles: vec!["all".to_owned()],
        ready: process.is_ready(),
        listeners: process.listeners(),
        storage: storage(&state)?,
        ingest: process.ingest(),
        memory: process.memory(),
        limits: wire::LimitsStatus {
            max_request_bytes: config.ingest.max_request_size.as_u64(),
            query_timeout_ms: millis(config.query.timeout),
            query_max_timeout_ms: millis(config.query.max_timeout),
            max_rows: config.query.max_rows as u64,
            max_search_limit: config.query.max_search_limit as u64,
            max_concurrent_queries: config.query.max_concurrent as u64,
            max_statement_bytes: config.query.max_statement_size.as_u64(),
        },
    }))
}

fn storage(state: &State) -> Answer<wire::StorageStatus> {
    let status = state.query().storage_status()?;
    let table = |table: query::TableStatus| wire::TableStatus {
        name: table.name.to_owned(),
        segments: table.segments as u64,
        segment_rows: table.segment_rows,
        segment_bytes: table.segment_bytes,
        memtable_rows: table.memtable_rows,
        memtable_bytes: table.memtable_bytes,
        oldest: table.oldest_unix_nano.map(timestamp),
        newest: table.newest_unix_nano.map(timestamp),
    };
    Ok(wire::StorageStatus {
        tables: status.tables.into_iter().map(table).collect(),
        wal_bytes: status.wal_bytes,
        memtable_bytes: status.memtable_bytes,
        memtable_budget_bytes: status.memtable_budget_bytes,
        disk_free_bytes: status.disk_free_bytes,
        disk_used_bytes: status.disk_used_bytes,
        refuses_because: status.refuses_because,
    })
}

/// Who asks.
#[utoipa::path(get, path = "/api/whoami", tag = "server", responses((status = 200, body = wire::Whoami)))]
pub(crate) async fn whoami(Extension(identity): Extension<Identity>) -> Json<wire::Whoami> {
    let role = match identity.role {
        Role::Ingest => "ingest",
        Role::Viewer => "viewer",
        Role::Editor => "editor",
        Role::Admin => "admin",
    };
    Json(wire::Whoami { role: role.to_owned(), token: identity.token })
}

/// Every route and shape, generated from this crate's types.
pub(crate) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    use utoipa::OpenApi as _;
    Json(crate::api::Document::openapi())
}
