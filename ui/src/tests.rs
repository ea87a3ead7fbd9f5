//! The API over a real store: telemetry comes in as OTLP and is asked for as programs do.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use config::{Config, Role, Token};
use futures::{StreamExt, future::BoxFuture};
use ingest::Ingest;
use query::Query;
use serde_json::{Value, json};
use storage::{Environment, Storage};
use tower::ServiceExt;

use crate::{Process, ReportError, State, auth::hash_token, router, wire};

/// 2026-11-18T11:06:40Z
const NOW_MS: i64 = 1_795_000_000_000;

#[derive(Debug)]
struct TestProcess;

impl Process for TestProcess {
    fn version(&self) -> &str {
        "0.0.0-test"
    }

    fn commit(&self) -> Option<&str> {
        None
    }

    fn report_change(
        &self,
        time_unix_nano: Option<i64>,
        change: wire::ChangeBody,
    ) -> BoxFuture<'_, Result<wire::ChangeReported, ReportError>> {
        let answer = match (time_unix_nano, change.kind.as_str()) {
            (Some(time), "deploy") => Ok(wire::ChangeReported { id: Some(format!("{time:032x}")), duplicate: false }),
            (None, "deploy") => Err(ReportError::Unavailable("later".to_owned())),
            (_, other) => Err(ReportError::Invalid(format!("kind is {other:?}"))),
        };
        Box::pin(std::future::ready(answer))
    }

    fn started_at_unix_nano(&self) -> i64 {
        (NOW_MS - 60_000) * 1_000_000
    }

    fn now_unix_nano(&self) -> i64 {
        NOW_MS * 1_000_000
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn listeners(&self) -> wire::Listeners {
        wire::Listeners { http: Some("127.0.0.1:7070".to_owned()), ..wire::Listeners::default() }
    }

    fn metrics_text(&self) -> String {
        "# TYPE up gauge\nup 1\n".to_owned()
    }

    fn ingest(&self) -> wire::IngestStatus {
        wire::IngestStatus::default()
    }

    fn memory(&self) -> wire::MemoryStatus {
        wire::MemoryStatus::default()
    }

    fn random_bytes(&self) -> [u8; 16] {
        [7; 16]
    }
}

struct Server {
    api: Router,
    otlp: Router,
    _directory: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Server {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir = directory.path().to_owned();
        config.retention.logs = config::Age::Forever;
        config.retention.spans = config::Age::Forever;
        config.ingest.max_future = std::time::Duration::from_secs(86_400 * 365);
        change(&mut config);
        let environment = Environment::system(directory.path()).await.unwrap();
        let storage = Storage::open(&config, environment).await.unwrap();
        let otlp = Ingest::new(storage.clone(), &config).http();
        let query = Query::new(storage, &config).unwrap();
        let api = router(State::new(query, config, Arc::new(TestProcess)).unwrap());
        Self { api, otlp, _directory: directory }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.api.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Answer { status, headers, body }
    }

    async fn get(&self, uri: &str) -> Answer {
        self.send(request(Method::GET, uri).body(Body::empty()).unwrap()).await
    }

