//! Odd telemetry and what becomes of it; and a whole item of each kind, compared field by field.

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use http::StatusCode;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
        trace::v1::ExportTraceServiceResponse,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets,
        metric::Data, number_data_point::Value as Number, summary_data_point::ValueAtQuantile,
    },
    trace::v1::{
        Span, Status,
        span::{Event, Link},
    },
};
use prost::Message as _;
use storage::model::{Table, attributes};
use tonic::Code;

use super::{
    JSON, NOW, NOW_UNSIGNED, PROTOBUF, Server, bytes, doubles, integers, items, maps, messages::*, nested, text,
    unsigned,
};
use crate::Signal;

const DAY: u64 = 86_400_000_000_000;

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

/// Rejected items and the reasons in the reply.
async fn rejected(server: &Server, signal: Signal, message: &impl prost::Message) -> (i64, String) {
    let answer = server.send(signal, message).await;
    let partial = match signal {
        Signal::Logs => answer
            .message::<ExportLogsServiceResponse>()
            .partial_success
            .map(|partial| (partial.rejected_log_records, partial.error_message)),
        Signal::Spans => answer
            .message::<ExportTraceServiceResponse>()
            .partial_success
            .map(|partial| (partial.rejected_spans, partial.error_message)),
        Signal::Metrics => answer
            .message::<ExportMetricsServiceResponse>()
            .partial_success
            .map(|partial| (partial.rejected_data_points, partial.error_message)),
    };
    partial.unwrap_or_default()
}

