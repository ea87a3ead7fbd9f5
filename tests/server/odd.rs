//! Odd input B (content), continued: the large and the many. All of it is stored and found, within memory that a server of a
//! small budget has.

use opentelemetry_proto::tonic::{
    metrics::v1::{Gauge, NumberDataPoint, metric, number_data_point},
    trace::v1::span,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::{
    Server, Setup, command,
    telemetry::{self, AT, any, entry, text},
    value,
};

const MIB: u64 = 1 << 20;

/// A server with this much for everything.
async fn small(budget_mib: u64) -> Server {
    Server::start_with(Setup::configured(format!("[memory]\nbudget = \"{budget_mib}MiB\"\n"))).await
}

/// Its budget, 15 % more, and what a debug build needs besides.
fn assert_within_budget(server: &Server, budget_mib: u64, what: &str) {
    let resident = server.resident_bytes() / MIB;
    assert!(resident < budget_mib * 115 / 100 + 128, "{what}: {resident} MiB resident of a budget of {budget_mib} MiB");
}

async fn settled(server: &Server, check: impl AsyncFn(&Server, &str)) {
    check(server, "in memory").await;
    server.flush().await;
    check(server, "in a segment").await;
    server.compact().await;
    check(server, "merged").await;
}

/// Text that terminals, spreadsheets and browsers would act on.
const COMMANDS: [&str; 8] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "nul \0 bell \u{7} backspace \u{8} delete \u{7f} escape \u{9b}31m",
    "\n",
    "\r\n\r\nHTTP/1.1 200 OK",
    "\u{202e}gnp.exe",
    "{\"level\":\"error\"}\n\"quoted\", and, commas",
];

