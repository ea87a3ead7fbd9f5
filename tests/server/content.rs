//! Bad and odd input B (content): what is stored is found again as it was sent, what is not is told and counted.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    metrics::v1::{
        AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar,
        exponential_histogram_data_point::Buckets, metric, number_data_point, summary_data_point::ValueAtQuantile,
    },
    trace::v1::{Span, span},
};
use serde_json::{Value, json};

use crate::support::{
    Server,
    telemetry::{self, AT, any, array, entry, map, text},
    value,
};

/// Every kind of attribute value, with its form in JSON.
fn values() -> Vec<(&'static str, AnyValue, Value)> {
    vec![
        ("text", text("é\"\n"), json!("é\"\n")),
        ("empty text", text(""), json!("")),
        ("true", any(Any::BoolValue(true)), json!(true)),
        ("small", any(Any::IntValue(-7)), json!(-7)),
        ("int min", any(Any::IntValue(i64::MIN)), json!(i64::MIN)),
        ("int max", any(Any::IntValue(i64::MAX)), json!(i64::MAX)),
        ("double", any(Any::DoubleValue(0.1)), json!(0.1)),
        ("bytes", any(Any::BytesValue(vec![0, 255])), json!("00ff")),
        ("empty array", array([]), json!([])),
        (
            "mixed array",
            array([text("a"), any(Any::IntValue(1)), any(Any::BoolValue(false)), array([any(Any::DoubleValue(2.5))])]),
            json!(["a", 1, false, [2.5]]),
        ),
        (
            "map",
            map([entry("k", text("v")), entry("n", map([entry("deep", any(Any::IntValue(3)))]))]),
            json!({"k": "v", "n": {"deep": 3}}),
        ),
        ("unset", AnyValue { value: None }, json!(null)),
    ]
}

/// The same key, and names that look like columns, like JavaScript and like SQL.
const AWKWARD_KEYS: [&str; 7] =
    ["", "body", "service_name", "timestamp", "__proto__", "\"; DROP TABLE logs; --", "it's [a] {key}"];

/// Runs the check on rows in memory, on the same rows in segments, and on merged segments.
async fn before_and_after_flush(server: &Server, check: impl AsyncFn(&Server, &str)) {
    check(server, "in memory").await;
    server.flush().await;
    check(server, "in a segment").await;
    server.compact().await;
    check(server, "merged").await;
}

#[tokio::test]
async fn attributes_of_every_type_come_back_on_all_levels() {
    let server = Server::start().await;
    let all = |level: &str| -> Vec<KeyValue> {
        let mut out: Vec<KeyValue> = values().into_iter().map(|(k, v, _)| entry(k, v)).collect();
        out.extend(AWKWARD_KEYS.map(|k| entry(k, text(&format!("{level} {k}")))));
        out
    };
    let mut record = telemetry::log("body");
    record.attributes = all("record");
    let mut request = telemetry::logs("levels", vec![record]);
    let resource_logs = &mut request.resource_logs[0];
    resource_logs.resource.as_mut().expect("set").attributes.extend(all("resource"));
    resource_logs.scope_logs[0].scope.as_mut().expect("set").attributes = all("scope");
    server.export_logs(request).await.expect("accepted");
    let mut span = telemetry::span("s", 1, 1);
    span.attributes = all("record");
    span.events =
        vec![span::Event { time_unix_nano: AT, name: "e".to_owned(), attributes: all("event"), ..Default::default() }];
    server.export_spans(telemetry::spans("levels", vec![span])).await.expect("accepted");

    before_and_after_flush(&server, async |server, state| {
        for (table, columns) in [("logs", vec![("attributes", "record"), ("resource_attributes", "resource"), ("scope_attributes", "scope")]), ("spans", vec![("attributes", "record")])] {
            for (column, level) in columns {
                let whole = server.sql(&format!("SELECT {column} FROM {table}")).await;
                let whole = whole.single();
                for (key, _, expected) in values() {
                    // Numbers beyond 2^53 are text in JSON answers.
                    let found = &whole[key];
                    let same = *found == expected || found.as_str() == Some(&expected.to_string());
                    assert!(same, "{state}: {table}.{column}[{key:?}] is {found}, sent {expected}");
                }
                for key in AWKWARD_KEYS {
                    assert_eq!(whole[key], format!("{level} {key}"), "{state}: {table}.{column}[{key:?}]");
                    let quoted = key.replace('\'', "''");
                    let one = server.sql(&format!("SELECT {column}['{quoted}'] FROM {table}")).await;
                    assert_eq!(*one.single(), format!("{level} {key}"), "{state}: {table}.{column}['{key}']");
                }
                if column == "resource_attributes" {
                    assert_eq!(whole["service.name"], "levels");
                }
            }
        }
        let typed = server
            .sql("SELECT attributes['int max'] = 9223372036854775807, attributes['double'] < 0.2, attributes['true'] = true, \
                  attributes['small'] + 1, attributes['text'], attributes['missing'] IS NULL, attributes['text'] > 5 FROM logs")
            .await;
        assert_eq!(typed.rows[0][..3], [true, true, true], "{state}");
        assert_eq!(typed.rows[0][3].as_f64(), Some(-6.0), "{state}");
        assert_eq!(typed.rows[0][4..6], [json!("é\"\n"), json!(true)], "{state}");
        assert!(typed.rows[0][6].is_null(), "{state}: text is no number and no error: {:?}", typed.rows[0][6]);
    })
    .await;
}

