use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use storage::{
    clock::Clock,
    model::{Table, TimeRange},
};

use crate::{
    ErrorKind, Query, SqlRequest,
    testing::{Row, Rows, batch, config, lines, try_lines},
};

fn logs() -> Vec<Row> {
    vec![
        Row::at(1_000)
            .text("service_name", "cart")
            .text("body", "connection refused by db-1")
            .number("severity_number", 17.0)
            .attribute("status", 500)
            .attribute("route", "/cart")
            .attribute("ok", false),
        Row::at(2_000)
            .text("service_name", "cart")
            .text("body", "user 42 logged in")
            .number("severity_number", 9.0)
            .attribute("status", 200.5)
            .attribute("route", "/login")
            .attribute("ok", true),
        Row { trace: Some(0xab), ..Row::at(3_000) }
            .text("service_name", "shop")
            .text("body", "连接 数据库 失败")
            .attribute("status", "200"),
    ]
}

fn memtables() -> Query {
    Rows::default().in_memory(Table::Logs, batch(Table::Logs, &logs())).query()
}

#[tokio::test]
async fn columns_are_what_sql_expects() {
    let query = memtables();
    let request = SqlRequest { text: "SELECT * FROM logs".to_owned(), ..Default::default() };
    let answer = query.sql(request).await.unwrap();
    let columns: Vec<String> =
        answer.schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    insta::assert_snapshot!(columns.join("\n"));
    let (batches, stats) = answer.collect().await.unwrap();
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 3);
    assert!(stats.complete && stats.rows == 3 && stats.rows_scanned == 3, "{stats:?}");
}

#[tokio::test]
async fn ids_are_hex_text() {
    let query = memtables();
    let id = "ab".repeat(16);
    assert_eq!(lines(&query, "SELECT trace_id FROM logs ORDER BY timestamp").await, ["NULL", "NULL", &id]);
    for condition in [
        format!("trace_id = '{id}'"),
        format!("'{id}' = trace_id"),
        format!("trace_id IN ('{id}', '{}')", "cd".repeat(16)),
        "trace_id LIKE 'abab%'".to_owned(),
        format!("trace_id <> '{}'", "cd".repeat(16)),
        format!("upper(trace_id) = '{}'", id.to_uppercase()),
    ] {
        let text = format!("SELECT body FROM logs WHERE {condition}");
        assert_eq!(lines(&query, &text).await, ["连接 数据库 失败"], "{condition}");
    }
    assert!(lines(&query, "SELECT 1 FROM logs WHERE trace_id = 'nonsense'").await.is_empty());
}

#[tokio::test]
async fn attributes_take_the_type_they_are_asked_for() {
    let query = memtables();
    let cases = [
        ("attributes['route']", "/cart,/login,NULL"),
        ("attributes['status']", "500,200.5,200"),
        ("attributes['status'] + 1", "501.0,201.5,NULL"),
        ("attributes['status'] > 300", "true,false,NULL"),
        ("attributes['status'] = 500", "true,false,NULL"),
        ("attributes['status'] = '500'", "true,false,false"),
        ("attributes['status'] BETWEEN 200 AND 300", "false,true,NULL"),
        ("attributes['status'] IN (500, 1)", "true,false,NULL"),
        ("500 = attributes['status']", "true,false,NULL"),
        ("attributes['status'] = -1", "false,false,NULL"),
        ("attributes['ok'] = true", "false,true,NULL"),
        ("attributes['ok']", "false,true,NULL"),
        ("CAST(attributes['status'] AS BIGINT)", "500,200,NULL"),
        ("CAST(attributes['status'] AS DOUBLE)", "500.0,200.5,NULL"),
        ("attributes['status']::double / attributes['status']", "1.0,1.0,NULL"),
        ("attributes['status'] = 9007199254740993", "false,false,NULL"),
        ("attributes['nope'] IS NULL", "true,true,true"),
        ("attributes['na' || 'me']", "NULL,NULL,NULL"),
        (
            "CAST(attributes AS VARCHAR)",
            r#"{"ok":false,"route":"/cart","status":500},{"ok":true,"route":"/login","status":200.5},{"status":"200"}"#,
        ),
        ("array_to_string(attribute_keys(attributes), '+')", "ok+route+status,ok+route+status,status"),
    ];
    for (expression, expected) in cases {
        let found = lines(&query, &format!("SELECT {expression} FROM logs ORDER BY timestamp")).await;
        assert_eq!(found.join(","), expected, "{expression}");
    }
    for (aggregate, expected) in [
        ("sum(attributes['status'])", "700.5"),
        ("avg(attributes['status'])", "350.25"),
        ("max(attributes['status'])", "500"),
        ("count(DISTINCT attributes['route'])", "2"),
        ("approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY attributes['status'])", "350.25"),
        ("sum(attributes['status']) FILTER (WHERE attributes['ok'])", "200.5"),
    ] {
        assert_eq!(lines(&query, &format!("SELECT {aggregate} FROM logs")).await, [expected], "{aggregate}");
    }
    let grouped = "SELECT attributes['route'] AS route, count(*) FROM logs GROUP BY 1 ORDER BY 1 NULLS LAST";
    assert_eq!(lines(&query, grouped).await, ["/cart|1", "/login|1", "NULL|1"]);
}