#[tokio::test]
async fn text_that_looks_like_a_command_is_only_text() {
    let server = Server::start().await;
    let records = COMMANDS.iter().enumerate().map(|(n, body)| {
        let mut record = telemetry::log(body);
        record.time_unix_nano = AT + n as u64;
        record.attributes = vec![entry(body, text(body))];
        record
    });
    server.export_logs(telemetry::logs("<b>odd\u{1b}[0m</b>", records.collect())).await.expect("32, 50: stored");
    settled(&server, async |server, state| {
        let rows = server.sql("SELECT body, attributes FROM logs ORDER BY timestamp").await.rows;
        for (row, body) in rows.iter().zip(COMMANDS) {
            assert_eq!(row[0], body, "{state}");
            assert_eq!(row[1], json!({ body: body }), "{state}");
        }
    })
    .await;
    // Answers of every kind carry control characters escaped, and say what they are.
    for (path, accept) in [("/api/sql", "application/json"), ("/api/sql", "application/x-ndjson"), ("/api/logs", "*/*")]
    {
        let request = if path == "/api/sql" {
            server.http.post(server.url(path)).header("content-type", "text/plain").body("SELECT body FROM logs")
        } else {
            server.http.get(server.url(path)).query(&[("from", "2026-01-01T00:00:00Z"), ("to", "2026-01-03T00:00:00Z")])
        };
        let answer = request.header("accept", accept).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        assert!(!answer.headers()["content-type"].to_str().expect("text").contains("html"), "{path}");
        let bytes = answer.bytes().await.expect("a whole answer");
        // JSON leaves "delete" as it is; no terminal does anything about it.
        let controls = bytes.iter().filter(|byte| **byte < 0x20 && **byte != b'\n').count();
        assert_eq!(controls, 0, "{path} {accept}: {}", String::from_utf8_lossy(&bytes));
        assert!(String::from_utf8_lossy(&bytes).contains("\\u001b[2J"), "{path} {accept}");
    }
    // So does the terminal.
    for arguments in [&["sql", "SELECT service_name, body FROM logs"][..], &["sql", "SELECT attributes FROM logs"]] {
        let output = command(&server.data_dir())
            .args(arguments)
            .args(["--server", &server.url("")])
            .output()
            .expect("the binary can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8_lossy(&output.stdout);
        let obeyed = shown.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\t')).count();
        assert_eq!(obeyed, 0, "{shown:?}");
    }
}

#[tokio::test]
async fn values_of_megabytes_are_stored_whole() {
    let server = small(512).await;
    let letters = |count: u64| "abcdefg ".repeat(count as usize / 8);
    let mut record = telemetry::log("large value");
    record.attributes = vec![entry("large", text(&letters(16 * MIB))), entry("small", text("beside it"))];
    server.export_logs(telemetry::logs("large", vec![record])).await.expect("33: stored");
    let line = telemetry::log(&letters(10 * MIB));
    server
        .export_logs(telemetry::logs("line", vec![line, telemetry::log("a good neighbour")]))
        .await
        .expect("50: stored");
    let named = telemetry::gauge(&"metric.".repeat(64 * 1024 / 7), 1.0);
    let names = ["with spaces and \t tabs", "dots.and.more.dots", "🦀🔥", "名前", "{}[]()\"'\\;--"];
    let metrics = names.iter().map(|name| telemetry::gauge(name, 2.0)).chain([named]).collect();
    server.export_metrics(telemetry::metrics("names", metrics)).await.expect("49: stored");
    settled(&server, async |server, state| {
        let rows = server
            .sql("SELECT length(attributes['large']), attributes['small'] FROM logs WHERE service_name = 'large'")
            .await;
        assert_eq!(rows.rows, [[json!(16 * MIB), json!("beside it")]], "{state}");
        let lengths = server.sql("SELECT length(body) FROM logs WHERE service_name = 'line' ORDER BY 1").await;
        assert_eq!(lengths.rows, [[json!(16)], [json!(10 * MIB)]], "{state}");
        for name in names {
            let quoted = name.replace('\'', "''");
            let found = server.sql(&format!("SELECT value FROM metrics WHERE metric_name = '{quoted}'")).await;
            assert_eq!(found.rows, [[2.0]], "{state}: {name:?}");
        }
        let long = server.sql("SELECT value FROM metrics WHERE length(metric_name) > 60000").await;
        assert_eq!(long.rows, [[1.0]], "{state}");
        assert_within_budget(server, 512, state);
    })
    .await;
}

#[tokio::test]
async fn thousands_of_attributes_events_and_links_are_stored() {
    let server = small(512).await;
    let mut record = telemetry::log("many attributes");
    record.attributes = (0..10_000).map(|n| entry(&format!("key.{n}"), text(&format!("value {n}")))).collect();
    server.export_logs(telemetry::logs("wide", vec![record])).await.expect("34: stored");
    for part in 0..10 {
        let records = (0..10_000).map(|n| {
            let mut record = telemetry::log("rare");
            record.attributes = vec![entry(&format!("rare.{}", part * 10_000 + n), any_int(n))];
            record
        });
        server.export_logs(telemetry::logs("rare", records.collect())).await.expect("35: stored");
    }
    let mut busy = telemetry::span("busy", 1, 1);
    busy.events = (0..10_000)
        .map(|n| span::Event { time_unix_nano: AT + n, name: format!("event {n}"), ..Default::default() })
        .collect();
    busy.links = (0..10_000u64)
        .map(|n| span::Link { trace_id: vec![7; 16], span_id: (n + 1).to_be_bytes().to_vec(), ..Default::default() })
        .collect();
    server.export_spans(telemetry::spans("busy", vec![busy])).await.expect("42: stored");
    settled(&server, async |server, state| {
        let found = server.sql("SELECT attributes['key.9999'] FROM logs WHERE service_name = 'wide'").await;
        assert_eq!(found.rows, [["value 9999"]], "{state}");
        for key in ["rare.0", "rare.77777", "rare.99999"] {
            let found = server.sql(&format!("SELECT count(*) FROM logs WHERE attributes['{key}'] IS NOT NULL")).await;
            assert_eq!(found.rows, [[1]], "{state}: {key}");
        }
        assert_eq!(
            server.sql("SELECT count(*) FROM logs WHERE service_name = 'rare'").await.rows,
            [[100_000]],
            "{state}"
        );
        let busy = server.sql("SELECT cardinality(events), cardinality(links) FROM spans").await;
        assert_eq!(busy.rows, [[10_000, 10_000]], "{state}");
        assert_within_budget(server, 512, state);
    })
    .await;
}

fn any_int(n: i64) -> opentelemetry_proto::tonic::common::v1::AnyValue {
    any(opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(n))
}

/// Spans of one trace. The list of bad inputs asks for a million, which a debug build takes minutes for: `RL_TRACE_SPANS`
/// says how many.
fn trace_spans() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how much a test does is no setting of the server")]
    let wished = std::env::var("RL_TRACE_SPANS").ok().and_then(|count| count.parse().ok());
    wished.unwrap_or(60_000)
}