#[tokio::test]
async fn bodies_of_every_type_come_back() {
    let server = Server::start().await;
    let records = values().into_iter().map(|(k, v, _)| {
        let mut record = telemetry::log("");
        record.body = Some(v);
        record.attributes = vec![entry("case", text(k))];
        record
    });
    server.export_logs(telemetry::logs("bodies", records.collect())).await.expect("accepted");
    before_and_after_flush(&server, async |server, state| {
        for (key, _, expected) in values() {
            let rows = server.sql(&format!("SELECT body FROM logs WHERE attributes['case'] = '{key}'")).await;
            let found = rows.single();
            let wanted = match &expected {
                Value::Null => Value::Null,
                Value::String(text) => json!(text),
                other => json!(other.to_string()),
            };
            let same = *found == wanted
                || found.as_str().is_some_and(|f| serde_json::from_str::<Value>(f).is_ok_and(|f| f == expected));
            assert!(same, "{state}: body of {key:?} is {found}, sent {expected}");
        }
        assert_eq!(server.count("logs").await, values().len() as i64, "{state}");
    })
    .await;
}

#[tokio::test]
async fn one_key_keeps_the_types_it_was_sent_with() {
    let server = Server::start().await;
    let kinds = [
        text("1"),
        any(Any::IntValue(1)),
        any(Any::DoubleValue(1.0)),
        any(Any::BoolValue(true)),
        map([entry("a", any(Any::IntValue(1)))]),
    ];
    let records = kinds.into_iter().enumerate().map(|(n, v)| {
        let mut record = telemetry::log(&n.to_string());
        record.attributes = vec![entry("mixed", v)];
        record
    });
    server.export_logs(telemetry::logs("mixed", records.collect())).await.expect("accepted");
    before_and_after_flush(&server, async |server, state| {
        let rows = server.sql("SELECT attributes FROM logs ORDER BY body").await;
        let found: Vec<&Value> = rows.rows.iter().map(|r| &r[0]["mixed"]).collect();
        assert_eq!(found, [&json!("1"), &json!(1), &json!(1.0), &json!(true), &json!({"a": 1})], "{state}");
        // Ints and doubles are numbers, text that looks like one is not.
        assert_eq!(
            value(server.sql("SELECT count(*) FROM logs WHERE attributes['mixed'] = 1").await.single()),
            2,
            "{state}"
        );
        assert_eq!(
            value(server.sql("SELECT count(*) FROM logs WHERE attributes['mixed'] = true").await.single()),
            1,
            "{state}"
        );
    })
    .await;
}

