//! Data directories that earlier versions left behind: this version reads every row of them.
//!
//! `tests/golden/<version>/data.tar.gz` is the directory of a server that was killed with rows of every table in merged
//! segments, in segments and in the log only; `expected.json` is what that version answered from it. `make golden` makes
//! the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::any_value::Value as Any,
    metrics::v1::{
        AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar,
        exponential_histogram_data_point::Buckets, metric, number_data_point, summary_data_point::ValueAtQuantile,
    },
    resource::v1::Resource,
    trace::v1::span,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::{
    Server, Setup, command,
    telemetry::{self, AT, any, array, entry, map, text},
};

/// Nothing is flushed, merged or deleted unless the test says so.
const QUIET: &str =
    "[storage]\nflush_age = \"1h\"\n[compaction]\ninterval = \"1h\"\nmin_segments = 2\ngrace = \"1h\"\n";
const TABLES: [&str; 11] = [
    "logs",
    "spans",
    "metrics",
    "histograms",
    "exponential_histograms",
    "summaries",
    "exemplars",
    "span_metrics",
    "service_edges",
    "log_patterns",
    "changes",
];
/// Their rows follow from others: a later version may say "nothing" where this one says "empty".
const DERIVED: [&str; 4] = ["span_metrics", "service_edges", "log_patterns", "changes"];
/// Tables whose rows of one key are added up when segments are made and merged (docs/format/derived-tables.md).
const ADDED_UP: [&str; 3] = ["span_metrics", "service_edges", "log_patterns"];
/// Their keys, apart from time.
const KEYS: [&str; 10] = [
    "service_name",
    "service_version",
    "name",
    "kind",
    "status_code",
    "caller",
    "callee",
    "callee_kind",
    "template",
    "severity_number",
];
/// What is added up, exactly.
const COUNTS: [&str; 6] =
    ["calls", "errors", "records", "bucket_counts", "client_bucket_counts", "server_bucket_counts"];
const HOUR_NANO: u64 = 3_600_000_000_000;
/// Zero-based: the first two are merged, the third is in segments, the last only in the log.
const ROUNDS: u8 = 4;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn versioned(service: &str, round: u8) -> Option<Resource> {
    let mut resource = telemetry::resource(service);
    resource.attributes.push(entry("service.version", text(&format!("1.{round}"))));
    resource.attributes.push(entry("host.cpus", any(Any::IntValue(8))));
    Some(resource)
}

fn logs(round: u8) -> ExportLogsServiceRequest {
    let at = AT + u64::from(round) * HOUR_NANO;
    let bodies = [
        text(&format!("order {round}-4711 paid by card ending 9f3a77aa in 12 ms")),
        text("支付失败: timeout connecting to \"ledger\""),
        map([entry("code", any(Any::IntValue(503))), entry("ok", any(Any::BoolValue(false)))]),
        text(""),
    ];
    let records = (0_u8..).zip(bodies).map(|(n, body)| {
        let mut record = telemetry::log("");
        (record.time_unix_nano, record.observed_time_unix_nano) = (at + u64::from(n), at + 1_000 + u64::from(n));
        (record.body, record.severity_number) = (Some(body), 9 + 4 * i32::from(n % 3));
        (record.trace_id, record.span_id) = (vec![round + 1; 16], vec![n + 1; 8]);
        record.attributes = vec![
            entry("n", any(Any::IntValue(i64::from(n)))),
            entry("ratio", any(Any::DoubleValue(0.5 + f64::from(n)))),
            entry("retry", any(Any::BoolValue(n % 2 == 0))),
            entry("raw", any(Any::BytesValue(vec![0, 255, n]))),
            entry("tags", array([text("a"), any(Any::IntValue(7))])),
            entry(if n == 0 { "mixed" } else { "rare" }, text("é\"\n")),
        ];
        record
    });
    let mut request = telemetry::logs("shop", records.collect());
    request.resource_logs[0].resource = versioned("shop", round);
    request
}

