//! Objectives: how they stand, their past, and their files.

use axum::{
    Json,
    extract::{Path, State as Extracted},
};
use query::slo::{
    board::{File, Published, Status},
    budget::{PairStatus, budget_left_ratio},
    counts::Point,
};

use super::alerts::{self, newest_first};
use crate::{
    State,
    error::{Answer, Problem},
    json::timestamp,
    wire,
};

/// Every objective and every file of theirs.
#[utoipa::path(get, path = "/api/slos", tag = "objectives", responses((status = 200, body = wire::Slos), (status = "default", body = wire::Problem)))]
pub(crate) async fn list(Extracted(state): Extracted<State>) -> Json<wire::Slos> {
    let published = state.query().objectives().published();
    Json(wire::Slos {
        slos: published.statuses.iter().map(|status| shown(&state, status)).collect(),
        files: published.files.iter().map(file).collect(),
        evaluated_at: published.evaluated_unix_nano.map(timestamp),
    })
}

/// One objective with its past.
#[utoipa::path(get, path = "/api/slos/{id}", tag = "objectives", params(("id" = String, Path, description = "Id of the objective")), responses((status = 200, body = wire::SloDetail), (status = "default", body = wire::Problem)))]
pub(crate) async fn one(Extracted(state): Extracted<State>, Path(id): Path<String>) -> Answer<Json<wire::SloDetail>> {
    let published = state.query().objectives().published();
    let status = find(&published, &id)?;
    let file = published.files.iter().find(|file| file.objectives.contains(&id));
    let history = state.query().objectives().history(&id).unwrap_or_default();
    let target = status.objective.target_ratio;
    let mut alerts = state.query().records()?.alerts().await?;
    alerts.retain(|alert| alert.objective == id);
    newest_first(&mut alerts);
    Ok(Json(wire::SloDetail {
        slo: shown(&state, status),
        definition: file.map(|file| file.text.to_string()).unwrap_or_default(),
        source: file.map(|file| file.path.clone()).unwrap_or_default(),
        history: history.into_iter().map(|point| history_point(point, target)).collect(),
        spend: spend(&state, status).await?,
        alerts: alerts::shown(&state, alerts).await?,
    }))
}

/// Writes an OpenSLO document into the objectives directory, in place of the one of the same name.
#[utoipa::path(put, path = "/api/slos/{name}", tag = "objectives", params(("name" = String, Path, description = "Name of the document")), request_body(content = String, content_type = "application/yaml"), responses((status = 200, body = wire::ObjectiveWritten), (status = "default", body = wire::Problem)))]
pub(crate) async fn put(
    Extracted(state): Extracted<State>,
    Path(name): Path<String>,
    body: String,
) -> Answer<Json<wire::ObjectiveWritten>> {
    let directory = state.config().objective_directory();
    let path = state.query().put_objective(&directory, &name, body).await?;
    Ok(Json(wire::ObjectiveWritten { path: path.display().to_string() }))
}

/// Removes the file of an OpenSLO document.
#[utoipa::path(delete, path = "/api/slos/{name}", tag = "objectives", params(("name" = String, Path, description = "Name of the document")), responses((status = 200, body = wire::ObjectiveWritten), (status = "default", body = wire::Problem)))]
pub(crate) async fn remove(
    Extracted(state): Extracted<State>,
    Path(name): Path<String>,
) -> Answer<Json<wire::ObjectiveWritten>> {
    let directory = state.config().objective_directory();
    let path = state.query().remove_objective(&directory, &name).await?;
    Ok(Json(wire::ObjectiveWritten { path: path.display().to_string() }))
}

pub(crate) fn find<'a>(published: &'a Published, id: &str) -> Answer<&'a Status> {
    let found = published.statuses.iter().find(|status| status.objective.id == id);
    found.ok_or_else(|| Problem::not_found(format!("there is no objective {id:?}")))
}

