//! Small pieces of OTLP.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};

/// 2026-01-02T03:04:05.000000006Z
pub(crate) const AT: u64 = 1_767_323_045_000_000_006;

pub(crate) fn any(value: impl Into<Value>) -> AnyValue {
    AnyValue { value: Some(value.into()) }
}

pub(crate) fn text(value: &str) -> AnyValue {
    any(Value::StringValue(value.to_owned()))
}

pub(crate) fn array(values: impl IntoIterator<Item = AnyValue>) -> AnyValue {
    any(Value::ArrayValue(ArrayValue { values: values.into_iter().collect() }))
}

pub(crate) fn map(entries: impl IntoIterator<Item = KeyValue>) -> AnyValue {
    any(Value::KvlistValue(KeyValueList { values: entries.into_iter().collect() }))
}

pub(crate) fn entry(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

pub(crate) fn resource(service: &str) -> Resource {
    Resource { attributes: vec![entry("service.name", text(service))], ..Default::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "tests".to_owned(), version: "1".to_owned(), ..Default::default() }
}

/// A record with a body, to be changed as the test needs.
pub(crate) fn log(body: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: AT,
        observed_time_unix_nano: AT + 1,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(text(body)),
        ..Default::default()
    }
}

/// A span, to be changed as the test needs.
pub(crate) fn span(name: &str, trace: u8, id: u8) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        name: name.to_owned(),
        kind: 2,
        start_time_unix_nano: AT,
        end_time_unix_nano: AT + 5_000_000,
        ..Default::default()
    }
}

/// A gauge with one point.
pub(crate) fn gauge(name: &str, value: f64) -> Metric {
    let point = NumberDataPoint {
        time_unix_nano: AT,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..Default::default()
    };
    metric(name, metric::Data::Gauge(opentelemetry_proto::tonic::metrics::v1::Gauge { data_points: vec![point] }))
}

pub(crate) fn metric(name: &str, data: metric::Data) -> Metric {
    Metric { name: name.to_owned(), unit: "1".to_owned(), data: Some(data), ..Default::default() }
}

pub(crate) fn logs(service: &str, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..Default::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: Some(resource(service)), scope_logs, ..Default::default() }],
    }
}

pub(crate) fn spans(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..Default::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource(service)), scope_spans, ..Default::default() }],
    }
}

pub(crate) fn metrics(service: &str, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..Default::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource(service)),
            scope_metrics,
            ..Default::default()
        }],
    }
}
