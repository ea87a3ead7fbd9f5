//! The receivers over real sockets with a real store behind them.
//!
//! `checklist`: the requirements of the OTLP specification, one test each. `framing` and `content`: bad input and the
//! answer it gets. `balance`: sent = stored + rejected + duplicate.

mod balance;
mod checklist;
mod content;
mod framing;
mod messages;

use std::{net::SocketAddr, time::Duration};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _},
    compute::{cast, concat_batches},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use config::Config;
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use prost::Message;
use storage::{
    Environment, Storage,
    clock::Clock,
    error::{Error, ErrorKind},
    model::{Batch, Durable, Table},
    schema,
};
use tonic::transport::Channel;
use tonic_types::StatusExt as _;
use tower::{Service as _, ServiceExt as _};

use crate::{Append, Ingest, Signal};

/// The time at which all requests of the tests arrive.
pub(super) const NOW: i64 = 1_700_000_000_000_000_000;

/// [`NOW`] as senders write it.
pub(super) const NOW_UNSIGNED: u64 = NOW as u64;

pub(super) const PROTOBUF: &str = "application/x-protobuf";
pub(super) const JSON: &str = "application/json";

/// A running server on loopback.
pub(super) struct Server {
    pub(super) ingest: Ingest,
    storage: Option<Storage>,
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
    client: reqwest::Client,
    channel: Channel,
    tasks: tokio::task::JoinSet<()>,
    _data_dir: tempfile::TempDir,
}

/// A store that refuses everything.
struct Refusing(ErrorKind);

impl Append for Refusing {
    fn append(&self, _: Batch) -> BoxFuture<'_, storage::error::Result<Durable>> {
        Box::pin(async { Err(Error::new(self.0, "the test says no")) })
    }
}

impl Server {
    /// A server that keeps everything for ever.
    pub(super) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let config = config(change);
        let mut environment = Environment::system(data_dir.path()).await.unwrap();
        environment.clock = Clock::manual(NOW);
        let storage = Storage::open(&config, environment).await.unwrap();
        let ingest = Ingest::new(storage.clone(), &config);
        Self::serve(ingest, Some(storage), data_dir).await
    }

    /// A server whose store refuses everything with an error of that kind.
    pub(super) async fn refusing(kind: ErrorKind) -> Self {
        let ingest = Ingest::with_append(Box::new(Refusing(kind)), Clock::manual(NOW), &config(|_| ()));
        Self::serve(ingest, None, tempfile::tempdir().unwrap()).await
    }

    async fn serve(ingest: Ingest, storage: Option<Storage>, data_dir: tempfile::TempDir) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut tasks = tokio::task::JoinSet::new();
        let mut listen = async |router: axum::Router| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
            address
        };
        let http = listen(ingest.http()).await;
        let grpc = listen(ingest.grpc().into_axum_router()).await;
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect().await.unwrap();
        let client = reqwest::Client::new();
        Self { ingest, storage, http, grpc, client, channel, tasks, _data_dir: data_dir }
    }

    /// Posts a body; further headers as given.
    pub(super) async fn post(
        &self,
        signal: Signal,
        content_type: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = self.client.post(format!("http://{}{}", self.http, path(signal))).body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    /// Posts a message in protobuf.
    pub(super) async fn send(&self, signal: Signal, message: &impl Message) -> Answer {
        self.post(signal, PROTOBUF, &[], message.encode_to_vec()).await
    }

    /// Posts a JSON document.
    pub(super) async fn send_json(&self, signal: Signal, document: &str) -> Answer {
        self.post(signal, JSON, &[], document.into()).await
    }

    /// Calls `Export` with one message, framed as given: flag and content; further headers as given.
    pub(super) async fn call(&self, signal: Signal, headers: &[(&str, &str)], flag: u8, message: &[u8]) -> Reply {
        self.call_raw(signal, headers, frame(flag, message)).await
    }

    /// Calls `Export` with whatever bytes.
    pub(super) async fn call_raw(&self, signal: Signal, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let service = match signal {
            Signal::Logs => "logs.v1.LogsService",
            Signal::Spans => "trace.v1.TraceService",
            Signal::Metrics => "metrics.v1.MetricsService",
        };
        let uri = format!("http://{}/opentelemetry.proto.collector.{service}/Export", self.grpc);
        let mut request = http::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = tonic::body::Body::new(http_body_util::Full::new(Bytes::from(body)));
        let mut channel = self.channel.clone();
        let response = channel.ready().await.unwrap().call(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = tonic::Status::from_header_map(&trailers)
            .or_else(|| tonic::Status::from_header_map(&parts.headers))
            .unwrap_or_else(|| tonic::Status::unknown(format!("HTTP {}", parts.status)));
        Reply { status, headers: parts.headers, body: collected.to_bytes() }
    }

    /// A connected gRPC channel for generated clients.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// All rows of a table.
    pub(super) fn rows(&self, table: Table) -> RecordBatch {
        let batches = self.storage.as_ref().expect("a server with a store").snapshot().memtables(table);
        concat_batches(&schema::wide(table), &batches).unwrap()
    }

    /// Rows of all tables.
    pub(super) fn row_count(&self) -> usize {
        let sent = Table::ALL.into_iter().filter(|table| !Table::DERIVED.contains(table));
        sent.map(|table| self.rows(table).num_rows()).sum()
    }

    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
        drop(self.ingest);
        if let Some(storage) = self.storage {
            // Rows stay in the log: writing segments is no part of these tests.
            let _ = storage.shutdown(Duration::ZERO).await;
        }
    }
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    config.retention.logs = config::Age::Forever;
    config.retention.spans = config::Age::Forever;
    config.retention.metrics = config::Age::Forever;
    config.compaction.enabled = false;
    change(&mut config);
    config
}

