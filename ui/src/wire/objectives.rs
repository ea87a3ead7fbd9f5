//! Objectives, alerts and incidents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The same sentence in each language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Texts {
    pub en: String,
    pub zh: String,
}

/// `GET /api/slos`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Slos {
    /// Objectives in force.
    pub slos: Vec<Slo>,
    /// The files they come from, bad ones too.
    pub files: Vec<ObjectiveFile>,
    /// When they were evaluated last; null before the first time.
    pub evaluated_at: Option<String>,
}

/// A file of the objectives directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ObjectiveFile {
    /// Where it is.
    pub path: String,
    /// How many objectives of it are in force.
    pub objectives: u64,
    /// Why what it says now is refused as a whole; what it said before stays in force.
    pub error: Option<ObjectiveProblem>,
    /// When what is in force was read; null where nothing is.
    pub loaded_at: Option<String>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ObjectiveProblem {
    /// From 1; 0 where it is about the file as a whole.
    pub line: u64,
    /// From 1; 0 where it is about the file as a whole.
    pub column: u64,
    /// `spec.objectives[0].target`; empty where there is none.
    pub field: String,
    /// What would be accepted.
    pub message: String,
}

/// How an objective stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Slo {
    /// Name of the document; with `.2`, `.3`, … for its second and later objectives.
    pub id: String,
    /// Name of the document.
    pub slo: String,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// What is counted: calls of this service,
    pub service: String,
    /// or spans of this name only.
    pub operation: Option<String>,
    /// What makes one of them bad.
    pub indicator: SloIndicator,
    /// Share that has to be good.
    pub target_ratio: f64,
    /// Length of the rolling window.
    pub window_seconds: u64,
    /// Occurrences, Timeslices, RatioTimeslices
    pub budgeting_method: String,
    /// ok, burning, exhausted, no_traffic, missing_data
    pub state: String,
    /// Share of the window that was good; null where nothing was counted.
    pub sli: Option<f64>,
    /// What was good in the window: spans, or slices of time.
    pub good: f64,
    /// All of it.
    pub total: f64,
    /// Share of the error budget that is left; negative when overspent.
    pub budget_left_ratio: Option<f64>,
    /// The most urgent pair first.
    pub burn_rates: Vec<BurnRate>,
    /// When the budget is exhausted at the speed of the last hour; null where it is not going to be, or is.
    pub exhausted_at: Option<String>,
    /// When this was so.
    pub evaluated_at: String,
    /// The open incident of its firing alert.
    pub incident_id: Option<String>,
    /// Stable number from which the service's colour follows.
    pub slot: u32,
}

/// What makes a span bad.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SloIndicator {
    /// availability, latency
    pub kind: String,
    /// Of latency: slower is bad.
    pub threshold_ms: Option<f64>,
}

/// Speeds over a pair of windows.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BurnRate {
    /// page, ticket
    pub severity: String,
    /// Length of the short window.
    pub short_window_seconds: u64,
    /// Length of the long window.
    pub long_window_seconds: u64,
    /// Above it in both windows an alert fires.
    pub factor: f64,
    /// Speed over the short window; 1 spends the budget exactly by the window's end. Null without traffic.
    pub short: Option<f64>,
    /// Speed over the long window.
    pub long: Option<f64>,
    /// Both are above the factor.
    pub firing: bool,
}

/// `GET /api/slos/{id}`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SloDetail {
    /// How it stands.
    #[serde(flatten)]
    pub slo: Slo,
    /// The text of its file.
    pub definition: String,
    /// Its file.
    pub source: String,
    /// How its window stood, oldest first.
    pub history: Vec<SloPoint>,
    /// Its alerts, firing first, then the newest.
    pub alerts: Vec<Alert>,
    /// What the spent part of the budget was spent on.
    pub spend: Vec<SloSpend>,
}

