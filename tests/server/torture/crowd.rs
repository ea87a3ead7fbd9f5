//! T17, T18, T19: slow and idle connections, thousands of exporters at once, few file descriptors.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::given;
use crate::support::{Server, Setup, Stopwatch, back_off, eventually, perhaps, telemetry};

/// A healthy client is served, whatever others do. Not a limit of time: whoever is locked out reaches it.
const SERVED: Duration = Duration::from_secs(60);

/// As many sockets as this process may have.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("a soft limit may be raised");
}

fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid().as_raw_nonzero())).expect("procfs").count()
}

fn request(body: &str) -> opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest {
    telemetry::logs("healthy", vec![telemetry::log(body)])
}

/// Sorted times of requests, each over a connection of its own, tried again like an exporter does.
async fn healthy(server: &Server, name: &str, requests: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(requests);
    for n in 0..requests {
        let stopwatch = Stopwatch::start();
        eventually("a healthy client's request", SERVED, async || {
            let channel =
                tonic::transport::Channel::from_shared(server.grpc_url()).expect("an address").connect().await.ok()?;
            let mut client =
                opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient::new(channel);
            client.export(request(&format!("{name} {n}"))).await.ok().map(drop)
        })
        .await;
        times.push(stopwatch.elapsed());
    }
    times.sort_unstable();
    times
}