#[tokio::test]
async fn a_log_record_is_stored_field_by_field() {
    let server = Server::start().await;
    let record = LogRecord {
        time_unix_nano: NOW_UNSIGNED,
        observed_time_unix_nano: NOW_UNSIGNED + 5,
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: Some(any(text_value("connection refused"))),
        attributes: vec![key_value("http.route", text_value("/pay")), key_value("retry", Value::IntValue(3))],
        dropped_attributes_count: 2,
        flags: 1,
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        event_name: "payment.failed".to_owned(),
    };
    assert_eq!(server.send(Signal::Logs, &logs(vec![record])).await.status, StatusCode::OK);
    let rows = server.rows(Table::Logs);
    assert_eq!(integers(&rows, "timestamp"), [Some(NOW)]);
    assert_eq!(integers(&rows, "observed_timestamp"), [Some(NOW + 5)]);
    assert_eq!(integers(&rows, "severity_number"), [Some(17)]);
    assert_eq!(text(&rows, "severity_text"), some(&["ERROR"]));
    assert_eq!(text(&rows, "service_name"), some(&["checkout"]));
    assert_eq!(text(&rows, "body"), some(&["connection refused"]));
    assert_eq!(bytes(&rows, "body_value"), [None]);
    assert!(unsigned(&rows, "pattern_id")[0].is_some());
    assert_eq!(text(&rows, "event_name"), some(&["payment.failed"]));
    assert_eq!(bytes(&rows, "trace_id"), [Some(vec![0xab; 16])]);
    assert_eq!(bytes(&rows, "span_id"), [Some(vec![0xcd; 8])]);
    assert_eq!(unsigned(&rows, "flags"), [Some(1)]);
    assert_eq!(unsigned(&rows, "dropped_attributes_count"), [Some(2)]);
    assert_eq!(maps(&rows, "resource_attributes"), [r#"{"service.name":"checkout"}"#]);
    assert_eq!(text(&rows, "scope_name"), some(&["io.shop"]));
    assert_eq!(text(&rows, "scope_version"), some(&["1.2"]));
    assert_eq!(maps(&rows, "scope_attributes"), [r#"{"layer":"web"}"#]);
    assert_eq!(maps(&rows, "attributes"), [r#"{"http.route":"/pay","retry":3}"#]);
    server.stop().await;
}

fn text_value(value: &str) -> Value {
    super::messages::text(value)
}

#[tokio::test]
async fn a_span_is_stored_field_by_field() {
    let server = Server::start().await;
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "vendor=1".to_owned(),
        parent_span_id: vec![3; 8],
        flags: 0x301,
        name: "POST /orders".to_owned(),
        kind: 3,
        start_time_unix_nano: NOW_UNSIGNED,
        end_time_unix_nano: NOW_UNSIGNED + 1_500,
        attributes: vec![key_value("a", Value::BoolValue(true))],
        dropped_attributes_count: 4,
        events: vec![
            Event {
                time_unix_nano: NOW_UNSIGNED + 1,
                name: "exception".to_owned(),
                attributes: vec![key_value("exception.type", text_value("Timeout"))],
                dropped_attributes_count: 9,
            },
            Event { time_unix_nano: NOW_UNSIGNED + 2, name: "retry".to_owned(), ..Default::default() },
        ],
        dropped_events_count: 5,
        links: vec![
            Link {
                trace_id: vec![4; 16],
                span_id: vec![5; 8],
                trace_state: "x=y".to_owned(),
                attributes: vec![key_value("why", text_value("batch"))],
                dropped_attributes_count: 1,
                flags: 1,
            },
            // A link that names no span is left out; the span stays.
            Link { trace_id: vec![0; 16], span_id: vec![5; 8], ..Default::default() },
        ],
        dropped_links_count: 6,
        status: Some(Status { message: "boom".to_owned(), code: 2 }),
    };
    assert_eq!(rejected(&server, Signal::Spans, &spans(vec![span])).await.0, 0);
    let rows = server.rows(Table::Spans);
    assert_eq!(bytes(&rows, "trace_id"), [Some(vec![1; 16])]);
    assert_eq!(bytes(&rows, "span_id"), [Some(vec![2; 8])]);
    assert_eq!(bytes(&rows, "parent_span_id"), [Some(vec![3; 8])]);
    assert_eq!(text(&rows, "trace_state"), some(&["vendor=1"]));
    assert_eq!(text(&rows, "name"), some(&["POST /orders"]));
    assert_eq!(text(&rows, "kind"), some(&["client"]));
    assert_eq!(text(&rows, "service_name"), some(&["checkout"]));
    assert_eq!(integers(&rows, "start_time"), [Some(NOW)]);
    assert_eq!(integers(&rows, "duration_nano"), [Some(1_500)]);
    assert_eq!(text(&rows, "status_code"), some(&["error"]));
    assert_eq!(text(&rows, "status_message"), some(&["boom"]));
    assert_eq!(unsigned(&rows, "flags"), [Some(0x301)]);
    assert_eq!(unsigned(&rows, "dropped_attributes_count"), [Some(4)]);
    assert_eq!(unsigned(&rows, "dropped_events_count"), [Some(5)]);
    assert_eq!(unsigned(&rows, "dropped_links_count"), [Some(6)]);
    assert_eq!(text(&rows, "anomaly"), [None]);
    assert_eq!(maps(&rows, "attributes"), [r#"{"a":true}"#]);
    let events = nested(&rows, "events", 0);
    assert_eq!(integers(&events, "timestamp"), [Some(NOW + 1), Some(NOW + 2)]);
    assert_eq!(text(&events, "name"), some(&["exception", "retry"]));
    assert_eq!(maps(&events, "attributes"), [r#"{"exception.type":"Timeout"}"#, "{}"]);
    assert_eq!(unsigned(&events, "dropped_attributes_count"), [Some(9), Some(0)]);
    let links = nested(&rows, "links", 0);
    assert_eq!(bytes(&links, "trace_id"), [Some(vec![4; 16])]);
    assert_eq!(bytes(&links, "span_id"), [Some(vec![5; 8])]);
    assert_eq!(text(&links, "trace_state"), some(&["x=y"]));
    assert_eq!(maps(&links, "attributes"), [r#"{"why":"batch"}"#]);
    assert_eq!(unsigned(&links, "flags"), [Some(1)]);
    server.stop().await;
}

fn exemplar_of(value: exemplar::Value) -> Exemplar {
    Exemplar {
        time_unix_nano: NOW_UNSIGNED - 1,
        filtered_attributes: vec![key_value("user", text_value("u1"))],
        span_id: vec![6; 8],
        trace_id: vec![7; 16],
        value: Some(value),
    }
}

fn histogram_point(bucket_counts: Vec<u64>, explicit_bounds: Vec<f64>) -> HistogramDataPoint {
    HistogramDataPoint {
        time_unix_nano: NOW_UNSIGNED,
        count: bucket_counts.iter().fold(0, |sum, count| u64::wrapping_add(sum, *count)),
        bucket_counts,
        explicit_bounds,
        ..Default::default()
    }
}

fn histogram(point: HistogramDataPoint) -> Metric {
    metric("h", Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 }))
}

fn exponential(point: ExponentialHistogramDataPoint) -> Metric {
    let point = ExponentialHistogramDataPoint { time_unix_nano: NOW_UNSIGNED, ..point };
    metric(
        "e",
        Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 }),
    )
}

#[tokio::test]
async fn points_of_every_kind_are_stored_field_by_field() {
    let server = Server::start().await;
    let sum = NumberDataPoint {
        attributes: vec![key_value("route", text_value("/"))],
        start_time_unix_nano: NOW_UNSIGNED - 10,
        exemplars: vec![exemplar_of(exemplar::Value::AsInt(41))],
        ..point(Some(Number::AsInt(i64::MAX)))
    };
    let sum = Sum { data_points: vec![sum], aggregation_temporality: 1, is_monotonic: true };
    let histogram_point = HistogramDataPoint {
        sum: Some(7.5),
        min: Some(0.5),
        max: Some(5.0),
        exemplars: vec![exemplar_of(exemplar::Value::AsDouble(0.25))],
        ..histogram_point(vec![1, 2], vec![1.0])
    };
    let exponential_point = ExponentialHistogramDataPoint {
        count: 6,
        sum: Some(1.0),
        scale: -3,
        zero_count: 1,
        zero_threshold: 0.01,
        positive: Some(Buckets { offset: -2, bucket_counts: vec![1, 0, 2] }),
        negative: Some(Buckets { offset: 4, bucket_counts: vec![2] }),
        min: Some(-1.0),
        max: Some(2.0),
        ..Default::default()
    };
    let summary = SummaryDataPoint {
        time_unix_nano: NOW_UNSIGNED,
        count: 3,
        sum: 9.0,
        quantile_values: vec![
            ValueAtQuantile { quantile: 0.5, value: 2.0 },
            ValueAtQuantile { quantile: 0.99, value: 4.0 },
        ],
        ..Default::default()
    };
    let request = metrics(vec![
        Metric { description: "requests".to_owned(), unit: "{request}".to_owned(), ..metric("s", Data::Sum(sum)) },
        gauge("g", Number::AsDouble(1.5)),
        histogram(histogram_point),
        exponential(exponential_point),
        metric("q", Data::Summary(Summary { data_points: vec![summary] })),
    ]);
    assert_eq!(rejected(&server, Signal::Metrics, &request).await, (0, String::new()));

    let rows = server.rows(Table::Metrics);
    assert_eq!(text(&rows, "metric_name"), some(&["s", "g"]));
    assert_eq!(integers(&rows, "value_int"), [Some(i64::MAX), None]);
    assert_eq!(doubles(&rows, "value"), [Some(i64::MAX as f64), Some(1.5)]);
    assert_eq!(integers(&rows, "start_timestamp"), [Some(NOW - 10), None]);
    assert_eq!(text(&rows, "type"), some(&["sum", "gauge"]));
    assert_eq!(text(&rows, "temporality"), [Some("delta".to_owned()), None]);
    let monotonic = rows.column_by_name("is_monotonic").unwrap().as_boolean().iter().collect::<Vec<_>>();
    assert_eq!(monotonic, [Some(true), None]);
    assert_eq!(text(&rows, "description"), some(&["requests", ""]));
    assert_eq!(text(&rows, "unit"), some(&["{request}", "1"]));
    assert_eq!(maps(&rows, "attributes"), [r#"{"route":"/"}"#, "{}"]);

    let histograms = server.rows(Table::Histograms);
    assert_eq!(unsigned(&histograms, "count"), [Some(3)]);
    assert_eq!(doubles(&histograms, "sum"), [Some(7.5)]);
    assert_eq!(doubles(&histograms, "min"), [Some(0.5)]);
    assert_eq!(doubles(&histograms, "max"), [Some(5.0)]);
    assert_eq!(counts(&histograms, "bucket_counts"), [1, 2]);
    assert_eq!(bounds(&histograms), [1.0]);
    assert_eq!(text(&histograms, "temporality"), some(&["cumulative"]));
    assert_eq!(text(&histograms, "anomaly"), [None]);

    let exponential = server.rows(Table::ExponentialHistograms);
    assert_eq!(integers(&exponential, "scale"), [Some(-3)]);
    assert_eq!(unsigned(&exponential, "zero_count"), [Some(1)]);
    assert_eq!(doubles(&exponential, "zero_threshold"), [Some(0.01)]);
    assert_eq!(integers(&exponential, "positive_offset"), [Some(-2)]);
    assert_eq!(counts(&exponential, "positive_bucket_counts"), [1, 0, 2]);
    assert_eq!(integers(&exponential, "negative_offset"), [Some(4)]);
    assert_eq!(counts(&exponential, "negative_bucket_counts"), [2]);
    assert_eq!(text(&exponential, "anomaly"), [None]);

    let summaries = server.rows(Table::Summaries);
    assert_eq!((unsigned(&summaries, "count"), doubles(&summaries, "sum")), (vec![Some(3)], vec![Some(9.0)]));
    let quantiles = nested(&summaries, "quantile_values", 0);
    assert_eq!(doubles(&quantiles, "quantile"), [Some(0.5), Some(0.99)]);
    assert_eq!(doubles(&quantiles, "value"), [Some(2.0), Some(4.0)]);

    let exemplars = server.rows(Table::Exemplars);
    assert_eq!(text(&exemplars, "metric_name"), some(&["s", "h"]));
    assert_eq!(integers(&exemplars, "value_int"), [Some(41), None]);
    assert_eq!(doubles(&exemplars, "value"), [Some(41.0), Some(0.25)]);
    assert_eq!(integers(&exemplars, "timestamp"), [Some(NOW - 1); 2]);
    assert_eq!(bytes(&exemplars, "trace_id"), [Some(vec![7; 16]), Some(vec![7; 16])]);
    assert_eq!(bytes(&exemplars, "span_id"), [Some(vec![6; 8]), Some(vec![6; 8])]);
    assert_eq!(maps(&exemplars, "attributes"), [r#"{"user":"u1"}"#; 2]);
    assert_eq!(unsigned(&exemplars, "series_id")[0], unsigned(&rows, "series_id")[0]);
    server.stop().await;
}

fn counts(rows: &arrow::record_batch::RecordBatch, column: &str) -> Vec<u64> {
    items(rows, column, 0).as_primitive::<arrow::datatypes::UInt64Type>().values().to_vec()
}

fn bounds(rows: &arrow::record_batch::RecordBatch) -> Vec<f64> {
    items(rows, "explicit_bounds", 0).as_primitive::<arrow::datatypes::Float64Type>().values().to_vec()
}

/// Line 31: bytes that are no text become U+FFFD, wherever they stand, are counted, and cost no good neighbour its place.
#[tokio::test]
async fn text_that_is_not_utf_8_is_stored_as_far_as_it_is_text() {
    let server = Server::start().await;
    let mut record = log("~body");
    record.attributes = vec![key_value("~key", text_value("~value"))];
    let mut request = logs(vec![record, log("a good neighbour")]);
    request.resource_logs[0].schema_url = "~schema".to_owned();
    request.resource_logs[0].resource.as_mut().unwrap().attributes.push(key_value("host", text_value("~resource")));
    request.resource_logs[0].scope_logs[0].scope.as_mut().unwrap().name = "~scope~".to_owned();
    let mut body = request.encode_to_vec();
    body.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xff);
    let answer = server.post(Signal::Logs, PROTOBUF, &[], body.clone()).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0), "nothing was rejected");
    let rows = server.rows(Table::Logs);
    assert_eq!(text(&rows, "body"), some(&["\u{fffd}body", "a good neighbour"]));
    assert_eq!(maps(&rows, "attributes")[0], "{\"\u{fffd}key\":\"\u{fffd}value\"}");
    assert_eq!(text(&rows, "scope_name"), some(&["\u{fffd}scope\u{fffd}"; 2]));
    assert!(maps(&rows, "resource_attributes")[0].contains("\u{fffd}resource"));
    // The same body again, by the other protocol, is the same body.
    assert_eq!(server.call(Signal::Logs, &[], 0, &body).await.status.code(), Code::Ok);
    let counters = server.ingest.counters().logs;
    assert_eq!((counters.accepted, counters.duplicate, counters.refused_requests), (2, 2, 0));

    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"~json"}}]}]}]}"#;
    let mut json = json.as_bytes().to_vec();
    json.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xff);
    assert_eq!(server.post(Signal::Logs, JSON, &[], json).await.status, StatusCode::OK);
    assert_eq!(text(&server.rows(Table::Logs), "body").last().unwrap().as_deref(), Some("\u{fffd}json"));
    let mut broken = logs(vec![log("x")]).encode_to_vec();
    broken.extend_from_slice(&[0x0a, 4, 0x1a, 1, 0xff]);
    let answer = server.post(Signal::Logs, PROTOBUF, &[], broken).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "what else is wrong stays wrong");
    server.stop().await;
}

