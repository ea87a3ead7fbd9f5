//! JSON shapes of the HTTP API, and the source of `/api/openapi.json`. Converted by hand from what `query` answers, so
//! that no change inside changes what programs see.
//!
//! Timestamps are RFC 3339 with nine digits and `Z`; ids are lower-case hex; durations carry their unit in the name.

mod cause;
mod objectives;
mod topology;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub use self::cause::*;
pub use self::objectives::*;
pub use self::topology::*;

/// A JSON document that was made elsewhere: an attribute map.
pub type Json = Box<RawValue>;

/// Why a request was not answered (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind it is.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What is wrong here.
    pub detail: String,
    /// Characters before the place in the query text that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Stats {
    pub rows: u64,
    pub elapsed_ms: u64,
    pub rows_scanned: u64,
    pub bytes_scanned: u64,
    pub segments_scanned: u64,
    pub segments_pruned: u64,
    pub memory_peak_bytes: u64,
    /// Whether these are all rows that the question has.
    pub complete: bool,
}

impl From<query::Stats> for Stats {
    fn from(stats: query::Stats) -> Self {
        Self {
            rows: stats.rows,
            elapsed_ms: stats.elapsed_ms,
            rows_scanned: stats.rows_scanned,
            bytes_scanned: stats.bytes_scanned,
            segments_scanned: stats.segments_scanned,
            segments_pruned: stats.segments_pruned,
            memory_peak_bytes: stats.memory_peak_bytes,
            complete: stats.complete,
        }
    }
}

// ---- the server itself

/// `GET /api/status`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Status {
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub started_at: String,
    pub uptime_seconds: u64,
    pub roles: Vec<String>,
    pub ready: bool,
    pub listeners: Listeners,
    pub storage: StorageStatus,
    pub ingest: IngestStatus,
    pub memory: MemoryStatus,
    pub limits: LimitsStatus,
}

/// Bound addresses; absent where a listener is off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Listeners {
    pub http: Option<String>,
    pub otlp_grpc: Option<String>,
    pub otlp_http: Option<String>,
}

/// What is stored.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct StorageStatus {
    pub tables: Vec<TableStatus>,
    pub wal_bytes: u64,
    pub memtable_bytes: u64,
    pub memtable_budget_bytes: u64,
    pub disk_free_bytes: u64,
    pub disk_used_bytes: u64,
    /// Why no telemetry is taken at the moment; null when it is.
    pub refuses_because: Option<String>,
}

/// What is stored of one table.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TableStatus {
    pub name: String,
    pub segments: u64,
    pub segment_rows: u64,
    pub segment_bytes: u64,
    pub memtable_rows: u64,
    pub memtable_bytes: u64,
    pub oldest: Option<String>,
    pub newest: Option<String>,
}

/// Items since the start, by signal: received = accepted + rejected + duplicate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IngestStatus {
    pub logs: ItemCounts,
    pub spans: ItemCounts,
    pub metrics: ItemCounts,
}

/// Items of one signal since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ItemCounts {
    pub received: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub duplicate: u64,
}

/// Memory of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MemoryStatus {
    pub budget_bytes: u64,
    pub rss_bytes: u64,
}

/// Limits of questions and messages.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LimitsStatus {
    pub max_request_bytes: u64,
    pub query_timeout_ms: u64,
    pub query_max_timeout_ms: u64,
    pub max_rows: u64,
    pub max_search_limit: u64,
    pub max_concurrent_queries: u64,
    pub max_statement_bytes: u64,
}

/// `GET /api/whoami`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Whoami {
    /// ingest, viewer, editor, admin
    pub role: String,
    /// Name of the token; absent where authentication is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Answer of `POST /api/admin/…`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Done {
    /// Always true: a failure is a problem document.
    pub done: bool,
    /// How long it took.
    pub elapsed_ms: u64,
}

// ---- SQL

/// `POST /api/sql` with `application/json`
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlBody {
    /// One read-only statement.
    pub query: String,
    /// Values of `$1`, `$2`, …
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub params: Vec<serde_json::Value>,
    /// Restricts the time column of every table, with `to`: epoch ms, RFC 3339 or `now-1h`.
    #[schema(value_type = Option<String>)]
    pub from: Option<TimeText>,
    /// End of the range, not included.
    #[schema(value_type = Option<String>)]
    pub to: Option<TimeText>,
    /// `"30s"`
    pub timeout: Option<String>,
    /// Rows at most.
    pub limit: Option<usize>,
    /// By which name it can be cancelled.
    pub query_id: Option<String>,
}

