//! SQL from outside: what is answered, and bad input C, refused or bounded.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Server, Setup, Stopwatch, answer, eventually, telemetry, within};

const LIMIT: Duration = Duration::from_secs(30);

/// A server with some logs, half of them in a segment.
async fn filled(setup: Setup) -> Server {
    let server = Server::start_with(setup).await;
    for half in 0..2 {
        let records = (0..500).map(|n| {
            let mut record = telemetry::log(&format!("request {n} of half {half} 支付失败 user_{n}"));
            record.time_unix_nano += (half * 500 + n) * 1_000_000_000;
            record.severity_number = if n % 10 == 0 { 17 } else { 9 };
            record
        });
        server.export_logs(telemetry::logs(&format!("service-{half}"), records.collect())).await.expect("accepted");
        if half == 0 {
            server.flush().await;
        }
    }
    server
}

fn assert_problem(what: &str, answer: &Answer, expected: &[u16]) {
    let status = answer.status.as_u16();
    assert!(expected.contains(&status), "{what}: {status} instead of {expected:?}: {}", answer.body);
    assert_eq!(answer.content_type, "application/problem+json", "{what}");
    assert_eq!(answer.body["status"], status, "{what}");
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(!detail.is_empty() && !detail.contains("panicked") && !detail.contains(".rs:"), "{what}: {detail}");
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let server = filled(Setup::default()).await;
    let statements = [
        "COPY logs TO '/tmp/rootline-copy.csv'",
        "COPY (SELECT 1) TO 'x.parquet' STORED AS PARQUET",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "INSERT INTO logs VALUES (1)",
        "UPDATE logs SET body = 'x'",
        "DELETE FROM logs",
        "TRUNCATE TABLE logs",
        "DROP TABLE logs",
        "EXPLAIN ANALYZE COPY logs TO '/tmp/rootline-copy.csv'",
        "EXPLAIN DROP TABLE logs",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM 'https://example.com/x.parquet'",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE logs",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "COMMIT",
        "USE other",
        "GRANT ALL ON logs TO public",
        "LOAD DATA INPATH '/etc/passwd' INTO TABLE logs",
        "CALL do_it()",
        "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
        "SELECT version_of_nothing()",
        "SELEC 1",
        "",
        "   ",
        ";",
        "-- only a comment",
    ];
    for statement in statements {
        let answer = within(statement, LIMIT, server.ask_sql(statement)).await;
        assert_problem(statement, &answer, &[400, 422]);
    }
    assert!(!std::path::Path::new("/tmp/rootline-copy.csv").exists());
    assert_eq!(server.count("logs").await, 1000);
}

#[tokio::test]
async fn statements_of_any_size_and_depth_are_refused_or_answered() {
    let server = filled(Setup::configured("[query]\ntimeout = \"5s\"\n")).await;
    let sum = |n: usize| format!("SELECT 1{}", "+1".repeat(n));
    let either = |n: usize| {
        format!("SELECT count(*) FROM logs WHERE severity_number = 0{}", " OR severity_number = 0".repeat(n))
    };
    let cases = [
        ("54: 2k additions", sum(2_000)),
        ("54: 100k additions", sum(100_000)),
        ("55: 20k alternatives", either(20_000)),
        ("56: 3,000 unions", format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000))),
        ("57: 10k parentheses", format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000))),
        ("57: 10k NOTs", format!("SELECT {} true", "NOT ".repeat(10_000))),
        ("57: 10k negations", format!("SELECT {}1", "- ".repeat(10_000))),
        ("57: 10k CASEs", format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(5_000), " END".repeat(5_000))),
        ("57: 5k nested selects", format!("{}SELECT 1{}", "SELECT * FROM (".repeat(5_000), ")".repeat(5_000))),
        ("57: 10k functions", format!("SELECT {}1{}", "abs(".repeat(10_000), ")".repeat(10_000))),
        ("62: 1 MiB", format!("SELECT '{}'", "x".repeat(1 << 20))),
        (
            "59: endless recursion",
            "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t".to_owned(),
        ),
        ("60: 10^12 rows", "SELECT sum(value) FROM generate_series(1, 1000000000000)".to_owned()),
        ("60: 10^9 letters", "SELECT length(repeat('a', 1000000000))".to_owned()),
        ("60: exploding arrays", "SELECT count(*) FROM (SELECT unnest(range(0, 1000000000)))".to_owned()),
        ("63: nested repetition", "SELECT count(*) FROM logs WHERE body ~ 'a{0,1000}{0,1000}{0,1000}'".to_owned()),
        ("63: (a*)*b", "SELECT count(*) FROM logs WHERE body ~ '(a*)*b'".to_owned()),
        ("63: 200 kB pattern", format!("SELECT count(*) FROM logs WHERE body ~ '{}'", "(a|b)".repeat(40_000))),
        ("66: limit -1", "SELECT body FROM logs LIMIT -1".to_owned()),
        ("66: limit 2^63", "SELECT count(*) FROM (SELECT body FROM logs LIMIT 9223372036854775808)".to_owned()),
    ];
    for (what, statement) in cases {
        let stopwatch = Stopwatch::start();
        let answer = within(what, LIMIT, server.ask_sql(&statement)).await;
        if !answer.status.is_success() {
            assert_problem(what, &answer, &[400, 413, 422, 429, 503, 504]);
        }
        assert!(stopwatch.elapsed() < Duration::from_secs(15), "{what} took {:?}", stopwatch.elapsed());
        assert_eq!(server.count("logs").await, 1000, "{what}");
    }
}

