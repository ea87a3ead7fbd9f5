//! How are answers shown to people and programs?
//!
//! `auth` (who may, from where) -> one handler of `api` -> `query` -> `wire` (JSON shapes, converted by hand). What goes
//! wrong on the way becomes a problem document in `error`. Everything that is no API path is the web UI (`assets`).
//! This room reaches storage only through `query`, and the process around it only through [`Process`].

mod api;
mod assets;
pub mod auth;
mod error;
mod formats;
mod json;
mod params;
pub mod wire;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    routing::{delete, get, post, put},
};
use futures::future::BoxFuture;
use query::Query;
use tower_http::compression::CompressionLayer;

use self::auth::{Access, Authorizer};

/// What only the process knows.
pub trait Process: fmt::Debug + Send + Sync {
    /// Version of the binary.
    fn version(&self) -> &str;
    /// The commit it was built from, where known.
    fn commit(&self) -> Option<&str>;
    /// When it started.
    fn started_at_unix_nano(&self) -> i64;
    /// The time now.
    fn now_unix_nano(&self) -> i64;
    /// Whether stored data is recovered and new data accepted.
    fn is_ready(&self) -> bool;
    /// Bound addresses.
    fn listeners(&self) -> wire::Listeners;
    /// Its metrics in the Prometheus text format.
    fn metrics_text(&self) -> String;
    /// Items received, by signal.
    fn ingest(&self) -> wire::IngestStatus;
    /// Memory it may use, and uses.
    fn memory(&self) -> wire::MemoryStatus;
    /// Stores a reported change; `time_unix_nano` is its `time`, read.
    fn report_change(
        &self,
        time_unix_nano: Option<i64>,
        change: wire::ChangeBody,
    ) -> BoxFuture<'_, Result<wire::ChangeReported, ReportError>>;
    /// Unpredictable bytes.
    fn random_bytes(&self) -> [u8; 16];
    /// Ends when the process begins to stop: answers without an end of their own end then.
    fn stopping(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Why a reported change was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportError {
    /// It has to be changed first.
    Invalid(String),
    /// It may be sent again later.
    Unavailable(String),
}

/// What all handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct State(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    query: Query,
    config: config::Config,
    authorizer: Authorizer,
    process: Arc<dyn Process>,
}

impl State {
    /// # Errors
    /// When a configured token hash is no SHA-256.
    pub fn new(query: Query, config: config::Config, process: Arc<dyn Process>) -> Result<Self, auth::BadToken> {
        let authorizer = Authorizer::new(&config)?;
        Ok(Self(Arc::new(Shared { query, config, authorizer, process })))
    }

    /// Decides who may do what; also for the OTLP listeners.
    pub fn authorizer(&self) -> &Authorizer {
        &self.0.authorizer
    }

    fn query(&self) -> &Query {
        &self.0.query
    }

    fn config(&self) -> &config::Config {
        &self.0.config
    }

    fn process(&self) -> &dyn Process {
        &*self.0.process
    }
}

/// Everything on the HTTP port.
pub fn router(state: State) -> Router {
    let open = Router::new()
        .route("/healthz", get(api::status::healthz))
        .route("/readyz", get(api::status::readyz))
        .fallback(assets::serve);

    let viewer = Router::new()
        .route("/metrics", get(api::status::metrics))
        .route("/api/status", get(api::status::status))
        .route("/api/whoami", get(api::status::whoami))
        .route("/api/openapi.json", get(api::status::openapi))
        .route("/api/sql", get(api::sql::get).post(api::sql::post))
        .route("/api/sql/explain", post(api::sql::explain))
        .route("/api/sql/schema", get(api::sql::schema))
        .route("/api/queries", get(api::sql::running))
        .route("/api/queries/{query_id}", delete(api::sql::cancel))
        .route("/api/logs", get(api::logs::page))
        .route("/api/logs/histogram", get(api::logs::histogram))
        .route("/api/logs/fields", get(api::logs::fields))
        .route("/api/logs/tail", get(api::logs::tail))
        .route("/api/traces", get(api::traces::search))
        .route("/api/traces/{trace_id}", get(api::traces::one))
        .route("/api/services", get(api::services::list))
        .route("/api/causes", get(api::cause::list).post(api::cause::ask))
        .route("/api/causes/{id}", get(api::cause::one))
        .route("/api/services/{name}", get(api::map::service))
        .route("/api/map", get(api::map::map))
        .route("/api/changes", get(api::changes::list))
        .route("/api/slos", get(api::slo::list))
        .route("/api/slos/{id}", get(api::slo::one))
        .route("/api/alerts", get(api::alerts::list))
        .route("/api/incidents", get(api::alerts::incidents))
        .route("/api/incidents/{id}", get(api::alerts::incident));

    let reporter = Router::new().route("/api/changes", post(api::changes::report));

    let editor = Router::new()
        .route("/api/slos/{id}", put(api::slo::put).delete(api::slo::remove))
        .route("/api/incidents/{id}/notes", post(api::alerts::note));

    let admin = Router::new()
        .route("/api/admin/flush", post(api::admin::flush))
        .route("/api/admin/compact", post(api::admin::compact));

    open.merge(auth::guarded(viewer, &state, Access::View))
        .merge(auth::guarded(reporter, &state, Access::Ingest))
        .merge(auth::guarded(editor, &state, Access::Edit))
        .merge(auth::guarded(admin, &state, Access::Administer))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(state.clone(), auth::same_origin))
        .layer(axum::middleware::from_fn(assets::security_headers))
        .layer(CompressionLayer::new())
        .with_state(state)
}

#[cfg(test)]
mod tests;