/// An objective as it is shown everywhere.
pub(crate) fn shown(state: &State, status: &Status) -> wire::Slo {
    let objective = &status.objective;
    let indicator = &objective.indicator;
    wire::Slo {
        id: objective.id.clone(),
        slo: objective.slo.clone(),
        display_name: objective.display_name.clone(),
        description: objective.description.clone(),
        service: indicator.service.clone(),
        operation: indicator.operation.clone(),
        indicator: match indicator.bad {
            config::objective::Bad::Errors => {
                wire::SloIndicator { kind: "availability".to_owned(), threshold_ms: None }
            }
            config::objective::Bad::SlowerThan(limit) => {
                wire::SloIndicator { kind: "latency".to_owned(), threshold_ms: Some(limit.as_secs_f64() * 1e3) }
            }
        },
        target_ratio: objective.target_ratio,
        window_seconds: objective.window.as_secs(),
        budgeting_method: objective.budgeting.name().to_owned(),
        state: status.state.as_str().to_owned(),
        sli: status.sli,
        good: status.count.good,
        total: status.count.total,
        budget_left_ratio: status.budget_left_ratio,
        burn_rates: status.pairs.iter().map(burn_rate).collect(),
        exhausted_at: status.exhausted_unix_nano.map(timestamp),
        evaluated_at: timestamp(status.evaluated_unix_nano),
        incident_id: status.incident.clone(),
        slot: state.query().slot_of(&indicator.service),
    }
}

fn burn_rate(status: &PairStatus) -> wire::BurnRate {
    wire::BurnRate {
        severity: status.pair.severity.as_str().to_owned(),
        short_window_seconds: status.pair.short.as_secs(),
        long_window_seconds: status.pair.long.as_secs(),
        factor: status.pair.factor,
        short: status.burn_short,
        long: status.burn_long,
        firing: status.is_too_fast(),
    }
}

fn history_point(point: Point, target_ratio: f64) -> wire::SloPoint {
    wire::SloPoint {
        timestamp: timestamp(point.unix_nano),
        sli: point.count.ratio(),
        budget_left_ratio: budget_left_ratio(point.count, target_ratio),
        good: point.count.good,
        total: point.count.total,
    }
}

fn file(file: &File) -> wire::ObjectiveFile {
    wire::ObjectiveFile {
        path: file.path.clone(),
        objectives: file.objectives.len() as u64,
        error: file.problem.as_ref().map(|problem| wire::ObjectiveProblem {
            line: problem.line,
            column: problem.column,
            field: problem.field.clone(),
            message: problem.message.clone(),
        }),
        loaded_at: file.loaded_unix_nano.map(timestamp),
    }
}

/// Shares of what was bad in the window, by incident; the rest without one.
async fn spend(state: &State, status: &Status) -> Answer<Vec<wire::SloSpend>> {
    let bad = status.count.total - status.count.good;
    if bad <= 0.0 {
        return Ok(Vec::new());
    }
    let mut incidents = state.query().records()?.incidents().await?;
    incidents.retain(|incident| incident.services.contains(&status.objective.indicator.service));
    let times: Vec<(i64, i64)> = incidents
        .iter()
        .map(|incident| (incident.started_unix_nano, incident.resolved_unix_nano.unwrap_or(status.evaluated_unix_nano)))
        .collect();
    let spent = state.query().objectives().bad_within(&status.objective.id, &times);
    let mut shares: Vec<wire::SloSpend> = incidents
        .into_iter()
        .zip(spent)
        .filter(|(_, spent)| *spent > 0.0)
        .map(|(incident, spent)| wire::SloSpend {
            cause: incident.cause.service,
            incident_id: Some(incident.id),
            share: (spent / bad).min(1.0),
        })
        .collect();
    let rest = 1.0 - shares.iter().map(|spend| spend.share).sum::<f64>();
    if rest > 0.001 {
        shares.push(wire::SloSpend { cause: None, incident_id: None, share: rest });
    }
    Ok(shares)
}
