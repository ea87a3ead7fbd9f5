//! Columns of `logs`.

use arrow::datatypes::{DataType, Field};

use super::{KIND_VALUE, attributes, kind, label, optional, origin, span_id, text, timestamp, trace_id};

pub(super) fn fields() -> Vec<Field> {
    let mut fields = vec![
        timestamp("timestamp"),
        optional(timestamp("observed_timestamp")),
        Field::new("severity_number", DataType::Int32, false),
        optional(label("severity_text")),
        label("service_name"),
        // Text of the body; JSON text when the body is not a string. NULL when the record has none.
        optional(text("body")),
        // The body itself when it is not a string: nothing of its type or nesting is lost.
        optional(kind(Field::new("body_value", DataType::Binary, false), KIND_VALUE)),
        // Hash of the mined template; set when a segment is written, NULL before.
        Field::new("pattern_id", DataType::UInt64, true),
        optional(label("event_name")),
        optional(trace_id("trace_id")),
        optional(span_id("span_id")),
        Field::new("flags", DataType::UInt32, false),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
    ];
    fields.extend(origin());
    fields.push(attributes("attributes"));
    fields
}