#[tokio::test]
async fn of_duplicate_keys_the_last_wins() {
    let server = Server::start().await;
    let mut record = telemetry::log("b");
    record.attributes = vec![entry("k", text("first")), entry("k", text("last"))];
    server.export_logs(telemetry::logs("a", vec![record])).await.expect("36: duplicate keys are stored");
    assert_eq!(server.sql("SELECT attributes['k'] FROM logs").await.rows, [["last"]]);
}

#[tokio::test]
async fn times_at_the_edges() {
    let server = Server::start().await;
    let log = |body: &str, time: u64, observed: u64| {
        let mut record = telemetry::log(body);
        record.time_unix_nano = time;
        record.observed_time_unix_nano = observed;
        record
    };
    let year_2262 = i64::MAX as u64;
    let records = vec![
        log("observed", 0, AT),
        log("arrival", 0, 0),
        log("1970", 1, 1),
        log("2262", year_2262, AT),
        log("far", u64::MAX, AT),
    ];
    let partial = server.export_logs(telemetry::logs("times", records)).await.expect("40: accepted").partial_success;
    let partial = partial.expect("40: rejections are told");
    // 2262 is later than any tolerance for the future, 2^64-1 is no time of ours.
    assert_eq!(partial.rejected_log_records, 2, "{}", partial.error_message);
    before_and_after_flush(&server, async |server, state| {
        let at = |rows: crate::support::Rows| rows.single().as_str().expect("a time").to_owned();
        assert_eq!(
            at(server.sql("SELECT timestamp FROM logs WHERE body = 'observed'").await),
            "2026-01-02T03:04:05.000000006Z",
            "{state}"
        );
        assert_eq!(
            at(server.sql("SELECT timestamp FROM logs WHERE body = '1970'").await),
            "1970-01-01T00:00:00.000000001Z",
            "{state}"
        );
        let arrival = at(server.sql("SELECT timestamp FROM logs WHERE body = 'arrival'").await);
        assert!(arrival.as_str() > "2026-06", "{state}: {arrival}");
    })
    .await;
    let mut backwards = telemetry::span("backwards", 1, 1);
    backwards.end_time_unix_nano = AT - 1000;
    server.export_spans(telemetry::spans("times", vec![backwards])).await.expect("40: stored");
    let rows = server.sql("SELECT duration_nano, anomaly FROM spans").await;
    assert_eq!(rows.rows, [[json!(0), json!("end_before_start")]]);
    let rejected = server.metric("rootline_ingest_items_total", &["signal=\"logs\"", "outcome=\"rejected\""]).await;
    let by_reason = server.metric("rootline_ingest_rejected_items_total", &["signal=\"logs\""]).await;
    assert!((rejected + by_reason) > 1.5, "rejections are counted: {rejected}, {by_reason}");
}

#[tokio::test]
async fn ids_that_are_none() {
    let server = Server::start().await;
    let with_trace = |name: &str, id: Vec<u8>| Span { trace_id: id, ..telemetry::span(name, 1, 1) };
    let spans = vec![
        with_trace("none", vec![]),
        with_trace("one byte", vec![1]),
        with_trace("fifteen", vec![1; 15]),
        with_trace("seventeen", vec![1; 17]),
        with_trace("zeros", vec![0; 16]),
        Span { span_id: vec![0; 8], ..telemetry::span("zero span", 1, 1) },
        telemetry::span("good", 2, 2),
    ];
    let partial =
        server.export_spans(telemetry::spans("ids", spans)).await.expect("accepted").partial_success.expect("told");
    assert_eq!(partial.rejected_spans, 6, "{}", partial.error_message);
    assert_eq!(server.sql("SELECT name FROM spans").await.rows, [["good"]]);
    let mut record = telemetry::log("loose");
    record.trace_id = vec![1; 15];
    record.span_id = vec![0; 8];
    let answer = server.export_logs(telemetry::logs("ids", vec![record])).await.expect("41: stored without the link");
    assert_eq!(answer.partial_success.map_or(0, |p| p.rejected_log_records), 0);
    assert_eq!(server.sql("SELECT trace_id, span_id FROM logs").await.rows, [[Value::Null, Value::Null]]);
}

