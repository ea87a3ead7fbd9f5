//! The own telemetry's way into the own store: the OTLP services of `ingest`, called in process.

use std::{fmt, future::Future};

use opentelemetry_proto::{
    tonic::collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{LogBatch, LogExporter},
    trace::{SpanData, SpanExporter},
};
use tokio::{runtime::Handle, sync::watch};
use tonic::{Status, service::Routes};

tokio::task_local! {
    /// Set while a report of ours is being stored.
    static REPORTING: ();
}

/// Whether the present task is storing a report: what it says then is not reported.
pub(super) fn is_reporting() -> bool {
    REPORTING.try_with(|()| ()).is_ok()
}

/// An exporter that waits until the road is open; its queue bounds what waits with it.
#[derive(Clone)]
pub(super) struct Road {
    runtime: Handle,
    ingest: watch::Sender<Option<Routes>>,
    resource: Resource,
}

impl fmt::Debug for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Road").field("open", &self.ingest.borrow().is_some()).finish_non_exhaustive()
    }
}

impl Road {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, ingest: watch::Sender::new(None), resource: Resource::builder_empty().build() }
    }

    pub(super) fn open(&self, ingest: Routes) {
        self.ingest.send_replace(Some(ingest));
    }

    /// Stores one report on the serving runtime; the caller is a thread of the SDK.
    async fn store<F, S>(&self, send: S) -> OTelSdkResult
    where
        S: FnOnce(Routes) -> F + Send + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let mut ingest = self.ingest.subscribe();
        let stored = self.runtime.spawn(REPORTING.scope((), async move {
            let open = ingest.wait_for(Option::is_some).await.map_err(|_| Status::unavailable("stopping"))?.clone();
            let routes = open.ok_or_else(|| Status::unavailable("stopping"))?;
            send(routes).await
        }));
        match stored.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(OTelSdkError::InternalFailure(status.message().to_owned())),
            Err(error) => Err(OTelSdkError::InternalFailure(error.to_string())),
        }
    }
}

impl LogExporter for Road {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let resource = ResourceAttributesWithSchema::from(&self.resource);
        let request = ExportLogsServiceRequest { resource_logs: group_logs_by_resource_and_scope(&batch, &resource) };
        self.store(move |routes| async move { LogsServiceClient::new(routes).export(request).await.map(|_| ()) }).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.clone();
    }
}

impl SpanExporter for Road {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource = ResourceAttributesWithSchema::from(&self.resource);
        let request = ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(batch, &resource) };
        self.store(move |routes| async move { TraceServiceClient::new(routes).export(request).await.map(|_| ()) }).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.clone();
    }
}
