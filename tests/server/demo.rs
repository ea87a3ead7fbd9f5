//! The demo shop through every window: what `rootline demo` sends is found by search, traces, services, tail and SQL.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{Rows, Server, command, telemetry, value, within};

/// A server with four minutes of the shop, at a rate that a debug build takes quickly.
async fn shop() -> Server {
    let server = Server::start().await;
    let target = server.grpc_url();
    let home = server.data_dir();
    let sent = tokio::task::spawn_blocking(move || {
        command(home.parent().expect("a home"))
            .args([
                "demo",
                "--target",
                &target,
                "--seed",
                "7",
                "--history",
                "4m",
                "--spans-per-second",
                "60",
                "--no-live",
            ])
            .output()
    });
    let output = within("the demo's history", Duration::from_secs(120), sent).await.expect("no panic").expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server
}

const HOUR: [(&str, &str); 2] = [("from", "now-1h"), ("to", "now")];

fn with<'a>(parameters: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    HOUR.iter().chain(parameters).copied().collect()
}

fn list(of: &Value) -> &[Value] {
    of.as_array().unwrap_or_else(|| panic!("{of} is no list"))
}

#[tokio::test]
async fn the_shop_is_seen_through_every_window() {
    let server = shop().await;
    for state in ["in memory", "in segments"] {
        sql(&server, state).await;
        services(&server, state).await;
        logs(&server, state).await;
        traces(&server, state).await;
        bench_queries(&server, state).await;
        server.flush().await;
    }
    for path in ["/api/status", "/api/openapi.json", "/api/sql/schema", "/api/whoami"] {
        assert!(server.get(path, &[]).await.is_object(), "{path}");
    }
    let status = server.get("/api/status", &[]).await;
    assert_eq!(status["ready"], true, "{status}");
    let spans = server.count("spans").await;
    assert_eq!(status["ingest"]["spans"]["accepted"], spans, "sent = stored: {status}");
    assert_eq!(status["ingest"]["spans"]["rejected"], 0, "{status}");
    assert_eq!(status["ingest"]["metrics"]["rejected"], 0, "{status}");
}

async fn sql(server: &Server, state: &str) {
    for table in
        ["logs", "spans", "metrics", "histograms", "exponential_histograms", "summaries", "exemplars", "series"]
    {
        assert!(server.count(table).await > 0, "{state}: {table} is empty");
    }
    let services = server.sql("SELECT count(DISTINCT service_name) FROM spans").await;
    assert!(value(services.single()) >= 44, "{state}: {services:?}");
    let joined = server
        .sql("SELECT count(*) FROM logs l JOIN spans s ON l.trace_id = s.trace_id AND l.span_id = s.span_id WHERE l.service_name = s.service_name")
        .await;
    let traced = server.sql("SELECT count(*) FROM logs WHERE trace_id IS NOT NULL").await;
    assert_eq!(joined.single(), traced.single(), "{state}: each log has its span");
    let clouds = server.sql("SELECT DISTINCT resource_attributes['cloud.provider'] FROM spans ORDER BY 1").await;
    assert_eq!(clouds.rows, [["aws"], ["azure"], ["gcp"]], "{state}");
    let statuses = server.sql("SELECT count(*) FROM spans WHERE attributes['http.response.status_code'] >= 500").await;
    let errors = server.sql("SELECT count(*) FROM spans WHERE status_code = 'error' AND attributes['http.response.status_code'] IS NOT NULL").await;
    assert_eq!(statuses.single(), errors.single(), "{state}");
}

async fn services(server: &Server, state: &str) {
    let answer = server.get("/api/services", &HOUR).await;
    let services = list(&answer["services"]);
    assert!(services.len() >= 44, "{state}: {} services", services.len());
    let gateway = services.iter().find(|s| s["name"] == "web-gateway").expect("the front door");
    let kinds = "SELECT count(*), count(*) FILTER (WHERE status_code = 'error') FROM spans WHERE service_name = 'web-gateway' AND kind IN ('server', 'consumer')";
    let counted = server.sql(kinds).await;
    assert_eq!(
        [&gateway["calls"], &gateway["errors"]],
        [&counted.rows[0][0], &counted.rows[0][1]],
        "{state}: {gateway}"
    );
    let p = |name: &str| gateway[name].as_f64().expect("a number");
    assert!(0.0 < p("p50_ms") && p("p50_ms") <= p("p95_ms") && p("p95_ms") <= p("p99_ms"), "{state}: {gateway}");
}

