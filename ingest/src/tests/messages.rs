//! Requests around one item.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};

use super::NOW_UNSIGNED;

pub(super) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(super) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

pub(super) fn array(values: Vec<Value>) -> Value {
    Value::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() })
}

pub(super) fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::KvlistValue(KeyValueList { values: entries.into_iter().map(|(key, value)| key_value(key, value)).collect() })
}

pub(super) fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
}

pub(super) fn resource() -> Resource {
    Resource { attributes: vec![key_value("service.name", text("checkout"))], ..Default::default() }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "io.shop".to_owned(),
        version: "1.2".to_owned(),
        attributes: vec![key_value("layer", text("web"))],
        ..Default::default()
    }
}

pub(super) fn logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..Default::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: Some(resource()), scope_logs, ..Default::default() }],
    }
}

pub(super) fn log(body: &str) -> LogRecord {
    LogRecord { time_unix_nano: NOW_UNSIGNED, body: Some(any(text(body))), ..Default::default() }
}

pub(super) fn spans(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..Default::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource()), scope_spans, ..Default::default() }],
    }
}

pub(super) fn span(name: &str) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        name: name.to_owned(),
        kind: 2,
        start_time_unix_nano: NOW_UNSIGNED,
        end_time_unix_nano: NOW_UNSIGNED + 1_000,
        ..Default::default()
    }
}

pub(super) fn metrics(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..Default::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..Default::default() }],
    }
}

pub(super) fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), unit: "1".to_owned(), data: Some(data), ..Default::default() }
}

pub(super) fn gauge(name: &str, value: number_data_point::Value) -> Metric {
    metric(name, Data::Gauge(Gauge { data_points: vec![point(Some(value))] }))
}

pub(super) fn point(value: Option<number_data_point::Value>) -> NumberDataPoint {
    NumberDataPoint { time_unix_nano: NOW_UNSIGNED, value, ..Default::default() }
}
