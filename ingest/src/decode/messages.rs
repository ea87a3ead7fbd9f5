//! The OTLP messages: which JSON key is which protobuf field of which type.

use std::fmt;

use opentelemetry_proto::tonic::{
    logs::v1::SeverityNumber,
    metrics::v1::AggregationTemporality,
    trace::v1::{span::SpanKind, status::StatusCode},
};

use crate::Signal;

/// The message of one request.
pub(super) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Logs => &EXPORT_LOGS,
        Signal::Spans => &EXPORT_TRACE,
        Signal::Metrics => &EXPORT_METRICS,
    }
}

/// A message type.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
}

/// Looks up the number of an enum's value by its name, for hints.
pub(super) type EnumName = fn(&str) -> Option<i32>;

/// A field's type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Message(&'static Message),
    String,
    Bool,
    Double,
    Fixed32,
    Fixed64,
    Sfixed64,
    Int64,
    Sint32,
    Uint32,
    Uint64,
    Enum(EnumName),
    /// A trace or span id: hex.
    Id,
    /// Any other bytes.
    Base64,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message(message) => message.name,
            Self::String => "text",
            Self::Bool => "true or false",
            Self::Double => "a number",
            Self::Enum(_) => "the integer of an enum",
            Self::Id => "hex text",
            Self::Base64 => "base64 text",
            _ => "an integer",
        })
    }
}

const fn one(key: &'static str, number: u32, kind: Kind) -> Field {
    Field { key, number, kind, is_repeated: false }
}

const fn many(key: &'static str, number: u32, kind: Kind) -> Field {
    Field { key, number, kind, is_repeated: true }
}

