//! What the HTTP API tells about the process that serves it.

use std::fmt;

use futures::future::BoxFuture;
use ingest::Ingest;
use metrics_exporter_prometheus::PrometheusHandle;
use query::Query;
use storage::{Storage, clock::Clock, random::Random};
use ui::{
    ReportError,
    wire::{ChangeBody, ChangeReported, IngestStatus, ItemCounts, Listeners, MemoryStatus},
};

use crate::{limits, listen::Bound};

/// Facts of this process, handed to `ui`.
pub(crate) struct Process {
    pub(crate) started_at_unix_nano: i64,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) bound: Bound,
    pub(crate) ingest: Ingest,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) storage: Storage,
    pub(crate) query: Query,
    pub(crate) budget_bytes: u64,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl ui::Process for Process {
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn commit(&self) -> Option<&str> {
        // Set by `make dist`; a build at the desk has none.
        option_env!("ROOTLINE_COMMIT").filter(|commit| !commit.is_empty())
    }

    fn started_at_unix_nano(&self) -> i64 {
        self.started_at_unix_nano
    }

    fn now_unix_nano(&self) -> i64 {
        self.clock.now_unix_nano()
    }

    fn is_ready(&self) -> bool {
        // The listeners ask this room only once storage is open.
        true
    }

    fn listeners(&self) -> Listeners {
        let text = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
        Listeners {
            http: text(self.bound.http),
            otlp_grpc: text(self.bound.otlp_grpc),
            otlp_http: text(self.bound.otlp_http),
        }
    }

    fn metrics_text(&self) -> String {
        limits::measure(&self.storage, &self.query, resident_bytes());
        self.metrics.render()
    }

    fn ingest(&self) -> IngestStatus {
        let counters = self.ingest.counters();
        let counts = |signal: ingest::SignalCounters| ItemCounts {
            received: signal.received,
            accepted: signal.accepted,
            rejected: signal.rejected,
            duplicate: signal.duplicate,
        };
        IngestStatus { logs: counts(counters.logs), spans: counts(counters.spans), metrics: counts(counters.metrics) }
    }

    fn report_change(
        &self,
        time_unix_nano: Option<i64>,
        change: ChangeBody,
    ) -> BoxFuture<'_, Result<ChangeReported, ReportError>> {
        Box::pin(async move {
            let change = ingest::Change {
                time_unix_nano,
                service: change.service,
                kind: change.kind,
                version: change.version,
                version_from: change.from,
                author: change.author,
                link: change.link,
                message: change.message,
            };
            match self.ingest.report(&ingest::Caller::default(), &change).await {
                Ok(reported) => Ok(ChangeReported { id: reported.id, duplicate: reported.duplicate }),
                Err(ingest::ChangeError::Invalid(why)) => Err(ReportError::Invalid(why)),
                Err(ingest::ChangeError::Unavailable(why)) => Err(ReportError::Unavailable(why)),
            }
        })
    }

    fn memory(&self) -> MemoryStatus {
        MemoryStatus { budget_bytes: self.budget_bytes, rss_bytes: resident_bytes().unwrap_or_default() }
    }

    fn random_bytes(&self) -> [u8; 16] {
        self.random.bytes()
    }
}

/// Memory the kernel holds for this process; `None` where there is no `/proc`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    Some(kibibytes.trim().parse::<u64>().ok()? << 10)
}