#[tokio::test]
async fn cycles_are_cut_and_told() {
    let server = Server::start().await;
    let child =
        |name: &str, id: u8, parent: u8| Span { parent_span_id: vec![parent; 8], ..telemetry::span(name, 9, id) };
    let spans = vec![
        child("own parent", 1, 1),
        child("a", 2, 3),
        child("b", 3, 2),
        telemetry::span("root", 9, 4),
        child("leaf", 5, 4),
    ];
    server.export_spans(telemetry::spans("cycles", spans)).await.expect("41: stored");
    let trace = server.get(&format!("/api/traces/{}", "09".repeat(16)), &[]).await;
    assert_eq!(trace["spans"].as_array().map(Vec::len), Some(5), "{trace}");
    assert!(
        trace["notes"].as_array().is_some_and(|n| n.iter().any(|n| n.as_str().is_some_and(|n| n.contains("cycle")))),
        "{trace}"
    );
}

fn number(value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: AT,
        start_time_unix_nano: AT - 1_000_000_000,
        value: Some(value),
        ..Default::default()
    }
}

fn histogram(counts: &[u64], bounds: &[f64]) -> HistogramDataPoint {
    HistogramDataPoint {
        time_unix_nano: AT,
        start_time_unix_nano: AT - 1_000_000_000,
        count: counts.iter().sum(),
        sum: Some(12.5),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..Default::default()
    }
}

fn histograms(name: &str, data_points: Vec<HistogramDataPoint>) -> Metric {
    telemetry::metric(
        name,
        metric::Data::Histogram(Histogram {
            data_points,
            aggregation_temporality: AggregationTemporality::Delta as i32,
        }),
    )
}

fn exponential(name: &str, data_points: Vec<ExponentialHistogramDataPoint>) -> Metric {
    telemetry::metric(
        name,
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points,
            aggregation_temporality: AggregationTemporality::Delta as i32,
        }),
    )
}

#[tokio::test]
async fn numbers_come_back_bit_for_bit() {
    let server = Server::start().await;
    let doubles = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, 0.1];
    let mut data_points: Vec<NumberDataPoint> =
        doubles.into_iter().map(|v| number(number_data_point::Value::AsDouble(v))).collect();
    data_points.push(number(number_data_point::Value::AsInt(9_007_199_254_740_993)));
    data_points.push(number(number_data_point::Value::AsInt(i64::MIN)));
    for (n, point) in data_points.iter_mut().enumerate() {
        point.attributes = vec![entry("n", any(Any::IntValue(n as i64)))];
    }
    server
        .export_metrics(telemetry::metrics(
            "numbers",
            vec![telemetry::metric("g", metric::Data::Gauge(Gauge { data_points }))],
        ))
        .await
        .expect("accepted");
    before_and_after_flush(&server, async |server, state| {
        let rows = server.sql("SELECT value, value_int, attributes['n'] FROM metrics ORDER BY 3").await;
        assert_eq!(rows.rows.len(), 8, "{state}");
        let at = |n: usize| &rows.rows[n][0];
        assert_eq!([at(0), at(1), at(2)], [&json!("NaN"), &json!("Infinity"), &json!("-Infinity")], "{state}");
        assert!(at(3).as_f64().is_some_and(|v| v == 0.0 && v.is_sign_negative()), "{state}: -0 is {}", at(3));
        assert_eq!(at(4).as_f64(), Some(5e-324), "{state}");
        assert_eq!(at(5).as_f64(), Some(0.1), "{state}");
        assert_eq!(value(&rows.rows[6][1]), 9_007_199_254_740_993, "{state}");
        assert_eq!(value(&rows.rows[7][1]), i64::MIN, "{state}");
    })
    .await;
}

