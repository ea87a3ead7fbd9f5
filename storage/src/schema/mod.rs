//! Columns of each stored table.
//!
//! The *wide* schema is what `ingest` fills, what the WAL and the memtables hold. A segment keeps the same columns but
//! gives frequent attribute keys a column of their own (`layout`) and moves the labels of series to its series table.
//! The SQL schema (`query`) differs in two ways only: ids are hex text, and attribute maps are looked up by key.

mod derived;
pub mod layout;
mod logs;
mod metrics;
mod spans;

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::model::Table;

/// Metadata key on fields that tells what their bytes mean.
pub const KIND_KEY: &str = "rootline.kind";
/// Value of [`KIND_KEY`] on attribute maps (`model::attributes`).
pub const KIND_ATTRIBUTES: &str = "attributes";
/// Value of [`KIND_KEY`] on single attribute values (a log body that is not a string).
pub const KIND_VALUE: &str = "value";
/// Value of [`KIND_KEY`] on trace and span ids.
pub const KIND_ID: &str = "id";

/// Version of the wide schemas. WAL frames of earlier versions are read ([`wide_of`]), of later ones refused.
pub const VERSION: u16 = 2;

/// The columns of `table` as `ingest` fills them.
pub fn wide(table: Table) -> SchemaRef {
    // Built once: schemas are compared by pointer on hot paths.
    static SCHEMAS: std::sync::LazyLock<HashMap<Table, SchemaRef>> =
        std::sync::LazyLock::new(|| Table::ALL.into_iter().map(|t| (t, Arc::new(build(t)))).collect());
    Arc::clone(&SCHEMAS[&table])
}

/// The columns of `table` in an earlier version. What has other columns now keeps those that both have.
pub fn wide_of(version: u16, table: Table) -> SchemaRef {
    static LOG_PATTERNS_1: std::sync::LazyLock<SchemaRef> =
        std::sync::LazyLock::new(|| Arc::new(Schema::new(derived::log_patterns_fields_1())));
    if version == 1 && table == Table::LogPatterns { Arc::clone(&LOG_PATTERNS_1) } else { wide(table) }
}

/// Columns by which a segment of `table` is sorted, most significant first.
pub const fn sort_key(table: Table) -> &'static [&'static str] {
    match table {
        Table::Logs => &["service_name", "pattern_id", "timestamp"],
        Table::Spans => &["service_name", "name", "start_time"],
        Table::Metrics | Table::Histograms | Table::ExponentialHistograms | Table::Summaries | Table::Exemplars => {
            &["metric_name", "series_id", "timestamp"]
        }
        Table::SpanMetrics => &["service_name", "name", "timestamp"],
        Table::ServiceEdges => &["caller", "callee", "timestamp"],
        Table::LogPatterns => &["service_name", "pattern_id", "timestamp"],
        Table::Changes => &["service_name", "kind", "timestamp"],
    }
}

/// Columns that belong to a series and not to a point: a segment keeps them once per series. `metric_name` and
/// `service_name` also stay with the points, where they cost nothing and prune.
pub const SERIES_COLUMNS: [&str; 12] = [
    "metric_name",
    "description",
    "unit",
    "type",
    "temporality",
    "is_monotonic",
    "service_name",
    "resource_attributes",
    "scope_name",
    "scope_version",
    "scope_attributes",
    "attributes",
];

fn build(table: Table) -> Schema {
    let fields = match table {
        Table::Logs => logs::fields(),
        Table::Spans => spans::fields(),
        Table::Metrics => metrics::number_fields(),
        Table::Histograms => metrics::histogram_fields(),
        Table::ExponentialHistograms => metrics::exponential_histogram_fields(),
        Table::Summaries => metrics::summary_fields(),
        Table::Exemplars => metrics::exemplar_fields(),
        Table::SpanMetrics => derived::span_metrics_fields(),
        Table::ServiceEdges => derived::service_edges_fields(),
        Table::LogPatterns => derived::log_patterns_fields(),
        Table::Changes => derived::changes_fields(),
    };
    Schema::new(fields)
}

fn timestamp(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false)
}

fn optional(field: Field) -> Field {
    field.with_nullable(true)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

/// Text with few distinct values in a batch.
fn label(name: &str) -> Field {
    Field::new(name, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), false)
}

fn kind(field: Field, kind: &str) -> Field {
    field.with_metadata(HashMap::from([(KIND_KEY.to_owned(), kind.to_owned())]))
}

fn attributes(name: &str) -> Field {
    kind(Field::new(name, DataType::Binary, false), KIND_ATTRIBUTES)
}

/// Attribute maps that many rows of a batch share: resource, scope, series.
fn shared_attributes(name: &str) -> Field {
    let binary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary));
    kind(Field::new(name, binary, false), KIND_ATTRIBUTES)
}

fn trace_id(name: &str) -> Field {
    kind(Field::new(name, DataType::FixedSizeBinary(16), false), KIND_ID)
}

fn span_id(name: &str) -> Field {
    kind(Field::new(name, DataType::FixedSizeBinary(8), false), KIND_ID)
}

fn list(name: &str, item: Field) -> Field {
    Field::new(name, DataType::List(Arc::new(item)), false)
}

/// Resource and scope: the same on every table that has them.
fn origin() -> Vec<Field> {
    vec![
        shared_attributes("resource_attributes"),
        label("scope_name"),
        label("scope_version"),
        shared_attributes("scope_attributes"),
    ]
}

/// What was odd about an item that was stored all the same: `end_before_start`, `count_mismatch`, …
fn anomaly() -> Field {
    optional(label("anomaly"))
}
