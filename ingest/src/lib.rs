//! How bytes on a socket become accepted or rejected rows.
//!
//! A receiver (`receiver::grpc`, `receiver::http`) asks `admission` for a share of memory and reads the body within it;
//! `inflate` unpacks it; `decode` walks resource, scope and item once and fills Arrow columns; storage appends the
//! batch and returns when it is durable; `outcome` turns that and the rejections into the answer.
//!
//! `sent = stored + rejected + duplicate` holds for every request that is answered with success; of a request that is
//! refused nothing is stored.

mod admission;
mod caller;
mod change;
mod counters;
mod decode;
mod inflate;
mod outcome;
mod receiver;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use config::{Age, Config};
use futures::future::BoxFuture;
use storage::{
    Storage,
    clock::Clock,
    model::{Batch, BatchKey, Durable},
};
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::Xxh3;

pub use self::{
    admission::Connection,
    caller::Caller,
    change::{Change, ChangeError, KINDS as CHANGE_KINDS, Reported},
    counters::{Counters, SignalCounters},
};
use self::{
    admission::{Admission, Share},
    counters::Counting,
    decode::{Decoded, Limits},
    inflate::Compression,
    outcome::{Accepted, Refusal},
};

/// Bodies up to this size are decoded where they were read; larger ones would hold up other connections there.
const DECODE_IN_PLACE_BYTES: usize = 16 * 1024;

/// What kind of telemetry a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Signal {
    Logs = 0,
    Spans = 1,
    Metrics = 2,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Logs, Self::Spans, Self::Metrics];

    /// Label of counters.
    const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metrics",
        }
    }

    /// What its items are called in messages.
    const fn items(self) -> &'static str {
        match self {
            Self::Logs => "log records",
            Self::Spans => "spans",
            Self::Metrics => "data points",
        }
    }
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// The message of one request, read whole, and the memory it holds.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) compression: Compression,
    pub(crate) encoding: Encoding,
    pub(crate) share: Share,
}

/// Where batches go: [`Storage`], or a stand-in that fails as a test wants.
pub(crate) trait Append: Send + Sync {
    /// Returns when the batch is durable.
    fn append(&self, batch: Batch) -> BoxFuture<'_, storage::error::Result<Durable>>;
}

impl Append for Storage {
    fn append(&self, batch: Batch) -> BoxFuture<'_, storage::error::Result<Durable>> {
        Box::pin(Self::append(self, batch))
    }
}

/// The receivers and all they share. Cheap to clone; clones share one budget and one set of counters.
#[derive(Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Box<dyn Append>,
    clock: Clock,
    settings: config::Ingest,
    retention: config::Retention,
    admission: Admission,
    counting: Counting,
    /// One permit for each large body being decoded: no more than there are processors.
    decoders: Arc<Semaphore>,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("admission", &self.inner.admission).finish_non_exhaustive()
    }
}

impl Ingest {
    /// Receivers that append to `storage`. Nothing is bound: the caller serves [`Ingest::grpc`] and [`Ingest::http`].
    pub fn new(storage: Storage, config: &Config) -> Self {
        let clock = storage.clock().clone();
        Self::with_append(Box::new(storage), clock, config)
    }

