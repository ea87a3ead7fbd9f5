//! Real clients: what the OpenTelemetry SDKs of Python and Rust say they sent is compared field by field with SQL.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Array, KeyValue, Value as Attribute,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity},
    metrics::MeterProvider as _,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
        TraceState, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    logs::SdkLoggerProvider,
    metrics::{Aggregation, Instrument, SdkMeterProvider, Stream},
    trace::SdkTracerProvider,
};
use serde_json::{Value, json};

use crate::support::{Python, Rows, Server, value};

/// A Unix time in nanoseconds as answers write it.
fn time(nanos: &Value) -> Value {
    let nanos = value(nanos);
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).expect("a time");
    json!(format!("{time:.9}"))
}

/// Whether an answer holds what was sent: whole numbers beyond 2^53 are text, whole doubles may be written as integers.
fn same(found: &Value, sent: &Value) -> bool {
    match (found, sent) {
        (Value::Array(found), Value::Array(sent)) => {
            found.len() == sent.len() && found.iter().zip(sent).all(|(f, s)| same(f, s))
        }
        (Value::Object(found), Value::Object(sent)) => {
            found.len() == sent.len() && sent.iter().all(|(k, s)| found.get(k).is_some_and(|f| same(f, s)))
        }
        (Value::String(found), Value::Number(sent)) => *found == sent.to_string(),
        (Value::Number(found), Value::Number(sent)) => found == sent || found.as_f64() == sent.as_f64(),
        _ => found == sent,
    }
}

#[track_caller]
fn assert_same(what: &str, found: &Value, sent: &Value) {
    assert!(same(found, sent), "{what}: found {found}, sent {sent}");
}

#[tokio::test]
async fn python_over_grpc_and_http_is_stored_as_sent() {
    let Some(python) = Python::find("python_over_grpc_and_http_is_stored_as_sent") else { return };
    let server = Server::start().await;
    for (protocol, endpoint) in [("grpc", server.grpc_url()), ("http", server.otlp_url(""))] {
        let sent = python.run("send.py", [protocol, endpoint.trim_end_matches('/')]).await;
        for state in ["in memory", "in segments"] {
            compare_spans(&server, &format!("{protocol}, {state}"), protocol, &sent["spans"]).await;
            compare_logs(&server, &format!("{protocol}, {state}"), protocol, &sent["logs"]).await;
            compare_points(&server, &format!("{protocol}, {state}"), protocol, &sent["points"]).await;
            server.flush().await;
        }
    }
}

fn items(of: &Value) -> &[Value] {
    of.as_array().expect("a list")
}

async fn compare_spans(server: &Server, state: &str, protocol: &str, sent: &Value) {
    assert_eq!(items(sent).len(), 4);
    let columns = "trace_id, span_id, parent_span_id, name, kind, start_time, duration_nano, status_code, status_message, \
                   attributes, scope_name, scope_version, scope_attributes, resource_attributes, events, links";
    for span in items(sent) {
        let id = span["span_id"].as_str().expect("an id");
        let rows: Rows = server
            .sql(&format!("SELECT {columns} FROM spans WHERE service_name = 'python-{protocol}' AND span_id = '{id}'"))
            .await;
        assert_eq!(rows.rows.len(), 1, "{state}: {span}");
        for field in [
            "trace_id",
            "span_id",
            "parent_span_id",
            "name",
            "kind",
            "duration_nano",
            "status_code",
            "attributes",
            "scope_attributes",
        ] {
            assert_same(&format!("{state}: {field} of {}", span["name"]), rows.at(0, field), &span[field]);
        }
        assert_same(state, rows.at(0, "start_time"), &time(&span["start"]));
        assert_same(state, rows.at(0, "status_message"), &span["status_message"]);
        assert_same(state, &json!([rows.at(0, "scope_name"), rows.at(0, "scope_version")]), &span["scope"]);
        assert_same(state, rows.at(0, "resource_attributes"), &span["resource"]);
        let (events, links) = (items(rows.at(0, "events")), items(rows.at(0, "links")));
        assert_eq!((events.len(), links.len()), (items(&span["events"]).len(), items(&span["links"]).len()), "{state}");
        for (found, sent) in events.iter().zip(items(&span["events"])) {
            assert_same(state, &found["timestamp"], &time(&sent["time"]));
            assert_same(state, &found["name"], &sent["name"]);
            assert_same(state, &found["attributes"], &sent["attributes"]);
        }
        for (found, sent) in links.iter().zip(items(&span["links"])) {
            for field in ["trace_id", "span_id", "attributes"] {
                assert_same(state, &found[field], &sent[field]);
            }
        }
    }
}

