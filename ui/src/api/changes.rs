//! Changes: deploys, flags and configurations, reported and seen in telemetry.

use axum::{Json, extract::State as Extracted};
use query::Limits;
use serde::Deserialize;

use crate::{
    ReportError, State,
    error::{Answer, Problem},
    json::timestamp,
    params::{self, Params},
    wire,
};

/// Parameters of `GET /api/changes`
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeParams {
    /// Epoch ms, RFC 3339 or `now-1h`; an hour before `to` where absent.
    from: Option<String>,
    /// End of the range, not included; now where absent.
    to: Option<String>,
    /// Only changes of this service.
    service: Option<String>,
    /// `30s`
    timeout: Option<String>,
    /// By which name it can be cancelled.
    query_id: Option<String>,
}

/// The newest thousand changes of a window.
#[utoipa::path(get, path = "/api/changes", tag = "changes", params(ChangeParams), responses((status = 200, body = wire::Changes), (status = "default", body = wire::Problem)))]
pub(crate) async fn list(
    Extracted(state): Extracted<State>,
    Params(params): Params<ChangeParams>,
) -> Answer<Json<wire::Changes>> {
    let range = params::range(params.from.as_deref(), params.to.as_deref(), state.process().now_unix_nano())?;
    let limits = Limits {
        timeout: params.timeout.as_deref().map(params::duration).transpose()?,
        query_id: params.query_id,
        ..Limits::default()
    };
    let found = state.query().changes(range, params.service.as_deref(), &limits).await?;
    Ok(Json(wire::Changes { changes: found.into_iter().map(shown).collect() }))
}

/// Reports a change; the answer comes when it is on disk.
#[utoipa::path(post, path = "/api/changes", tag = "changes", request_body = wire::ChangeBody, responses((status = 200, body = wire::ChangeReported), (status = "default", body = wire::Problem)))]
pub(crate) async fn report(
    Extracted(state): Extracted<State>,
    body: axum::body::Bytes,
) -> Answer<Json<wire::ChangeReported>> {
    let mut change: wire::ChangeBody = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is no change: {error}")).with_hint(EXAMPLE))?;
    let time = change.time.take().map(|time| params::instant(&time, state.process().now_unix_nano())).transpose()?;
    match state.process().report_change(time, change).await {
        Ok(reported) => Ok(Json(reported)),
        Err(ReportError::Invalid(why)) => Err(Problem::invalid(why).with_hint(EXAMPLE)),
        Err(ReportError::Unavailable(why)) => Err(Problem::unavailable(why)),
    }
}

const EXAMPLE: &str = r#"{"service": "checkout", "kind": "deploy", "version": "1.4.2", "from": "1.4.1"}"#;

pub(crate) fn shown(change: query::changes::Change) -> wire::Change {
    wire::Change {
        id: change.id,
        time: timestamp(change.time_unix_nano),
        service: change.service,
        kind: change.kind,
        version: change.version,
        version_from: change.version_from,
        author: change.author,
        link: change.link,
        message: change.message,
        source: change.source,
    }
}