/// A time as programs write it: a number of milliseconds or text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum TimeText {
    /// Milliseconds since the epoch.
    Millis(i64),
    /// RFC 3339, `now-1h`, or milliseconds as text.
    Text(String),
}

/// One column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Column {
    /// Name or alias.
    pub name: String,
    /// SQL type.
    pub r#type: String,
}

/// `GET /api/sql` as `application/json`: written as the rows come; this is its shape.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SqlAnswer {
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Rows in order.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// What it cost.
    pub stats: Stats,
    /// Why the rows end early; absent when all are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// `POST /api/sql/explain`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explanation {
    /// The plan as text.
    pub plan: String,
}

/// `GET /api/sql/schema`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SqlSchema {
    /// What can be asked.
    pub tables: Vec<SqlTable>,
}

/// One table.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SqlTable {
    /// Name.
    pub name: String,
    /// What a row is.
    pub description: String,
    /// Columns in order.
    pub columns: Vec<SqlColumn>,
    /// Keys found in recent rows, for `attributes['key']`.
    pub attribute_keys: Vec<String>,
}

/// One column.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SqlColumn {
    /// Name.
    pub name: String,
    /// SQL type.
    pub r#type: String,
    /// What it means.
    pub description: String,
}

/// `GET /api/queries`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Queries {
    /// Questions that are being answered.
    pub queries: Vec<RunningQuery>,
}

/// A question that is being answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RunningQuery {
    pub query_id: String,
    pub text: String,
    pub elapsed_ms: u64,
    pub stats: Stats,
}

// ---- logs

/// `GET /api/logs`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogPage {
    /// Records in the order asked for.
    pub rows: Vec<LogRow>,
    /// Give it back as `cursor` for the rows after these; null where there are none.
    pub next_cursor: Option<String>,
    /// What it cost.
    pub stats: Stats,
}

/// One log record.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LogRow {
    /// The same for the same record at every time.
    pub id: String,
    pub timestamp: String,
    pub observed_timestamp: Option<String>,
    pub severity_number: i32,
    pub severity_text: Option<String>,
    /// fatal, error, warn, info, debug, trace, unspecified
    pub severity: String,
    pub service: String,
    pub body: Option<String>,
    /// The body is longer than shown: ask with `full=1`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub body_truncated: bool,
    pub event_name: Option<String>,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    pub flags: u32,
    pub scope_name: String,
    pub scope_version: String,
    #[schema(value_type = Object)]
    pub attributes: Json,
    #[schema(value_type = Object)]
    pub resource_attributes: Json,
    #[schema(value_type = Object)]
    pub scope_attributes: Json,
}

/// `GET /api/logs/histogram`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogHistogram {
    /// Start of the first bucket.
    pub start: String,
    /// Length of each.
    pub step_ms: f64,
    /// One entry a level that occurs, the most severe first; as many counts as buckets.
    pub series: Vec<LogHistogramSeries>,
    /// Records in all.
    pub total: u64,
    /// What it cost.
    pub stats: Stats,
}

/// Counts of one level over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogHistogramSeries {
    /// fatal, error, warn, info, debug, trace, unspecified
    pub severity: String,
    /// By bucket.
    pub counts: Vec<u64>,
}

/// `GET /api/logs/fields`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogFields {
    /// `service` and `severity` count all records; the others count `sampled_rows` of the newest.
    pub fields: Vec<LogField>,
    /// Records in all.
    pub total: u64,
    /// Records in which attributes were counted.
    pub sampled_rows: u64,
    /// What it cost.
    pub stats: Stats,
}

/// A field and its most frequent values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogField {
    /// As the search language writes it.
    pub name: String,
    /// Counted in a sample only.
    pub sampled: bool,
    /// The most frequent first.
    pub values: Vec<FieldValue>,
}

/// How often a value occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FieldValue {
    pub value: String,
    pub count: u64,
}

/// `event: rows` of `GET /api/logs/tail`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TailRows {
    /// In order of arrival.
    pub rows: Vec<LogRow>,
}