async fn compare_logs(server: &Server, state: &str, protocol: &str, sent: &Value) {
    let rows = server
        .sql(&format!(
            "SELECT timestamp, observed_timestamp, severity_number, severity_text, body, attributes, event_name, trace_id, span_id, flags, \
             scope_name, scope_version FROM logs WHERE service_name = 'python-{protocol}' ORDER BY timestamp"
        ))
        .await;
    assert_eq!(rows.rows.len(), items(sent).len(), "{state}");
    for (n, log) in items(sent).iter().enumerate() {
        for field in ["severity_number", "attributes", "event_name", "trace_id", "span_id", "flags"] {
            assert_same(&format!("{state}: {field} of {log}"), rows.at(n, field), &log[field]);
        }
        assert_same(state, rows.at(n, "timestamp"), &time(&log["time"]));
        assert_same(state, rows.at(n, "observed_timestamp"), &time(&log["observed"]));
        let severity_text = rows.at(n, "severity_text");
        assert!(
            severity_text == &log["severity_text"] || severity_text.as_str().is_none_or(str::is_empty),
            "{state}: {severity_text}"
        );
        let body = rows.at(n, "body");
        let body = if log["body"].is_string() {
            body.clone()
        } else {
            serde_json::from_str(body.as_str().expect("text")).expect("JSON")
        };
        assert_same(&format!("{state}: body"), &body, &log["body"]);
        assert_same(state, &json!([rows.at(n, "scope_name"), rows.at(n, "scope_version")]), &log["scope"]);
    }
}

