//! Alerts and the incidents they belong to.

use axum::{
    Json,
    extract::{Path, State as Extracted},
};
use query::alert::{
    incident::{CauseStatus, Event, Incident},
    notify::Notification,
    state::Alert,
    words::{self, alert_summary},
};
use serde::Deserialize;

use crate::{
    State,
    api::cause::{Language, shown as shown_cause},
    error::{Answer, Problem},
    json::timestamp,
    params::{self, Params},
    wire,
};

/// Incidents of one answer.
const DEFAULT_INCIDENTS: usize = 200;
const MAX_INCIDENTS: usize = 10_000;

/// Parameters of `GET /api/alerts`
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertParams {
    /// `firing` or `resolved`; both where absent.
    state: Option<String>,
}

/// Parameters of `GET /api/incidents`
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentParams {
    /// `open` or `resolved`; both where absent.
    state: Option<String>,
    /// At most so many; 200 where absent.
    limit: Option<String>,
}

/// Alerts, firing first.
#[utoipa::path(get, path = "/api/alerts", tag = "objectives", params(AlertParams), responses((status = 200, body = wire::Alerts), (status = "default", body = wire::Problem)))]
pub(crate) async fn list(
    Extracted(state): Extracted<State>,
    Params(params): Params<AlertParams>,
) -> Answer<Json<wire::Alerts>> {
    let wanted = one_of(params.state.as_deref(), ["firing", "resolved"])?;
    let mut alerts = state.query().records()?.alerts().await?;
    alerts.retain(|alert| wanted.is_none_or(|is_firing| alert.is_firing() == is_firing));
    newest_first(&mut alerts);
    Ok(Json(wire::Alerts { alerts: shown(&state, alerts).await? }))
}

/// Incidents, open ones first.
#[utoipa::path(get, path = "/api/incidents", tag = "objectives", params(IncidentParams), responses((status = 200, body = wire::Incidents), (status = "default", body = wire::Problem)))]
pub(crate) async fn incidents(
    Extracted(state): Extracted<State>,
    Params(params): Params<IncidentParams>,
) -> Answer<Json<wire::Incidents>> {
    let wanted = one_of(params.state.as_deref(), ["open", "resolved"])?;
    let limit = params::limit(params.limit.as_deref(), DEFAULT_INCIDENTS, MAX_INCIDENTS)?;
    let mut incidents = state.query().records()?.incidents().await?;
    incidents.retain(|incident| wanted.is_none_or(|is_open| incident.resolved_unix_nano.is_none() == is_open));
    incidents
        .sort_by_key(|incident| (incident.resolved_unix_nano.is_some(), std::cmp::Reverse(incident.started_unix_nano)));
    incidents.truncate(limit);
    Ok(Json(wire::Incidents { incidents: incidents.iter().map(|incident| incident_shown(&state, incident)).collect() }))
}

/// One incident with everything that has happened.
#[utoipa::path(get, path = "/api/incidents/{id}", tag = "objectives", params(("id" = String, Path, description = "Id of the incident")), responses((status = 200, body = wire::IncidentDetail), (status = "default", body = wire::Problem)))]
pub(crate) async fn incident(
    Extracted(state): Extracted<State>,
    Path(id): Path<String>,
) -> Answer<Json<wire::IncidentDetail>> {
    let incident = state.query().records()?.incident(&id).await?;
    detail(&state, incident).await
}

/// Writes a note into an incident.
#[utoipa::path(post, path = "/api/incidents/{id}/notes", tag = "objectives", params(("id" = String, Path, description = "Id of the incident")), request_body = wire::NoteBody, responses((status = 200, body = wire::IncidentDetail), (status = "default", body = wire::Problem)))]
pub(crate) async fn note(
    Extracted(state): Extracted<State>,
    Path(id): Path<String>,
    body: String,
) -> Answer<Json<wire::IncidentDetail>> {
    let note: wire::NoteBody =
        serde_json::from_str(&body).map_err(|error| Problem::invalid(format!("expected {{\"text\": …}}: {error}")))?;
    let incident = state.query().records()?.note(&id, &note.text, state.process().now_unix_nano()).await?;
    detail(&state, incident).await
}

/// Whether the first of two words is wanted, the second, or (`None`) both.
fn one_of(found: Option<&str>, words: [&str; 2]) -> Answer<Option<bool>> {
    match found {
        None | Some("") => Ok(None),
        Some(word) if words.contains(&word) => Ok(Some(word == words[0])),
        Some(other) => Err(Problem::invalid(format!("state {other:?}: expected {} or {}", words[0], words[1]))),
    }
}

