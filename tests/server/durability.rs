//! Kill -9 under load: every acknowledged item is there exactly once, however often the server dies.
//!
//! Oracle clients send numbered items of all three signals and repeat a request, byte for byte, until it is acknowledged.
//! A client has one request under way, so what is stored of it must be the numbers `0..n` without a gap or a repetition,
//! where `n` is what was acknowledged, or one batch more. That is asked in SQL after every restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::logs_service_client::LogsServiceClient, trace::v1::trace_service_client::TraceServiceClient,
    },
    common::v1::{AnyValue, any_value::Value},
    metrics::v1::{Gauge, NumberDataPoint, metric, number_data_point},
};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, task::JoinHandle};
use tonic::transport::Channel;

use crate::support::{
    Server, Setup, Stopwatch, eventually,
    telemetry::{self, AT, any, entry},
    value, within,
};

const KILLS: usize = 25;
const BATCH: i64 = 7;
const CLIENTS_PER_SIGNAL: usize = 2;
/// Segments and merges come often, so that kills meet them too.
const BUSY: &str =
    "[storage]\nflush_size = \"64KiB\"\nflush_age = \"300ms\"\n[compaction]\ninterval = \"200ms\"\ngrace = \"100ms\"\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Logs,
    Spans,
    Metrics,
}

/// Where the server is now; `None` while it is down.
#[derive(Clone, Debug)]
struct Addresses {
    grpc: String,
    metrics_url: String,
}

/// What one client has been promised.
#[derive(Debug)]
struct Oracle {
    signal: Signal,
    name: String,
    acknowledged: AtomicI64,
}

struct Load {
    oracles: Vec<Arc<Oracle>>,
    address: watch::Sender<Option<Addresses>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server) -> Self {
        let (address, _) = watch::channel(Some(addresses(server)));
        let stop = Arc::new(AtomicBool::new(false));
        let (mut oracles, mut clients) = (Vec::new(), Vec::new());
        for signal in [Signal::Logs, Signal::Spans, Signal::Metrics] {
            for n in 0..CLIENTS_PER_SIGNAL {
                let oracle =
                    Arc::new(Oracle { signal, name: format!("{signal:?}-{n}"), acknowledged: AtomicI64::new(0) });
                oracles.push(Arc::clone(&oracle));
                clients.push(tokio::spawn(client(oracle, address.subscribe(), Arc::clone(&stop), server.http.clone())));
            }
        }
        Self { oracles, address, stop, clients }
    }

    fn acknowledged(&self) -> i64 {
        self.oracles.iter().map(|o| o.acknowledged.load(Ordering::SeqCst)).sum()
    }

    /// Lets each client bring its last request home.
    async fn finish(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            within("a client's last request", Duration::from_secs(30), client).await.expect("no panic");
        }
    }
}

fn addresses(server: &Server) -> Addresses {
    Addresses { grpc: server.grpc_url(), metrics_url: server.otlp_url("/v1/metrics") }
}

async fn client(
    oracle: Arc<Oracle>,
    mut address: watch::Receiver<Option<Addresses>>,
    stop: Arc<AtomicBool>,
    http: reqwest::Client,
) {
    let mut next = 0;
    while !stop.load(Ordering::SeqCst) {
        let numbers: Vec<i64> = (next..next + BATCH).collect();
        loop {
            let at = address.wait_for(Option::is_some).await.expect("the test outlives its clients").clone();
            let at = at.expect("waited for");
            if send(&oracle, &numbers, &at, &http).await {
                break;
            }
            // Refused or gone: the same bytes again, at the same or the next address.
            tokio::task::yield_now().await;
        }
        next += BATCH;
        oracle.acknowledged.store(next, Ordering::SeqCst);
    }
}

/// Whether the server acknowledged the numbers.
async fn send(oracle: &Oracle, numbers: &[i64], at: &Addresses, http: &reqwest::Client) -> bool {
    let int = |n: i64| -> AnyValue { any(Value::IntValue(n)) };
    let connect = async || Channel::from_shared(at.grpc.clone()).expect("an address").connect().await.ok();
    match oracle.signal {
        Signal::Logs => {
            let records = numbers.iter().map(|n| {
                let mut record = telemetry::log(&format!("{} wrote {n}", oracle.name));
                record.attributes = vec![entry("n", int(*n))];
                record
            });
            let request = telemetry::logs(&oracle.name, records.collect());
            let Some(channel) = connect().await else { return false };
            LogsServiceClient::new(channel).export(request).await.is_ok()
        }
        Signal::Spans => {
            let spans = numbers.iter().map(|n| {
                let mut span = telemetry::span(&format!("{} wrote {n}", oracle.name), 1, 1);
                span.span_id = (n + 1).to_be_bytes().to_vec();
                span.attributes = vec![entry("n", int(*n))];
                span
            });
            let request = telemetry::spans(&oracle.name, spans.collect());
            let Some(channel) = connect().await else { return false };
            TraceServiceClient::new(channel).export(request).await.is_ok()
        }
        Signal::Metrics => {
            let data_points = numbers.iter().map(|n| NumberDataPoint {
                time_unix_nano: AT + n.cast_unsigned(),
                value: Some(number_data_point::Value::AsInt(*n)),
                ..Default::default()
            });
            let gauge = metric::Data::Gauge(Gauge { data_points: data_points.collect() });
            let request = telemetry::metrics(&oracle.name, vec![telemetry::metric("n", gauge)]);
            let request = http
                .post(&at.metrics_url)
                .header("content-type", "application/x-protobuf")
                .body(request.encode_to_vec());
            request.send().await.is_ok_and(|answer| answer.status().is_success())
        }
    }
}

