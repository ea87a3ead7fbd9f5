//! One struct of plain data per room; `default.toml` has every key with its default and meaning, in this order.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::units::{self, Age, Budget, ByteSize, Listener};

/// Every setting of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses and transport.
    pub listen: Listen,
    /// Who may do what.
    pub auth: Auth,
    /// Memory of the process.
    pub memory: Memory,
    /// Limits of what comes in.
    pub ingest: Ingest,
    /// Where and how rows are kept.
    pub storage: Storage,
    /// What is counted of telemetry on its way in.
    pub rollup: Rollup,
    /// Merging of small segments.
    pub compaction: Compaction,
    /// How long rows are kept.
    pub retention: Retention,
    /// Limits of what is asked.
    pub query: Query,
    /// Objectives that are watched.
    pub objective: Objective,
    /// Who is told when an objective burns.
    pub alert: Alert,
    /// Root-cause reports.
    pub cause: Cause,
    /// What the server says about itself.
    pub telemetry: Telemetry,
}

impl Config {
    /// Where objectives are read from.
    pub fn objective_directory(&self) -> PathBuf {
        let directory = &self.objective.directory;
        if directory.as_os_str().is_empty() { self.storage.data_dir.join("objectives") } else { directory.clone() }
    }
}

impl Default for Config {
    fn default() -> Self {
        toml::from_str(crate::DEFAULT_TOML).expect("default.toml is part of the binary and covered by a test")
    }
}

/// Addresses and transport.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Listen {
    pub http: Listener,
    pub otlp_grpc: Listener,
    pub otlp_http: Listener,
    pub max_connections: usize,
    #[serde(with = "units::duration")]
    pub header_timeout: Duration,
    pub tls_certificate_file: PathBuf,
    pub tls_key_file: PathBuf,
    pub allow_insecure: bool,
}

/// Who may do what.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Auth {
    pub tokens: Vec<Token>,
    pub allowed_hosts: Vec<String>,
    pub otlp_cors_origins: Vec<String>,
}

/// One static bearer token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Shown in logs instead of the token.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Lower-case hex of the token's SHA-256: the token itself is nowhere.
    pub sha256: String,
}

/// What a token allows. Each role allows what the ones before it allow, except that `ingest` and reading are separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Push telemetry; nothing else.
    Ingest,
    /// Read everything.
    Viewer,
    /// Also change objectives, dashboards and views.
    Editor,
    /// Also administer, and push telemetry.
    Admin,
}

/// Memory of the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Memory {
    pub budget: Budget,
}

/// Limits of what comes in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Ingest {
    pub max_request_size: ByteSize,
    #[serde(with = "units::duration")]
    pub read_timeout: Duration,
    #[serde(with = "units::duration")]
    pub max_future: Duration,
    pub dedup: bool,
    #[serde(with = "units::duration")]
    pub dedup_window: Duration,
    pub dedup_max_entries: usize,
    pub max_attribute_depth: usize,
    pub max_value_size: ByteSize,
    #[serde(with = "units::duration")]
    pub retry_after: Duration,
}

/// Where and how rows are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Storage {
    pub data_dir: PathBuf,
    pub flush_size: ByteSize,
    #[serde(with = "units::duration")]
    pub flush_age: Duration,
    pub memtable_budget: ByteSize,
    #[serde(with = "units::duration")]
    pub memtable_wait: Duration,
    pub flush_threads: usize,
    pub wal_file_size: ByteSize,
    pub group_commit_size: ByteSize,
    pub min_free_disk: ByteSize,
    #[serde(with = "units::duration")]
    pub time_bucket: Duration,
    pub row_group_rows: usize,
    pub page_rows: usize,
    pub zstd_level: i32,
    pub attribute_column_min_ratio: f64,
    pub attribute_column_max_count: usize,
}

/// What is counted of telemetry on its way in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Rollup {
    #[serde(with = "units::duration")]
    pub edge_wait: Duration,
    pub edge_pending_max: usize,
    #[serde(with = "units::duration")]
    pub fine_age: Duration,
    pub max_operations: usize,
    pub max_patterns: usize,
}

/// Merging of small segments.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Compaction {
    pub enabled: bool,
    #[serde(with = "units::duration")]
    pub interval: Duration,
    pub target_size: ByteSize,
    pub memory: ByteSize,
    pub min_segments: usize,
    pub max_bytes_per_second: ByteSize,
    #[serde(with = "units::duration")]
    pub grace: Duration,
}

/// How long rows are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Retention {
    pub logs: Age,
    pub spans: Age,
    pub metrics: Age,
    #[serde(with = "units::duration")]
    pub interval: Duration,
    pub rules: Vec<RetentionRule>,
}

/// How long some rows are kept, apart from the others of their table. A row meets a rule that it meets all conditions of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// Where the rows are.
    pub table: RuleTable,
    /// How long they are kept.
    pub keep: Age,
    /// Name of their service; with `*` at its end, its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Name of their metric; with `*` at its end, its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Log records of lower severity than this; not those without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity_below: Option<Severity>,
    /// Attributes of the row or its resource, as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// What a retention rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleTable {
    /// `logs`.
    Logs,
    /// `spans`.
    Spans,
    /// `metrics`, `histograms`, `exponential_histograms`, `summaries`, `exemplars`.
    Metrics,
}

/// OpenTelemetry's ranges of severity numbers, by the lowest of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "named by OpenTelemetry's log data model")]
pub enum Severity {
    Debug = 5,
    Info = 9,
    Warn = 13,
    Error = 17,
    Fatal = 21,
}

/// Limits of what is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Query {
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    #[serde(with = "units::duration")]
    pub max_timeout: Duration,
    pub max_statement_size: ByteSize,
    pub max_statement_depth: usize,
    pub max_concurrent: usize,
    pub max_rows: usize,
    pub max_search_limit: usize,
    pub max_spill: ByteSize,
}

/// Objectives that are watched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Objective {
    pub directory: PathBuf,
    #[serde(with = "units::duration")]
    pub interval: Duration,
}

/// Who is told when an objective burns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Alert {
    pub webhooks: Vec<String>,
    pub alertmanagers: Vec<String>,
    pub allow_private_targets: bool,
    #[serde(with = "units::duration")]
    pub resend: Duration,
    pub external_url: String,
}

/// Root-cause reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Cause {
    #[serde(with = "units::duration")]
    pub window_max: Duration,
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    #[serde(with = "units::duration")]
    pub keep: Duration,
}

/// What the server says about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml states meaning and unit of each key")]
pub struct Telemetry {
    pub format: LogFormat,
    pub level: String,
    pub self_telemetry: bool,
}

/// Shape of the server's own log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// For programs.
    Json,
}
