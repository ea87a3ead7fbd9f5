//! Endpoints, one family a file.

pub(crate) mod status;

/// What `/api/openapi.json` serves.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Rootline", description = "Logs, traces and metrics: search, SQL and the server itself"),
    paths(status::status, status::whoami)
)]
pub(crate) struct Document;