macro_rules! message {
    ($(#[$meta:meta])* $visibility:vis $constant:ident, $name:literal, $($field:expr),* $(,)?) => {
        $visibility static $constant: Message = Message { name: $name, fields: &[$($field),*] };
    };
}

fn severity_number(name: &str) -> Option<i32> {
    SeverityNumber::from_str_name(name).map(i32::from)
}

fn span_kind(name: &str) -> Option<i32> {
    SpanKind::from_str_name(name).map(i32::from)
}

fn status_code(name: &str) -> Option<i32> {
    StatusCode::from_str_name(name).map(i32::from)
}

fn temporality(name: &str) -> Option<i32> {
    AggregationTemporality::from_str_name(name).map(i32::from)
}

message!(EXPORT_LOGS, "ExportLogsServiceRequest", many("resourceLogs", 1, Kind::Message(&RESOURCE_LOGS)),);
message!(EXPORT_TRACE, "ExportTraceServiceRequest", many("resourceSpans", 1, Kind::Message(&RESOURCE_SPANS)),);
message!(EXPORT_METRICS, "ExportMetricsServiceRequest", many("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS)),);
message!(
    RESOURCE_LOGS,
    "ResourceLogs",
    one("resource", 1, Kind::Message(&RESOURCE)),
    many("scopeLogs", 2, Kind::Message(&SCOPE_LOGS)),
    one("schemaUrl", 3, Kind::String),
);
message!(
    RESOURCE_SPANS,
    "ResourceSpans",
    one("resource", 1, Kind::Message(&RESOURCE)),
    many("scopeSpans", 2, Kind::Message(&SCOPE_SPANS)),
    one("schemaUrl", 3, Kind::String),
);
message!(
    RESOURCE_METRICS,
    "ResourceMetrics",
    one("resource", 1, Kind::Message(&RESOURCE)),
    many("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
    one("schemaUrl", 3, Kind::String),
);
message!(
    RESOURCE,
    "Resource",
    many("attributes", 1, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 2, Kind::Uint32),
);
message!(
    SCOPE,
    "InstrumentationScope",
    one("name", 1, Kind::String),
    one("version", 2, Kind::String),
    many("attributes", 3, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 4, Kind::Uint32),
);
message!(KEY_VALUE, "KeyValue", one("key", 1, Kind::String), one("value", 2, Kind::Message(&ANY_VALUE)));
message!(
    pub(super) ANY_VALUE,
    "AnyValue",
    one("stringValue", 1, Kind::String),
    one("boolValue", 2, Kind::Bool),
    one("intValue", 3, Kind::Int64),
    one("doubleValue", 4, Kind::Double),
    one("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
    one("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
    one("bytesValue", 7, Kind::Base64),
);
message!(ARRAY_VALUE, "ArrayValue", many("values", 1, Kind::Message(&ANY_VALUE)));
message!(KEY_VALUE_LIST, "KeyValueList", many("values", 1, Kind::Message(&KEY_VALUE)));
message!(
    SCOPE_LOGS,
    "ScopeLogs",
    one("scope", 1, Kind::Message(&SCOPE)),
    many("logRecords", 2, Kind::Message(&LOG_RECORD)),
    one("schemaUrl", 3, Kind::String),
);
message!(
    LOG_RECORD,
    "LogRecord",
    one("timeUnixNano", 1, Kind::Fixed64),
    one("severityNumber", 2, Kind::Enum(severity_number)),
    one("severityText", 3, Kind::String),
    one("body", 5, Kind::Message(&ANY_VALUE)),
    many("attributes", 6, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 7, Kind::Uint32),
    one("flags", 8, Kind::Fixed32),
    one("traceId", 9, Kind::Id),
    one("spanId", 10, Kind::Id),
    one("observedTimeUnixNano", 11, Kind::Fixed64),
    one("eventName", 12, Kind::String),
);
message!(
    SCOPE_SPANS,
    "ScopeSpans",
    one("scope", 1, Kind::Message(&SCOPE)),
    many("spans", 2, Kind::Message(&SPAN)),
    one("schemaUrl", 3, Kind::String),
);
message!(
    SPAN,
    "Span",
    one("traceId", 1, Kind::Id),
    one("spanId", 2, Kind::Id),
    one("traceState", 3, Kind::String),
    one("parentSpanId", 4, Kind::Id),
    one("name", 5, Kind::String),
    one("kind", 6, Kind::Enum(span_kind)),
    one("startTimeUnixNano", 7, Kind::Fixed64),
    one("endTimeUnixNano", 8, Kind::Fixed64),
    many("attributes", 9, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 10, Kind::Uint32),
    many("events", 11, Kind::Message(&EVENT)),
    one("droppedEventsCount", 12, Kind::Uint32),
    many("links", 13, Kind::Message(&LINK)),
    one("droppedLinksCount", 14, Kind::Uint32),
    one("status", 15, Kind::Message(&STATUS)),
    one("flags", 16, Kind::Fixed32),
);
message!(
    EVENT,
    "Span.Event",
    one("timeUnixNano", 1, Kind::Fixed64),
    one("name", 2, Kind::String),
    many("attributes", 3, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 4, Kind::Uint32),
);
message!(
    LINK,
    "Span.Link",
    one("traceId", 1, Kind::Id),
    one("spanId", 2, Kind::Id),
    one("traceState", 3, Kind::String),
    many("attributes", 4, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 5, Kind::Uint32),
    one("flags", 6, Kind::Fixed32),
);
message!(STATUS, "Status", one("message", 2, Kind::String), one("code", 3, Kind::Enum(status_code)));
message!(
    SCOPE_METRICS,
    "ScopeMetrics",
    one("scope", 1, Kind::Message(&SCOPE)),
    many("metrics", 2, Kind::Message(&METRIC)),
    one("schemaUrl", 3, Kind::String),
);
message!(
    METRIC,
    "Metric",
    one("name", 1, Kind::String),
    one("description", 2, Kind::String),
    one("unit", 3, Kind::String),
    one("gauge", 5, Kind::Message(&GAUGE)),
    one("sum", 7, Kind::Message(&SUM)),
    one("histogram", 9, Kind::Message(&HISTOGRAM)),
    one("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
    one("summary", 11, Kind::Message(&SUMMARY)),
    many("metadata", 12, Kind::Message(&KEY_VALUE)),
);
message!(GAUGE, "Gauge", many("dataPoints", 1, Kind::Message(&NUMBER_DATA_POINT)));
message!(
    SUM,
    "Sum",
    many("dataPoints", 1, Kind::Message(&NUMBER_DATA_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(temporality)),
    one("isMonotonic", 3, Kind::Bool),
);
message!(
    HISTOGRAM,
    "Histogram",
    many("dataPoints", 1, Kind::Message(&HISTOGRAM_DATA_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(temporality)),
);
message!(
    EXPONENTIAL_HISTOGRAM,
    "ExponentialHistogram",
    many("dataPoints", 1, Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(temporality)),
);
message!(SUMMARY, "Summary", many("dataPoints", 1, Kind::Message(&SUMMARY_DATA_POINT)));
message!(
    NUMBER_DATA_POINT,
    "NumberDataPoint",
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("asDouble", 4, Kind::Double),
    many("exemplars", 5, Kind::Message(&EXEMPLAR)),
    one("asInt", 6, Kind::Sfixed64),
    many("attributes", 7, Kind::Message(&KEY_VALUE)),
    one("flags", 8, Kind::Uint32),
);
message!(
    HISTOGRAM_DATA_POINT,
    "HistogramDataPoint",
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    many("bucketCounts", 6, Kind::Fixed64),
    many("explicitBounds", 7, Kind::Double),
    many("exemplars", 8, Kind::Message(&EXEMPLAR)),
    many("attributes", 9, Kind::Message(&KEY_VALUE)),
    one("flags", 10, Kind::Uint32),
    one("min", 11, Kind::Double),
    one("max", 12, Kind::Double),
);
message!(
    EXPONENTIAL_HISTOGRAM_DATA_POINT,
    "ExponentialHistogramDataPoint",
    many("attributes", 1, Kind::Message(&KEY_VALUE)),
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    one("scale", 6, Kind::Sint32),
    one("zeroCount", 7, Kind::Fixed64),
    one("positive", 8, Kind::Message(&BUCKETS)),
    one("negative", 9, Kind::Message(&BUCKETS)),
    one("flags", 10, Kind::Uint32),
    many("exemplars", 11, Kind::Message(&EXEMPLAR)),
    one("min", 12, Kind::Double),
    one("max", 13, Kind::Double),
    one("zeroThreshold", 14, Kind::Double),
);
message!(BUCKETS, "Buckets", one("offset", 1, Kind::Sint32), many("bucketCounts", 2, Kind::Uint64));
message!(
    SUMMARY_DATA_POINT,
    "SummaryDataPoint",
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    many("quantileValues", 6, Kind::Message(&VALUE_AT_QUANTILE)),
    many("attributes", 7, Kind::Message(&KEY_VALUE)),
    one("flags", 8, Kind::Uint32),
);
message!(VALUE_AT_QUANTILE, "ValueAtQuantile", one("quantile", 1, Kind::Double), one("value", 2, Kind::Double));
message!(
    EXEMPLAR,
    "Exemplar",
    one("timeUnixNano", 2, Kind::Fixed64),
    one("asDouble", 3, Kind::Double),
    one("spanId", 4, Kind::Id),
    one("traceId", 5, Kind::Id),
    one("asInt", 6, Kind::Sfixed64),
    many("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
);