    pub(crate) fn with_append(storage: Box<dyn Append>, clock: Clock, config: &Config) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            inner: Arc::new(Inner {
                storage,
                clock,
                settings: config.ingest.clone(),
                retention: config.retention.clone(),
                admission: Admission::new(usize::try_from(config.admission_bytes()).unwrap_or(usize::MAX)),
                counting: Counting::default(),
                decoders: Arc::new(Semaphore::new(processors)),
            }),
        }
    }

    /// The three OTLP/gRPC services.
    pub fn grpc(&self) -> tonic::service::Routes {
        receiver::grpc::routes(self)
    }

    /// `POST /v1/logs`, `/v1/traces` and `/v1/metrics` of OTLP/HTTP.
    pub fn http(&self) -> axum::Router {
        receiver::http::router(self)
    }

    /// Items by signal and outcome since the start.
    pub fn counters(&self) -> Counters {
        self.inner.counting.read()
    }

    /// Bytes that requests on their way hold, and the most they may hold together.
    pub fn admission_bytes(&self) -> (usize, usize) {
        (self.inner.admission.taken_bytes(), self.inner.admission.capacity_bytes())
    }

    /// Takes one message through decoding and storage. Runs to its end also when the sender goes away meanwhile: what is
    /// stored is counted.
    async fn accept(&self, signal: Signal, caller: Caller, body: Body) -> Result<Accepted, Refusal> {
        let ingest = self.clone();
        let task = tokio::spawn(async move {
            let result = ingest.decode_and_append(signal, caller, body).await;
            ingest.publish_admission();
            result
        });
        task.await.unwrap_or_else(|error| Err(Refusal::Internal(error.to_string())))
    }

    async fn decode_and_append(&self, signal: Signal, caller: Caller, body: Body) -> Result<Accepted, Refusal> {
        let tenant = caller.tenant.clone();
        let Prepared { decoded, key, share } = self.prepare(signal, caller, body).await?;
        let Decoded { tables, item_count, tally } = decoded;
        let mut duplicate = false;
        if !tables.is_empty() {
            let batch = Batch { tenant, key, tables };
            duplicate = self.inner.storage.append(batch).await.map_err(Refusal::Storage)?.duplicate;
        }
        drop(share);
        self.inner.counting.settled(signal, item_count, &tally, duplicate);
        Ok(Accepted { item_count, tally })
    }

    /// Inflates and decodes, aside when the body is large.
    async fn prepare(&self, signal: Signal, caller: Caller, body: Body) -> Result<Prepared, Refusal> {
        if body.bytes.len() <= DECODE_IN_PLACE_BYTES {
            return self.inner.prepare(signal, &caller, body);
        }
        let permit = Arc::clone(&self.inner.decoders).acquire_owned().await;
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            let prepared = inner.prepare(signal, &caller, body);
            drop(permit);
            prepared
        });
        task.await.unwrap_or_else(|error| Err(Refusal::Internal(error.to_string())))
    }

    /// Counts a refusal; the receivers call it for every request that they do not answer with success.
    fn refused(&self, signal: Signal, refusal: &Refusal) {
        self.inner.counting.refused(signal, refusal);
        match refusal {
            Refusal::Storage(error) if error.is_retryable() => {
                tracing::debug!(signal = signal.name(), reason = refusal.reason(), %refusal, "request refused");
            }
            Refusal::Storage(_) | Refusal::Internal(_) => {
                tracing::warn!(signal = signal.name(), reason = refusal.reason(), %refusal, "request refused");
            }
            _ => tracing::debug!(signal = signal.name(), reason = refusal.reason(), %refusal, "request refused"),
        }
    }

    fn publish_admission(&self) {
        let (taken, capacity) = self.admission_bytes();
        metrics::gauge!("rootline_ingest_admission_bytes").set(taken as f64);
        metrics::gauge!("rootline_ingest_admission_capacity_bytes").set(capacity as f64);
    }

    /// What a refused sender is told to wait.
    fn retry_after(&self) -> Duration {
        self.inner.settings.retry_after
    }
}

/// A decoded request on its way to storage.
struct Prepared {
    decoded: Decoded,
    key: Option<BatchKey>,
    /// Held until the rows are storage's.
    share: Share,
}

impl Inner {
    fn prepare(&self, signal: Signal, caller: &Caller, body: Body) -> Result<Prepared, Refusal> {
        let Body { bytes, compression, encoding, mut share } = body;
        let limit = self.settings.max_request_size.as_usize();
        let message = inflate::inflate(&bytes, compression, limit, &mut share)?;
        Counting::bytes(signal, bytes.len(), message.len());
        let key = self.settings.dedup.then(|| batch_key(signal, caller, &message));
        let limits = self.limits(signal);
        let held = share.held();
        let decoded = decode::decode(signal, encoding, &message, &limits, &mut share)?;
        // What is left are the rows: the message and what it was made from go now.
        drop(message);
        drop(bytes);
        share.shrink(held);
        Ok(Prepared { decoded, key, share })
    }

    fn limits(&self, signal: Signal) -> Limits {
        let (age, age_setting): (Age, _) = match signal {
            Signal::Logs => (self.retention.logs, "retention.logs"),
            Signal::Spans => (self.retention.spans, "retention.spans"),
            Signal::Metrics => (self.retention.metrics, "retention.metrics"),
        };
        Limits {
            now_unix_nano: self.clock.now_unix_nano(),
            max_future: self.settings.max_future,
            age,
            age_setting,
            max_value_bytes: match self.settings.max_value_size.as_usize() {
                0 => usize::MAX,
                bytes => bytes,
            },
            max_attribute_depth: self.settings.max_attribute_depth.min(storage::model::attributes::MAX_DEPTH),
        }
    }
}

/// xxh3-128 over signal, tenant, token and the inflated message: the same for a retried request, however compressed.
fn batch_key(signal: Signal, caller: &Caller, message: &[u8]) -> BatchKey {
    let mut hash = Xxh3::new();
    hash.update(&[signal as u8]);
    for part in [caller.tenant.as_str(), &caller.token] {
        // Preceded by its length: no two pairs of tenant and token read alike.
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(message);
    BatchKey(hash.digest128())
}
