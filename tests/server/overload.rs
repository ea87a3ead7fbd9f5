//! More than fits: refused with a delay, counted, and accepted again later; what was refused is not stored.

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Server, Setup, telemetry};

fn assert_retryable(status: &Status) {
    assert!(matches!(status.code(), Code::ResourceExhausted | Code::Unavailable), "{status:?}");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(delay.is_some_and(|d| !d.is_zero()), "no RetryInfo: {status:?}");
}

#[tokio::test]
async fn a_nearly_full_disk_takes_nothing_but_answers_queries() {
    let mut server = Server::start().await;
    server.export_logs(telemetry::logs("a", vec![telemetry::log("before")])).await.expect("accepted");
    assert!(server.terminate().await.success());
    // More than any disk has.
    server.setup.configuration = "[storage]\nmin_free_disk = \"900TiB\"\n".to_owned();
    let server = server.restart().await;
    let status = server.export_logs(telemetry::logs("a", vec![telemetry::log("after")])).await.expect_err("refused");
    assert_retryable(&status);
    let body = telemetry::logs("a", vec![telemetry::log("after")]).encode_to_vec();
    let answer = server.post_otlp("/v1/logs", &[("content-type", "application/x-protobuf")], body).await;
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.headers()["retry-after"].to_str().is_ok_and(|s| s.parse::<u64>().is_ok_and(|s| s > 0)));
    assert_eq!(server.sql("SELECT body FROM logs").await.rows, [["before"]]);
    assert!(server.metric("rootline_ingest_refused_requests_total", &["signal=\"logs\""]).await > 1.5);
}

#[tokio::test]
async fn full_memtables_are_flushed_before_their_time_and_nobody_is_refused() {
    let configuration =
        "[storage]\nmemtable_budget = \"2MiB\"\nmemtable_wait = \"60s\"\nflush_size = \"1GiB\"\nflush_age = \"1h\"\n";
    let server = Server::start_with(Setup::configured(configuration)).await;
    let body = "x".repeat(100_000);
    for n in 0..100 {
        let batch = telemetry::logs("a", vec![telemetry::log(&format!("{n} {body}"))]);
        server.export_logs(batch).await.expect("accepted, if later");
    }
    assert_eq!(server.count("logs").await, 100);
    assert!(!server.segment_files().is_empty(), "nothing was flushed");
    let counted = server.metric("rootline_ingest_items_total", &["signal=\"logs\"", "accepted"]).await;
    assert!((counted - 100.0).abs() < 0.5, "{counted} counted as accepted");
}

#[tokio::test]
async fn a_batch_that_waits_in_vain_for_memory_is_refused_and_told_to_come_again() {
    let configuration = "[storage]\nmemtable_budget = \"64KiB\"\nmemtable_wait = \"0s\"\n";
    let server = Server::start_with(Setup::configured(configuration)).await;
    let body = "x".repeat(60_000);
    let requests = (0..40).map(|n| {
        let request = telemetry::logs("a", vec![telemetry::log(&format!("{n} {body}"))]);
        let server = &server;
        async move {
            server.export_logs(request).await.map(|_| 1).unwrap_or_else(|status| {
                assert_retryable(&status);
                0
            })
        }
    });
    let stored: i64 = futures::future::join_all(requests).await.into_iter().sum();
    assert!((1..40).contains(&stored), "{stored} of 40 were stored");
    assert_eq!(server.count("logs").await, stored);
}

#[tokio::test]
async fn many_exporters_at_once_are_all_served_or_told_to_wait() {
    let server = Server::start_with(Setup::configured("[memory]\nbudget = \"256MiB\"\n")).await;
    let body = "y".repeat(200_000);
    let requests = (0..96).map(|n| {
        let request = telemetry::logs("a", (0..20).map(|m| telemetry::log(&format!("{n}-{m} {body}"))).collect());
        let server = &server;
        async move {
            match server.export_logs(request).await {
                Ok(_) => 20,
                Err(status) => {
                    assert_retryable(&status);
                    0
                }
            }
        }
    });
    let stored: i64 = futures::future::join_all(requests).await.into_iter().sum();
    assert!(stored > 0);
    assert_eq!(server.count("logs").await, stored);
    let resident = server.resident_bytes() >> 20;
    assert!(resident < 256 * 115 / 100 + 128, "{resident} MiB resident of a budget of 256 MiB");
}