#[tokio::test]
async fn a_trace_of_very_many_spans_is_read_as_columns() {
    const BATCH: u64 = 20_000;
    let server = small(1024).await;
    let count = trace_spans() / BATCH * BATCH;
    for first in (0..count).step_by(BATCH as usize) {
        let spans = (first..first + BATCH).map(|n| {
            let mut span = telemetry::span(&format!("step {}", n % 100), 1, 1);
            span.span_id = (n + 1).to_be_bytes().to_vec();
            span.parent_span_id = if n == 0 { Vec::new() } else { (n / 10 + 1).to_be_bytes().to_vec() };
            span.start_time_unix_nano = AT + n * 1_000;
            span.end_time_unix_nano = AT + n * 1_000 + 500;
            span
        });
        let request = telemetry::spans("long", spans.collect());
        // Memtables may have to be written first: what a client does is come again.
        crate::support::eventually("42: stored", std::time::Duration::from_secs(120), async || {
            match server.export_spans(request.clone()).await {
                Ok(_) => Some(()),
                Err(status) => {
                    assert!(
                        matches!(status.code(), tonic::Code::ResourceExhausted | tonic::Code::Unavailable),
                        "{status:?}"
                    );
                    None
                }
            }
        })
        .await;
        assert_within_budget(&server, 1024, "42: while it comes");
    }
    let id = "01".repeat(16);
    let sql =
        format!("SELECT count(*), count(DISTINCT span_id), sum(duration_nano) FROM spans WHERE trace_id = '{id}'");
    for state in ["as it came", "flushed"] {
        let row = &server.sql(&sql).await.rows[0];
        let row: Vec<i64> = row.iter().map(value).collect();
        assert_eq!(row, [count as i64, count as i64, 500 * count as i64], "{state}");
        server.flush().await;
    }
    // As a tree it is shown up to a bound, and refused beyond it with a hint at SQL.
    let tree = server.ask(&format!("/api/traces/{id}"), &[]).await;
    match count {
        ..=250_000 => assert_eq!(tree.body["spans"].as_array().map(Vec::len), Some(count as usize)),
        _ => assert!(!tree.status.is_success() && tree.body.to_string().contains("SQL"), "{tree:?}"),
    }
    assert_within_budget(&server, 1024, "42: after it was read");
}