/// One gRPC message.
pub(super) fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend_from_slice(message);
    out
}

pub(super) const fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "/v1/logs",
        Signal::Spans => "/v1/traces",
        Signal::Metrics => "/v1/metrics",
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as the message that a success carries.
    pub(super) fn message<M: Message + Default>(&self) -> M {
        assert_eq!((self.status, self.header("content-type")), (StatusCode::OK, Some(PROTOBUF)), "{self:?}");
        M::decode(self.body.clone()).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some(JSON), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The message of the `google.rpc.Status` that a failure carries, in either encoding.
    pub(super) fn error(&self) -> String {
        assert!(!self.status.is_success(), "{self:?}");
        match self.header("content-type") {
            Some(JSON) => self.json()["message"].as_str().unwrap().to_owned(),
            _ => tonic_types::Status::decode(self.body.clone()).unwrap().message,
        }
    }
}

/// A gRPC answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: tonic::Status,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    /// The message that a success carries.
    pub(super) fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status.code(), tonic::Code::Ok, "{self:?}");
        M::decode(self.body.slice(5..)).unwrap()
    }

    pub(super) fn retry_delay(&self) -> Option<Duration> {
        self.status.get_details_retry_info().and_then(|info| info.retry_delay)
    }
}

/// Text of a column, dictionary or not.
pub(super) fn text(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let array = plain(rows, column, &DataType::Utf8);
    array.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
}

/// Bytes of a column, dictionary, fixed size or not.
pub(super) fn bytes(rows: &RecordBatch, column: &str) -> Vec<Option<Vec<u8>>> {
    let array = plain(rows, column, &DataType::Binary);
    array.as_binary::<i32>().iter().map(|value| value.map(<[u8]>::to_vec)).collect()
}

/// Attribute maps of a column as JSON text.
pub(super) fn maps(rows: &RecordBatch, column: &str) -> Vec<String> {
    let map = |bytes: Option<Vec<u8>>| storage::model::attributes::Attributes::new(&bytes.unwrap()).to_json();
    bytes(rows, column).into_iter().map(map).collect()
}

/// Integers and times of a column.
pub(super) fn integers(rows: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    plain(rows, column, &DataType::Int64).as_primitive::<Int64Type>().iter().collect()
}

pub(super) fn unsigned(rows: &RecordBatch, column: &str) -> Vec<Option<u64>> {
    plain(rows, column, &DataType::UInt64).as_primitive::<UInt64Type>().iter().collect()
}

pub(super) fn doubles(rows: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    plain(rows, column, &DataType::Float64).as_primitive::<Float64Type>().iter().collect()
}

/// The items of a list column of the row.
pub(super) fn items(rows: &RecordBatch, column: &str, row: usize) -> ArrayRef {
    rows.column_by_name(column).unwrap().as_list::<i32>().value(row)
}

/// The items of a list of structs as rows of their own.
pub(super) fn nested(rows: &RecordBatch, column: &str, row: usize) -> RecordBatch {
    RecordBatch::from(items(rows, column, row).as_struct().clone())
}

fn plain(rows: &RecordBatch, column: &str, data_type: &DataType) -> ArrayRef {
    let array = rows.column_by_name(column).unwrap_or_else(|| panic!("column {column}"));
    if let DataType::Dictionary(_, values) = array.data_type() {
        let values = cast(array, values).unwrap();
        return cast(&values, data_type).unwrap();
    }
    if array.is_empty() { arrow::array::new_empty_array(data_type) } else { cast(array, data_type).unwrap() }
}
