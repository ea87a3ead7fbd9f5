//! Who remembers what the server promised, and compares.
//!
//! Clients send numbered items of all three signals and repeat a request, byte for byte, until it is acknowledged. A client
//! has one request under way, so what is stored of it must be the numbers `0..n` without a gap or a repetition, where `n`
//! is what was acknowledged, or one request more: that one is whole, too. Every item carries the SHA-256 of its own
//! content. A reader asks all the while: what is acknowledged is visible at once, and what was visible stays so.

use std::{
    error::Error as _,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::TryStreamExt as _;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Gauge, NumberDataPoint, metric, number_data_point},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{OwnedRwLockWriteGuard, RwLock},
    task::JoinHandle,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::support::{
    Answer, Server, Stopwatch, back_off, eventually, perhaps,
    telemetry::{self, AT, any, entry, text},
    value, within,
};

/// Items of one request.
const BATCH: i64 = 7;
/// A server that takes longer over a request hangs.
const HANG: Duration = Duration::from_secs(90);
/// More are not worth reading.
const MAX_FAULTS: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Logs,
    Spans,
    Metrics,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Logs, Self::Spans, Self::Metrics];

    fn table(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metrics",
        }
    }

    /// Where the text of an item is.
    fn text(self) -> &'static str {
        match self {
            Self::Logs => "body",
            Self::Spans | Self::Metrics => "attributes['text']",
        }
    }
}

/// What one client has been promised.
#[derive(Debug)]
struct Oracle {
    signal: Signal,
    name: String,
    /// Numbers below this are.
    acknowledged: AtomicI64,
    /// Numbers below this were seen in an answer.
    seen: AtomicI64,
}

/// The server as clients know it.
#[derive(Clone, Debug)]
struct Target {
    grpc: String,
    metrics_url: String,
    sql_url: String,
    http: reqwest::Client,
}

impl Target {
    fn of(server: &Server) -> Self {
        Self {
            grpc: server.grpc_url(),
            metrics_url: server.otlp_url("/v1/metrics"),
            sql_url: server.url("/api/sql"),
            http: server.http.clone(),
        }
    }
}

/// What clients and reader share with the test.
#[derive(Debug, Default)]
struct Shared {
    oracles: Vec<Oracle>,
    is_over: AtomicBool,
    /// Nothing that comes from now on has come from the server.
    is_off: AtomicBool,
    faults: Mutex<Vec<String>>,
    /// Answers that asked a client to come back.
    refusals: AtomicI64,
    /// Statements that were answered, and that were refused.
    answered: AtomicI64,
    unanswered: AtomicI64,
    fastest: Mutex<Option<Duration>>,
}

impl Shared {
    fn report(&self, fault: String) {
        let mut faults = self.faults.lock().expect("no test panics while it holds this");
        if faults.len() < MAX_FAULTS {
            faults.push(fault);
        }
    }

    fn took(&self, time: Duration) {
        let mut fastest = self.fastest.lock().expect("no test panics while it holds this");
        *fastest = Some(fastest.map_or(time, |known| known.min(time)));
    }
}

/// Clients and a reader at work.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    /// Held for reading during a request.
    gate: Arc<RwLock<Target>>,
    tasks: Vec<JoinHandle<()>>,
}

/// While it is held nobody sends or asks.
#[derive(Debug)]
pub(crate) struct Pause(OwnedRwLockWriteGuard<Target>, Arc<Shared>);

impl Pause {
    /// Clients go on, with the server where it is now.
    pub(crate) fn end(mut self, server: &Server) {
        *self.0 = Target::of(server);
        self.1.is_off.store(false, Ordering::SeqCst);
    }
}

impl Load {
    pub(crate) fn start(server: &Server, clients_per_signal: usize) -> Self {
        let oracle = |signal: Signal, n| Oracle {
            signal,
            name: format!("{signal:?}-{n}"),
            acknowledged: AtomicI64::new(0),
            seen: AtomicI64::new(0),
        };
        let oracles = Signal::ALL.iter().flat_map(|signal| (0..clients_per_signal).map(|n| oracle(*signal, n)));
        let shared = Arc::new(Shared { oracles: oracles.collect(), ..Shared::default() });
        let gate = Arc::new(RwLock::new(Target::of(server)));
        let mut tasks = vec![tokio::spawn(reader(Arc::clone(&shared), Arc::clone(&gate)))];
        for n in 0..shared.oracles.len() {
            tasks.push(tokio::spawn(client(Arc::clone(&shared), n, Arc::clone(&gate))));
        }
        Self { shared, gate, tasks }
    }