fn p99(times: &[Duration]) -> Duration {
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// Opens connections that say nothing, and connections that never finish their first line.
async fn hold_connections(address: &str, idle: usize, slow: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for n in 0..idle + slow {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        if n >= idle {
            // Closed already is fine.
            let _ = stream.write_all(b"POST /v1/logs HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
        }
        held.push(stream);
    }
    held
}

/// Slow and idle connections on every listener, more than there may be.
async fn crowd_out(configuration: &str, max_connections: usize, each: usize, requests: usize) {
    raise_file_limit();
    let server = Server::start_with(Setup::configured(configuration)).await;
    let before = healthy(&server, "before", requests).await;
    let mut held = Vec::new();
    for address in [&server.listeners.otlp_http, &server.listeners.otlp_grpc] {
        held.extend(hold_connections(address, each / 2, each / 2).await);
    }
    let most = descriptors(&server);
    let during = healthy(&server, "during", requests).await;
    assert!(most < max_connections + 200, "{most} descriptors with at most {max_connections} connections");
    let count = held.len();
    drop(held);
    let after = healthy(&server, "after", requests).await;
    assert_eq!(server.count("logs").await, requests as i64 * 3);
    eprintln!(
        "FIGURES T17 slow and idle connections: {count} held, {max_connections} allowed, {most} descriptors; a healthy \
         request takes (p99) {:.2?} before, {:.2?} during (longest {:.2?}), {:.2?} after",
        p99(&before),
        p99(&during),
        during[during.len() - 1],
        p99(&after)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_idle_connections_do_not_lock_others_out() {
    crowd_out("[listen]\nmax_connections = 128\nheader_timeout = \"1s\"\n", 128, 150, 10).await;
}

/// Half of `RL_CONNECTIONS` on each of two listeners.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_slow_connections() {
    let all = given("RL_CONNECTIONS").map_or(8_000, |n| usize::try_from(n).expect("a machine counts that far"));
    crowd_out("[listen]\nmax_connections = 10000\n", 10_000, all / 2, 200).await;
    crowd_out("", 4_096, all / 2, 50).await;
}

/// Exporters that each send one request after the other over a connection of their own, until together they have had so
/// many acknowledged; the slowest must have had half its share.
async fn exporters_at_once(exporters: usize, each: usize) {
    raise_file_limit();
    let configuration = format!("[listen]\nmax_connections = {}\n", exporters + 100);
    let server = Server::start_with(Setup::configured(configuration)).await;
    let (total, failures) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let goal = exporters * each;
    let stopwatch = Stopwatch::start();
    let mut tasks = Vec::new();
    // Nobody begins before all are connected: late ones would be slow without being treated badly.
    let begin = Arc::new(tokio::sync::Barrier::new(exporters));
    for name in 0..exporters {
        let (url, total, failures, begin) =
            (server.grpc_url(), Arc::clone(&total), Arc::clone(&failures), Arc::clone(&begin));
        tasks.push(tokio::spawn(async move {
            let endpoint = tonic::transport::Channel::from_shared(url).expect("an address");
            let channel = loop {
                match endpoint.connect().await {
                    Ok(channel) => break channel,
                    Err(_) => back_off().await,
                }
            };
            let mut client =
                opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient::new(channel);
            begin.wait().await;
            let mut own = 0usize;
            while total.load(Ordering::SeqCst) < goal {
                match client.export(request(&format!("exporter {name} request {own}"))).await {
                    Ok(_) => {
                        own += 1;
                        total.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(status) => {
                        if std::error::Error::source(&status).is_some() {
                            failures.fetch_add(1, Ordering::SeqCst);
                        }
                        back_off().await;
                    }
                }
            }
            own
        }));
    }
    let mut shares = Vec::new();
    for task in tasks {
        shares.push(task.await.expect("no panic"));
    }
    shares.sort_unstable();
    let (all, slowest) = (shares.iter().sum::<usize>(), shares[0]);
    let mean = all as f64 / exporters as f64;
    let took = stopwatch.elapsed();
    assert_eq!(server.count("logs").await, all as i64);
    assert_eq!(failures.load(Ordering::SeqCst), 0, "connections were cut");
    assert!(slowest as f64 >= mean / 2.0, "the slowest had {slowest} requests acknowledged, the mean is {mean:.1}");
    eprintln!(
        "FIGURES T18 exporters at once: {exporters} exporters, {all} requests acknowledged in {took:.2?}, slowest {slowest}, \
         mean {mean:.1}, fastest {}, 0 connections cut, {} MiB resident",
        shares[shares.len() - 1],
        server.resident_bytes() >> 20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exporters_at_once_are_treated_alike() {
    exporters_at_once(100, 10).await;
}

/// `RL_EXPORTERS` says how many.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_exporters_at_once() {
    exporters_at_once(
        given("RL_EXPORTERS").map_or(5_000, |n| usize::try_from(n).expect("a machine counts that far")),
        10,
    )
    .await;
}

/// 256 descriptors, and more connections than that.
async fn few_descriptors(rounds: usize) {
    let configuration = super::BUSY;
    let server = Server::start_with(Setup::configured(configuration)).await;
    let limit = Rlimit { current: Some(256), maximum: Some(256) };
    prlimit(Some(server.pid()), Resource::Nofile, limit).expect("root or the same user");
    for round in 0..rounds {
        healthy(&server, &format!("{round} before"), 3).await;
        let held = hold_connections(&server.listeners.otlp_http, 300, 0).await;
        // While they last, others may be refused. What is stored must be what was acknowledged all the same.
        perhaps(Duration::from_secs(2), async || {
            server.export_logs(request(&format!("{round} during"))).await.ok().map(drop)
        })
        .await;
        drop(held);
        healthy(&server, &format!("{round} after"), 3).await;
        server.flush().await;
    }
    let twice = "SELECT count(*) - count(DISTINCT body) FROM logs";
    assert_eq!(server.sql(twice).await.single(), 0);
    let server = server.restart().await;
    let stored = server.sql("SELECT count(*) FROM logs WHERE body LIKE '%before%' OR body LIKE '%after%'").await;
    assert_eq!(stored.single(), rounds as i64 * 6);
    let panics = super::run::panics(&server);
    assert!(panics.is_empty(), "{panics:?}");
    eprintln!("FIGURES T19 256 descriptors: {rounds} rounds with 300 connections, served again each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_it_refuses_and_recovers() {
    few_descriptors(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_few_descriptors() {
    few_descriptors(super::rounds(5)).await;
}
