//! Endpoints, one family a file.

pub(crate) mod admin;
pub(crate) mod alerts;
pub(crate) mod cause;
pub(crate) mod changes;
pub(crate) mod logs;
pub(crate) mod map;
pub(crate) mod services;
pub(crate) mod slo;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod traces;

/// What `/api/openapi.json` serves.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Rootline", description = "Logs, traces and metrics: search, SQL and the server itself"),
    paths(
        sql::get,
        sql::post,
        sql::explain,
        sql::schema,
        sql::running,
        sql::cancel,
        logs::page,
        logs::histogram,
        logs::fields,
        logs::tail,
        traces::search,
        traces::one,
        services::list,
        cause::ask,
        cause::one,
        cause::list,
        map::service,
        map::map,
        changes::list,
        changes::report,
        slo::list,
        slo::one,
        slo::put,
        slo::remove,
        alerts::list,
        alerts::incidents,
        alerts::incident,
        alerts::note,
        status::status,
        status::whoami,
        admin::flush,
        admin::compact,
    ),
    components(schemas(crate::wire::TailDropped))
)]
pub(crate) struct Document;