    pub(crate) fn acknowledged(&self) -> i64 {
        self.shared.oracles.iter().map(|oracle| oracle.acknowledged.load(Ordering::SeqCst)).sum()
    }

    /// Answers that asked a client to come back.
    pub(crate) fn refusals(&self) -> i64 {
        self.shared.refusals.load(Ordering::SeqCst)
    }

    /// Statements of the reader that were answered, and that were refused.
    pub(crate) fn statements(&self) -> (i64, i64) {
        (self.shared.answered.load(Ordering::SeqCst), self.shared.unanswered.load(Ordering::SeqCst))
    }

    /// The shortest time from sending a request to its acknowledgement, since the last call.
    pub(crate) fn fastest(&self) -> Option<Duration> {
        self.shared.fastest.lock().expect("no test panics while it holds this").take()
    }

    /// Waits until every client has had something acknowledged from now on.
    pub(crate) async fn goes_on(&self) {
        let numbers =
            || self.shared.oracles.iter().map(|oracle| oracle.acknowledged.load(Ordering::SeqCst)).collect::<Vec<_>>();
        let before = numbers();
        eventually("every client's next acknowledgement", HANG, async || {
            before.iter().zip(numbers()).all(|(before, now)| *before < now).then_some(())
        })
        .await;
    }

    /// Waits for the requests under way; then nobody sends or asks.
    pub(crate) async fn pause(&self) -> Pause {
        let gate = within("the requests under way", HANG * 2, Arc::clone(&self.gate).write_owned()).await;
        Pause(gate, Arc::clone(&self.shared))
    }

    /// The machine is off: whatever arrives after this moment and before the end of the next pause never did.
    pub(crate) fn switch_off(&self) {
        self.shared.is_off.store(true, Ordering::SeqCst);
    }

    /// Lets each client bring its last request home.
    pub(crate) async fn finish(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for task in self.tasks.drain(..) {
            within("a client's last request", HANG, task).await.expect("no panic");
        }
    }

    /// What is wrong with what clients were told so far, and with what is stored. Nobody may send meanwhile: in a
    /// [`Pause`] or when it is finished.
    pub(crate) async fn faults(&self, server: &Server) -> Vec<String> {
        let mut faults = std::mem::take(&mut *self.shared.faults.lock().expect("no test panics while it holds this"));
        for signal in Signal::ALL {
            self.compare(server, signal, &mut faults).await;
        }
        for (what, derived, rows) in [
            ("calls of span_metrics", "SELECT sum(calls) FROM span_metrics", "SELECT count(*) FROM spans"),
            ("records of log_patterns", "SELECT sum(records) FROM log_patterns", "SELECT count(*) FROM logs"),
            // The indexes must agree with the rows.
            ("logs by word", "SELECT count(*) FROM logs WHERE match(body, 'wrote')", "SELECT count(*) FROM logs"),
            ("spans by trace", TRACE, "SELECT count(*) FROM spans"),
            (
                "points by series",
                "SELECT count(*) FROM metrics WHERE metric_name = 'n'",
                "SELECT count(*) FROM metrics",
            ),
        ] {
            let (found, expected) = (single(server, derived).await, single(server, rows).await);
            if found != expected || found.is_err() {
                faults.push(format!("{what}: found {found:?}, expected {expected:?}"));
            }
        }
        faults
    }

