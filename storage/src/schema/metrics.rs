//! Columns of the metric tables. A point carries its series' columns (`SERIES_COLUMNS`) until a segment is written.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::{anomaly, attributes, label, list, optional, origin, shared_attributes, span_id, timestamp, trace_id};

fn point(own: Vec<Field>) -> Vec<Field> {
    let mut fields = vec![
        label("metric_name"),
        Field::new("series_id", DataType::UInt64, false),
        timestamp("timestamp"),
        optional(timestamp("start_timestamp")),
    ];
    fields.extend(own);
    fields.extend([
        Field::new("flags", DataType::UInt32, false),
        anomaly(),
        label("description"),
        label("unit"),
        // gauge, sum, histogram, exponential_histogram, summary
        label("type"),
        // delta, cumulative, unspecified; NULL where the type has none
        optional(label("temporality")),
        Field::new("is_monotonic", DataType::Boolean, true),
        label("service_name"),
    ]);
    fields.extend(origin());
    fields.push(shared_attributes("attributes"));
    fields
}

fn optional_double(name: &str) -> Field {
    Field::new(name, DataType::Float64, true)
}

pub(super) fn number_fields() -> Vec<Field> {
    // `value_int` is set when the point was sent as an integer: nothing is lost above 2^53. Both NULL: no recorded value.
    point(vec![optional_double("value"), Field::new("value_int", DataType::Int64, true)])
}

pub(super) fn histogram_fields() -> Vec<Field> {
    point(vec![
        Field::new("count", DataType::UInt64, false),
        optional_double("sum"),
        optional_double("min"),
        optional_double("max"),
        list("bucket_counts", Field::new("item", DataType::UInt64, false)),
        list("explicit_bounds", Field::new("item", DataType::Float64, false)),
    ])
}

pub(super) fn exponential_histogram_fields() -> Vec<Field> {
    point(vec![
        Field::new("count", DataType::UInt64, false),
        optional_double("sum"),
        optional_double("min"),
        optional_double("max"),
        Field::new("scale", DataType::Int32, false),
        Field::new("zero_count", DataType::UInt64, false),
        Field::new("zero_threshold", DataType::Float64, false),
        Field::new("positive_offset", DataType::Int32, false),
        list("positive_bucket_counts", Field::new("item", DataType::UInt64, false)),
        Field::new("negative_offset", DataType::Int32, false),
        list("negative_bucket_counts", Field::new("item", DataType::UInt64, false)),
    ])
}

pub(super) fn summary_fields() -> Vec<Field> {
    let quantile: Fields =
        [Field::new("quantile", DataType::Float64, false), Field::new("value", DataType::Float64, false)]
            .into_iter()
            .map(Arc::new)
            .collect();
    point(vec![
        Field::new("count", DataType::UInt64, false),
        Field::new("sum", DataType::Float64, false),
        list("quantile_values", Field::new("item", DataType::Struct(quantile), false)),
    ])
}

pub(super) fn exemplar_fields() -> Vec<Field> {
    vec![
        label("metric_name"),
        Field::new("series_id", DataType::UInt64, false),
        label("service_name"),
        timestamp("timestamp"),
        optional_double("value"),
        Field::new("value_int", DataType::Int64, true),
        optional(trace_id("trace_id")),
        optional(span_id("span_id")),
        // The filtered attributes: those of the measurement that the series does not have.
        attributes("attributes"),
    ]
}
