//! Columns of the tables that follow from others (`rollup`). Rows are partial: several may have one key, readers add up.

use arrow::datatypes::{DataType, Field};

use super::{label, list, optional, text, timestamp, trace_id};

/// A sparse exponential histogram of durations (`rollup::DurationHistogram`): indexes ascending, counts beside them.
fn histogram(prefix: &str) -> [Field; 3] {
    [
        Field::new(format!("{prefix}duration_sum_nano"), DataType::Float64, false),
        list(&format!("{prefix}bucket_indexes"), Field::new("item", DataType::Int32, false)),
        list(&format!("{prefix}bucket_counts"), Field::new("item", DataType::UInt64, false)),
    ]
}

pub(super) fn span_metrics_fields() -> Vec<Field> {
    let mut fields = vec![
        // Start of the ten seconds in which the spans began.
        timestamp("timestamp"),
        label("service_name"),
        optional(label("service_version")),
        label("name"),
        label("kind"),
        label("status_code"),
        Field::new("calls", DataType::UInt64, false),
    ];
    fields.extend(histogram(""));
    fields.push(Field::new("max_duration_nano", DataType::Int64, false));
    // Trace of the slowest span; segments keep it for failures and for one trace in eight.
    fields.push(optional(trace_id("exemplar_trace_id")));
    fields
}

pub(super) fn service_edges_fields() -> Vec<Field> {
    let mut fields = vec![
        // Start of the ten seconds in which the caller's spans began.
        timestamp("timestamp"),
        label("caller"),
        label("callee"),
        // service, database, messaging, external
        label("callee_kind"),
        Field::new("calls", DataType::UInt64, false),
        // As the caller saw it.
        Field::new("errors", DataType::UInt64, false),
    ];
    fields.extend(histogram("client_"));
    // Without content where the callee sends no spans.
    fields.extend(histogram("server_"));
    fields.push(optional(trace_id("exemplar_trace_id")));
    fields
}

pub(super) fn log_patterns_fields() -> Vec<Field> {
    vec![
        // Start of the minute.
        timestamp("timestamp"),
        label("service_name"),
        Field::new("pattern_id", DataType::UInt64, false),
        label("template"),
        Field::new("severity_number", DataType::Int32, false),
        Field::new("records", DataType::UInt64, false),
    ]
}

/// In schema version 1: when in the minute cost more than all the rest.
pub(super) fn log_patterns_fields_1() -> Vec<Field> {
    let mut fields = log_patterns_fields();
    fields.extend([timestamp("first_seen"), timestamp("last_seen")]);
    fields
}

pub(super) fn changes_fields() -> Vec<Field> {
    vec![
        timestamp("timestamp"),
        label("service_name"),
        // deploy, config, flag, scale, incident
        label("kind"),
        optional(label("version")),
        optional(label("version_from")),
        optional(text("author")),
        optional(text("link")),
        optional(text("message")),
        // api, telemetry
        label("source"),
        // Hash of the change: the same change has the same id.
        change_id(),
    ]
}

fn change_id() -> Field {
    // Shown as hex, as ids of traces are.
    trace_id("change_id")
}