    async fn compare(&self, server: &Server, signal: Signal, faults: &mut Vec<String>) {
        let statement = format!(
            "SELECT service_name, count(*), count(DISTINCT n), max(n), sum(CASE WHEN \
             encode(sha256(service_name || ' ' || n || ' ' || text), 'hex') = digest THEN 0 ELSE 1 END) \
             FROM (SELECT service_name, CAST(attributes['n'] AS BIGINT) AS n, {} AS text, attributes['sha256'] AS digest \
             FROM {}) GROUP BY 1",
            signal.text(),
            signal.table()
        );
        let stored = match rows(server, &statement).await {
            Ok(stored) => stored,
            Err(why) => return faults.push(format!("{} cannot be read: {why}", signal.table())),
        };
        for oracle in self.shared.oracles.iter().filter(|oracle| oracle.signal == signal) {
            let row = stored.iter().find(|row| row[0] == oracle.name.as_str());
            let [count, distinct, wrong] = row.map_or([0; 3], |row| [value(&row[1]), value(&row[2]), value(&row[4])]);
            let end = row.map_or(0, |row| value(&row[3]) + 1);
            let (acknowledged, seen) =
                (oracle.acknowledged.load(Ordering::SeqCst), oracle.seen.fetch_max(end, Ordering::SeqCst));
            let is_whole = count == distinct && distinct == end && wrong == 0;
            let is_promised = end == acknowledged || end == acknowledged + BATCH;
            if !is_whole || !is_promised || end < seen {
                faults.push(format!(
                    "{}: {acknowledged} acknowledged and {seen} seen, but {count} rows, {distinct} of them distinct, the \
                     last is number {}, {wrong} with other content",
                    oracle.name,
                    end - 1
                ));
            }
        }
        let strangers =
            stored.iter().filter(|row| self.shared.oracles.iter().all(|oracle| row[0] != oracle.name.as_str()));
        faults.extend(strangers.map(|row| format!("rows that nobody sent: {row:?}")));
    }
}

const TRACE: &str = "SELECT count(*) FROM spans WHERE trace_id = '01010101010101010101010101010101'";

async fn rows(server: &Server, statement: &str) -> Result<Vec<Vec<serde_json::Value>>, String> {
    let answer = server.ask_sql(statement).await;
    if !is_whole(&answer) {
        return Err(format!("{}: {}", answer.status, answer.body));
    }
    let list = |of: &serde_json::Value| of.as_array().cloned().unwrap_or_default();
    Ok(list(&answer.body["rows"]).iter().map(list).collect())
}

/// Whether it is all of the answer: what went wrong after the first rows is told behind them.
pub(super) fn is_whole(answer: &Answer) -> bool {
    answer.status.is_success() && answer.body["error"].is_null()
}

/// A number that is NULL where there are no rows.
async fn single(server: &Server, statement: &str) -> Result<i64, String> {
    Ok(rows(server, statement).await?[0][0].as_i64().unwrap_or(0))
}

/// What is wrong with a store at rest: every page of every segment is read and so its checksum compared, and every file
/// must belong to a live segment.
pub(crate) async fn scrub(server: &Server) -> Vec<String> {
    let mut faults = Vec::new();
    let status = server.get("/api/status", &[]).await;
    let tables = status["storage"]["tables"].as_array().cloned().unwrap_or_default();
    assert!(!tables.is_empty(), "no tables: {status}");
    for table in &tables {
        if let Err(why) = read_all(server, table["name"].as_str().expect("a name")).await {
            faults.push(format!("{} cannot be read: {why}", table["name"]));
        }
    }
    // Replaced segments go after their grace time.
    let expected = async || {
        let status = server.get("/api/status", &[]).await;
        let tables = status["storage"]["tables"].as_array().cloned().unwrap_or_default();
        tables.iter().map(|table| value(&table["segments"])).sum::<i64>()
    };
    let is_segment = |path: &std::path::PathBuf| path.components().any(|part| part.as_os_str() == "segments");
    let mut last = (0, 0);
    let settled = perhaps(Duration::from_secs(60), async || {
        let files = server.files().iter().filter(|path| is_segment(path)).count();
        last = (expected().await, files.cast_signed() as i64);
        (last.0 == last.1).then_some(())
    })
    .await;
    if settled.is_none() {
        faults.push(format!("{} live segments, but {} files", last.0, last.1));
    }
    faults
}

/// Reads every column of every row of a table to its end.
async fn read_all(server: &Server, table: &str) -> Result<(), String> {
    let request = server.http.post(server.url("/api/sql?format=arrow")).header("content-type", "text/plain");
    let answer = request.body(format!("SELECT * FROM {table}")).send().await.map_err(|error| error.to_string())?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("{status}: {}", answer.text().await.unwrap_or_default()));
    }
    // An answer that cannot go on ends without its end.
    answer.bytes_stream().try_for_each(async |_| Ok(())).await.map_err(|error| error.to_string())
}

