//! Seeded OTLP requests: about the sizes and repetitions of real ones.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use storage::model::Batch;

/// Items of one request.
pub(crate) const ITEMS: usize = 2_000;
const SERVICES: [&str; 8] = ["checkout", "cart", "payment", "search", "inventory", "identity", "order", "shipping"];
const AT: u64 = 1_767_323_045_000_000_000;

fn entry(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    entry(key, Value::StringValue(value.into()))
}

fn resource(service: usize) -> Option<Resource> {
    let name = SERVICES[service % SERVICES.len()];
    let attributes = vec![
        text("service.name", name),
        text("service.version", "2.4.1"),
        text("k8s.pod.name", format!("{name}-7d9c5b{service:04}")),
        text("k8s.node.name", format!("node-{}", service % 5)),
        text("cloud.region", "eu-west-1"),
    ];
    Some(Resource { attributes, ..Default::default() })
}

fn attributes(rng: &mut StdRng) -> Vec<KeyValue> {
    vec![
        text("http.request.method", ["GET", "POST"][rng.random_range(0..2)]),
        text("http.route", format!("/api/v1/items/{}", rng.random_range(0..20))),
        entry("http.response.status_code", Value::IntValue([200, 200, 200, 404, 500][rng.random_range(0..5)])),
        entry("duration_ms", Value::DoubleValue(rng.random_range(0.1..900.0))),
        text("user.id", format!("user-{}", rng.random_range(0..50_000))),
        text("thread.name", format!("http-nio-8080-exec-{}", rng.random_range(0..50))),
    ]
}

/// A body of log records.
pub(crate) fn logs(seed: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let resource_logs = (0..SERVICES.len()).map(|service| {
        let log_records = (0..ITEMS / SERVICES.len()).map(|n| {
            let user = rng.random_range(0..50_000);
            let (order, took) = (rng.random_range(0..100_000_000u32), rng.random_range(1..900));
            LogRecord {
                time_unix_nano: AT + seed * 1_000_000_000 + n as u64 * 1_000,
                severity_number: if n % 30 == 0 { 17 } else { 9 },
                severity_text: if n % 30 == 0 { "ERROR" } else { "INFO" }.to_owned(),
                body: Some(AnyValue {
                    value: Some(Value::StringValue(match n % 3 {
                        0 => format!("order ORD-{order:08} placed by user-{user} in {took} ms"),
                        1 => format!("Cache miss for key cart:{order}, loading from the store"),
                        _ => format!("支付 {order:016x} 已授权,金额 {took} 元"),
                    })),
                }),
                attributes: attributes(&mut rng),
                trace_id: rng.random::<[u8; 16]>().to_vec(),
                span_id: rng.random::<[u8; 8]>().to_vec(),
                ..Default::default()
            }
        });
        let scope_logs = vec![ScopeLogs { log_records: log_records.collect(), ..Default::default() }];
        ResourceLogs { resource: resource(service), scope_logs, ..Default::default() }
    });
    ExportLogsServiceRequest { resource_logs: resource_logs.collect() }.encode_to_vec()
}

/// A body of spans.
pub(crate) fn spans(seed: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let resource_spans = (0..SERVICES.len()).map(|service| {
        let spans = (0..ITEMS / SERVICES.len()).map(|n| {
            let start = AT + seed * 1_000_000_000 + n as u64 * 1_000;
            Span {
                trace_id: rng.random::<[u8; 16]>().to_vec(),
                span_id: rng.random::<[u8; 8]>().to_vec(),
                parent_span_id: rng.random::<[u8; 8]>().to_vec(),
                name: format!("GET /api/v1/items/{}", n % 20),
                kind: 2,
                start_time_unix_nano: start,
                end_time_unix_nano: start + rng.random_range(100_000..900_000_000),
                attributes: attributes(&mut rng),
                ..Default::default()
            }
        });
        let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..Default::default() }];
        ResourceSpans { resource: resource(service), scope_spans, ..Default::default() }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

/// A body of gauge points, one for each of [`ITEMS`] series.
pub(crate) fn metrics(seed: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let resource_metrics = (0..SERVICES.len()).map(|service| {
        let data_points = (0..ITEMS / SERVICES.len()).map(|n| NumberDataPoint {
            attributes: vec![text("http.route", format!("/api/v1/items/{n}")), text("http.request.method", "GET")],
            time_unix_nano: AT + seed * 15_000_000_000,
            value: Some(number_data_point::Value::AsDouble(rng.random_range(0.0..100.0))),
            ..Default::default()
        });
        let data = metric::Data::Gauge(Gauge { data_points: data_points.collect() });
        let metrics = vec![Metric { name: "process.load".to_owned(), data: Some(data), ..Default::default() }];
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        ResourceMetrics { resource: resource(service), scope_metrics, ..Default::default() }
    });
    ExportMetricsServiceRequest { resource_metrics: resource_metrics.collect() }.encode_to_vec()
}

/// The rows of a body of the signal with this number.
pub(crate) fn batch(signal: usize, seed: u64) -> Batch {
    let body = [logs, spans, metrics][signal](seed);
    ingest::testing::batch(signal as u8, false, &body).expect("a valid body")
}

/// A call of each of so many services (`service-0`, …), a few milliseconds before `end_unix_nano`.
pub(crate) fn one_call_each(services: usize, end_unix_nano: u64) -> Batch {
    let mut rng = StdRng::seed_from_u64(end_unix_nano);
    let resource_spans = (0..services).map(|service| {
        let span = Span {
            trace_id: rng.random::<[u8; 16]>().to_vec(),
            span_id: rng.random::<[u8; 8]>().to_vec(),
            name: "GET /".to_owned(),
            kind: 2,
            start_time_unix_nano: end_unix_nano - rng.random_range(100_000..900_000_000),
            end_time_unix_nano: end_unix_nano,
            ..Default::default()
        };
        let attributes = vec![text("service.name", format!("service-{service}"))];
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
        ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans,
            ..Default::default()
        }
    });
    let body = ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec();
    ingest::testing::batch(1, false, &body).expect("a valid body")
}
