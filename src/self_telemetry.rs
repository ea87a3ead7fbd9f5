//! What the server says about itself: log lines for the operator, metrics for a scraper, and its own logs and traces in
//! its own store under `service.name = "rootline"`.
//!
//! The last takes the same road as everybody's telemetry, in process: an OTLP request to `ingest`, so it needs no open
//! port, certificate or token. Queues are bounded and drop when full; what happens while such a request is served is not
//! recorded again, so a report about reports cannot feed itself.

mod road;
mod trace;

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use anyhow::Context as _;
use config::{LogFormat, Telemetry};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::{
    Resource,
    logs::{BatchConfigBuilder, BatchLogProcessor, SdkLoggerProvider},
    trace::{BatchConfigBuilder as SpanBatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use storage::clock::Clock;
use tokio::runtime::Handle;
use tonic::service::Routes;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use self::road::Road;
pub(crate) use self::trace::{RequestTracer, record_requests};

/// Crates of this repository: a bare level is about them, dependencies speak from WARN on.
const OWN_CRATES: [&str; 6] = ["rootline", "config", "storage", "ingest", "query", "ui"];
/// Records and spans waiting to be stored; more are dropped.
const QUEUE_ITEMS: usize = 4096;
const EXPORT_DELAY: Duration = Duration::from_secs(1);
/// Upper bounds in seconds, from one fast fsync to the longest query.
const DURATION_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];
/// Keeps histograms from growing between scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Handles of the running telemetry.
#[derive(Debug)]
pub(crate) struct SelfTelemetry {
    /// Renders `/metrics`.
    pub(crate) metrics: PrometheusHandle,
    own: Option<Own>,
}

/// Telemetry kept in the own store.
#[derive(Debug)]
struct Own {
    road: Road,
    logs: SdkLoggerProvider,
    traces: SdkTracerProvider,
}

impl SelfTelemetry {
    /// Starts logging and counting. Must run inside the runtime that serves.
    pub(crate) fn start(settings: &Telemetry, clock: &Clock) -> anyhow::Result<Self> {
        let recorder =
            PrometheusBuilder::new().set_buckets(&DURATION_BUCKETS).context("histogram buckets")?.build_recorder();
        let metrics = recorder.handle();
        metrics::set_global_recorder(recorder).ok().context("metrics are recorded already")?;
        tokio::spawn({
            let (metrics, clock) = (metrics.clone(), clock.clone());
            async move {
                loop {
                    clock.sleep(UPKEEP_INTERVAL).await;
                    metrics.run_upkeep();
                }
            }
        });

        let own = settings.self_telemetry.then(|| Own::start(Handle::current()));
        let bridge = own
            .as_ref()
            .map(|own| OpenTelemetryTracingBridge::new(&own.logs).with_filter(filter_fn(|_| !road::is_reporting())));
        let terminal = stderr().is_terminal();
        let pretty = match settings.format {
            LogFormat::Auto => terminal,
            LogFormat::Pretty => true,
            LogFormat::Json => false,
        };
        let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
        let lines = if pretty { lines.with_ansi(terminal).boxed() } else { lines.json().flatten_event(true).boxed() };
        tracing_subscriber::registry()
            .with(level(settings)?)
            .with(lines)
            .with(bridge)
            .try_init()
            .context("logging is set up already")?;
        Ok(Self { metrics, own })
    }

    /// Opens the road into the own store, once `ingest` is there.
    pub(crate) fn connect(&self, ingest: Routes) {
        if let Some(own) = &self.own {
            own.road.open(ingest);
        }
    }

    /// Records spans of requests; `None` when the server does not keep its own telemetry.
    pub(crate) fn tracer(&self) -> Option<RequestTracer> {
        self.own.as_ref().map(|own| RequestTracer::new(own.traces.tracer("rootline")))
    }

    /// Stores what is still queued, for at most `limit`.
    pub(crate) async fn stop(self, limit: Duration) {
        let Some(own) = self.own else { return };
        // The exporters block their callers while this runtime does their work.
        let flushed = tokio::task::spawn_blocking(move || {
            let _ = own.traces.shutdown_with_timeout(limit / 2);
            let _ = own.logs.shutdown_with_timeout(limit / 2);
        });
        if let Err(error) = flushed.await {
            tracing::warn!(%error, "own telemetry was not flushed");
        }
    }
}

impl Own {
    fn start(runtime: Handle) -> Self {
        let road = Road::new(runtime);
        let resource = Resource::builder_empty()
            .with_service_name("rootline")
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("process.pid", i64::from(std::process::id())),
            ])
            .build();
        let log_queue =
            BatchConfigBuilder::default().with_max_queue_size(QUEUE_ITEMS).with_scheduled_delay(EXPORT_DELAY).build();
        let span_queue = SpanBatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_ITEMS)
            .with_scheduled_delay(EXPORT_DELAY)
            .build();
        let logs = BatchLogProcessor::builder(road.clone()).with_batch_config(log_queue).build();
        let spans = BatchSpanProcessor::builder(road.clone()).with_batch_config(span_queue).build();
        Self {
            road,
            logs: SdkLoggerProvider::builder().with_resource(resource.clone()).with_log_processor(logs).build(),
            traces: SdkTracerProvider::builder().with_resource(resource).with_span_processor(spans).build(),
        }
    }
}

/// Log lines alone, for commands that are not the server.
pub(crate) fn log_to_stderr() -> anyhow::Result<()> {
    let settings = config::Config::default().telemetry;
    let registry = tracing_subscriber::registry().with(level(&settings)?).with(lines(settings.format));
    registry.try_init().context("logging is set up already")
}

fn lines<S>(format: LogFormat) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let terminal = stderr().is_terminal();
    let pretty = match format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    if pretty { lines.with_ansi(terminal).boxed() } else { lines.json().flatten_event(true).boxed() }
}

/// Which events are worth a line. A bare level is about this repository's crates; anything else is a filter as
/// `tracing-subscriber` reads it.
pub(crate) fn level(settings: &Telemetry) -> anyhow::Result<EnvFilter> {
    let level = settings.level.trim();
    let directives = if level.contains(['=', ',']) {
        level.to_owned()
    } else {
        OWN_CRATES.iter().fold("warn".to_owned(), |directives, name| format!("{directives},{name}={level}"))
    };
    EnvFilter::builder().parse(&directives).with_context(|| {
        format!("telemetry.level: found {level:?}: trace, debug, info, warn, error, or a filter such as \"info,storage=debug\"")
    })
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    #[test]
    fn levels_are_about_own_crates_unless_they_say_more() {
        let filter = |level: &str| {
            let settings = Telemetry { level: level.to_owned(), ..Config::default().telemetry };
            super::level(&settings).map(|filter| filter.to_string())
        };
        let debug = filter("debug").unwrap();
        assert!(debug.contains("storage=debug") && debug.contains("warn"), "{debug}");
        assert_eq!(filter("info,storage=trace").unwrap(), "storage=trace,info");
        let refusal = filter("loud").unwrap_err().to_string();
        assert!(refusal.starts_with("telemetry.level: found \"loud\""), "{refusal}");
    }
}