fn spans(round: u8) -> [ExportTraceServiceRequest; 2] {
    let at = AT + u64::from(round) * HOUR_NANO;
    let span = |name: &str, id: u8, parent: u8, kind: span::SpanKind| {
        let mut span = telemetry::span(name, round + 1, id);
        span.parent_span_id = if parent == 0 { Vec::new() } else { vec![parent; 8] };
        (span.kind, span.trace_state) = (kind.into(), "vendor=1".to_owned());
        (span.start_time_unix_nano, span.end_time_unix_nano) = (at, at + 1_000_000 * u64::from(id));
        span.attributes = vec![entry("http.route", text("/cart/{id}")), entry("n", any(Any::IntValue(id.into())))];
        span
    };
    let mut root = span("GET /cart", 1, 0, span::SpanKind::Server);
    root.status = Some(opentelemetry_proto::tonic::trace::v1::Status { message: "late".to_owned(), code: 2 });
    root.events = vec![span::Event {
        time_unix_nano: at + 5,
        name: "retry".to_owned(),
        attributes: vec![entry("attempt", any(Any::IntValue(2)))],
        ..Default::default()
    }];
    root.links = vec![span::Link { trace_id: vec![9; 16], span_id: vec![9; 8], ..Default::default() }];
    let mut query = span("SELECT cart", 4, 1, span::SpanKind::Client);
    query.attributes.push(entry("db.system.name", text("postgresql")));
    // The callee of one call comes a round later: what waits for it is remembered in between.
    let waits = span("POST /pay later", 3, 1, span::SpanKind::Client);
    let mut callee = vec![span("POST /pay", 5, 2, span::SpanKind::Server)];
    if let Some(before) = round.checked_sub(1) {
        let mut late = span("POST /pay later", 6, 3, span::SpanKind::Server);
        late.trace_id = vec![before + 1; 16];
        callee.push(late);
    }
    let own = vec![root, span("POST /pay", 2, 1, span::SpanKind::Client), waits, query];
    let mut requests = [telemetry::spans("shop", own), telemetry::spans("pay", callee)];
    requests[0].resource_spans[0].resource = versioned("shop", round);
    requests[1].resource_spans[0].resource = versioned("pay", round);
    requests
}

fn metrics(round: u8) -> ExportMetricsServiceRequest {
    let at = AT + u64::from(round) * HOUR_NANO;
    let exemplar = Exemplar {
        time_unix_nano: at - 5,
        value: Some(exemplar::Value::AsDouble(0.25)),
        trace_id: vec![round + 1; 16],
        span_id: vec![1; 8],
        filtered_attributes: vec![entry("thread", text("t1"))],
    };
    let temporality = AggregationTemporality::Delta as i32;
    let histogram = HistogramDataPoint {
        time_unix_nano: at,
        start_time_unix_nano: at - 1_000,
        count: 6,
        sum: Some(12.5),
        min: Some(0.1),
        max: Some(7.0),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.0],
        exemplars: vec![exemplar],
        attributes: vec![entry("route", text("/cart"))],
        ..Default::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: at,
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
        time_unix_nano: at,
        count: 3,
        sum: 4.5,
        quantile_values: vec![ValueAtQuantile { quantile: 0.99, value: 3.0 }],
        ..Default::default()
    };
    let numbers = [
        number_data_point::Value::AsInt(9_007_199_254_740_993),
        number_data_point::Value::AsDouble(-0.0),
        number_data_point::Value::AsDouble(f64::INFINITY),
    ];
    let data_points = (0_i64..).zip(numbers).map(|(n, value)| NumberDataPoint {
        time_unix_nano: at,
        value: Some(value),
        attributes: vec![entry("n", any(Any::IntValue(n)))],
        ..Default::default()
    });
    let sum = Sum {
        data_points: data_points.collect(),
        aggregation_temporality: temporality,
        is_monotonic: round.is_multiple_of(2),
    };
    let metric = |name: &str, data: metric::Data| -> Metric {
        Metric { description: format!("{name} of the shop"), ..telemetry::metric(name, data) }
    };
    let mut gauge = telemetry::gauge("temperature", f64::from(round) + 0.5);
    if let Some(metric::Data::Gauge(gauge)) = &mut gauge.data {
        gauge.data_points[0].time_unix_nano = at;
    }
    let metrics = vec![
        gauge,
        metric("orders", metric::Data::Sum(sum)),
        metric(
            "latency",
            metric::Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: temporality }),
        ),
        metric(
            "size",
            metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality: temporality,
            }),
        ),
        metric("old", metric::Data::Summary(Summary { data_points: vec![summary] })),
    ];
    let mut request = telemetry::metrics("shop", metrics);
    request.resource_metrics[0].resource = versioned("shop", round);
    request
}