/// How one attempt to send ended.
enum Sent {
    Acknowledged,
    TryAgain,
}

async fn client(shared: Arc<Shared>, number: usize, gate: Arc<RwLock<Target>>) {
    let oracle = &shared.oracles[number];
    let mut connection = Connection::default();
    let mut next = 0;
    while !shared.is_over.load(Ordering::SeqCst) {
        let request = Request::new(oracle, next..next + BATCH);
        loop {
            let target = gate.read().await;
            let stopwatch = Stopwatch::start();
            let sent =
                within("an answer to an export", HANG, connection.send(&shared, oracle, &request, &target)).await;
            match sent {
                Sent::Acknowledged if !shared.is_off.load(Ordering::SeqCst) => {
                    shared.took(stopwatch.elapsed());
                    next += BATCH;
                    // Before the gate is left: whoever closes it knows of every promise.
                    oracle.acknowledged.store(next, Ordering::SeqCst);
                    break;
                }
                Sent::Acknowledged | Sent::TryAgain => {
                    drop(target);
                    back_off().await;
                }
            }
        }
    }
}

/// The text of an item: of many lengths, and not only of letters.
fn text_of(name: &str, n: i64) -> String {
    let noise = format!("{:x}", Sha256::digest(format!("{name}/{n}")));
    let length = usize::try_from(n % 11).expect("numbers are not negative");
    format!("{name} wrote {n}: \"完成\"\t{}\n", noise.repeat(length))
}

fn attributes(name: &str, n: i64, with_text: bool) -> Vec<KeyValue> {
    let content = text_of(name, n);
    let digest = format!("{:x}", Sha256::digest(format!("{name} {n} {content}")));
    let mut attributes = vec![entry("n", any(Value::IntValue(n))), entry("sha256", text(&digest))];
    if with_text {
        attributes.push(entry("text", text(&content)));
    }
    attributes
}

/// The same bytes each time it is sent.
enum Request {
    Logs(ExportLogsServiceRequest),
    Spans(ExportTraceServiceRequest),
    Metrics(Vec<u8>),
}

impl Request {
    fn new(oracle: &Oracle, numbers: Range<i64>) -> Self {
        let name = &oracle.name;
        match oracle.signal {
            Signal::Logs => {
                let records = numbers.map(|n| {
                    let mut record = telemetry::log(&text_of(name, n));
                    record.attributes = attributes(name, n, false);
                    record
                });
                Self::Logs(telemetry::logs(name, records.collect()))
            }
            Signal::Spans => {
                let spans = numbers.map(|n| {
                    let mut span = telemetry::span(&format!("step {}", n % 5), 1, 1);
                    span.span_id = (n + 1).to_be_bytes().to_vec();
                    span.attributes = attributes(name, n, true);
                    span
                });
                Self::Spans(telemetry::spans(name, spans.collect()))
            }
            Signal::Metrics => {
                let data_points = numbers.map(|n| NumberDataPoint {
                    time_unix_nano: AT + n.cast_unsigned(),
                    value: Some(number_data_point::Value::AsInt(n)),
                    attributes: attributes(name, n, true),
                    ..Default::default()
                });
                let gauge = metric::Data::Gauge(Gauge { data_points: data_points.collect() });
                Self::Metrics(telemetry::metrics(name, vec![telemetry::metric("n", gauge)]).encode_to_vec())
            }
        }
    }
}

/// A gRPC connection that is made anew when the server is elsewhere.
#[derive(Default)]
struct Connection(Option<(String, Channel)>);

impl Connection {
    async fn to(&mut self, address: &str) -> Option<Channel> {
        if self.0.as_ref().is_none_or(|(known, _)| known != address) {
            let endpoint = Channel::from_shared(address.to_owned()).expect("an address");
            self.0 = Some((address.to_owned(), endpoint.connect().await.ok()?));
        }
        self.0.as_ref().map(|(_, channel)| channel.clone())
    }