/// The three other signals' texts take the same way.
#[tokio::test]
async fn spans_and_points_with_bad_text_are_stored() {
    let server = Server::start().await;
    let bad = |mut body: Vec<u8>| {
        body.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xff);
        body
    };
    let mut odd = span("~span");
    odd.status = Some(Status { message: "~status".to_owned(), code: 2 });
    odd.events = vec![Event { name: "~event".to_owned(), ..Default::default() }];
    let body = bad(spans(vec![odd]).encode_to_vec());
    assert_eq!(server.post(Signal::Spans, PROTOBUF, &[], body).await.status, StatusCode::OK);
    let rows = server.rows(Table::Spans);
    assert_eq!(text(&rows, "name"), some(&["\u{fffd}span"]));
    assert_eq!(text(&rows, "status_message"), some(&["\u{fffd}status"]));
    assert_eq!(text(&nested(&rows, "events", 0), "name"), some(&["\u{fffd}event"]));
    let body = bad(metrics(vec![gauge("~metric", Number::AsInt(1))]).encode_to_vec());
    assert_eq!(server.post(Signal::Metrics, PROTOBUF, &[], body).await.status, StatusCode::OK);
    assert_eq!(text(&server.rows(Table::Metrics), "metric_name"), some(&["\u{fffd}metric"]));
    server.stop().await;
}