    async fn ok(&self, uri: &str) -> Value {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.text());
        answer.json()
    }

    async fn post(&self, uri: &str, content_type: &str, body: &str) -> Answer {
        let request = request(Method::POST, uri).header(header::CONTENT_TYPE, content_type);
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn push(&self, signal: &str, body: Value) {
        let request = Request::post(format!("/v1/{signal}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.otlp.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(answer.get("partialSuccess").is_none_or(|p| p.get("errorMessage").is_none()), "{answer}");
    }

    async fn push_logs(&self, service: &str, records: Vec<Value>) {
        self.push(
            "logs",
            json!({"resourceLogs": [{
                "resource": {"attributes": [text("service.name", service), text("host.name", "a1")]},
                "scopeLogs": [{"scope": {"name": "lib", "version": "1"}, "logRecords": records}]
            }]}),
        )
        .await;
    }

    async fn push_spans(&self, service: &str, spans: Vec<Value>) {
        let resource = [text("service.name", service), text("service.version", "1.2.3"), text("host.name", service)];
        let scope_spans = json!([{"scope": {"name": "lib"}, "spans": spans}]);
        self.push(
            "traces",
            json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": scope_spans}]}),
        )
        .await;
    }

    async fn flush(&self) {
        assert_eq!(self.post("/api/admin/flush", "text/plain", "").await.status, StatusCode::OK);
    }
}

fn request(method: Method, uri: &str) -> axum::http::request::Builder {
    let mut encoded = String::new();
    for byte in uri.bytes() {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'"' | b'<' | b'>') => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    Request::builder().method(method).uri(encoded).header(header::HOST, "localhost")
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn log(time_ms: i64, severity: i32, body: &str) -> Value {
    json!({
        "timeUnixNano": (time_ms * 1_000_000).to_string(), "severityNumber": severity, "severityText": "X",
        "body": {"stringValue": body},
        "attributes": [text("http.route", "/cart"), {"key": "user_id", "value": {"intValue": "42"}}]
    })
}

fn span(trace: u8, id: u8, parent: u8, kind: i32, name: &str, start_ms: i64, duration_ms: i64) -> Value {
    json!({
        "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"),
        "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") },
        "name": name, "kind": kind,
        "startTimeUnixNano": (start_ms * 1_000_000).to_string(),
        "endTimeUnixNano": ((start_ms + duration_ms) * 1_000_000).to_string(),
        "status": {"code": if name == "boom" { 2 } else { 0 }},
        "attributes": [text("customer.tier", "platinum")],
        "events": [{"timeUnixNano": (start_ms * 1_000_000).to_string(), "name": "e", "attributes": [text("k", "v")]}],
        "links": [{"traceId": format!("{:032x}", 9), "spanId": format!("{:016x}", 9), "attributes": []}]
    })
}

fn window() -> String {
    format!("from={}&to={}", NOW_MS - 3_600_000, NOW_MS)
}

/// What differs from run to run is only named.
fn masked(value: &Value, keys: &[&str]) -> Value {
    let mut value = value.clone();
    for key in keys {
        value[*key] = json!(format!("[{key}]"));
    }
    value
}