/// Firing first, then the newest.
pub(crate) fn newest_first(alerts: &mut [Alert]) {
    alerts.sort_by_key(|alert| (!alert.is_firing(), std::cmp::Reverse(alert.started_unix_nano)));
}

/// Alerts with what was told about them.
pub(crate) async fn shown(state: &State, alerts: Vec<Alert>) -> Answer<Vec<wire::Alert>> {
    let notifications = if alerts.is_empty() { Vec::new() } else { state.query().records()?.notifications().await? };
    Ok(alerts.into_iter().map(|alert| alert_shown(alert, &notifications)).collect())
}

fn alert_shown(alert: Alert, notifications: &[Notification]) -> wire::Alert {
    let own = notifications.iter().filter(|notification| notification.alert.id == alert.id);
    wire::Alert {
        summary: texts(alert_summary(&alert)),
        notifications: own.map(notification_shown).collect(),
        state: if alert.is_firing() { "firing" } else { "resolved" }.to_owned(),
        id: alert.id,
        slo: alert.objective,
        service: alert.service,
        severity: alert.severity.as_str().to_owned(),
        started_at: timestamp(alert.started_unix_nano),
        resolved_at: alert.resolved_unix_nano.map(timestamp),
        short_window_seconds: alert.short_window_seconds,
        long_window_seconds: alert.long_window_seconds,
        factor: alert.factor,
        burn_short: alert.burn_short,
        burn_long: alert.burn_long,
        incident_id: alert.incident,
    }
}

fn notification_shown(notification: &Notification) -> wire::NotificationStatus {
    wire::NotificationStatus {
        receiver: notification.receiver.name(),
        event: notification.occasion.as_str().to_owned(),
        state: notification.state.as_str().to_owned(),
        attempts: notification.attempts,
        at: timestamp(notification.tried_unix_nano.unwrap_or(notification.created_unix_nano)),
        error: notification.error.clone(),
    }
}

async fn detail(state: &State, incident: Incident) -> Answer<Json<wire::IncidentDetail>> {
    let mut alerts = state.query().records()?.alerts().await?;
    alerts.retain(|alert| alert.incident == incident.id);
    alerts.sort_by_key(|alert| alert.started_unix_nano);
    let report = match &incident.cause.report {
        // Retention may have taken it.
        Some(id) => state.query().kept_cause(id).await.ok().map(|kept| shown_cause(state, kept, Language::English)),
        None => None,
    };
    Ok(Json(wire::IncidentDetail {
        alerts: shown(state, alerts).await?,
        timeline: incident.timeline.iter().map(event).collect(),
        report,
        incident: incident_shown(state, &incident),
    }))
}

/// An incident as it is shown everywhere.
pub(crate) fn incident_shown(state: &State, incident: &Incident) -> wire::Incident {
    wire::Incident {
        id: incident.id.clone(),
        state: if incident.resolved_unix_nano.is_none() { "open" } else { "resolved" }.to_owned(),
        severity: incident.severity.as_str().to_owned(),
        started_at: timestamp(incident.started_unix_nano),
        resolved_at: incident.resolved_unix_nano.map(timestamp),
        title: texts(incident.title.clone()),
        service: incident.service.clone(),
        services: incident.services.iter().cloned().collect(),
        alert_count: incident.alerts.len() as u64,
        cause: cause(&incident.cause),
        slot: state.query().slot_of(&incident.service),
    }
}

fn cause(cause: &CauseStatus) -> wire::IncidentCause {
    wire::IncidentCause {
        state: cause.state.as_str().to_owned(),
        report_id: cause.report.clone(),
        service: cause.service.clone(),
        indicator: cause
            .indicator
            .as_ref()
            .map(|(kind, name)| wire::IncidentIndicator { kind: kind.clone(), name: name.clone() }),
        confidence: cause.confidence,
        summary: cause.summary.clone().map(texts),
    }
}

fn event(event: &Event) -> wire::TimelineEvent {
    wire::TimelineEvent {
        timestamp: timestamp(event.unix_nano),
        kind: event.kind.as_str().to_owned(),
        title: texts(event.title.clone()),
        service: event.service.clone(),
        link: event.link.clone(),
    }
}

fn texts(texts: words::Texts) -> wire::Texts {
    wire::Texts { en: texts.en, zh: texts.zh }
}
