//! T13, T24: a second process on the same directory, and a start with much to replay.

use std::{fs, time::Duration};

use super::{Run, busy, given, rounds, seed};
use crate::support::{Server, Setup, Stopwatch, command, eventually, telemetry};

async fn intrude_again_and_again(rounds: usize, seed: u64) {
    let mut run = Run::start("T13 second process", busy(), seed).await;
    for round in 0..rounds {
        run.work(Duration::from_millis(300)).await;
        let mut intruder = command(run.server.data_dir().parent().expect("a home"));
        intruder.args([
            "serve",
            "--http",
            "127.0.0.1:0",
            "--otlp-grpc",
            "127.0.0.1:0",
            "--otlp-http",
            "off",
            "--data-dir",
        ]);
        intruder.arg(run.server.data_dir());
        let output =
            tokio::task::spawn_blocking(move || intruder.output()).await.expect("no panic").expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains("in use by another process"), "round {round}: {errors}");
        let faults = run.compare().await;
        assert!(faults.is_empty(), "{faults:#?}");
    }
    let faults = run.rise(async || ()).await;
    assert!(faults.is_empty(), "{faults:#?}");
    let faults = run.end().await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_turned_away_and_disturbs_nothing() {
    intrude_again_and_again(3, 13).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_second_processes() {
    intrude_again_and_again(rounds(100), seed()).await;
}

/// Kills a server with that much in its log and starts it again at the same addresses.
async fn replay(wal_mib: u64) {
    let configuration = "[memory]\nbudget = \"16GiB\"\n[storage]\nflush_size = \"4GiB\"\nflush_age = \"24h\"\nmemtable_budget = \"8GiB\"\n";
    let setup = Setup { start_limit: Some(Duration::from_secs(1800)), ..Setup::configured(configuration) };
    let mut server = Server::start_with(setup).await;
    server.setup.listeners = Some(server.listeners.clone());
    let wal_bytes = |server: &Server| -> u64 {
        let files = server.files();
        let log = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "wal"));
        log.map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
    };
    let mut requests = 0i64;
    while wal_bytes(&server) < wal_mib << 20 {
        let record = |m: i64| telemetry::log(&format!("request {requests} record {m} {}", noise(requests * 1000 + m)));
        server.export_logs(telemetry::logs("a", (0..1000).map(record).collect())).await.expect("accepted");
        requests += 1;
    }
    let written = wal_bytes(&server);
    server.kill();
    let stopwatch = Stopwatch::start();
    let (url, http) = (server.url("/healthz"), server.http.clone());
    let is_alive = async {
        eventually("liveness", Duration::from_secs(600), async || {
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        stopwatch.elapsed()
    };
    let (alive_after, started) = tokio::join!(is_alive, server.try_restart());
    started.unwrap_or_else(|why| panic!("{why}"));
    let ready_after = stopwatch.elapsed();
    assert_eq!(server.count("logs").await, requests * 1000);
    eprintln!(
        "FIGURES T24 restart: {} MiB of log with {} records, alive after {alive_after:.2?}, ready after {ready_after:.2?}, \
         {} MiB resident",
        written >> 20,
        requests * 1000,
        server.resident_bytes() >> 20
    );
}

/// Words that compress about as well as those of real logs.
fn noise(n: i64) -> String {
    let mut state = n.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("user={} path=/api/orders/{} took={}ms", state >> 44, state >> 52, state >> 54)
    };
    format!("{} {}", word(), word())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_log_is_replayed_whole_by_a_server_that_is_alive_meanwhile() {
    replay(4).await;
}

/// `RL_WAL_MIB` says how large.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_replay() {
    replay(given("RL_WAL_MIB").unwrap_or(1024)).await;
}