/// Sends some rows of every table, one request after another: each is a group of its own, live as in replay.
async fn send(server: &Server, round: u8) {
    server.export_logs(logs(round)).await.expect("accepted");
    for request in spans(round) {
        server.export_spans(request).await.expect("accepted");
    }
    server.export_metrics(metrics(round)).await.expect("accepted");
    let time = AT / 1_000_000 + u64::from(round) * HOUR_NANO / 1_000_000;
    let change =
        json!({"service": "shop", "kind": "flag", "message": format!("flag {round}"), "author": "ana", "time": time});
    server.post("/api/changes", &change).await;
}

/// Every row of every table, and every kept report.
async fn everything(server: &Server) -> Value {
    let mut tables = Map::new();
    for table in TABLES {
        let found = server.sql(&format!("SELECT * FROM {table}")).await;
        let row = |values: &Vec<Value>| -> Value {
            found.columns.iter().cloned().zip(values.iter().cloned()).collect::<Map<_, _>>().into()
        };
        let mut rows: Vec<Value> = found.rows.iter().map(row).collect();
        rows.sort_by_key(Value::to_string);
        tables.insert(table.to_owned(), rows.into());
    }
    let mut reports = Vec::new();
    for report in server.get("/api/causes", &[]).await["causes"].as_array().expect("a list") {
        let id = report["id"].as_str().expect("an id");
        reports.push(server.get(&format!("/api/causes/{id}"), &[]).await);
    }
    json!({"tables": tables, "reports": reports})
}

/// What a row of a derived table says, whichever way it says "nothing".
fn meaning(value: &Value) -> Value {
    match value {
        Value::String(text) if text.bytes().all(|byte| byte == b'0') => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        other => other.clone(),
    }
}

/// Counts of each key of a table whose rows are added up.
fn added_up(rows: &[Value]) -> Vec<String> {
    let mut sums = BTreeMap::<String, [u64; COUNTS.len()]>::new();
    for row in rows {
        let key: Value = KEYS.iter().map(|column| row.get(*column).cloned().unwrap_or_default()).collect();
        let sums = sums.entry(key.to_string()).or_default();
        for (sum, column) in sums.iter_mut().zip(COUNTS) {
            *sum += count(row.get(column).unwrap_or(&Value::Null));
        }
    }
    sums.into_iter().map(|(key, sums)| format!("{key}: {sums:?}")).collect()
}

/// A number, or the sum of a list of them.
fn count(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Null => 0,
        number => number.as_u64().unwrap_or_else(|| panic!("{number} is no count")),
    }
}

/// The rows as far as `expected` tells of them: later versions may have more columns.
fn rows_as_told(table: &str, expected: &[Value], found: &[Value]) -> [Vec<String>; 2] {
    if ADDED_UP.contains(&table) {
        return [added_up(expected), added_up(found)];
    }
    let columns: Vec<&String> = expected[0].as_object().expect("a row").keys().collect();
    let told = |row: &Value| -> String {
        let values = columns.iter().map(|column| row.get(*column).expect("the column is still there"));
        let is_derived = DERIVED.contains(&table);
        values.map(|value| if is_derived { meaning(value) } else { value.clone() }).collect::<Value>().to_string()
    };
    [expected, found].map(|rows| {
        let mut rows: Vec<String> = rows.iter().map(told).collect();
        rows.sort_unstable();
        rows
    })
}

/// Whether all that `expected` says is also in `found`.
fn says(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| says(found, value)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, value)| says(found, value))
        }
        (found, expected) => found == expected,
    }
}

async fn check(server: &Server, expected: &Value, state: &str) {
    let found = everything(server).await;
    for table in TABLES {
        let list = |of: &Value| of["tables"][table].as_array().cloned().unwrap_or_default();
        let [expected, found] = rows_as_told(table, &list(expected), &list(&found));
        assert!(!expected.is_empty(), "{state}: {table}");
        assert_eq!(found, expected, "{state}: {table}");
    }
    assert!(says(&found["reports"], &expected["reports"]), "{state}: {}", found["reports"]);
}

fn tar(arguments: &[&str], directory: &Path) {
    let status = Command::new("tar").args(arguments).current_dir(directory).status().expect("there is a tar");
    assert!(status.success(), "tar {arguments:?}: {status}");
}