fn bodies(page: &Value) -> Vec<&str> {
    page["rows"].as_array().unwrap().iter().map(|row| row["body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn probes_status_and_pages_answer() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    assert!(server.get("/metrics").await.text().contains("up 1"));
    let status = server.ok("/api/status").await;
    assert_eq!(status["version"], "0.0.0-test");
    assert_eq!(status["uptime_seconds"], 60);
    assert_eq!(status["storage"]["tables"][0]["name"], "logs");
    assert_eq!(server.ok("/api/whoami").await, json!({"role": "admin"}));
    let openapi = server.ok("/api/openapi.json").await;
    assert!(openapi["paths"]["/api/traces/{trace_id}"].is_object());

    for path in ["/", "/logs", "/traces/0123", "/settings/tokens"] {
        let page = server.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("'nonce-07070707070707070707070707070707'"), "{policy}");
        assert!(policy.contains("script-src 'self';"), "{policy}");
        assert!(!page.text().contains("__CSP_NONCE__"));
        assert_eq!(page.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");
    }
    for path in ["/api/nope", "/assets/nope.js", "/v1/logs", "/api"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    }
}

#[tokio::test]
async fn each_route_asks_for_its_role() {
    let roles = [("i", Role::Ingest), ("v", Role::Viewer), ("e", Role::Editor), ("a", Role::Admin)];
    let server = Server::with(|config| {
        let token = |(token, role): (&str, Role)| Token { name: token.to_owned(), role, sha256: hash_token(token) };
        config.auth.tokens = roles.into_iter().map(token).collect();
    })
    .await;
    let document = serde_json::to_value(<crate::api::Document as utoipa::OpenApi>::openapi()).unwrap();
    let mut routes =
        vec![("get".to_owned(), "/metrics".to_owned()), ("get".to_owned(), "/api/openapi.json".to_owned())];
    for (path, methods) in document["paths"].as_object().unwrap() {
        routes.extend(methods.as_object().unwrap().keys().map(|method| (method.clone(), path.replace(['{', '}'], ""))));
    }
    assert!(routes.len() > 15, "{routes:?}");
    for (method, path) in routes {
        let is_admin = path.starts_with("/api/admin");
        let edits_objective = path.starts_with("/api/slos") && method != "get";
        let is_editor = edits_objective || path.ends_with("/notes");
        let is_reporter = path == "/api/changes" && method == "post";
        for (token, expected) in [
            (None, Some(StatusCode::UNAUTHORIZED)),
            (Some("wrong"), Some(StatusCode::UNAUTHORIZED)),
            (Some("i"), (!is_reporter).then_some(StatusCode::FORBIDDEN)),
            (Some("v"), (is_admin || is_editor || is_reporter).then_some(StatusCode::FORBIDDEN)),
            (Some("e"), (is_admin || is_reporter).then_some(StatusCode::FORBIDDEN)),
            (Some("a"), None),
        ] {
            let mut builder = request(method.to_uppercase().parse().unwrap(), &path);
            if let Some(token) = token {
                builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            // The tail has no end: its status is enough.
            let response = server.api.clone().oneshot(builder.body(Body::empty()).unwrap()).await.unwrap();
            let status = response.status();
            match expected {
                Some(expected) => assert_eq!(status, expected, "{method} {path} {token:?}"),
                None => assert!(
                    status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN,
                    "{method} {path} {token:?}: {status}"
                ),
            }
        }
    }
    for open in ["/healthz", "/readyz", "/", "/logs"] {
        assert_eq!(server.get(open).await.status, StatusCode::OK, "{open}");
    }
}

#[tokio::test]
async fn other_sites_are_refused() {
    let server = Server::start().await;
    let send = |method: Method, uri: &str, name: header::HeaderName, value: &str| {
        let mut request = request(method, uri).body(Body::empty()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        server.send(request)
    };
    assert_eq!(send(Method::GET, "/api/status", header::HOST, "evil.example").await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(Method::GET, "/", header::HOST, "evil.example").await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(Method::GET, "/healthz", header::HOST, "10.1.2.3:7070").await.status, StatusCode::OK);
    let refused = send(Method::POST, "/api/admin/flush", header::ORIGIN, "http://evil.example").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.headers[header::CONTENT_TYPE], "application/problem+json");
    let own = send(Method::POST, "/api/admin/flush", header::ORIGIN, "http://localhost").await;
    assert_eq!(own.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_of_logs_miss_nothing_and_repeat_nothing_across_a_flush() {
    let server = Server::start().await;
    // Ten records share each time, and two of those are equal.
    let at = |i: i64| log(NOW_MS - 1000 + i / 10, 9, &format!("line {}", if i % 10 == 1 { i - 1 } else { i }));
    server.push_logs("a", (0..100).map(at).collect()).await;
    for order in ["desc", "asc"] {
        let mut ids = Vec::new();
        let mut times = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = server.ok(&format!("/api/logs?{}&limit=7&order={order}{cursor}", window())).await;
            for row in page["rows"].as_array().unwrap() {
                ids.push(row["id"].as_str().unwrap().to_owned());
                times.push(row["timestamp"].as_str().unwrap().to_owned());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
            if ids.len() == 35 {
                server.flush().await;
            }
        }
        assert_eq!(ids.len(), 100, "{order}");
        if order == "desc" {
            times.reverse();
        }
        assert!(times.is_sorted(), "{order}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 100, "{order}: ids are unique");
        let row = server.ok(&format!("/api/logs?id={}", ids[0])).await;
        assert_eq!(row["rows"][0]["id"], ids[0].as_str());
    }
}

#[tokio::test]
async fn logs_are_found_by_word_field_and_attribute_in_memory_and_in_segments() {
    let server = Server::start().await;
    server
        .push_logs(
            "payment",
            vec![
                log(NOW_MS - 5000, 17, "connection refused by order-4711"),
                log(NOW_MS - 4000, 9, "health check passed"),
                log(NOW_MS - 3000, 13, &"x ".repeat(5000)),
            ],
        )
        .await;
    server.push_logs("cart", vec![log(NOW_MS - 2000, 9, "连接超时 after 30s")]).await;
    for stored in [false, true] {
        if stored {
            server.flush().await;
        }
        let found = |q: &'static str| {
            let (server, uri) = (&server, format!("/api/logs?{}&q={q}", window()));
            async move { server.ok(&uri).await["rows"].as_array().unwrap().len() }
        };
        for (q, expected) in [
            ("", 4),
            ("service:payment", 3),
            ("\"connection refused\"", 1),
            ("\"refused connection\"", 0),
            ("ORDER 4711", 1),
            ("conn*", 1),
            ("超时", 1),
            ("level>=warn", 2),
            ("level:error OR service:cart", 2),
            ("-health", 3),
            ("attributes.user_id:42", 4),
            ("attributes.user_id>41 service:cart", 1),
            ("attributes.user_id:43", 0),
            ("attributes.http.route:/c*", 4),
            ("attributes.none:*", 0),
            ("-attributes.none:*", 4),
            ("resource.host.name:a1 service!=cart", 3),
        ] {
            assert_eq!(found(q).await, expected, "{q} (stored: {stored})");
        }
        let page = server.ok(&format!("/api/logs?{}&q=service:cart", window())).await;
        insta::allow_duplicates! {
            insta::assert_json_snapshot!("log_row", masked(&page["rows"][0], &["id", "observed_timestamp"]));
        }
        let long = server.ok(&format!("/api/logs?{}&q=level:warn", window())).await;
        assert_eq!(long["rows"][0]["body_truncated"], true);
        assert_eq!(bodies(&long)[0].len(), 4096);
        let whole = server.ok(&format!("/api/logs?id={}&full=1", long["rows"][0]["id"].as_str().unwrap())).await;
        assert_eq!(bodies(&whole)[0].len(), 10_000);

        let histogram = server.ok(&format!("/api/logs/histogram?{}&buckets=60", window())).await;
        assert_eq!(histogram["total"], 4);
        let levels: Vec<_> = histogram["series"].as_array().unwrap().iter().map(|s| s["severity"].clone()).collect();
        assert_eq!(levels, ["error", "warn", "info"]);
        assert_eq!(histogram["series"][2]["counts"][59], 2);
        let fields = server.ok(&format!("/api/logs/fields?{}", window())).await;
        assert_eq!(fields["fields"][0]["values"][0], json!({"value": "payment", "count": 3}));
        let names: Vec<_> = fields["fields"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
        assert!(names.contains(&json!("attributes.http.route")), "{names:?}");
    }
    let wrong = server.get(&format!("/api/logs?{}&q=超时 nope:1", window())).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(wrong.json()["position"], 3);
    for wrong in ["limit=0", "limit=-1", "from=now&to=now-1h", "cursor=x", "order=up", "nope=1", "buckets=x"] {
        let answer = server.get(&format!("/api/logs?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    }
}

#[tokio::test]
async fn the_tail_shows_what_arrives_and_matches() {
    let server = Server::start().await;
    let request = request(Method::GET, "/api/logs/tail?q=refused").body(Body::empty()).unwrap();
    let response = server.api.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    server.push_logs("a", vec![log(NOW_MS, 9, "accepted"), log(NOW_MS, 17, "refused")]).await;
    let first = events.next().await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&first);
    let data = text.strip_prefix("event: rows\ndata: ").unwrap_or_else(|| panic!("{text}"));
    let data: Value = serde_json::from_str(data.trim()).unwrap();
    assert_eq!(bodies(&data), ["refused"]);
}

#[tokio::test]
async fn traces_are_found_by_one_span_and_shown_whole() {
    let server = Server::start().await;
    let start = NOW_MS - 60_000;
    server
        .push_spans(
            "frontend",
            vec![
                span(1, 1, 0, 2, "GET /", start, 300),
                span(1, 2, 1, 3, "call", start + 10, 250),
                span(2, 1, 0, 2, "GET /", start, 20),
            ],
        )
        .await;
    // This host's clock is a minute slow.
    server
        .push_spans(
            "checkout",
            vec![span(1, 3, 2, 2, "boom", start - 60_000, 210), span(2, 2, 1, 2, "pay", start + 5, 10)],
        )
        .await;
    for stored in [false, true] {
        if stored {
            server.flush().await;
        }
        let search = |q: &'static str| {
            let (server, uri) = (&server, format!("/api/traces?{}&{q}", window()));
            async move { server.ok(&uri).await["traces"].as_array().unwrap().clone() }
        };
        for (q, expected) in [
            ("", 2),
            ("q=service:checkout attributes.customer.tier:platinum&min_duration=200ms", 1),
            // No single span is both.
            ("q=service:checkout&min_duration=220ms", 0),
            ("q=status:error", 1),
            ("status=error", 1),
            ("q=duration>250ms", 1),
            ("q=service:checkout name:pay", 1),
            ("service=checkout&operation=pay", 1),
            ("max_duration=10ms", 1),
            ("limit=1", 1),
        ] {
            assert_eq!(search(q).await.len(), expected, "{q} (stored: {stored})");
        }
        let found = search("q=status:error").await;
        assert_eq!(found[0]["span_count"], 3);
        assert_eq!(found[0]["error_count"], 1);
        assert_eq!(found[0]["root_service"], "frontend");
        assert_eq!(found[0]["matched"]["name"], "boom");

        let trace = server.ok(&format!("/api/traces/{:032x}", 1)).await;
        insta::allow_duplicates! {
            insta::assert_json_snapshot!("trace", masked(&trace, &["stats"]));
        }
    }
    assert_eq!(server.get("/api/traces/0123").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get(&format!("/api/traces/{:032x}", 77)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/traces?min_duration=5").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn services_have_rate_errors_and_durations() {
    let server = Server::start().await;
    let spans = |from: i64, count: i64| -> Vec<Value> {
        (0..count)
            .map(|i| span(i as u8 + 1, 1, 0, 2, if i % 10 == 0 { "boom" } else { "ok" }, from + i, i + 1))
            .collect()
    };
    server.push_spans("shop", spans(NOW_MS - 1_800_000, 100)).await;
    server.push_spans("shop", spans(NOW_MS - 5_400_000, 50)).await;
    server.push_spans("cron", vec![span(200, 1, 0, 1, "job", NOW_MS - 1000, 5)]).await;
    server.push_logs("quiet", vec![log(NOW_MS - 5, 17, "broken")]).await;
    let answer = server.ok(&format!("/api/services?{}", window())).await;
    let services = answer["services"].as_array().unwrap();
    let names: Vec<_> = services.iter().map(|service| service["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cron", "quiet", "shop"]);
    let shop = &services[2];
    assert_eq!((&shop["calls"], &shop["errors"]), (&json!(100), &json!(10)));
    assert!((shop["rate"].as_f64().unwrap() - 100.0 / 3600.0).abs() < 1e-9);
    let p95 = shop["p95_ms"].as_f64().unwrap();
    assert!((p95 - 95.0).abs() < 3.0, "{p95}");
    assert!((shop["previous"]["rate"].as_f64().unwrap() - 50.0 / 3600.0).abs() < 1e-9);
    let calls: u64 = shop["sparkline"]["calls"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(calls, 100);
    assert_eq!(services[0]["version"], "1.2.3");
    assert_eq!(services[1]["log_errors"], 1);
    assert!(services[1]["p95_ms"].is_null());
}

#[tokio::test]
async fn sql_answers_in_every_format_and_refuses_with_a_reason() {
    let server = Server::start().await;
    server.push_logs("a", vec![log(NOW_MS, 9, "=cmd"), log(NOW_MS + 1, 9, "two")]).await;
    let statement = "SELECT timestamp, body, attributes['user_id'] AS u, attributes FROM logs ORDER BY timestamp";
    let answer = server.post("/api/sql", "text/plain", statement).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    insta::assert_json_snapshot!("sql", masked(&answer.json(), &["stats"]));
    assert_eq!(answer.json()["stats"]["complete"], true);

    let body = json!({"query": "SELECT count(*) FROM logs WHERE body = $1", "params": ["two"], "query_id": "mine"});
    let answer = server.post("/api/sql", "application/json", &body.to_string()).await;
    assert_eq!(answer.json()["rows"], json!([[1]]));
    assert_eq!(answer.headers["x-query-id"], "mine");
    let csv = server.get(&format!("/api/sql?query={statement}&format=csv")).await;
    assert!(csv.text().contains("'=cmd"), "{}", csv.text());
    for format in ["ndjson", "arrow", "parquet"] {
        let answer = server.get(&format!("/api/sql?query={statement}&format={format}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{format}");
    }
    let empty = server.ok("/api/sql?query=SELECT body FROM logs WHERE false").await;
    assert_eq!((&empty["rows"], &empty["columns"][0]["name"]), (&json!([]), &json!("body")));
    let narrowed = server.ok(&format!("/api/sql?query=SELECT count(*) FROM logs&from={}&to=now+1ms", NOW_MS - 1)).await;
    assert_eq!(narrowed["rows"], json!([[1]]));
    let plan = server.post("/api/sql/explain", "text/plain", "SELECT body FROM logs").await.json();
    assert!(plan["plan"].as_str().unwrap().contains("logs") || !plan["plan"].as_str().unwrap().is_empty());
    let schema = server.ok("/api/sql/schema").await;
    assert_eq!(schema["tables"][0]["attribute_keys"], json!(["http.route", "user_id"]));
    // A question leaves the list when its task ends, a moment after its answer.
    while server.ok("/api/queries").await != json!({"queries": []}) {
        tokio::task::yield_now().await;
    }

    for (statement, status) in [
        ("SELECT nope FROM logs", StatusCode::BAD_REQUEST),
        ("SELEC 1", StatusCode::BAD_REQUEST),
        ("DROP TABLE logs", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = server.post("/api/sql", "text/plain", statement).await;
        assert_eq!(answer.status, status, "{statement}: {}", answer.text());
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.json()["status"], status.as_u16());
    }
    assert_eq!(server.post("/api/sql", "application/json", "{").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.post("/api/sql", "image/png", "x").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(server.get("/api/sql").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get("/api/sql?query=SELECT 1&from=now&to=now").await.status, StatusCode::BAD_REQUEST);
    let mut large = request(Method::POST, "/api/sql").body(Body::from(vec![b' '; 3 << 20])).unwrap();
    large.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(server.send(large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let bad = request(Method::POST, "/api/sql").body(Body::from(vec![b'\xff'])).unwrap();
    assert_eq!(server.send(bad).await.status, StatusCode::BAD_REQUEST);
    let gone = request(Method::DELETE, "/api/queries/none").body(Body::empty()).unwrap();
    assert_eq!(server.send(gone).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn changes_are_reported_or_refused_with_a_reason() {
    let server = Server::start().await;
    let post = async |body: &str| server.post("/api/changes", "application/json", body).await;
    let answer = post(r#"{"service": "cart", "kind": "deploy", "time": 5, "version": "2", "from": "1"}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json(), json!({"id": format!("{:032x}", 5_000_000), "duplicate": false}));
    for (body, status, says) in [
        (r#"{"service": "cart", "kind": "deploy"}"#, StatusCode::SERVICE_UNAVAILABLE, "later"),
        (r#"{"service": "cart", "kind": "x", "time": "now"}"#, StatusCode::BAD_REQUEST, "kind is"),
        (r#"{"service": "cart", "kind": "deploy", "who": "me"}"#, StatusCode::BAD_REQUEST, "unknown field `who`"),
        (r#"{"service": "cart", "kind": "deploy", "time": "noon"}"#, StatusCode::BAD_REQUEST, "is no time"),
        ("[", StatusCode::BAD_REQUEST, "no change"),
    ] {
        let answer = post(body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{}", answer.text());
    }
    assert_eq!(server.ok("/api/changes?from=0").await, json!({"changes": []}));
    assert_eq!(server.ok("/api/map?from=0").await["edges"], json!([]));
    assert_eq!(server.get("/api/services/nobody").await.status, StatusCode::NOT_FOUND);
}