#[tokio::test]
async fn every_instrument_comes_back_field_by_field() {
    let server = Server::start().await;
    let exemplar = Exemplar {
        time_unix_nano: AT - 5,
        value: Some(exemplar::Value::AsDouble(0.25)),
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        filtered_attributes: vec![entry("thread", text("t1"))],
    };
    let sum = |name: &str, temporality: AggregationTemporality, is_monotonic: bool| {
        let data_points = vec![number(number_data_point::Value::AsInt(42))];
        telemetry::metric(
            name,
            metric::Data::Sum(Sum { data_points, aggregation_temporality: temporality as i32, is_monotonic }),
        )
    };
    let mut explicit = histogram(&[1, 2, 3], &[0.5, 1.0]);
    (explicit.min, explicit.max) = (Some(0.1), Some(7.0));
    explicit.exemplars = vec![exemplar];
    let exponential_point = ExponentialHistogramDataPoint {
        time_unix_nano: AT,
        count: 10,
        sum: Some(1.5),
        scale: -3,
        zero_count: 1,
        zero_threshold: 1e-9,
        positive: Some(Buckets { offset: -2, bucket_counts: vec![4, 0, 3] }),
        negative: Some(Buckets { offset: 5, bucket_counts: vec![2] }),
        ..Default::default()
    };
    let summary = SummaryDataPoint {
        time_unix_nano: AT,
        count: 3,
        sum: 4.5,
        quantile_values: vec![
            ValueAtQuantile { quantile: 0.5, value: 1.25 },
            ValueAtQuantile { quantile: 0.99, value: 3.0 },
        ],
        ..Default::default()
    };
    let empty_summary = SummaryDataPoint { time_unix_nano: AT + 1, count: 0, ..Default::default() };
    let request = telemetry::metrics(
        "instruments",
        vec![
            sum("counter.delta", AggregationTemporality::Delta, true),
            sum("counter.cumulative", AggregationTemporality::Cumulative, true),
            sum("updown", AggregationTemporality::Cumulative, false),
            histograms("latency", vec![explicit]),
            exponential("size", vec![exponential_point]),
            telemetry::metric("old", metric::Data::Summary(Summary { data_points: vec![summary, empty_summary] })),
            telemetry::gauge("latency", 3.5),
        ],
    );
    let answer = server.export_metrics(request).await.expect("accepted");
    assert_eq!(answer.partial_success.map_or(0, |p| p.rejected_data_points), 0);
    before_and_after_flush(&server, async |server, state| {
        let rows = server.sql("SELECT metric_name, type, temporality, is_monotonic, value_int, unit, service_name, start_timestamp FROM metrics ORDER BY 1").await;
        let start = json!("2026-01-02T03:04:04.000000006Z");
        let row = |name: &str, temporality: &str, monotonic: bool| vec![json!(name), json!("sum"), json!(temporality), json!(monotonic), json!(42), json!("1"), json!("instruments"), start.clone()];
        assert_eq!(rows.rows[0], row("counter.cumulative", "cumulative", true), "{state}");
        assert_eq!(rows.rows[1], row("counter.delta", "delta", true), "{state}");
        assert_eq!(rows.rows[2][..2], [json!("latency"), json!("gauge")], "{state}: a gauge beside the histogram of that name");
        assert_eq!(rows.rows[3], row("updown", "cumulative", false), "{state}");
        let rows = server.sql("SELECT count, sum, min, max, bucket_counts, explicit_bounds, temporality, series_id FROM histograms").await;
        assert_eq!(rows.rows[0][..7], [json!(6), json!(12.5), json!(0.1), json!(7.0), json!([1, 2, 3]), json!([0.5, 1.0]), json!("delta")], "{state}");
        let series = rows.rows[0][7].clone();
        let rows = server.sql("SELECT count, sum, scale, zero_count, zero_threshold, positive_offset, positive_bucket_counts, negative_offset, negative_bucket_counts FROM exponential_histograms").await;
        assert_eq!(rows.rows[0], [json!(10), json!(1.5), json!(-3), json!(1), json!(1e-9), json!(-2), json!([4, 0, 3]), json!(5), json!([2])], "{state}");
        let rows = server.sql("SELECT count, sum, quantile_values FROM summaries ORDER BY timestamp").await;
        assert_eq!(rows.rows[0], [json!(3), json!(4.5), json!([{"quantile": 0.5, "value": 1.25}, {"quantile": 0.99, "value": 3.0}])], "{state}");
        assert_eq!(rows.rows[1][2], json!([]), "{state}");
        let rows = server.sql("SELECT metric_name, value, trace_id, span_id, attributes, timestamp, series_id FROM exemplars").await;
        assert_eq!(rows.rows[0][..6], [json!("latency"), json!(0.25), json!("ab".repeat(16)), json!("cd".repeat(8)), json!({"thread": "t1"}), json!("2026-01-02T03:04:05.000000001Z")], "{state}");
        assert_eq!(rows.rows[0][6], series, "{state}: an exemplar belongs to its series");
    })
    .await;
}