/// `event: dropped` of `GET /api/logs/tail`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TailDropped {
    /// Records that this reader was too slow for.
    pub count: u64,
    /// There may be more: whole batches were skipped before the search could look at them.
    pub at_least: bool,
}

// ---- traces

/// `GET /api/traces`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TracePage {
    /// The newest first.
    pub traces: Vec<TraceSummary>,
    /// What it cost.
    pub stats: Stats,
}

/// One trace in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TraceSummary {
    pub trace_id: String,
    pub start_time: String,
    pub duration_ms: f64,
    pub root_service: String,
    pub root_name: String,
    pub span_count: u64,
    pub error_count: u64,
    /// By number of spans.
    pub services: Vec<ServiceSpans>,
    /// The longest span on which all conditions hold.
    pub matched: MatchedSpan,
}

/// A service's share of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ServiceSpans {
    /// Name.
    pub name: String,
    /// Its stable colour slot.
    pub slot: u32,
    /// How many spans of the trace are its.
    pub spans: u64,
}

/// A span on which all conditions hold.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MatchedSpan {
    pub span_id: String,
    pub service: String,
    pub name: String,
    pub duration_ms: f64,
    /// How many spans of the trace matched.
    pub count: u64,
}

/// `GET /api/traces/{trace_id}`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Trace {
    pub trace_id: String,
    pub start_time: String,
    pub duration_ms: f64,
    pub services: Vec<ServiceSpans>,
    /// Parents before children, siblings by start.
    pub spans: Vec<Span>,
    /// Times in which no span ran.
    pub gaps: Vec<Gap>,
    /// What had to be bent to draw it: clocks, cycles, missing parents.
    pub notes: Vec<String>,
    pub stats: Stats,
}

/// One span in its place.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Span {
    pub span_id: String,
    pub parent_span_id: Option<String>,
    pub name: String,
    pub kind: String,
    pub service: String,
    /// As received.
    pub start_time: String,
    /// From the start of the trace, after clock correction.
    pub start_offset_ms: f64,
    /// What clock correction added.
    pub clock_shift_ms: f64,
    pub duration_ms: f64,
    /// Without the time in which children ran.
    pub self_ms: f64,
    pub status_code: String,
    pub status_message: Option<String>,
    pub depth: u32,
    /// On the critical path.
    pub critical: bool,
    pub trace_state: Option<String>,
    #[schema(value_type = Object)]
    pub attributes: Json,
    #[schema(value_type = Object)]
    pub resource_attributes: Json,
    pub scope_name: String,
    pub scope_version: String,
    pub events: Vec<Event>,
    pub links: Vec<Link>,
    /// `end_before_start`, `missing_parent`, `cycle`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<String>,
}

/// Something that happened in a span.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Event {
    pub timestamp: String,
    /// From the start of the trace, after clock correction.
    pub offset_ms: f64,
    pub name: String,
    #[schema(value_type = Object)]
    pub attributes: Json,
}

/// A reference to another span.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub trace_state: Option<String>,
    #[schema(value_type = Object)]
    pub attributes: Json,
}

/// A time in which no span ran.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Gap {
    pub start_offset_ms: f64,
    pub duration_ms: f64,
}

// ---- services

/// `GET /api/services`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Services {
    pub services: Vec<Service>,
    pub from: String,
    pub to: String,
    pub stats: Stats,
}

/// Rate, errors and durations of one service.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Service {
    pub name: String,
    /// Calls per second: spans of kind server or consumer; spans without a parent where there are none of those.
    pub rate: f64,
    pub calls: u64,
    pub errors: u64,
    pub error_ratio: f64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The same length of time before; null where nothing was called then.
    pub previous: Option<PreviousPeriod>,
    pub sparkline: Sparkline,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Log records of level error and fatal.
    pub log_errors: u64,
    pub logs: u64,
    /// Stable number from 0 from which its colour follows.
    pub slot: u32,
}

/// What to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PreviousPeriod {
    pub rate: f64,
    pub error_ratio: f64,
    pub p95_ms: Option<f64>,
}

/// Small charts: one value a step.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Sparkline {
    pub start: String,
    pub step_ms: f64,
    pub calls: Vec<u64>,
    pub errors: Vec<u64>,
    /// Null where nothing was called.
    pub p95_ms: Vec<Option<f64>>,
}