async fn logs(server: &Server, state: &str) {
    for (q, condition) in [
        ("", "true"),
        ("service:checkout", "service_name = 'checkout'"),
        ("level>=warn", "severity_number >= 13"),
        ("service:payment level>=error", "service_name = 'payment' AND severity_number >= 17"),
        ("attributes.customer.tier:gold", "attributes['customer.tier'] = 'gold'"),
        (
            "resource.cloud.provider:azure -healthz",
            "resource_attributes['cloud.provider'] = 'azure' AND NOT match(body, 'healthz')",
        ),
        ("仓库", "match(body, '仓库')"),
        ("\"GET healthz\"", "match(body, '\"GET healthz\"')"),
    ] {
        let expected = value(server.sql(&format!("SELECT count(*) FROM logs WHERE {condition}")).await.single());
        let page = server.get("/api/logs", &with(&[("q", q), ("limit", "10000")])).await;
        assert_eq!(list(&page["rows"]).len() as i64, expected.min(10_000), "{state}: {q}");
        let histogram = server.get("/api/logs/histogram", &with(&[("q", q), ("buckets", "60")])).await;
        let counted: i64 = list(&histogram["series"]).iter().flat_map(|s| list(&s["counts"])).map(value).sum();
        assert_eq!((counted, value(&histogram["total"])), (expected, expected), "{state}: {q}");
    }
    // Pages follow each other without a gap or a repetition, newest first.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    let everything = server.get("/api/logs", &with(&[("q", "service:order"), ("limit", "10000")])).await;
    loop {
        let mut parameters = with(&[("q", "service:order"), ("limit", "40")]);
        if !cursor.is_empty() {
            parameters.push(("cursor", &cursor));
        }
        let page = server.get("/api/logs", &parameters).await;
        seen.extend(list(&page["rows"]).iter().map(|r| (r["timestamp"].clone(), r["body"].clone())));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let all: Vec<_> = list(&everything["rows"]).iter().map(|r| (r["timestamp"].clone(), r["body"].clone())).collect();
    assert_eq!(seen, all, "{state}");
    assert!(seen.is_sorted_by(|a, b| a.0.as_str() >= b.0.as_str()), "{state}: newest first");
    let fields = server.get("/api/logs/fields", &HOUR).await;
    assert!(list(&fields["fields"]).iter().any(|f| f["name"] == "service"), "{state}: {fields}");
}

async fn traces(server: &Server, state: &str) {
    let found =
        server.get("/api/traces", &with(&[("q", "service:checkout"), ("min_duration", "50ms"), ("limit", "5")])).await;
    let found = list(&found["traces"]);
    assert!(!found.is_empty(), "{state}");
    for summary in found {
        assert!(summary["matched"]["duration_ms"].as_f64().is_some_and(|d| d >= 50.0), "{state}: {summary}");
        let id = summary["trace_id"].as_str().expect("an id");
        let trace = server.get(&format!("/api/traces/{id}"), &[]).await;
        let spans = list(&trace["spans"]);
        let stored: Rows = server.sql(&format!("SELECT span_id FROM spans WHERE trace_id = '{id}'")).await;
        assert_eq!(spans.len(), stored.rows.len(), "{state}");
        assert_eq!(spans.len() as i64, value(&summary["span_count"]), "{state}: {summary}");
        let start = |id: &Value| {
            spans.iter().find(|s| s["span_id"] == *id).map(|s| s["start_offset_ms"].as_f64().expect("a number"))
        };
        for span in spans {
            // Clocks are up to two seconds off; corrected, no span begins before its parent.
            let Some(parent) = start(&span["parent_span_id"]) else { continue };
            let own = span["start_offset_ms"].as_f64().expect("a number");
            assert!(own >= parent - 1.0, "{state}: {} begins {} ms before its parent", span["name"], parent - own);
        }
        assert!(spans.iter().any(|s| s["critical"] == true), "{state}");
    }
    let errors = server.get("/api/traces", &with(&[("status", "error"), ("limit", "100")])).await;
    assert!(list(&errors["traces"]).iter().all(|t| value(&t["error_count"]) > 0), "{state}: {errors}");
    let unknown = server.ask("/api/traces/0123456789abcdef0123456789abcdef", &[]).await;
    assert_eq!(unknown.status.as_u16(), 404, "{state}");
}

/// The statements and searches of the published comparison, on this data.
async fn bench_queries(server: &Server, state: &str) {
    for statement in [
        "SELECT count(*) FROM logs WHERE service_name = 'checkout' AND match(body, '\"placed by\"') AND timestamp >= to_timestamp_nanos(0) AND timestamp < to_timestamp_nanos(9000000000000000000)",
        "SELECT date_bin(INTERVAL '1 minute', timestamp) AS minute, service_name, count(*) AS n FROM logs GROUP BY 1, 2",
        "SELECT attributes['http.route'] AS route, count(*) AS n FROM logs GROUP BY 1 ORDER BY n DESC LIMIT 10",
        "SELECT body, count(*) AS n FROM logs GROUP BY 1 ORDER BY n DESC LIMIT 10",
        "SELECT service_name, name, approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_nano) AS p95, count(*) AS n FROM spans GROUP BY 1, 2",
    ] {
        assert!(!server.sql(statement).await.rows.is_empty(), "{state}: {statement}");
    }
    let answer = server
        .get(
            "/api/traces",
            &with(&[
                ("q", "service:checkout attributes.customer.tier:standard"),
                ("min_duration", "20ms"),
                ("limit", "20"),
            ]),
        )
        .await;
    assert!(!list(&answer["traces"]).is_empty(), "{state}");
    let newest = server.get("/api/logs", &with(&[("q", "service:web-gateway"), ("limit", "100")])).await;
    assert_eq!(list(&newest["rows"]).len(), 100, "{state}");
}

/// A complete history with exactly one fault, sent at once; the truth about it is a file of the sender's.
#[tokio::test]
async fn one_fault_is_sent_on_request_and_its_truth_kept_apart() {
    let server = Server::start().await;
    let (target, api) = (server.grpc_url(), server.url(""));
    let home = server.data_dir().parent().expect("a home").to_owned();
    let truth = home.join("truth.json");
    let arguments = [
        "demo",
        "--seed",
        "3",
        "--history",
        "10m",
        "--no-live",
        "--spans-per-second",
        "60",
        "--fault",
        "dependency-outage",
        "--fault-at",
        "6m",
        "--fault-for",
        "3m",
        "--target",
        &target,
        "--api",
        &api,
        "--faults-json",
    ];
    let mut sender = command(&home);
    sender.args(arguments).arg(&truth);
    let sent = tokio::task::spawn_blocking(move || sender.output());
    let output = within("the demo's history", Duration::from_secs(120), sent).await.expect("no panic").expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let truth: Value = serde_json::from_slice(&std::fs::read(truth).expect("a file")).expect("JSON");
    assert_eq!(list(&truth).len(), 1, "{truth}");
    let (fault, second) = (&truth[0], |key: &str| value(&truth[0][key]));
    assert_eq!((&fault["kind"], second("end") - second("start")), (&json!("dependency-outage"), 180), "{truth}");
    // Orders fail while it lasts, and hardly before.
    let failed = |from: i64, to: i64| {
        format!(
            "SELECT count(*) FILTER (WHERE status_code = 'error') * 100 / count(*) FROM spans WHERE name = 'shop.Checkout/PlaceOrder' \
             AND kind = 'server' AND start_time >= to_timestamp_seconds({from}) AND start_time < to_timestamp_seconds({to})"
        )
    };
    let before = value(server.sql(&failed(second("start") - 300, second("start"))).await.single());
    let during = value(server.sql(&failed(second("start") + 5, second("end") - 5)).await.single());
    assert!(before < 5 && during > 20, "{before} % before, {during} % during {truth}");
    let told = server.sql("SELECT count(*) FROM logs WHERE match(body, '\"dependency outage\"')").await;
    assert_eq!(value(told.single()), 0, "nobody tells the server");
}

#[tokio::test]
async fn the_tail_shows_what_matches_as_it_arrives() {
    let server = Server::start().await;
    let response = server
        .http
        .get(server.url("/api/logs/tail"))
        .query(&[("q", "level>=warn wanted")])
        .send()
        .await
        .expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
    assert!(response.headers()["content-type"].to_str().expect("text").starts_with("text/event-stream"));
    let mut stream = response.bytes_stream();
    let records = [("wanted early", 9), ("wanted", 13), ("other", 17), ("wanted too", 17)].map(|(body, severity)| {
        let mut record = telemetry::log(body);
        record.severity_number = severity;
        record
    });
    // Rows that arrive together come in one event.
    server.export_logs(telemetry::logs("tailed", records.to_vec())).await.expect("accepted");
    let mut bodies: Vec<Value> = Vec::new();
    let mut text = String::new();
    while bodies.len() < 2 {
        let chunk = within("an event", Duration::from_secs(20), stream.next())
            .await
            .expect("the stream goes on")
            .expect("a chunk");
        text.push_str(&String::from_utf8_lossy(&chunk));
        while let Some((event, rest)) = text.clone().split_once("\n\n") {
            text = rest.to_owned();
            let data = event.lines().filter_map(|l| l.strip_prefix("data:")).collect::<String>();
            let Ok(data) = serde_json::from_str::<Value>(&data) else { continue };
            bodies.extend(data["rows"].as_array().into_iter().flatten().map(|r| r["body"].clone()));
        }
    }
    bodies.sort_by_key(|body| body.as_str().map(str::len));
    assert_eq!(bodies, [json!("wanted"), json!("wanted too")]);
}