/// What is wrong with what is stored, if anything is. Only while no request can have been acknowledged since the restart.
async fn faults(server: &Server, oracles: &[Arc<Oracle>]) -> Vec<String> {
    let mut faults = Vec::new();
    for signal in [Signal::Logs, Signal::Spans, Signal::Metrics] {
        let (table, number, text) = match signal {
            Signal::Logs => ("logs", "CAST(attributes['n'] AS BIGINT)", "body"),
            Signal::Spans => ("spans", "CAST(attributes['n'] AS BIGINT)", "name"),
            Signal::Metrics => ("metrics", "value_int", "service_name || ' wrote ' || CAST(value_int AS VARCHAR)"),
        };
        let statement = format!(
            "SELECT service_name, count(*), count(DISTINCT n), min(n), max(n), \
             sum(CASE WHEN text = service_name || ' wrote ' || CAST(n AS VARCHAR) THEN 0 ELSE 1 END) \
             FROM (SELECT service_name, {number} AS n, {text} AS text FROM {table}) GROUP BY 1"
        );
        let stored = server.sql(&statement).await;
        for oracle in oracles.iter().filter(|o| o.signal == signal) {
            let acknowledged = oracle.acknowledged.load(Ordering::SeqCst);
            let row = stored.rows.iter().find(|r| r[0] == oracle.name.as_str());
            let [rows, distinct, wrong] = row.map_or([0; 3], |r| [value(&r[1]), value(&r[2]), value(&r[5])]);
            let end = row.map_or(0, |r| value(&r[4]) + 1);
            let whole = rows == distinct && distinct == end && wrong == 0;
            if !whole || (end != acknowledged && end != acknowledged + BATCH) {
                faults.push(format!(
                    "{}: {acknowledged} acknowledged, but {rows} rows, {distinct} of them distinct, the last is number {}, {wrong} with another text",
                    oracle.name,
                    end - 1
                ));
            }
        }
    }
    for (derived, rows) in [
        ("SELECT sum(calls) FROM span_metrics", "SELECT count(*) FROM spans"),
        ("SELECT sum(records) FROM log_patterns", "SELECT count(*) FROM logs"),
    ] {
        let (derived_count, rows_count) = (server.sql(derived).await, server.sql(rows).await);
        // Without a row the sum is NULL.
        let counted = derived_count.single().as_i64().unwrap_or(0);
        if counted != value(rows_count.single()) {
            faults.push(format!("{derived} is {counted}, {rows} is {}", rows_count.single()));
        }
    }
    faults
}

/// Kills the server this often under load; the faults found after the first restart that shows some.
async fn kill_again_and_again(setup: Setup, seed: u64) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = Server::start_with(setup).await;
    let mut load = Load::start(&server);
    for kill in 1..=KILLS {
        let before = load.acknowledged();
        eventually("the load goes on", Duration::from_secs(30), async || (load.acknowledged() > before).then_some(()))
            .await;
        Stopwatch::start().reaches(Duration::from_millis(rng.random_range(0..900))).await;
        load.address.send_replace(None);
        server.kill();
        server = server.restart().await;
        // Clients wait for the address, and what was under way ended with the old process: nothing changes meanwhile.
        let found = faults(&server, &load.oracles).await;
        if !found.is_empty() {
            return found.into_iter().map(|f| format!("after kill {kill}: {f}")).collect();
        }
        load.address.send_replace(Some(addresses(&server)));
    }
    load.finish().await;
    server.flush().await;
    let mut found = faults(&server, &load.oracles).await;
    assert!(server.terminate().await.success());
    let server = server.restart().await;
    found.extend(faults(&server, &load.oracles).await);
    eprintln!("{KILLS} kills, {} items acknowledged", load.acknowledged());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_item_survives_kill_nine_exactly_once() {
    let stopwatch = Stopwatch::start();
    let found = kill_again_and_again(Setup::configured(BUSY), 1).await;
    assert!(found.is_empty(), "{found:#?}");
    assert!(stopwatch.elapsed() < Duration::from_secs(180), "{KILLS} kills took {:?}", stopwatch.elapsed());
}

/// The same harness must catch a server that acknowledges before it has written.
#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn the_harness_catches_early_acknowledgements() {
    let environment = vec![("ROOTLINE_TESTING_ACKNOWLEDGE_EARLY".to_owned(), "1".to_owned())];
    let found = kill_again_and_again(Setup { environment, ..Setup::configured(BUSY) }, 2).await;
    assert!(
        !found.is_empty(),
        "{KILLS} kills of a server that acknowledges early lost nothing: the harness proves nothing"
    );
}
