//! The service map, and one service with its neighbours.

use axum::{
    Json,
    extract::{Path, State as Extracted},
};
use query::{
    TimeRange,
    map::{Edge, Node},
    red::Red,
    search::Severity,
    service::Operation,
};

use super::{
    changes,
    services::{ServiceParams, quantile_ms, shown},
};
use crate::{State, error::Answer, json::timestamp, params::Params, wire};

/// Share of failed calls from which a node is drawn as troubled, and as failing.
const WARN_RATIO: f64 = 0.01;
const CRIT_RATIO: f64 = 0.05;
/// Incidents on the page of a service.
const MAX_INCIDENTS: usize = 20;

/// Who calls whom.
#[utoipa::path(get, path = "/api/map", tag = "services", params(ServiceParams), responses((status = 200, body = wire::ServiceMap), (status = "default", body = wire::Problem)))]
pub(crate) async fn map(
    Extracted(state): Extracted<State>,
    Params(params): Params<ServiceParams>,
) -> Answer<Json<wire::ServiceMap>> {
    let (range, limits) = params.asked(&state)?;
    let found = state.query().map(range, limits).await?;
    let mut nodes: Vec<_> = found.nodes.into_iter().map(|node| node_shown(node, range)).collect();
    for incident in incidents(&state).await?.iter().filter(|incident| incident.resolved_unix_nano.is_none()) {
        let culprit = incident.cause.service.as_ref().unwrap_or(&incident.service);
        for node in nodes.iter_mut().filter(|node| node.name == *culprit) {
            node.incident_id = Some(incident.id.clone());
            node.state = "crit".to_owned();
        }
    }
    Ok(Json(wire::ServiceMap {
        nodes,
        edges: found.edges.into_iter().map(|edge| edge_shown(edge, range)).collect(),
        from: timestamp(range.start_unix_nano()),
        to: timestamp(range.end_unix_nano()),
        stats: found.stats.into(),
    }))
}

/// One service: operations, neighbours, versions, patterns, changes.
#[utoipa::path(get, path = "/api/services/{name}", tag = "services", params(("name" = String, Path, description = "service.name"), ServiceParams), responses((status = 200, body = wire::ServiceDetail), (status = "default", body = wire::Problem)))]
pub(crate) async fn service(
    Extracted(state): Extracted<State>,
    Path(name): Path<String>,
    Params(params): Params<ServiceParams>,
) -> Answer<Json<wire::ServiceDetail>> {
    let (range, limits) = params.asked(&state)?;
    let found = state.query().service(&name, range, limits).await?;
    let published = state.query().objectives().published();
    let slos = published.statuses.iter().filter(|status| status.objective.indicator.service == name);
    let slos = slos.map(|status| super::slo::shown(&state, status)).collect();
    let mut incidents = incidents(&state).await?;
    incidents.retain(|incident| {
        incident.services.contains(&name) || incident.service == name || incident.cause.service.as_ref() == Some(&name)
    });
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.started_unix_nano));
    incidents.truncate(MAX_INCIDENTS);
    let edges = |edges: Vec<Edge>| edges.into_iter().map(|edge| edge_shown(edge, range)).collect();
    let quantiles = |q: f64| found.steps.iter().map(|step| quantile_ms(step, q)).collect();
    Ok(Json(wire::ServiceDetail {
        series: wire::ServiceSeries {
            start: timestamp(found.start_unix_nano),
            step_ms: found.step_nano as f64 / 1e6,
            calls: found.steps.iter().map(|step| step.calls).collect(),
            errors: found.steps.iter().map(|step| step.errors).collect(),
            p50_ms: quantiles(0.5),
            p95_ms: quantiles(0.95),
            p99_ms: quantiles(0.99),
        },
        service: shown(found.service, range),
        operations: found.operations.into_iter().map(|operation| operation_shown(operation, range)).collect(),
        callers: edges(found.callers),
        callees: edges(found.callees),
        versions: found.versions.into_iter().map(version_shown).collect(),
        changes: found.changes.into_iter().map(changes::shown).collect(),
        patterns: found.patterns.into_iter().map(pattern_shown).collect(),
        slos,
        incidents: incidents.iter().map(|incident| super::alerts::incident_shown(&state, incident)).collect(),
        from: timestamp(range.start_unix_nano()),
        to: timestamp(range.end_unix_nano()),
        stats: found.stats.into(),
    }))
}