/// A copy of an earlier version's home.
fn unpacked(version: &Path) -> Arc<TempDir> {
    let home = tempfile::Builder::new().prefix("rootline-test-").tempdir().expect("a temporary directory");
    tar(&["-xzf", version.join("data.tar.gz").to_str().expect("UTF-8")], home.path());
    Arc::new(home)
}

/// The directories of all earlier versions.
fn versions() -> Vec<PathBuf> {
    let entries = fs::read_dir(golden()).expect("tests/golden");
    let mut versions: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    versions.retain(|path| path.is_dir());
    versions.sort();
    assert!(!versions.is_empty(), "no golden directories");
    versions
}

#[tokio::test]
async fn every_row_that_an_earlier_version_stored_is_read() {
    for version in versions() {
        let name = version.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = fs::read(version.join("expected.json")).expect("expected.json");
        let expected: Value = serde_json::from_slice(&expected).expect("JSON");
        let server = Server::start_in(unpacked(&version), Setup::configured(QUIET)).await;
        check(&server, &expected, &format!("{name}, opened")).await;
        server.flush().await;
        check(&server, &expected, &format!("{name}, flushed")).await;
        server.compact().await;
        check(&server, &expected, &format!("{name}, merged")).await;
        let mut server = server.restart().await;
        check(&server, &expected, &format!("{name}, killed and opened again")).await;
        assert!(server.terminate().await.success(), "{name}");
    }
}

#[tokio::test]
async fn what_an_earlier_version_stored_is_sound_and_its_catalog_is_made_anew() {
    let mut formats = BTreeSet::new();
    for version in versions() {
        let home = unpacked(&version);
        let run = |arguments: &[&str]| {
            let output = command(home.path()).args(arguments).args(["--data-dir", "data", "--json"]).output();
            let output = output.expect("the binary can be started");
            assert!(output.status.success(), "{}: {arguments:?}: {output:?}", version.display());
            serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
        };
        let report = run(&["scrub"]);
        formats.extend(report["checked"]["segment_formats"].as_object().expect("a map").keys().cloned());
        run(&["catalog", "rebuild"]);
        run(&["scrub"]);
        let expected = fs::read(version.join("expected.json")).expect("expected.json");
        let expected: Value = serde_json::from_slice(&expected).expect("JSON");
        let server = Server::start_in(Arc::clone(&home), Setup::configured(QUIET)).await;
        check(&server, &expected, &format!("{}, with a new catalog", version.display())).await;
    }
    // Each format that was ever released is in some directory: add it with `make golden` before a release.
    let oldest = formats.first().expect("a format").clone();
    assert_eq!(oldest, "1", "{formats:?}");
}

/// `make golden`: a directory of this version for those to come.
#[tokio::test]
#[ignore = "writes tests/golden; run by make golden"]
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of the server")]
async fn make() {
    let name = std::env::var("RL_GOLDEN").expect("RL_GOLDEN names the new directory below tests/golden");
    let target = golden().join(name);
    fs::create_dir(&target).expect("a version has one directory, made once");
    let mut server = Server::start_with(Setup::configured(QUIET)).await;
    for round in 0..ROUNDS {
        send(&server, round).await;
        if round + 1 < ROUNDS {
            server.flush().await;
        }
        if round == 1 {
            server.compact().await;
        }
    }
    let until = AT / 1_000_000 + HOUR_NANO / 1_000_000;
    let cause = json!({"service": "shop", "from": AT / 1_000_000 - 1_000, "to": until, "timeout": "60s"});
    server.post("/api/causes", &cause).await;
    server.kill();
    let home = server.data_dir().parent().expect("a home").to_owned();
    let archive = target.join("data.tar.gz");
    let mut arguments = vec!["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
    arguments.extend(["--exclude=lock", "--exclude=listeners.json", "-czf", archive.to_str().expect("UTF-8"), "data"]);
    tar(&arguments, &home);
    let server = server.restart().await;
    let mut expected = serde_json::to_vec(&everything(&server).await).expect("JSON");
    expected.push(b'\n');
    fs::write(target.join("expected.json"), expected).expect("writable");
    let wal = fs::read_dir(server.data_dir().join("wal")).expect("a log").count();
    assert!(wal > 0, "some rows are only in the log");
}
