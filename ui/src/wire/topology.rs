//! Shapes of the service map, of one service and of changes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Service, Stats, TimeText};

/// `GET /api/map`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServiceMap {
    pub nodes: Vec<MapNode>,
    pub edges: Vec<MapEdge>,
    pub from: String,
    pub to: String,
    pub stats: Stats,
}

/// A service, or something that services call.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MapNode {
    pub name: String,
    /// service, database, messaging, external
    pub kind: String,
    /// Number from which its colour follows; services only.
    pub slot: Option<u32>,
    pub calls: u64,
    pub rate: f64,
    pub errors: u64,
    pub error_ratio: f64,
    pub p95_ms: Option<f64>,
    /// ok, warn (1 % of calls fail), crit (5 %, or an open incident is about it), unknown (no calls)
    pub state: String,
    /// An open incident about it.
    pub incident_id: Option<String>,
}

/// Calls from one to another.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MapEdge {
    pub caller: String,
    pub callee: String,
    /// service, database, messaging, external
    pub callee_kind: String,
    pub calls: u64,
    pub rate: f64,
    pub errors: u64,
    pub error_ratio: f64,
    /// As the caller saw it.
    pub client_p95_ms: Option<f64>,
    /// As the callee saw it; null where it sends no spans.
    pub server_p95_ms: Option<f64>,
    /// The same length of time before; null without calls.
    pub previous: Option<PreviousEdge>,
    /// Trace of a slow call.
    pub exemplar_trace_id: Option<String>,
}

/// What to compare an edge with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PreviousEdge {
    pub rate: f64,
    pub error_ratio: f64,
    pub client_p95_ms: Option<f64>,
}

/// `GET /api/services/{name}`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServiceDetail {
    pub service: Service,
    pub series: ServiceSeries,
    /// What others call first, then by number of calls.
    pub operations: Vec<Operation>,
    pub callers: Vec<MapEdge>,
    pub callees: Vec<MapEdge>,
    pub versions: Vec<ServiceVersion>,
    /// The newest first.
    pub changes: Vec<Change>,
    /// New ones first, then the most severe.
    pub patterns: Vec<LogPattern>,
    /// Objectives of this service.
    pub slos: Vec<super::Slo>,
    /// Incidents that it is part of, the newest first.
    pub incidents: Vec<super::Incident>,
    pub from: String,
    pub to: String,
    pub stats: Stats,
}

/// One value a step.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServiceSeries {
    pub start: String,
    pub step_ms: f64,
    pub calls: Vec<u64>,
    pub errors: Vec<u64>,
    pub p50_ms: Vec<Option<f64>>,
    pub p95_ms: Vec<Option<f64>>,
    pub p99_ms: Vec<Option<f64>>,
}

/// What a service can be asked to do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Operation {
    pub name: String,
    /// server, consumer, internal, client, producer, unspecified
    pub kind: String,
    pub calls: u64,
    pub rate: f64,
    pub errors: u64,
    pub error_ratio: f64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub previous: Option<super::PreviousPeriod>,
    /// Trace of a slow call.
    pub exemplar_trace_id: Option<String>,
}

/// A `service.version` seen in the window.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServiceVersion {
    pub version: String,
    pub first_seen: String,
    pub last_seen: String,
    pub calls: u64,
}

/// A form of log line.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LogPattern {
    /// 16 hex digits.
    pub pattern_id: String,
    pub template: String,
    /// fatal, error, warn, info, debug, trace, unspecified
    pub severity: String,
    pub records: u64,
    /// There was none in the same length of time before.
    pub new: bool,
    pub first_seen: String,
}

/// `GET /api/changes`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Changes {
    /// The newest first.
    pub changes: Vec<Change>,
}

/// Something that was done to a service.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Change {
    pub id: String,
    pub time: String,
    pub service: String,
    /// deploy, config, flag, scale, incident
    pub kind: String,
    pub version: Option<String>,
    pub version_from: Option<String>,
    pub author: Option<String>,
    pub link: Option<String>,
    pub message: Option<String>,
    /// api: reported; telemetry: a `service.version` not seen before
    pub source: String,
}

/// `POST /api/changes`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ChangeBody {
    /// Epoch ms, RFC 3339 or `now-5m`; now where absent.
    #[schema(value_type = Option<String>)]
    pub time: Option<TimeText>,
    pub service: String,
    /// deploy, config, flag, scale, incident
    pub kind: String,
    pub version: Option<String>,
    /// The version before.
    pub from: Option<String>,
    pub author: Option<String>,
    pub link: Option<String>,
    pub message: Option<String>,
}

/// Answer of `POST /api/changes`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangeReported {
    /// Lower-case hex; null for a repetition without a time of its own.
    pub id: Option<String>,
    /// The same report came before and is stored once.
    pub duplicate: bool,
}
