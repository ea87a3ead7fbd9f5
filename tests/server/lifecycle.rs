//! Start, stop, restart, and starts that are refused.

use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Server, Setup, Stopwatch, command, telemetry};

#[tokio::test]
async fn a_clean_stop_keeps_everything_and_exits_with_zero() {
    let mut server = Server::start().await;
    let spans = (1..=9).map(|n| telemetry::span("work", 7, n)).collect();
    server
        .export_logs(telemetry::logs("a", vec![telemetry::log("one"), telemetry::log("two")]))
        .await
        .expect("accepted");
    server.export_spans(telemetry::spans("a", spans)).await.expect("accepted");
    server.export_metrics(telemetry::metrics("a", vec![telemetry::gauge("g", 1.5)])).await.expect("accepted");
    let stopwatch = Stopwatch::start();
    let status = server.terminate().await;
    assert!(status.success(), "{status}");
    assert!(stopwatch.elapsed() < Duration::from_secs(10), "{:?}", stopwatch.elapsed());
    assert!(!server.data_dir().join("listeners.json").exists(), "addresses of a server that is gone");

    let server = server.restart().await;
    assert_eq!(server.count("logs").await, 2);
    assert_eq!(server.count("spans").await, 9);
    assert_eq!(server.count("metrics").await, 1);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_and_appears_once() {
    let mut server = Server::start().await;
    for n in 0..20 {
        server.export_logs(telemetry::logs("a", vec![telemetry::log(&format!("n{n}"))])).await.expect("accepted");
        if n == 9 {
            server.flush().await;
        }
    }
    server.kill();
    let mut server = server.restart().await;
    let twice = "SELECT count(*), count(DISTINCT body) FROM logs";
    assert_eq!(server.sql(twice).await.rows, [[20, 20]]);
    // And again: replay itself must not store anything twice.
    server.kill();
    let server = server.restart().await;
    assert_eq!(server.sql(twice).await.rows, [[20, 20]]);
}

#[tokio::test]
async fn a_retried_body_is_stored_once_also_after_a_restart() {
    let mut server = Server::start().await;
    let request = telemetry::logs("a", vec![telemetry::log("only once")]);
    for _ in 0..3 {
        server.export_logs(request.clone()).await.expect("accepted");
    }
    assert_eq!(server.count("logs").await, 1);
    server.kill();
    let server = server.restart().await;
    server.export_logs(request).await.expect("accepted");
    assert_eq!(server.count("logs").await, 1);
}

#[tokio::test]
async fn two_servers_never_share_a_directory() {
    let server = Server::start().await;
    let output = command(server.data_dir().parent().expect("a home"))
        .args(["serve", "--http", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "off", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .expect("the binary can be started");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("data"), "{errors}");
    server.export_logs(telemetry::logs("a", vec![telemetry::log("still here")])).await.expect("accepted");
    assert_eq!(server.count("logs").await, 1);
}

/// Standard error of a start that must fail.
fn refused(configuration: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let home = TempDir::new().expect("a temporary directory");
    std::fs::write(home.path().join("rootline.toml"), configuration).expect("writable");
    let output = command(home.path())
        .args(["serve", "--data-dir", "data"])
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("the binary can be started");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "started:\n{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

#[test]
fn an_unknown_or_invalid_setting_stops_the_start_and_names_itself() {
    type Words = &'static [&'static str];
    type Environment = &'static [(&'static str, &'static str)];
    let cases: [(&str, Words, Environment, Words); 7] = [
        ("[storage]\nflush_sise = \"1MiB\"\n", &[], &[], &["flush_sise", "flush_size"]),
        ("[storag]\nflush_size = \"1MiB\"\n", &[], &[], &["storag"]),
        ("[storage]\nflush_size = \"much\"\n", &[], &[], &["storage.flush_size", "much"]),
        ("[query]\ntimeout = 5\n", &[], &[], &["query.timeout"]),
        ("", &[], &[("ROOTLINE__QUERY__TIMEOUT", "soon")], &["ROOTLINE__QUERY__TIMEOUT", "soon"]),
        ("", &["--http", "nowhere"], &[], &["--http", "nowhere"]),
        ("this is no toml", &[], &[], &["rootline.toml"]),
    ];
    for (configuration, arguments, environment, named) in cases {
        let errors = refused(configuration, arguments, environment);
        for name in named {
            assert!(errors.contains(name), "{name:?} is not in: {errors}");
        }
    }
}

#[test]
fn listening_beyond_this_machine_without_tokens_is_refused() {
    let errors = refused("", &["--http", "0.0.0.0:0", "--otlp-grpc", "off", "--otlp-http", "off"], &[]);
    assert!(errors.contains("0.0.0.0"), "{errors}");
    assert!(errors.contains("auth"), "says how to allow it: {errors}");
}

#[test]
fn check_validates_without_starting() {
    let home = TempDir::new().expect("a temporary directory");
    std::fs::write(home.path().join("rootline.toml"), "[query]\ntimeout = \"5s\"\n").expect("writable");
    let good = command(home.path()).arg("check").output().expect("the binary can be started");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    std::fs::write(home.path().join("rootline.toml"), "[query]\ntimeouts = \"5s\"\n").expect("writable");
    let bad = command(home.path()).arg("check").output().expect("the binary can be started");
    assert!(!bad.status.success());
    assert!(String::from_utf8_lossy(&bad.stderr).contains("timeouts"));
    assert!(!home.path().join("rootline-data").exists(), "check leaves nothing behind");
}

#[tokio::test]
async fn what_is_too_old_to_be_kept_is_rejected_with_the_setting() {
    let server = Server::start_with(Setup { retention: Some("30d".to_owned()), ..Setup::default() }).await;
    let answer = server.export_logs(telemetry::logs("a", vec![telemetry::log("old")])).await.expect("accepted");
    let partial = answer.partial_success.expect("a rejection is told");
    assert_eq!(partial.rejected_log_records, 1);
    assert!(partial.error_message.contains("retention.logs"), "{}", partial.error_message);
    assert_eq!(server.count("logs").await, 0);
}

#[tokio::test]
async fn limits_and_what_is_used_of_them_are_in_the_metrics() {
    let server = Server::start_with(Setup::configured("[query]\nmax_concurrent = 7\n")).await;
    let (before, request) =
        (server.metric("rootline_used", &["memtable_bytes"]).await, telemetry::logs("a", vec![telemetry::log("one")]));
    server.export_logs(request).await.expect("accepted");
    assert_eq!(server.metric("rootline_limit", &["\"queries\""]).await, 7.0);
    let used = server.metric("rootline_used", &["memtable_bytes"]).await;
    let limit = server.metric("rootline_limit", &["memtable_bytes"]).await;
    assert!(before < used && used < limit, "{before} {used} {limit}");
    assert!(server.metric("rootline_used", &["batch_keys"]).await >= 1.0);
}