async fn compare_points(server: &Server, state: &str, protocol: &str, sent: &Value) {
    let names: std::collections::HashSet<&str> = items(sent).iter().filter_map(|p| p["name"].as_str()).collect();
    assert!(names.len() >= 9, "{names:?}");
    for point in items(sent) {
        let name = point["name"].as_str().expect("a name");
        let (table, kind, columns) = match point["class"].as_str() {
            Some("Gauge") => ("metrics", "gauge", "value, value_int"),
            Some("Sum") => ("metrics", "sum", "value, value_int"),
            Some("Histogram") => ("histograms", "histogram", "count, sum, min, max, bucket_counts, explicit_bounds"),
            _ => (
                "exponential_histograms",
                "exponential_histogram",
                "count, sum, min, max, scale, zero_count, positive_offset, positive_bucket_counts",
            ),
        };
        let rows = server
            .sql(&format!(
                "SELECT type, unit, description, temporality, is_monotonic, start_timestamp, timestamp, attributes, scope_name, scope_version, {columns} \
                 FROM {table} WHERE service_name = 'python-{protocol}' AND metric_name = '{name}'"
            ))
            .await;
        let at = time(&point["time"]);
        let is_it =
            |n: &usize| same(rows.at(*n, "attributes"), &point["attributes"]) && *rows.at(*n, "timestamp") == at;
        let row = (0..rows.rows.len()).find(is_it);
        let row = row.unwrap_or_else(|| panic!("{state}: no point of {point}"));
        let found = |column: &str| rows.at(row, column);
        let what = |column: &str| format!("{state}: {column} of {name}");
        assert_same(&what("type"), found("type"), &json!(kind));
        for column in [
            "unit",
            "temporality",
            "is_monotonic",
            "count",
            "sum",
            "min",
            "max",
            "bucket_counts",
            "explicit_bounds",
            "scale",
            "zero_count",
        ] {
            if !point[column].is_null() {
                assert_same(&what(column), found(column), &point[column]);
            }
        }
        assert_same(&what("description"), found("description"), &point["description"]);
        if point["start"].is_number() {
            assert_same(&what("start_timestamp"), found("start_timestamp"), &time(&point["start"]));
        }
        if let Some(value) = point.get("value") {
            let column = if value.is_i64() { "value_int" } else { "value" };
            assert_same(&what(column), found(column), value);
        }
        if let Some(positive) = point.get("positive") {
            assert_same(
                &what("positive"),
                &json!([found("positive_offset"), found("positive_bucket_counts")]),
                positive,
            );
        }
        for exemplar in items(&point["exemplars"]) {
            let rows = server.sql(&format!("SELECT coalesce(CAST(value_int AS DOUBLE), value), timestamp, trace_id FROM exemplars WHERE service_name = 'python-{protocol}' AND metric_name = '{name}'")).await;
            let sent = [exemplar["value"].clone(), time(&exemplar["time"]), exemplar["trace_id"].clone()];
            assert!(
                rows.rows.iter().any(|r| r.iter().zip(&sent).all(|(f, s)| same(f, s))),
                "{}: {exemplar} not in {rows:?}",
                what("exemplar")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_is_stored_as_sent() {
    let server = Server::start().await;
    let endpoint = server.grpc_url();
    let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(crate::support::telemetry::AT);
    let resource = Resource::builder_empty()
        .with_attributes([KeyValue::new("service.name", "rust-sdk"), KeyValue::new("size", 5)])
        .build();

    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint.clone()).build().expect("an exporter");
    let tracers = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.clone()).build();
    let tracer = tracers.tracer("rust.tracer");
    let link = SpanContext::new(TraceId::from(7), SpanId::from(8), TraceFlags::SAMPLED, true, TraceState::default());
    let attributes = vec![
        KeyValue::new("text", "日志"),
        KeyValue::new("int", i64::MAX),
        KeyValue::new("double", 1.5),
        KeyValue::new("bool", true),
        KeyValue::new("list", Attribute::Array(Array::I64(vec![1, 2]))),
    ];
    let builder = SpanBuilder::from_name("operation")
        .with_kind(SpanKind::Consumer)
        .with_start_time(start)
        .with_attributes(attributes)
        .with_links(vec![Link::new(link, vec![KeyValue::new("l", 1)], 0)]);
    let mut span = tracer.build(builder);
    span.add_event_with_timestamp("event", start + Duration::from_nanos(3), vec![KeyValue::new("e", false)]);
    span.set_status(Status::error("failed"));
    let context = opentelemetry::Context::current_with_span(span);
    let mut child = tracer.build_with_context(SpanBuilder::from_name("child").with_start_time(start), &context);
    child.end_with_timestamp(start + Duration::from_nanos(10));
    context.span().end_with_timestamp(start + Duration::from_nanos(123_456_789));
    let parent = context.span().span_context().clone();

    let exporter = LogExporter::builder().with_tonic().with_endpoint(endpoint.clone()).build().expect("an exporter");
    let loggers = SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(resource.clone()).build();
    let logger = loggers.logger("rust.logger");
    let mut record = logger.create_log_record();
    record.set_timestamp(start);
    record.set_observed_timestamp(start + Duration::from_nanos(1));
    record.set_severity_number(Severity::Error3);
    record.set_severity_text("ERROR");
    record.set_body(AnyValue::from("connection refused"));
    record.set_event_name("db.down");
    record.set_trace_context(parent.trace_id(), parent.span_id(), Some(TraceFlags::SAMPLED));
    record.add_attribute("bytes", AnyValue::Bytes(Box::new(vec![1, 255])));
    record.add_attribute("map", AnyValue::Map(Box::new([("k".into(), AnyValue::Int(1))].into_iter().collect())));
    logger.emit(record);

    let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build().expect("an exporter");
    let exponential = |instrument: &Instrument| {
        let aggregation = Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
        (instrument.name() == "exponential")
            .then(|| Stream::builder().with_aggregation(aggregation).build().ok())
            .flatten()
    };
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter)
        .with_resource(resource)
        .with_view(exponential)
        .build();
    let meter = meters.meter("rust.meter");
    meter.u64_counter("counter").with_unit("1").build().add(3, &[KeyValue::new("k", "v")]);
    meter.i64_up_down_counter("updown").build().add(-4, &[]);
    meter.f64_gauge("gauge").build().record(2.5, &[]);
    meter.i64_observable_gauge("observed").with_callback(|o| o.observe(6, &[])).build();
    let explicit = meter.f64_histogram("explicit").with_boundaries(vec![1.0, 2.0]).build();
    let exponential = meter.f64_histogram("exponential").build();
    for value in [0.5, 1.5, 1.6, 9.0] {
        explicit.record(value, &[]);
        exponential.record(value, &[]);
    }
    let flushed =
        tokio::task::spawn_blocking(move || tracers.shutdown().and(loggers.shutdown()).and(meters.shutdown()));
    flushed.await.expect("no panic").expect("everything was exported");

    for state in ["in memory", "in segments"] {
        let spans = server.sql("SELECT name, kind, start_time, duration_nano, status_code, status_message, attributes, resource_attributes, scope_name, trace_id, parent_span_id FROM spans ORDER BY name DESC").await;
        let trace_id = parent.trace_id().to_string();
        let sent = json!([
            "operation",
            "consumer",
            "2026-01-02T03:04:05.000000006Z",
            123_456_789,
            "error",
            "failed",
            {"text": "日志", "int": i64::MAX, "double": 1.5, "bool": true, "list": [1, 2]},
            {"service.name": "rust-sdk", "size": 5},
            "rust.tracer",
            trace_id,
            null,
        ]);
        assert_same(state, &json!(spans.rows[0]), &sent);
        assert_eq!(spans.rows[1][10], json!(parent.span_id().to_string()), "{state}");
        let spans = server.sql("SELECT events, links FROM spans WHERE name = 'operation'").await;
        let (event, link) = (&spans.at(0, "events")[0], &spans.at(0, "links")[0]);
        assert_eq!(
            [&event["name"], &event["timestamp"], &event["attributes"]],
            [&json!("event"), &json!("2026-01-02T03:04:05.000000009Z"), &json!({"e": false})],
            "{state}"
        );
        assert_eq!(
            [&link["trace_id"], &link["span_id"], &link["attributes"]],
            [&json!(format!("{:032x}", 7)), &json!(format!("{:016x}", 8)), &json!({"l": 1})],
            "{state}"
        );

        let logs = server.sql("SELECT timestamp, observed_timestamp, severity_number, severity_text, body, event_name, trace_id, span_id, attributes, service_name FROM logs").await;
        assert_eq!(
            logs.rows,
            [[
                json!("2026-01-02T03:04:05.000000006Z"),
                json!("2026-01-02T03:04:05.000000007Z"),
                json!(19),
                json!("ERROR"),
                json!("connection refused"),
                json!("db.down"),
                json!(trace_id),
                json!(parent.span_id().to_string()),
                json!({"bytes": "01ff", "map": {"k": 1}}),
                json!("rust-sdk"),
            ]],
            "{state}"
        );

        let metrics = server.sql("SELECT metric_name, type, temporality, is_monotonic, value, value_int, attributes FROM metrics ORDER BY 1").await;
        assert_eq!(
            metrics.rows,
            [
                [
                    json!("counter"),
                    json!("sum"),
                    json!("cumulative"),
                    json!(true),
                    json!(3.0),
                    json!(3),
                    json!({"k": "v"})
                ],
                [json!("gauge"), json!("gauge"), Value::Null, Value::Null, json!(2.5), Value::Null, json!({})],
                [json!("observed"), json!("gauge"), Value::Null, Value::Null, json!(6.0), json!(6), json!({})],
                [json!("updown"), json!("sum"), json!("cumulative"), json!(false), json!(-4.0), json!(-4), json!({})],
            ],
            "{state}"
        );
        let explicit = server.sql("SELECT count, sum, min, max, bucket_counts, explicit_bounds FROM histograms").await;
        assert_eq!(
            explicit.rows,
            [[json!(4), json!(12.6), json!(0.5), json!(9.0), json!([1, 2, 1]), json!([1.0, 2.0])]],
            "{state}"
        );
        let exponential = server.sql("SELECT count, sum, min, max FROM exponential_histograms").await;
        assert_eq!(exponential.rows, [[json!(4), json!(12.6), json!(0.5), json!(9.0)]], "{state}");
        server.flush().await;
    }
}