/// How an objective's window stood.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SloPoint {
    /// End of the window.
    pub timestamp: String,
    /// Share that was good.
    pub sli: Option<f64>,
    /// Share of the budget that was left.
    pub budget_left_ratio: Option<f64>,
    /// What was good.
    pub good: f64,
    /// All of it.
    pub total: f64,
}

/// A share of what was spent.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SloSpend {
    /// The service found to be the cause; null where none was found.
    pub cause: Option<String>,
    /// The incident; null for what was spent outside of any.
    pub incident_id: Option<String>,
    /// Of all that was bad in the window.
    pub share: f64,
}

/// `GET /api/alerts`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Alerts {
    /// Firing first, then the newest.
    pub alerts: Vec<Alert>,
}

/// An objective whose budget is, or was, spent too fast.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Alert {
    pub id: String,
    /// Id of the objective.
    pub slo: String,
    pub service: String,
    /// page, ticket
    pub severity: String,
    /// firing, resolved
    pub state: String,
    pub started_at: String,
    pub resolved_at: Option<String>,
    pub short_window_seconds: u64,
    pub long_window_seconds: u64,
    /// Limit of the pair that made it fire.
    pub factor: f64,
    /// When it fired.
    pub burn_short: Option<f64>,
    /// When it fired.
    pub burn_long: Option<f64>,
    pub incident_id: String,
    pub summary: Texts,
    /// Who was told.
    pub notifications: Vec<NotificationStatus>,
}

/// How far a message has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotificationStatus {
    /// Kind and host.
    pub receiver: String,
    /// What it is about: firing, resolved
    pub event: String,
    /// delivered, waiting, failed
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last; when it was decided, before that.
    pub at: String,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// `GET /api/incidents`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Incidents {
    /// Open first, then the newest.
    pub incidents: Vec<Incident>,
}

/// Alerts that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Incident {
    pub id: String,
    /// open, resolved
    pub state: String,
    /// page, ticket
    pub severity: String,
    pub started_at: String,
    pub resolved_at: Option<String>,
    pub title: Texts,
    /// Where it was noticed.
    pub service: String,
    /// Of all its alerts.
    pub services: Vec<String>,
    pub alert_count: u64,
    pub cause: IncidentCause,
    /// Stable number from which the service's colour follows.
    pub slot: u32,
}

/// Why an incident is happening, as far as that is known.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct IncidentCause {
    /// running, found, none, not_enough_data, failed
    pub state: String,
    /// The report that has it all.
    pub report_id: Option<String>,
    /// The culprit.
    pub service: Option<String>,
    /// What deviates there.
    pub indicator: Option<IncidentIndicator>,
    /// From 0 to 1.
    pub confidence: Option<f64>,
    /// In one sentence.
    pub summary: Option<Texts>,
}

/// What deviates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IncidentIndicator {
    pub kind: String,
    pub name: String,
}

/// `GET /api/incidents/{id}`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IncidentDetail {
    /// What it is.
    #[serde(flatten)]
    pub incident: Incident,
    /// Its alerts in the order in which they fired.
    pub alerts: Vec<Alert>,
    /// What has happened, by time.
    pub timeline: Vec<TimelineEvent>,
    /// The root-cause report; null where there is none.
    pub report: Option<super::Cause>,
}

/// Something that happened in an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimelineEvent {
    /// When.
    pub timestamp: String,
    /// alert_firing, alert_resolved, change, onset, report, notification, note
    pub kind: String,
    /// In one sentence.
    pub title: Texts,
    /// Where, if it is about one service.
    pub service: Option<String>,
    /// Where to read more: a path of the web UI.
    pub link: Option<String>,
}

/// `POST /api/incidents/{id}/notes`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteBody {
    /// What to write down.
    pub text: String,
}

/// Answer of `PUT` and `DELETE /api/slos/{name}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ObjectiveWritten {
    /// The file. The next evaluation takes it over.
    pub path: String,
}