/// Rows are what was sent: two values for one moment are two rows, both counted. In a segment they stand in the order in
/// which they came, so that a reader of series can take the last.
#[tokio::test]
async fn one_series_and_moment_twice_is_two_rows_and_old_points_are_points() {
    let server = Server::start().await;
    const YEAR: u64 = 365 * 86_400 * 1_000_000_000;
    let point = |time: u64, value: f64| {
        let data_points = vec![NumberDataPoint {
            time_unix_nano: time,
            value: Some(number_data_point::Value::AsDouble(value)),
            ..Default::default()
        }];
        telemetry::metrics("twice", vec![telemetry::metric("m", metric::Data::Gauge(Gauge { data_points }))])
    };
    for (time, value) in [(AT, 1.0), (AT + 1, 5.0), (AT, 2.0), (AT - YEAR, 0.5), (AT, 3.0)] {
        server.export_metrics(point(time, value)).await.expect("48: stored");
    }
    settled(&server, async |server, state| {
        let rows = server.sql("SELECT value, count(DISTINCT series_id) OVER () FROM (SELECT value, series_id FROM metrics) ORDER BY 1").await;
        let values: Vec<_> = rows.rows.iter().filter_map(|row| row[0].as_f64()).collect();
        assert_eq!(values, [0.5, 1.0, 2.0, 3.0, 5.0], "{state}: nothing replaced anything");
        assert_eq!(server.sql("SELECT count(DISTINCT series_id) FROM metrics").await.rows, [[1]], "{state}");
        let old = server.sql("SELECT value FROM metrics WHERE timestamp < '2025-06-01T00:00:00Z'").await;
        assert_eq!(old.rows, [[0.5]], "{state}: a year late, within retention");
    })
    .await;
    let accepted = server.metric("rootline_ingest_items_total", &["signal=\"metrics\"", "accepted"]).await;
    assert!((accepted - 5.0).abs() < 0.5, "{accepted} counted");
}

/// There is no way for a request to name a tenant: everything is the default one's, and no name from outside becomes a path.
#[tokio::test]
async fn no_request_names_a_tenant() {
    let server = Server::start().await;
    let long = "x".repeat(10 << 10);
    for name in ["../../etc", "%2e%2e", "C:\\", ".", "", "caf\u{e9}", "cafe\u{301}", &long] {
        let body = telemetry::logs(name, vec![telemetry::log("whose?")]).encode_to_vec();
        let mut request =
            server.http.post(server.otlp_url("/v1/logs")).header("content-type", "application/x-protobuf");
        for header in ["x-scope-orgid", "x-tenant", "tenant", "x-rootline-tenant"] {
            request =
                request.header(header, reqwest::header::HeaderValue::from_bytes(name.as_bytes()).expect("a value"));
        }
        assert_eq!(request.body(body).send().await.expect("an answer").status().as_u16(), 200, "{name:?}");
    }
    server.flush().await;
    assert_eq!(server.count("logs").await, 8);
    // Names that look alike are different names.
    let alike = server.sql("SELECT count(DISTINCT service_name) FROM logs WHERE service_name LIKE 'caf%'").await;
    assert_eq!(alike.rows, [[2]]);
    let tenants: Vec<_> = std::fs::read_dir(server.data_dir().join("segments"))
        .expect("segments")
        .map(|entry| entry.expect("a directory").file_name())
        .collect();
    assert_eq!(tenants, ["default"]);
}

/// Bytes that are no text, through the real listeners: stored, found, counted.
#[tokio::test]
async fn bytes_that_are_no_text_are_found_as_text() {
    let server = Server::start().await;
    let mut body =
        telemetry::logs("latin", vec![telemetry::log("caf~ au lait"), telemetry::log("fine")]).encode_to_vec();
    body.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xe9);
    let answer = server.post_otlp("/v1/logs", &[("content-type", "application/x-protobuf")], body).await;
    assert_eq!(answer.status().as_u16(), 200);
    settled(&server, async |server, state| {
        let found = server.sql("SELECT body FROM logs WHERE match(body, 'lait') ORDER BY 1").await;
        assert_eq!(found.rows, [[Value::from("caf\u{fffd} au lait")]], "{state}");
        assert_eq!(server.count("logs").await, 2, "{state}");
    })
    .await;
    let counted = server.metric("rootline_ingest_adjusted_total", &["reason=\"invalid_text\""]).await;
    assert!((counted - 1.0).abs() < 0.5, "{counted} counted");
}