#[tokio::test]
async fn names_of_looked_up_columns() {
    let query = memtables();
    let request =
        SqlRequest { text: "SELECT attributes['route'], l.attributes['ok'] FROM logs l".into(), ..Default::default() };
    let names: Vec<String> =
        query.sql(request).await.unwrap().schema.fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["attributes['route']", "attributes['ok']"]);
}

#[tokio::test]
async fn text_search() {
    let query = memtables();
    for (search, expected) in [
        ("refused", "connection refused by db-1"),
        ("\"connection refused\"", "connection refused by db-1"),
        ("\"refused connection\"", ""),
        ("conn*", "connection refused by db-1"),
        ("42 OR REFUSED", "connection refused by db-1;user 42 logged in"),
        ("NOT user", "connection refused by db-1;连接 数据库 失败"),
        ("数据库", "连接 数据库 失败"),
        ("据库", "连接 数据库 失败"),
    ] {
        let text = format!("SELECT body FROM logs WHERE match(body, '{search}') ORDER BY timestamp");
        assert_eq!(lines(&query, &text).await.join(";"), expected, "{search}");
    }
    let error = try_lines(&query, "SELECT 1 FROM logs WHERE match(body, '*x')").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

#[tokio::test]
async fn a_range_restricts_every_table() {
    let query = memtables();
    let request = SqlRequest {
        text: "SELECT count(*) FROM logs".to_owned(),
        range: TimeRange::new(1_500, 3_000),
        ..Default::default()
    };
    let (batches, _) = query.sql(request).await.unwrap().collect().await.unwrap();
    assert_eq!(arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string().matches("| 1 ").count(), 1);
}

#[tokio::test]
async fn parameters_and_limit() {
    let query = memtables();
    let request = SqlRequest {
        text: "SELECT service_name, attributes['status'] > $2 FROM logs WHERE service_name = $1 ORDER BY timestamp"
            .to_owned(),
        params: vec![json!("cart"), json!(300)],
        limit: Some(1),
        ..Default::default()
    };
    let (batches, stats) = query.sql(request).await.unwrap().collect().await.unwrap();
    assert_eq!((batches[0].num_rows(), stats.rows), (1, 1));
}

#[tokio::test]
async fn errors_are_one_sentence_with_place_and_hint() {
    let query = memtables();
    let error = |text: &'static str| {
        let query = query.clone();
        async move { try_lines(&query, text).await.unwrap_err() }
    };
    let found = error("SELECT bdy FROM logs").await;
    assert_eq!((found.kind(), found.to_string()), (ErrorKind::Invalid, "there is no column \"bdy\"".to_owned()));
    assert_eq!((found.position(), found.get_hint()), (Some(7), Some("did you mean body?")));
    let found = error("SELECT * FROM logz").await;
    assert_eq!((found.kind(), found.to_string()), (ErrorKind::Invalid, "there is no table \"logz\"".to_owned()));
    let found = error("SELECT nope(1)").await;
    assert_eq!(found.kind(), ErrorKind::Invalid, "{found:?}");
    let found = error("SELECT 1 / 0").await;
    assert_eq!(found.kind(), ErrorKind::Invalid, "{found:?}");
    let found = error("SELECT * FROM logs WHERE timestamp > 'yesterday'").await;
    assert_eq!(found.kind(), ErrorKind::Invalid, "{found:?}");
}

