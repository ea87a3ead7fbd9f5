//! Segment files belong to their owner: pyarrow and DuckDB read them and agree with SQL.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Python, Server,
    telemetry::{self, AT, any, entry, text},
    value,
};

#[tokio::test]
async fn other_tools_read_the_same_rows_from_the_files() {
    let Some(python) = Python::find("other_tools_read_the_same_rows_from_the_files") else { return };
    let server = Server::start().await;
    for service in ["files-a", "files-b"] {
        let records = (0..300u64).map(|n| {
            let mut record = telemetry::log(&format!("request {n} 完成"));
            record.time_unix_nano = AT + n;
            record.attributes = vec![
                entry("http.route", text(["/a", "/b"][n as usize % 2])),
                entry(
                    "http.response.status_code",
                    any(opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(200)),
                ),
                entry(&format!("rare.{n}"), text("once")),
            ];
            record
        });
        server.export_logs(telemetry::logs(service, records.collect())).await.expect("accepted");
        let spans = (1..=200).map(|n| telemetry::span(&format!("operation {}", n % 7), n, n)).collect();
        server.export_spans(telemetry::spans(service, spans)).await.expect("accepted");
        let gauges = (0..50).map(|n| telemetry::gauge(&format!("gauge.{n}"), f64::from(n))).collect();
        server.export_metrics(telemetry::metrics(service, gauges)).await.expect("accepted");
    }
    server.flush().await;
    let files = server.segment_files();
    assert!(files.len() >= 3, "{files:?}");
    let found = python.run("read_segments.py", &files).await;
    for (table, text, time) in
        [("logs", "body", "timestamp"), ("spans", "name", "start_time"), ("metrics", "metric_name", "timestamp")]
    {
        let own: Vec<&Value> = found
            .as_array()
            .expect("a list")
            .iter()
            .filter(|f| {
                let columns = f["columns"].as_array().expect("a list");
                columns.contains(&json!(text))
                    && columns.contains(&json!(time))
                    && (table != "logs" || columns.contains(&json!("severity_number")))
            })
            .collect();
        assert!(!own.is_empty(), "no file of {table}");
        let sum = |key: &str| own.iter().map(|f| value(&f[key])).sum::<i64>();
        let rows = server.count(table).await;
        assert_eq!((sum("rows"), sum("duckdb_rows")), (rows, rows), "{table}");
        let mut texts: Vec<&str> =
            own.iter().flat_map(|f| f["texts"].as_array().expect("a list")).filter_map(Value::as_str).collect();
        texts.sort_unstable();
        let stored = server.sql(&format!("SELECT {text} FROM {table}")).await;
        let mut stored: Vec<&str> = stored.rows.iter().filter_map(|r| r[0].as_str()).collect();
        stored.sort_unstable();
        assert_eq!(texts, stored, "{table}");
        let services: BTreeSet<&str> =
            own.iter().flat_map(|f| f["services"].as_array().expect("a list")).filter_map(Value::as_str).collect();
        assert_eq!(services, BTreeSet::from(["files-a", "files-b"]), "{table}");
        let earliest = own.iter().map(|f| value(&f["earliest"])).min();
        assert_eq!(earliest, Some(AT.cast_signed()), "{table}");
    }
    // Frequent attribute keys are ordinary columns, for every tool.
    let columns = found
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|f| f["columns"].as_array().expect("a list"))
        .filter_map(Value::as_str);
    let columns: BTreeSet<&str> = columns.collect();
    assert!(columns.contains("attributes.http.route"), "{columns:?}");
    assert!(!columns.contains("attributes.rare.1"), "{columns:?}");
}
