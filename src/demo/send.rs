//! Requests of bounded size over OTLP/gRPC, repeated when and as the receiver asks.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Metric, ResourceMetrics, ScopeMetrics},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_types::StatusExt as _;

use super::{
    Options, pace,
    world::{Pod, Source, World},
};

/// Items of one request: well under 4 MiB, which some receivers refuse.
const MAX_ITEMS: usize = 1500;
const FIRST_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(10);
/// A receiver that refuses for this long in a row is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// A connection that sends what instances of the world have to say.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    world: Arc<World>,
    logs: LogsServiceClient<InterceptedService<Channel, Bearer>>,
    metrics: MetricsServiceClient<InterceptedService<Channel, Bearer>>,
    traces: TraceServiceClient<InterceptedService<Channel, Bearer>>,
}

/// Puts the token on each request.
#[derive(Clone, Debug)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Sender {
    /// Prepares a connection; it is made with the first request and made again when it breaks.
    pub(super) fn new(options: &Options, world: Arc<World>) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::from_shared(options.target.clone())
            .with_context(|| format!("{:?} is no address; expected http://host:port", options.target))?
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60));
        if options.target.starts_with("https://") {
            endpoint = endpoint.tls_config(tls(options.tls_ca_file.as_deref())?)?;
        }
        let bearer = options.token.as_ref().map(|token| format!("Bearer {token}").parse()).transpose();
        let bearer = Bearer(bearer.context("the token holds characters that no header can carry")?);
        let channel = endpoint.connect_lazy();
        Ok(Self {
            world,
            logs: LogsServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            metrics: MetricsServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            traces: TraceServiceClient::with_interceptor(channel, bearer),
        })
    }

    pub(super) async fn spans(&self, items: Vec<(Pod, Span)>) -> anyhow::Result<()> {
        for items in requests(items) {
            let resource_spans = items
                .into_iter()
                .map(|(source, spans)| ResourceSpans {
                    resource: Some(self.world.resource(source)),
                    scope_spans: vec![ScopeSpans {
                        scope: Some(self.world.scope(source)),
                        spans,
                        ..Default::default()
                    }],
                    ..Default::default()
                })
                .collect();
            let request = ExportTraceServiceRequest { resource_spans };
            let answer = retried(|| {
                let (mut client, request) = (self.traces.clone(), request.clone());
                async move { client.export(request).await }
            })
            .await?;
            if let Some(partial) = answer.partial_success.filter(|p| p.rejected_spans > 0) {
                tracing::warn!(
                    rejected = partial.rejected_spans,
                    reason = partial.error_message,
                    "spans were rejected"
                );
            }
        }
        Ok(())
    }

    pub(super) async fn logs(&self, items: Vec<(Pod, LogRecord)>) -> anyhow::Result<()> {
        for items in requests(items) {
            let resource_logs = items
                .into_iter()
                .map(|(source, log_records)| ResourceLogs {
                    resource: Some(self.world.resource(source)),
                    scope_logs: vec![ScopeLogs {
                        scope: Some(self.world.scope(source)),
                        log_records,
                        ..Default::default()
                    }],
                    ..Default::default()
                })
                .collect();
            let request = ExportLogsServiceRequest { resource_logs };
            let answer = retried(|| {
                let (mut client, request) = (self.logs.clone(), request.clone());
                async move { client.export(request).await }
            })
            .await?;
            if let Some(partial) = answer.partial_success.filter(|p| p.rejected_log_records > 0) {
                tracing::warn!(
                    rejected = partial.rejected_log_records,
                    reason = partial.error_message,
                    "log records were rejected"
                );
            }
        }
        Ok(())
    }

    pub(super) async fn metrics(&self, items: Vec<(Source, Metric)>) -> anyhow::Result<()> {
        for items in requests(items) {
            let resource_metrics = items
                .into_iter()
                .map(|(source, metrics)| ResourceMetrics {
                    resource: Some(self.world.resource(source)),
                    scope_metrics: vec![ScopeMetrics {
                        scope: Some(self.world.scope(source)),
                        metrics,
                        ..Default::default()
                    }],
                    ..Default::default()
                })
                .collect();
            let request = ExportMetricsServiceRequest { resource_metrics };
            let answer = retried(|| {
                let (mut client, request) = (self.metrics.clone(), request.clone());
                async move { client.export(request).await }
            })
            .await?;
            if let Some(partial) = answer.partial_success.filter(|p| p.rejected_data_points > 0) {
                tracing::warn!(
                    rejected = partial.rejected_data_points,
                    reason = partial.error_message,
                    "data points were rejected"
                );
            }
        }
        Ok(())
    }
}

fn tls(ca_file: Option<&Path>) -> anyhow::Result<ClientTlsConfig> {
    let file =
        ca_file.context("an https:// target needs the certificate that signed the receiver's (--tls-ca-file)")?;
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

/// Splits into requests of at most [`MAX_ITEMS`], each grouped by who sends.
fn requests<S: Into<Source>, T>(items: Vec<(S, T)>) -> Vec<BTreeMap<Source, Vec<T>>> {
    let mut out = Vec::new();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let mut groups: BTreeMap<Source, Vec<T>> = BTreeMap::new();
        for (source, item) in items.by_ref().take(MAX_ITEMS) {
            groups.entry(source.into()).or_default().push(item);
        }
        out.push(groups);
    }
    out
}

/// Calls until accepted, as the OTLP specification tells exporters to ("Failures", "OTLP/gRPC Throttling").
async fn retried<T, F>(mut call: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let (mut delay, mut waited) = (FIRST_DELAY, Duration::ZERO);
    loop {
        let status = match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => status,
        };
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let wait = retry_delay(status.code(), asked, delay).filter(|_| waited < PATIENCE);
        let Some(wait) = wait else {
            return Err(anyhow::Error::new(status).context("the receiver refused the demo's telemetry"));
        };
        if waited.is_zero() {
            tracing::info!(code = ?status.code(), reason = status.message(), ?wait, "the receiver is not ready, trying again");
        }
        pace::wait(wait).await;
        waited += wait;
        delay = (delay * 2).min(MAX_DELAY);
    }
}

/// How long to wait before the same request is sent again; `None`: never.
/// Source: OTLP specification, table of retryable gRPC codes.
fn retry_delay(code: Code, asked: Option<Duration>, backoff: Duration) -> Option<Duration> {
    match code {
        Code::ResourceExhausted => asked,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Some(asked.unwrap_or(backoff)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_repeated_is_repeated() {
        let (asked, backoff) = (Duration::from_secs(3), Duration::from_secs(1));
        assert_eq!(retry_delay(Code::ResourceExhausted, None, backoff), None);
        assert_eq!(retry_delay(Code::ResourceExhausted, Some(asked), backoff), Some(asked));
        assert_eq!(retry_delay(Code::Unavailable, Some(asked), backoff), Some(asked));
        assert_eq!(retry_delay(Code::Unavailable, None, backoff), Some(backoff));
        assert_eq!(retry_delay(Code::InvalidArgument, Some(asked), backoff), None);
    }

    #[test]
    fn requests_are_bounded_and_complete() {
        let items: Vec<(Source, usize)> = (0..4000).map(|n| (Source::Node(n % 7), n)).collect();
        let requests = requests(items);
        assert_eq!(requests.len(), 3);
        let mut all: Vec<usize> = requests.into_iter().flat_map(|r| r.into_values().flatten()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..4000));
    }
}