    async fn send(&mut self, shared: &Shared, oracle: &Oracle, request: &Request, target: &Target) -> Sent {
        let (outcome, is_partial) = match request {
            Request::Metrics(bytes) => return post(shared, oracle, bytes.clone(), target).await,
            Request::Logs(request) => {
                let Some(channel) = self.to(&target.grpc).await else { return Sent::TryAgain };
                let answer = LogsServiceClient::new(channel).export(request.clone()).await;
                let is_partial = answer.as_ref().is_ok_and(|answer| answer.get_ref().partial_success.is_some());
                (answer.map(drop), is_partial)
            }
            Request::Spans(request) => {
                let Some(channel) = self.to(&target.grpc).await else { return Sent::TryAgain };
                let answer = TraceServiceClient::new(channel).export(request.clone()).await;
                let is_partial = answer.as_ref().is_ok_and(|answer| answer.get_ref().partial_success.is_some());
                (answer.map(drop), is_partial)
            }
        };
        match outcome {
            Ok(()) => {
                if is_partial {
                    shared.report(format!("{}: a good request is stored in part", oracle.name));
                }
                Sent::Acknowledged
            }
            Err(status) => {
                if status.source().is_some() {
                    // Not the server's word: the connection is gone.
                    self.0 = None;
                } else if may_be_retried(&status) {
                    shared.refusals.fetch_add(1, Ordering::SeqCst);
                } else {
                    shared.report(format!("{}: an exporter would give up: {status:?}", oracle.name));
                }
                Sent::TryAgain
            }
        }
    }
}

/// Whether exporters send it again. Source: OTLP specification, "Failures".
fn may_be_retried(status: &Status) -> bool {
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => status.get_details_retry_info().is_some(),
        _ => false,
    }
}

async fn post(shared: &Shared, oracle: &Oracle, bytes: Vec<u8>, target: &Target) -> Sent {
    let request = target.http.post(&target.metrics_url).header("content-type", "application/x-protobuf").body(bytes);
    let Ok(answer) = request.send().await else { return Sent::TryAgain };
    let (status, has_delay) = (answer.status(), answer.headers().contains_key("retry-after"));
    // An answer whose end never came is one that the client has not got.
    let Ok(body) = answer.bytes().await else { return Sent::TryAgain };
    match status.as_u16() {
        200 => {
            if !body.is_empty() {
                shared.report(format!("{}: a good request is stored in part", oracle.name));
            }
            Sent::Acknowledged
        }
        429 | 503 if has_delay => {
            shared.refusals.fetch_add(1, Ordering::SeqCst);
            Sent::TryAgain
        }
        _ => {
            shared.report(format!("{}: an exporter would give up: {status}", oracle.name));
            Sent::TryAgain
        }
    }
}

/// Asks again and again how much there is of each client.
async fn reader(shared: Arc<Shared>, gate: Arc<RwLock<Target>>) {
    let parts = Signal::ALL.map(|signal| format!("SELECT service_name, count(*) FROM {} GROUP BY 1", signal.table()));
    let statement = parts.join(" UNION ALL ");
    while !shared.is_over.load(Ordering::SeqCst) {
        let target = gate.read().await;
        let promised: Vec<_> = shared.oracles.iter().map(|o| o.acknowledged.load(Ordering::SeqCst)).collect();
        let request = target.http.post(&target.sql_url).header("content-type", "text/plain").body(statement.clone());
        if let Some(answer) = within("an answer to a statement", HANG, whole(request)).await {
            if shared.is_off.load(Ordering::SeqCst) {
                // It never came.
            } else if is_whole(&answer) {
                shared.answered.fetch_add(1, Ordering::SeqCst);
                for (oracle, promised) in shared.oracles.iter().zip(promised) {
                    look(&shared, oracle, promised, &answer.body["rows"]);
                }
            } else {
                shared.unanswered.fetch_add(1, Ordering::SeqCst);
            }
        }
        drop(target);
        back_off().await;
    }
}

/// An answer; `None` when the server went away before its end.
async fn whole(request: reqwest::RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let status = response.status();
    let body = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
    Some(Answer { status, content_type: String::new(), body })
}

fn look(shared: &Shared, oracle: &Oracle, promised: i64, rows: &serde_json::Value) {
    let row = rows.as_array().into_iter().flatten().find(|row| row[0] == oracle.name.as_str());
    let count = row.map_or(0, |row| value(&row[1]));
    let seen = oracle.seen.fetch_max(count, Ordering::SeqCst);
    if count < promised.max(seen) || count % BATCH != 0 {
        shared.report(format!(
            "{}: {promised} acknowledged and {seen} seen before, but {count} are visible",
            oracle.name
        ));
    }
}