#[tokio::test]
async fn series_of_memtables() {
    let point = |time: i64, id: f64, name: &str| {
        Row::at(time)
            .text("metric_name", name)
            .text("unit", "s")
            .number("series_id", id)
            .number("value", 1.5)
            .attribute("host", name)
    };
    let rows = [point(1, 7.0, "a"), point(2, 7.0, "a"), point(3, 8.0, "b")];
    let query = Rows::default().in_memory(Table::Metrics, batch(Table::Metrics, &rows)).query();
    let text =
        "SELECT series_id, metric_name, unit, attributes['host'], row_count, max_timestamp FROM series ORDER BY 1";
    assert_eq!(
        lines(&query, text).await,
        ["7|a|s|a|2|1970-01-01T00:00:00.000000002Z", "8|b|s|b|1|1970-01-01T00:00:00.000000003Z"]
    );
}

/// `reliability.md` 1.2 C 54-63, 66, 67: refused, bounded, or answered; never a panic, never for long.
#[tokio::test(flavor = "multi_thread")]
async fn bad_statements_are_refused_or_bounded() {
    let mut config = config();
    config.memory.budget = config::Budget::Fixed(config::ByteSize::bytes(512 << 20));
    config.query.max_spill = config::ByteSize::bytes(64 << 20);
    let rows: Vec<Row> = (0..20_000).map(|n| Row::at(n).text("service_name", "a").text("body", "x")).collect();
    let query = Rows::default().in_memory(Table::Logs, batch(Table::Logs, &rows)).query_with(&config);
    let cases: Vec<(&str, String, &[ErrorKind])> = {
        use ErrorKind::{Deadline, Impossible, Invalid, TooLarge};
        vec![
            ("54 sum of 100,000 terms", format!("SELECT 1{}", "+1".repeat(100_000)), &[TooLarge]),
            ("54 sum of 2,000 terms", format!("SELECT 1{}", "+1".repeat(2_000)), &[TooLarge]),
            ("55 20,000 alternatives", format!("SELECT 1 FROM logs WHERE flags=0{}", " OR flags=0".repeat(20_000)), &[TooLarge]),
            ("56 3,000 unions", format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000)), &[TooLarge]),
            ("57 10,000 parentheses", format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)), &[TooLarge]),
            ("58 cross join", "SELECT count(*) FROM logs a, logs b, logs c, logs d WHERE a.body < b.body || c.body || d.body".into(), &[Deadline, TooLarge]),
            ("58 multiplying join", "SELECT count(*) FROM logs a JOIN logs b ON a.body = b.body JOIN logs c ON b.body = c.body WHERE a.timestamp < c.timestamp".into(), &[Deadline, TooLarge]),
            ("59 endless recursion", "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r".into(), &[Deadline, TooLarge, Invalid]),
            ("60 endless series", "SELECT sum(value) FROM generate_series(1, 1000000000000)".into(), &[Deadline]),
            ("60 endless series, rows", "SELECT * FROM generate_series(1, 1000000000000)".into(), &[Deadline, TooLarge]),
            ("60 repeat", "SELECT repeat('a', 1000000000)".into(), &[Invalid, TooLarge]),
            ("60 repeat per row", "SELECT repeat(body, 1000000) FROM logs".into(), &[Invalid, TooLarge]),
            ("60 lpad", "SELECT lpad('a', 1000000000)".into(), &[Invalid, TooLarge]),
            ("60 array", "SELECT array_repeat('a', 1000000000)".into(), &[Invalid, TooLarge]),
            ("60 list", "SELECT unnest(range(1, 1000000000000))".into(), &[Invalid, TooLarge]),
            ("60 list of rows", "SELECT generate_series(1, 100000000) FROM logs".into(), &[Invalid, TooLarge]),
            ("60 replace", "SELECT replace(repeat('a', 1000000), 'a', repeat('b', 100000))".into(), &[Invalid, TooLarge]),
            (
                "60 doubling",
                (0..40).fold("SELECT 'aaaaaaaa' AS s".to_owned(), |inner, n| format!("SELECT s || s AS s FROM ({inner}) t{n}")),
                &[Deadline, Invalid, TooLarge],
            ),
            ("61 copy", "COPY logs TO '/tmp/rootline-copy.csv'".into(), &[Impossible, Invalid]),
            ("61 external table", "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'".into(), &[Impossible, Invalid]),
            ("61 set", "SET datafusion.execution.batch_size = 1".into(), &[Impossible]),
            ("61 insert", "INSERT INTO logs SELECT * FROM logs".into(), &[Impossible]),
            ("61 drop", "DROP TABLE logs".into(), &[Impossible]),
            ("61 explain analyze copy", "EXPLAIN ANALYZE COPY logs TO '/tmp/x'".into(), &[Impossible, Invalid]),
            ("61 read_csv", "SELECT * FROM read_csv('/etc/passwd')".into(), &[Invalid, Impossible]),
            ("61 read_parquet", "SELECT * FROM read_parquet('/etc/passwd')".into(), &[Invalid, Impossible]),
            ("61 file name", "SELECT * FROM '/etc/passwd'".into(), &[Invalid]),
            ("61 file url", "SELECT * FROM \"file:///etc/passwd\"".into(), &[Invalid]),
            ("61 information_schema", "SELECT * FROM information_schema.tables".into(), &[Invalid]),
            ("61 two statements", "SELECT 1; SELECT 2".into(), &[Impossible]),
            ("61 prepare", "PREPARE p AS SELECT 1".into(), &[Impossible]),
            ("62 1 MiB", format!("SELECT '{}'", "x".repeat(1 << 20)), &[TooLarge]),
            ("62 replacement characters", "\u{fffd}\u{fffd}\u{fffd}".into(), &[Invalid]),
            ("62 NUL", "SELECT \0".into(), &[Invalid]),
            ("63 exploding regex", "SELECT 1 FROM logs WHERE body ~ 'a{0,1000}{0,1000}'".into(), &[Invalid, TooLarge]),
            ("63 broken regex", "SELECT 1 FROM logs WHERE body ~ '('".into(), &[Invalid]),
            ("66 negative limit", "SELECT 1 FROM logs LIMIT -1".into(), &[Invalid]),
        ]
    };
    let clock = Clock::system();
    for (name, text, expected) in cases {
        let request = SqlRequest { text, timeout: Some(Duration::from_secs(3)), ..Default::default() };
        let started = clock.monotonic();
        let outcome = match query.sql(request).await {
            Ok(answer) => answer.collect().await.map(|(_, stats)| stats),
            Err(error) => Err(error),
        };
        let error = outcome.expect_err(name);
        // On a busy machine the deadline may come before the refusal.
        assert!(expected.contains(&error.kind()) || error.kind() == ErrorKind::Deadline, "{name}: {error:?}");
        assert!(clock.monotonic() < started + Duration::from_secs(20), "{name} took {:?}", clock.monotonic() - started);
        assert!(!error.to_string().contains('\n') && error.to_string().len() < 1_000, "{name}: {error}");
    }
    for (name, text) in [
        ("54 sum of 300 terms", format!("SELECT 1{}", "+1".repeat(300))),
        ("55 many values", format!("SELECT count(*) FROM logs WHERE flags IN (0{})", ",0".repeat(1_000))),
        ("63 nested regex", "SELECT count(*) FROM logs WHERE body ~ '(a*)*b'".to_owned()),
        ("66 huge limit", "SELECT count(*) FROM (SELECT 1 FROM logs LIMIT 9223372036854775807)".to_owned()),
        ("explain", "EXPLAIN SELECT 1".to_owned()),
    ] {
        assert!(!lines(&query, &text).await.is_empty(), "{name}");
    }
    assert!(query.running().is_empty(), "{:?}", query.running());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_leave_end_their_query() {
    let rows: Vec<Row> = (0..1_000).map(Row::at).collect();
    let query = Rows::default().in_memory(Table::Logs, batch(Table::Logs, &rows)).query();
    let text = "SELECT a.value FROM generate_series(1, 1000000000) a";
    for _ in 0..100 {
        let request = SqlRequest { text: text.to_owned(), ..Default::default() };
        let mut answer = query.sql(request).await.unwrap();
        assert!(answer.rows.next().await.unwrap().is_ok());
    }
    let request = SqlRequest { text: text.to_owned(), query_id: Some("mine".into()), ..Default::default() };
    let mut answer = query.sql(request).await.unwrap();
    assert!(answer.rows.next().await.unwrap().is_ok());
    assert!(query.cancel("mine") && !query.cancel("other"));
    let end = loop {
        match answer.rows.next().await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    assert_eq!(end.unwrap().unwrap_err().kind(), ErrorKind::Deadline);
    drop(answer);
    let clock = Clock::system();
    let started = clock.monotonic();
    while !query.running().is_empty() {
        assert!(clock.monotonic() < started + Duration::from_secs(5), "{:?}", query.running());
        tokio::task::yield_now().await;
    }
}