/// Line 33: with a cap, what is longer is cut, marked and counted; its neighbours and its item stay.
#[tokio::test]
async fn values_over_a_cap_are_cut_marked_and_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    // Only this test of the process looks at it; nextest gives each its own.
    let _ = ::metrics::set_global_recorder(recorder);
    let server = Server::with(|config| config.ingest.max_value_size = "10B".parse().unwrap()).await;
    let mut record = log("123456789é, and more");
    record.attributes = vec![
        key_value("bytes", Value::BytesValue(vec![7; 11])),
        key_value("fits", text_value("1234567890")),
        key_value("nested", array(vec![text_value("12345678901")])),
    ];
    let structured = LogRecord { body: Some(any(array(vec![text_value("12345678901")]))), ..log("") };
    assert_eq!(rejected(&server, Signal::Logs, &logs(vec![record, structured])).await.0, 0);
    let rows = server.rows(Table::Logs);
    assert_eq!(text(&rows, "body"), some(&["123456789…", r#"["1234567890…"]"#]));
    let expected = r#"{"bytes":"07070707070707070707","fits":"1234567890","nested":["1234567890…"]}"#;
    assert_eq!(maps(&rows, "attributes")[0], expected);
    let counted = r#"rootline_ingest_adjusted_total{signal="logs",reason="truncated_value"} 4"#;
    assert!(handle.render().contains(counted), "{}", handle.render());
    server.stop().await;
}

/// Line 52: a schema URL is not kept, however long; its items are.
#[tokio::test]
async fn a_long_schema_url_costs_nothing() {
    let server = Server::start().await;
    let mut request = logs(vec![log("x")]);
    request.resource_logs[0].schema_url = "https://".to_owned() + &"x".repeat(1 << 20);
    request.resource_logs[0].scope_logs[0].schema_url = "y".repeat(1 << 20);
    assert_eq!(rejected(&server, Signal::Logs, &request).await.0, 0);
    assert_eq!(server.rows(Table::Logs).num_rows(), 1);
    server.stop().await;
}

/// Line 36: every key is a key, also one that looks like something else; of equal keys the last wins.
#[tokio::test]
async fn keys_are_only_keys() {
    let server = Server::start().await;
    let keys = [
        "",
        "timestamp",
        "body",
        "service_name",
        "attributes",
        "attributes.x",
        "__proto__",
        "\"; DROP TABLE logs",
        "a.b.c",
        "键",
        "\0",
    ];
    let mut record = log("x");
    record.attributes = keys.iter().map(|key| key_value(key, text_value(key))).collect();
    record.attributes.push(key_value("timestamp", Value::IntValue(1)));
    record.attributes.push(key_value("timestamp", Value::IntValue(2)));
    assert_eq!(rejected(&server, Signal::Logs, &logs(vec![record])).await.0, 0);
    let rows = server.rows(Table::Logs);
    let found = bytes(&rows, "attributes")[0].clone().unwrap();
    let found = attributes::Attributes::new(&found);
    assert_eq!(found.len(), keys.len());
    for key in keys {
        let expected = if key == "timestamp" { attributes::Value::Int(2) } else { attributes::Value::String(key) };
        assert_eq!(found.get(key), Some(expected), "{key:?}");
    }
    assert_eq!(integers(&rows, "timestamp"), [Some(NOW)], "a key never overwrites a column");
    server.stop().await;
}

/// Line 38 and 39: values of all types keep them, as attribute and as body.
#[tokio::test]
async fn values_of_every_type_keep_it() {
    let server = Server::start().await;
    let values: Vec<(Option<Value>, &str)> = vec![
        (None, "null"),
        (Some(Value::BytesValue(vec![0, 255])), "\"00ff\""),
        (Some(Value::IntValue(i64::MIN)), "-9223372036854775808"),
        (Some(Value::IntValue(i64::MAX)), "9223372036854775807"),
        (Some(Value::DoubleValue(-0.0)), "-0.0"),
        (Some(Value::DoubleValue(f64::NAN)), "\"NaN\""),
        (Some(Value::BoolValue(false)), "false"),
        (Some(array(Vec::new())), "[]"),
        (
            Some(array(vec![text_value("a"), Value::IntValue(1), array(vec![Value::BoolValue(true)])])),
            r#"["a",1,[true]]"#,
        ),
        (Some(map(vec![("k", Value::DoubleValue(0.5)), ("a", map(Vec::new()))])), r#"{"a":{},"k":0.5}"#),
    ];
    let records = values.iter().map(|(value, _)| LogRecord {
        time_unix_nano: NOW_UNSIGNED,
        body: Some(AnyValue { value: value.clone() }),
        attributes: vec![KeyValue {
            key: "k".to_owned(),
            value: Some(AnyValue { value: value.clone() }),
            ..Default::default()
        }],
        ..Default::default()
    });
    let mut records: Vec<_> = records.collect();
    records.push(LogRecord { time_unix_nano: NOW_UNSIGNED, ..Default::default() });
    assert_eq!(rejected(&server, Signal::Logs, &logs(records)).await.0, 0);
    let rows = server.rows(Table::Logs);
    let (body, body_value, attributes) = (text(&rows, "body"), bytes(&rows, "body_value"), bytes(&rows, "attributes"));
    for (row, (value, json)) in values.iter().enumerate() {
        let stored = attributes::Attributes::new(attributes[row].as_ref().unwrap()).get("k").unwrap();
        assert_eq!(stored.to_json(), *json);
        let stored_body = attributes::Value::read(body_value[row].as_ref().unwrap()).unwrap();
        assert_eq!(stored_body.to_json(), *json);
        assert_eq!(body[row].as_deref(), value.is_some().then_some(*json), "a body's text is its JSON");
    }
    assert_eq!((&body[values.len()], &body_value[values.len()]), (&None, &None), "no body at all");
    server.stop().await;
}

#[tokio::test]
async fn one_key_may_have_another_type_in_every_record() {
    let server = Server::start().await;
    let values = [
        text_value("1"),
        Value::IntValue(1),
        Value::DoubleValue(1.0),
        Value::BoolValue(true),
        map(vec![("x", Value::IntValue(1))]),
    ];
    let records = values.map(|value| LogRecord { attributes: vec![key_value("k", value)], ..log("x") });
    assert_eq!(rejected(&server, Signal::Logs, &logs(records.to_vec())).await.0, 0);
    let found = maps(&server.rows(Table::Logs), "attributes");
    assert_eq!(found, [r#"{"k":"1"}"#, r#"{"k":1}"#, r#"{"k":1.0}"#, r#"{"k":true}"#, r#"{"k":{"x":1}}"#]);
    server.stop().await;
}

/// Line 40: times.
#[tokio::test]
async fn a_log_without_a_time_happened_when_it_was_seen_or_came() {
    let server = Server::start().await;
    let record =
        |time_unix_nano, observed_time_unix_nano| LogRecord { time_unix_nano, observed_time_unix_nano, ..log("x") };
    let records =
        vec![record(NOW_UNSIGNED - 1, 0), record(0, NOW_UNSIGNED - 2), record(0, 0), record(NOW_UNSIGNED, u64::MAX)];
    assert_eq!(rejected(&server, Signal::Logs, &logs(records)).await.0, 0);
    let rows = server.rows(Table::Logs);
    assert_eq!(integers(&rows, "timestamp"), [Some(NOW - 1), Some(NOW - 2), Some(NOW), Some(NOW)]);
    assert_eq!(integers(&rows, "observed_timestamp"), [None, Some(NOW - 2), None, None]);
    server.stop().await;
}

#[tokio::test]
async fn times_outside_of_what_a_table_keeps_are_rejected_with_the_setting() {
    let old = NOW_UNSIGNED - 31 * DAY;
    let server = Server::with(|config| {
        config.retention.logs = "30d".parse().unwrap();
        config.retention.spans = "30d".parse().unwrap();
        config.retention.metrics = "30d".parse().unwrap();
    })
    .await;
    let record = |time_unix_nano| LogRecord { time_unix_nano, ..log("x") };
    let records = vec![
        record(NOW_UNSIGNED),
        record(old),
        record(1),
        record(NOW_UNSIGNED + 2 * DAY),
        record(i64::MAX as u64),
        record(u64::MAX),
    ];
    let (count, message) = rejected(&server, Signal::Logs, &logs(records)).await;
    assert_eq!(count, 5);
    for part in [
        "5 of 6",
        "2 too_old",
        "retention.logs = \"30d\"",
        "2 too_far_ahead",
        "ingest.max_future",
        "1 time_out_of_range",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let late = Span { start_time_unix_nano: old, ..span("x") };
    let (count, message) = rejected(&server, Signal::Spans, &spans(vec![late])).await;
    assert!(count == 1 && message.contains("retention.spans"), "{message}");
    let late = NumberDataPoint { time_unix_nano: old, ..point(Some(Number::AsInt(1))) };
    let request = metrics(vec![metric("m", Data::Gauge(Gauge { data_points: vec![late] }))]);
    let (count, message) = rejected(&server, Signal::Metrics, &request).await;
    assert!(count == 1 && message.contains("retention.metrics"), "{message}");
    server.stop().await;

    let keeping = Server::start().await;
    let (count, _) = rejected(&keeping, Signal::Logs, &logs(vec![record(1), record(old)])).await;
    assert_eq!(count, 0, "a table that keeps for ever takes 1970");
    assert_eq!(integers(&keeping.rows(Table::Logs), "timestamp"), [Some(1), Some(old as i64)]);
    keeping.stop().await;
}

#[tokio::test]
async fn a_span_that_ends_before_it_starts_is_stored_flagged() {
    let server = Server::start().await;
    let backwards = Span { end_time_unix_nano: NOW_UNSIGNED - 1, ..span("x") };
    let endless = Span { end_time_unix_nano: u64::MAX, ..span("x") };
    let (count, message) = rejected(&server, Signal::Spans, &spans(vec![backwards, endless])).await;
    assert!(count == 1 && message.contains("time_out_of_range"), "{message}");
    let rows = server.rows(Table::Spans);
    assert_eq!(integers(&rows, "start_time"), [Some(NOW)]);
    assert_eq!(integers(&rows, "duration_nano"), [Some(0)]);
    assert_eq!(text(&rows, "anomaly"), some(&["end_before_start"]));
    server.stop().await;
}

/// Line 41: ids.
#[tokio::test]
async fn spans_without_ids_are_rejected_and_logs_lose_their_link() {
    let server = Server::start().await;
    let ids: [&[u8]; 5] = [&[], &[1], &[1; 15], &[1; 17], &[0; 16]];
    let broken: Vec<_> = ids.iter().map(|id| Span { trace_id: id.to_vec(), ..span("x") }).collect();
    let (count, message) = rejected(&server, Signal::Spans, &spans(broken)).await;
    assert!(count == 5 && message.contains("5 invalid_trace_id (trace id has 0 bytes, expected 16)"), "{message}");
    let broken: Vec<_> = [0, 7, 9].iter().map(|length| Span { span_id: vec![1; *length], ..span("x") }).collect();
    let (count, message) = rejected(&server, Signal::Spans, &spans(broken)).await;
    assert!(count == 3 && message.contains("3 invalid_span_id"), "{message}");

    let records = ids.iter().map(|id| LogRecord { trace_id: id.to_vec(), span_id: vec![2; 8], ..log("x") });
    assert_eq!(rejected(&server, Signal::Logs, &logs(records.collect())).await.0, 0);
    let rows = server.rows(Table::Logs);
    assert_eq!(bytes(&rows, "trace_id"), vec![None; 5]);
    assert_eq!(bytes(&rows, "span_id"), vec![None; 5]);
    server.stop().await;
}

#[tokio::test]
async fn parents_are_stored_as_they_are_told() {
    let server = Server::start().await;
    let child = |id: u8, parent: Vec<u8>| Span { span_id: vec![id; 8], parent_span_id: parent, ..span("x") };
    let all = vec![
        child(1, vec![1; 8]),
        child(2, vec![3; 8]),
        child(3, vec![2; 8]),
        child(4, vec![0; 8]),
        child(5, vec![1; 3]),
    ];
    assert_eq!(rejected(&server, Signal::Spans, &spans(all)).await.0, 0);
    let parents = bytes(&server.rows(Table::Spans), "parent_span_id");
    assert_eq!(parents, [Some(vec![1; 8]), Some(vec![3; 8]), Some(vec![2; 8]), None, None]);
    server.stop().await;
}

/// Line 43: numbers, bit for bit; a decreasing counter is the reader's business.
#[tokio::test]
async fn numbers_are_stored_bit_for_bit() {
    let server = Server::start().await;
    let values =
        [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::from_bits(1), f64::MAX, 5.0, 3.0, 0.0];
    let data_points = values.iter().map(|value| point(Some(Number::AsDouble(*value)))).collect();
    let sum = Sum { data_points, aggregation_temporality: 2, is_monotonic: true };
    assert_eq!(rejected(&server, Signal::Metrics, &metrics(vec![metric("m", Data::Sum(sum))])).await.0, 0);
    let found = doubles(&server.rows(Table::Metrics), "value");
    let bits = |value: &f64| value.to_bits();
    assert_eq!(found.iter().flatten().map(bits).collect::<Vec<_>>(), values.iter().map(bits).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn points_may_say_that_there_is_no_value() {
    let server = Server::start().await;
    let stale = NumberDataPoint { flags: 1, ..point(Some(Number::AsDouble(0.0))) };
    let silent = point(None);
    let late_start = NumberDataPoint { start_time_unix_nano: NOW_UNSIGNED + 1, ..point(Some(Number::AsInt(1))) };
    let gauge = Gauge { data_points: vec![stale, silent, late_start] };
    assert_eq!(rejected(&server, Signal::Metrics, &metrics(vec![metric("m", Data::Gauge(gauge))])).await.0, 0);
    let rows = server.rows(Table::Metrics);
    assert_eq!(doubles(&rows, "value"), [None, None, Some(1.0)]);
    assert_eq!(text(&rows, "anomaly"), [None, Some("no_value".to_owned()), Some("start_after_time".to_owned())]);
    assert_eq!(unsigned(&rows, "flags"), [Some(1), Some(0), Some(0)]);
    server.stop().await;
}

/// Line 44: one name, several kinds.
#[tokio::test]
async fn one_name_of_two_kinds_is_two_series() {
    let server = Server::start().await;
    let sum = |aggregation_temporality| {
        metric(
            "m",
            Data::Sum(Sum {
                data_points: vec![point(Some(Number::AsInt(1)))],
                aggregation_temporality,
                is_monotonic: true,
            }),
        )
    };
    let seconds = Metric { unit: "s".to_owned(), ..gauge("m", Number::AsInt(1)) };
    let mut as_histogram = histogram(histogram_point(vec![1], Vec::new()));
    as_histogram.name = "m".to_owned();
    let request = metrics(vec![gauge("m", Number::AsInt(1)), seconds, sum(1), sum(2), as_histogram]);
    assert_eq!(rejected(&server, Signal::Metrics, &request).await.0, 0);
    let mut series: Vec<_> = unsigned(&server.rows(Table::Metrics), "series_id");
    series.extend(unsigned(&server.rows(Table::Histograms), "series_id"));
    let distinct: std::collections::BTreeSet<_> = series.iter().collect();
    assert_eq!((series.len(), distinct.len()), (5, 5));
    server.stop().await;
}

/// Lines 45 to 47: what histograms and summaries may look like.
#[tokio::test]
async fn histograms_that_make_no_sense_are_rejected_point_by_point() {
    let large = |scale| ExponentialHistogramDataPoint { scale, ..Default::default() };
    let buckets = |offset, count| Some(Buckets { offset, bucket_counts: vec![1; count] });
    let cases: Vec<(&str, Metric, Option<&str>)> = vec![
        ("as it should be", histogram(histogram_point(vec![1, 2], vec![1.0])), None),
        ("no buckets", histogram(histogram_point(Vec::new(), Vec::new())), None),
        ("one bucket", histogram(histogram_point(vec![1], Vec::new())), None),
        ("infinite bounds", histogram(histogram_point(vec![1, 1, 1], vec![f64::NEG_INFINITY, f64::INFINITY])), None),
        ("too few buckets", histogram(histogram_point(vec![1], vec![1.0])), Some("bucket_count")),
        ("too many buckets", histogram(histogram_point(vec![1, 2, 3], vec![1.0])), Some("bucket_count")),
        ("bounds without buckets", histogram(histogram_point(Vec::new(), vec![1.0])), Some("bucket_count")),
        ("unsorted bounds", histogram(histogram_point(vec![1, 1, 1], vec![2.0, 1.0])), Some("bounds")),
        ("equal bounds", histogram(histogram_point(vec![1, 1, 1], vec![1.0, 1.0])), Some("bounds")),
        ("NaN bound", histogram(histogram_point(vec![1, 1], vec![f64::NAN])), Some("bounds")),
        ("NaN bound among others", histogram(histogram_point(vec![1, 1, 1], vec![1.0, f64::NAN])), Some("bounds")),
        ("scale -11", exponential(large(-11)), None),
        ("scale 21", exponential(large(21)), None),
        ("scale -2^31", exponential(large(i32::MIN)), Some("scale")),
        ("scale 2^31 - 1", exponential(large(i32::MAX)), Some("scale")),
        (
            "more zeros than values",
            exponential(ExponentialHistogramDataPoint { zero_count: 2, count: 1, ..Default::default() }),
            Some("zero_count"),
        ),
        (
            "a million buckets",
            exponential(ExponentialHistogramDataPoint {
                count: 1_000_000,
                positive: buckets(0, 1_000_000),
                ..Default::default()
            }),
            None,
        ),
        (
            "indexes beyond 32 bits",
            exponential(ExponentialHistogramDataPoint {
                count: 2,
                positive: buckets(i32::MAX, 2),
                ..Default::default()
            }),
            Some("bucket_offset"),
        ),
        (
            "no quantiles",
            metric(
                "q",
                Data::Summary(Summary {
                    data_points: vec![SummaryDataPoint { time_unix_nano: NOW_UNSIGNED, ..Default::default() }],
                }),
            ),
            None,
        ),
    ];
    let server = Server::start().await;
    let stored = cases.iter().filter(|(_, _, reason)| reason.is_none()).count();
    let mut reasons = BTreeMap::<&str, u64>::new();
    for (name, metric, reason) in cases {
        // A good neighbour is stored whatever becomes of the other.
        let (count, message) =
            rejected(&server, Signal::Metrics, &metrics(vec![metric, gauge(name, Number::AsInt(1))])).await;
        assert_eq!(count, i64::from(reason.is_some()), "{name}: {message}");
        if let Some(reason) = reason {
            assert!(message.contains(reason), "{name}: {message}");
            *reasons.entry(reason).or_default() += 1;
        }
    }
    let rows = |table| server.rows(table).num_rows();
    assert_eq!(rows(Table::Histograms) + rows(Table::ExponentialHistograms) + rows(Table::Summaries), stored);
    assert_eq!(server.ingest.counters().metrics.rejected, reasons.values().sum::<u64>());
    server.stop().await;
}

#[tokio::test]
async fn counts_that_do_not_add_up_are_stored_flagged() {
    let server = Server::start().await;
    let off = HistogramDataPoint { count: 99, ..histogram_point(vec![1, 2], vec![1.0]) };
    let overflowing = HistogramDataPoint { count: 5, ..histogram_point(vec![u64::MAX, u64::MAX], vec![1.0]) };
    let exponential_off = exponential(ExponentialHistogramDataPoint { count: 7, ..Default::default() });
    let request = metrics(vec![histogram(off), histogram(overflowing), exponential_off]);
    assert_eq!(rejected(&server, Signal::Metrics, &request).await.0, 0);
    assert_eq!(text(&server.rows(Table::Histograms), "anomaly"), some(&["count_mismatch"; 2]));
    assert_eq!(text(&server.rows(Table::ExponentialHistograms), "anomaly"), some(&["count_mismatch"]));
    server.stop().await;
}

#[tokio::test]
async fn severities_and_kinds_that_do_not_exist_are_unspecified() {
    let server = Server::start().await;
    let record = |severity_number| LogRecord { severity_number, severity_text: "odd".to_owned(), ..log("x") };
    assert_eq!(rejected(&server, Signal::Logs, &logs(vec![record(25), record(-1), record(24)])).await.0, 0);
    let rows = server.rows(Table::Logs);
    assert_eq!(integers(&rows, "severity_number"), [Some(0), Some(0), Some(24)]);
    assert_eq!(text(&rows, "severity_text"), some(&["odd"; 3]));
    let odd = Span { kind: 77, status: Some(Status { code: -3, ..Default::default() }), ..span("x") };
    assert_eq!(rejected(&server, Signal::Spans, &spans(vec![odd])).await.0, 0);
    let rows = server.rows(Table::Spans);
    assert_eq!((text(&rows, "kind"), text(&rows, "status_code")), (some(&["unspecified"]), some(&["unset"])));
    server.stop().await;
}

#[tokio::test]
async fn a_service_always_has_a_name() {
    let server = Server::start().await;
    for (attributes, expected) in [
        (Vec::new(), "unknown_service"),
        (vec![key_value("service.name", text_value(""))], "unknown_service"),
        (vec![key_value("service.name", Value::IntValue(7))], "7"),
        // A label has a length; the attribute keeps all.
        (vec![key_value("service.name", text_value(&"é".repeat(600)))], &"é".repeat(512)),
    ] {
        let mut request = logs(vec![log(expected)]);
        request.resource_logs[0].resource.as_mut().unwrap().attributes = attributes;
        // The body tells the cases apart: equal bodies would be duplicates.
        request.resource_logs[0].schema_url = expected.repeat(2);
        assert_eq!(server.send(Signal::Logs, &request).await.status, StatusCode::OK);
        let names = text(&server.rows(Table::Logs), "service_name");
        assert_eq!(names.last().unwrap().as_deref(), Some(expected));
    }
    assert!(maps(&server.rows(Table::Logs), "resource_attributes")[3].contains(&"é".repeat(600)));
    server.stop().await;
}
