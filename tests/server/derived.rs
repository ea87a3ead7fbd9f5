//! Changes, edges and counts, as clients bring them about, and after the process was killed: nothing twice, nothing lost.

use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::span::SpanKind};
use serde_json::{Value, json};

use crate::support::{Server, telemetry};

/// Spans of a version of a service.
fn spans_of(service: &str, version: &str, spans: Vec<(u8, Option<u8>, SpanKind)>) -> ExportTraceServiceRequest {
    let spans = spans.into_iter().map(|(id, parent, kind)| {
        let mut span = telemetry::span("GET /", 1, id);
        span.kind = kind.into();
        span.parent_span_id = parent.map_or(Vec::new(), |parent| vec![parent; 8]);
        span
    });
    let mut request = telemetry::spans(service, spans.collect());
    let resource = request.resource_spans[0].resource.as_mut().expect("it has one");
    resource.attributes.push(telemetry::entry("service.version", telemetry::text(version)));
    request
}

async fn killed(mut server: Server) -> Server {
    server.kill();
    server.restart().await
}

#[tokio::test]
async fn changes_are_kept_once_whoever_tells_them_and_whatever_happens() {
    let server = Server::start().await;
    let report = json!({"service": "cart", "kind": "config", "message": "limit raised", "author": "ana"});
    let first = server.post("/api/changes", &report).await;
    assert!(first["id"].is_string() && first["duplicate"] == false, "{first}");
    let again = server.post("/api/changes", &report).await;
    assert_eq!(again, json!({"id": null, "duplicate": true}));
    server.export_spans(spans_of("cart", "1.0", vec![(1, None, SpanKind::Server)])).await.expect("accepted");
    server.export_spans(spans_of("cart", "1.1", vec![(2, None, SpanKind::Server)])).await.expect("accepted");

    let told = "SELECT kind, version, version_from, message, source FROM changes ORDER BY source";
    let expected =
        [json!(["config", null, null, "limit raised", "api"]), json!(["deploy", "1.1", "1.0", null, "telemetry"])];
    let server = killed(server).await;
    assert_eq!(server.sql(told).await.rows.into_iter().map(Value::from).collect::<Vec<_>>(), expected);
    assert_eq!(server.post("/api/changes", &report).await["duplicate"], true, "known after the restart");
    server.flush().await;
    server.export_spans(spans_of("cart", "1.1", vec![(3, None, SpanKind::Server)])).await.expect("accepted");
    let server = killed(server).await;
    server.export_spans(spans_of("cart", "1.0", vec![(4, None, SpanKind::Server)])).await.expect("accepted");
    assert_eq!(server.sql(told).await.rows.into_iter().map(Value::from).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn halves_of_a_call_meet_across_requests_flushes_and_kills() {
    let server = Server::start().await;
    server
        .export_spans(spans_of("web", "1", vec![(1, None, SpanKind::Client), (2, None, SpanKind::Client)]))
        .await
        .expect("accepted");
    let edges = "SELECT caller, callee, sum(calls) FROM service_edges GROUP BY 1, 2";
    assert!(server.sql(edges).await.rows.is_empty(), "nobody has answered yet");
    server.flush().await;
    let server = killed(server).await;
    server.export_spans(spans_of("cart", "1", vec![(3, Some(1), SpanKind::Server)])).await.expect("accepted");
    let server = killed(server).await;
    server.export_spans(spans_of("cart", "1", vec![(4, Some(2), SpanKind::Server)])).await.expect("accepted");
    assert_eq!(*server.sql(edges).await.rows, [vec![json!("web"), json!("cart"), json!(2)]]);
    server.flush().await;
    let server = killed(server).await;
    assert_eq!(*server.sql(edges).await.rows, [vec![json!("web"), json!("cart"), json!(2)]]);
    let counted = server.sql("SELECT sum(calls) FROM span_metrics").await;
    assert_eq!(*counted.single(), json!(4));
}