#[tokio::test]
async fn a_cross_join_ends_at_its_deadline_and_others_go_on() {
    let server = filled(Setup::default()).await;
    let join = "SELECT count(*) FROM logs a, logs b, logs c, logs d WHERE a.body || b.body <> c.body || d.body";
    let body = json!({"query": join, "timeout": "2s", "query_id": "cross"}).to_string();
    let request = server.http.post(server.url("/api/sql")).header("content-type", "application/json").body(body);
    let slow = tokio::spawn(answer(request));
    eventually("the query runs", LIMIT, async || {
        let running = server.get("/api/queries", &[]).await;
        running.to_string().contains("cross").then_some(())
    })
    .await;
    let stopwatch = Stopwatch::start();
    server.export_logs(telemetry::logs("meanwhile", vec![telemetry::log("accepted")])).await.expect("accepted");
    assert_eq!(server.count("logs").await, 1001);
    assert!(stopwatch.elapsed() < Duration::from_secs(5), "others wait for {:?}", stopwatch.elapsed());
    let ended = within("58: deadline", LIMIT, slow).await.expect("no panic");
    assert_problem("58", &ended, &[504]);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_query() {
    let server = filled(Setup::default()).await;
    let join = "SELECT a.body, count(*) FROM logs a, logs b, logs c, logs d GROUP BY 1 ORDER BY 2";
    let running = async || server.get("/api/queries", &[]).await;
    let count = |queries: &Value| queries["queries"].as_array().or(queries.as_array()).map_or(0, Vec::len);
    for round in 0..5 {
        let request = server.http.post(server.url("/api/sql")).header("content-type", "text/plain").body(join).send();
        let client = tokio::spawn(request);
        eventually("the query runs", LIMIT, async || (count(&running().await) > 0).then_some(())).await;
        client.abort();
        let stopwatch = Stopwatch::start();
        eventually("67: the query ends", LIMIT, async || (count(&running().await) == 0).then_some(())).await;
        // One second is promised; a debug build on a busy machine gets more.
        assert!(stopwatch.elapsed() < Duration::from_secs(8), "round {round}: {:?}", stopwatch.elapsed());
    }
    // The same by its name.
    let body = json!({"query": join, "query_id": "named"}).to_string();
    let request = server.http.post(server.url("/api/sql")).header("content-type", "application/json").body(body);
    let client = tokio::spawn(answer(request));
    eventually("the query runs", LIMIT, async || running().await.to_string().contains("named").then_some(())).await;
    let cancelled = server.http.delete(server.url("/api/queries/named")).send().await.expect("an answer");
    assert!(cancelled.status().is_success(), "{}", cancelled.status());
    let ended = within("the cancelled query answers", LIMIT, client).await.expect("no panic");
    assert!(!ended.status.is_success(), "{ended:?}");
    let unknown = server.http.delete(server.url("/api/queries/named")).send().await.expect("an answer");
    assert_eq!(unknown.status().as_u16(), 404);
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let server = filled(Setup::default()).await;
    for (path, parameters, status) in [
        ("/api/logs", vec![("from", "now"), ("to", "now-1h")], 400),
        ("/api/logs", vec![("from", "yesterday")], 400),
        ("/api/logs", vec![("limit", "-1")], 400),
        ("/api/logs", vec![("q", "(unclosed")], 400),
        ("/api/logs", vec![("q", "\"unclosed")], 400),
        ("/api/traces", vec![("min_duration", "fast")], 400),
        ("/api/traces/xyz", vec![], 400),
        ("/api/traces/00000000000000000000000000000001", vec![], 404),
        ("/api/nothing", vec![], 404),
    ] {
        let answer = server.ask(path, &parameters).await;
        assert_problem(&format!("66: {path} {parameters:?}"), &answer, &[status]);
    }
    let bytes =
        server.http.post(server.url("/api/sql")).header("content-type", "text/plain").body(vec![0x80, 0xbf, 0xff]);
    assert_problem("62: no UTF-8", &answer(bytes).await, &[400]);
    let json =
        server.http.post(server.url("/api/sql")).header("content-type", "application/json").body("{\"query\": 1}");
    assert_problem("no statement", &answer(json).await, &[400, 422]);
    let positioned = server.ask_sql("SELECT body FORM logs").await;
    assert_problem("a typing error", &positioned, &[400]);
}

#[tokio::test]
async fn answers_in_every_format_say_the_same() {
    let server = filled(Setup::default()).await;
    let statement = "SELECT timestamp, body, severity_number FROM logs ORDER BY timestamp LIMIT 3";
    let ask = async |accept: &str| {
        let request =
            server.http.post(server.url("/api/sql")).header("content-type", "text/plain").header("accept", accept);
        let response = request.body(statement).send().await.expect("an answer");
        assert!(response.status().is_success(), "{accept}");
        assert!(
            response.headers()["content-type"].to_str().expect("text").starts_with(accept),
            "{accept}: {:?}",
            response.headers()
        );
        response.bytes().await.expect("a whole answer")
    };
    let rows = server.sql(statement).await;
    assert_eq!(rows.rows[0][1], "request 0 of half 0 支付失败 user_0");
    assert_eq!(rows.stats["complete"], true);
    let lines = ask("application/x-ndjson").await;
    let lines: Vec<Value> = lines
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["body"], rows.rows[2][1]);
    let csv = String::from_utf8(ask("text/csv").await.to_vec()).expect("UTF-8");
    assert_eq!(csv.lines().next(), Some("timestamp,body,severity_number"));
    assert_eq!(csv.lines().count(), 4);
    let arrow = ask("application/vnd.apache.arrow.stream").await;
    assert!(arrow.starts_with(&[0xff, 0xff, 0xff, 0xff]), "an IPC stream begins with its continuation mark");
    let get = server.get("/api/sql", &[("query", statement)]).await;
    assert_eq!(get["rows"], json!(rows.rows));
    let with_parameters =
        json!({"query": "SELECT count(*) FROM logs WHERE severity_number >= $1", "params": [17]}).to_string();
    let request =
        server.http.post(server.url("/api/sql")).header("content-type", "application/json").body(with_parameters);
    assert_eq!(answer(request).await.body["rows"], json!([[100]]));
}

#[tokio::test]
async fn words_are_found_in_memory_and_in_segments() {
    let server = filled(Setup::default()).await;
    for (query, expected) in [
        ("request", 1000),
        ("\"of half 1\"", 500),
        ("user_42", 2),
        ("user_4*", 222),
        ("支付", 1000),
        ("失败 AND NOT half", 0),
        ("付败", 0),
        ("(user_1 OR user_2) half", 4),
    ] {
        let rows = server.sql(&format!("SELECT count(*) FROM logs WHERE match(body, '{query}')")).await;
        assert_eq!(rows.rows, [[expected]], "{query}");
    }
    let found = server
        .get(
            "/api/logs",
            &[
                ("q", "service:service-1 level>=error \"of half 1\""),
                ("from", "2026-01-01T00:00:00Z"),
                ("to", "2026-02-01T00:00:00Z"),
                ("limit", "100"),
            ],
        )
        .await;
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(50), "{found}");
}