/// Every incident that is kept; none where there is no store to keep them.
async fn incidents(state: &State) -> Answer<Vec<query::alert::incident::Incident>> {
    match state.query().records() {
        Ok(records) => Ok(records.incidents().await?),
        Err(_) => Ok(Vec::new()),
    }
}

fn rate(red: &Red, range: TimeRange) -> f64 {
    red.calls as f64 / (range.duration_nano() as f64 / 1e9)
}

fn node_shown(node: Node, range: TimeRange) -> wire::MapNode {
    wire::MapNode {
        state: state_of(&node.red).to_owned(),
        calls: node.red.calls,
        rate: rate(&node.red, range),
        errors: node.red.errors,
        error_ratio: node.red.error_ratio(),
        p95_ms: quantile_ms(&node.red, 0.95),
        name: node.name,
        kind: node.kind,
        slot: node.slot,
        incident_id: None,
    }
}

fn state_of(red: &Red) -> &'static str {
    match red.error_ratio() {
        _ if red.calls == 0 => "unknown",
        ratio if ratio >= CRIT_RATIO => "crit",
        ratio if ratio >= WARN_RATIO => "warn",
        _ => "ok",
    }
}

fn edge_shown(edge: Edge, range: TimeRange) -> wire::MapEdge {
    let previous = edge.previous.as_ref().map(|previous| wire::PreviousEdge {
        rate: rate(previous, range),
        error_ratio: previous.error_ratio(),
        client_p95_ms: quantile_ms(previous, 0.95),
    });
    wire::MapEdge {
        calls: edge.client.calls,
        rate: rate(&edge.client, range),
        errors: edge.client.errors,
        error_ratio: edge.client.error_ratio(),
        client_p95_ms: quantile_ms(&edge.client, 0.95),
        server_p95_ms: quantile_ms(&edge.server, 0.95),
        previous,
        caller: edge.caller,
        callee: edge.callee,
        callee_kind: edge.callee_kind,
        exemplar_trace_id: edge.exemplar_trace_id,
    }
}

fn operation_shown(operation: Operation, range: TimeRange) -> wire::Operation {
    let Operation { window, previous, .. } = &operation;
    wire::Operation {
        calls: window.calls,
        rate: rate(window, range),
        errors: window.errors,
        error_ratio: window.error_ratio(),
        p50_ms: quantile_ms(window, 0.5),
        p95_ms: quantile_ms(window, 0.95),
        p99_ms: quantile_ms(window, 0.99),
        previous: previous.as_ref().map(|previous| wire::PreviousPeriod {
            rate: rate(previous, range),
            error_ratio: previous.error_ratio(),
            p95_ms: quantile_ms(previous, 0.95),
        }),
        name: operation.name,
        kind: operation.kind,
        exemplar_trace_id: operation.exemplar_trace_id,
    }
}

fn version_shown(version: query::service::Version) -> wire::ServiceVersion {
    wire::ServiceVersion {
        version: version.version,
        first_seen: timestamp(version.first_unix_nano),
        last_seen: timestamp(version.last_unix_nano),
        calls: version.calls,
    }
}

fn pattern_shown(pattern: query::service::Pattern) -> wire::LogPattern {
    wire::LogPattern {
        pattern_id: format!("{:016x}", pattern.pattern_id),
        template: pattern.template,
        severity: Severity::of(pattern.severity_number).name().to_owned(),
        records: pattern.records,
        new: pattern.is_new,
        first_seen: timestamp(pattern.first_unix_nano),
    }
}