#[tokio::test]
async fn points_that_cannot_be_are_rejected_alone() {
    let server = Server::start().await;
    let mut mismatch = histogram(&[1, 2], &[0.5]);
    mismatch.count = 99;
    mismatch.attributes = vec![entry("case", text("mismatch"))];
    let good =
        ExponentialHistogramDataPoint { time_unix_nano: AT, count: 1, zero_count: 1, scale: 21, ..Default::default() };
    let point = |scale: i32, zero_count: u64| ExponentialHistogramDataPoint { scale, zero_count, ..good.clone() };
    let request = telemetry::metrics(
        "points",
        vec![
            histograms(
                "explicit",
                vec![
                    histogram(&[1, 2, 3], &[0.5]),
                    histogram(&[1, 2, 3], &[1.0, 0.5]),
                    histogram(&[1, 2], &[f64::NAN]),
                    mismatch,
                ],
            ),
            exponential("exponential", vec![point(i32::MAX, 1), point(i32::MIN, 1), point(3, 2), good.clone()]),
        ],
    );
    let partial = server.export_metrics(request).await.expect("accepted").partial_success.expect("told");
    assert_eq!(partial.rejected_data_points, 6, "45, 46: {}", partial.error_message);
    assert_eq!(server.sql("SELECT count, anomaly FROM histograms").await.rows, [[json!(99), json!("count_mismatch")]]);
    assert_eq!(server.sql("SELECT scale FROM exponential_histograms").await.rows, [[21]]);
}

#[tokio::test]
async fn one_name_with_different_meanings_is_different_series() {
    let server = Server::start().await;
    let sum = |unit: &str, temporality: AggregationTemporality| {
        let data_points = vec![number(number_data_point::Value::AsInt(1))];
        Metric {
            unit: unit.to_owned(),
            ..telemetry::metric(
                "same",
                metric::Data::Sum(Sum { data_points, aggregation_temporality: temporality as i32, is_monotonic: true }),
            )
        }
    };
    let request = telemetry::metrics(
        "series",
        vec![
            telemetry::gauge("same", 1.0),
            sum("1", AggregationTemporality::Delta),
            sum("1", AggregationTemporality::Cumulative),
            sum("ms", AggregationTemporality::Delta),
            histograms("same", vec![histogram(&[1], &[])]),
        ],
    );
    server.export_metrics(request).await.expect("44: stored");
    before_and_after_flush(&server, async |server, state| {
        assert_eq!(
            server.sql("SELECT count(DISTINCT series_id) FROM metrics WHERE metric_name = 'same'").await.rows,
            [[4]],
            "{state}"
        );
        assert_eq!(
            server.sql("SELECT count(DISTINCT series_id) FROM series WHERE metric_name = 'same'").await.rows,
            [[5]],
            "{state}"
        );
    })
    .await;
}
