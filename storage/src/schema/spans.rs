//! Columns of `spans`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::{anomaly, attributes, label, list, optional, origin, span_id, text, timestamp, trace_id};

pub(super) fn fields() -> Vec<Field> {
    let mut fields = vec![
        trace_id("trace_id"),
        span_id("span_id"),
        optional(span_id("parent_span_id")),
        optional(label("trace_state")),
        label("name"),
        // unspecified, internal, server, client, producer, consumer
        label("kind"),
        label("service_name"),
        timestamp("start_time"),
        // 0 when the span ended before it began; `anomaly` says so.
        Field::new("duration_nano", DataType::Int64, false),
        // unset, ok, error
        label("status_code"),
        optional(label("status_message")),
        Field::new("flags", DataType::UInt32, false),
        list("events", item(event())),
        list("links", item(link())),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
        Field::new("dropped_events_count", DataType::UInt32, false),
        Field::new("dropped_links_count", DataType::UInt32, false),
        anomaly(),
    ];
    fields.extend(origin());
    fields.push(attributes("attributes"));
    fields
}

fn item(fields: Vec<Field>) -> Field {
    let fields: Fields = fields.into_iter().map(Arc::new).collect();
    Field::new("item", DataType::Struct(fields), false)
}

fn event() -> Vec<Field> {
    vec![
        timestamp("timestamp"),
        text("name"),
        attributes("attributes"),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
    ]
}

fn link() -> Vec<Field> {
    vec![
        trace_id("trace_id"),
        span_id("span_id"),
        optional(text("trace_state")),
        attributes("attributes"),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
        Field::new("flags", DataType::UInt32, false),
    ]
}
