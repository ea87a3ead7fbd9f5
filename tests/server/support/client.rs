//! Asking and telling the server: SQL and JSON routes, OTLP over gRPC and HTTP.

use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_client::LogsServiceClient},
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_client::MetricsServiceClient,
    },
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient},
};
use reqwest::StatusCode;
use serde_json::Value;
use tonic::{Status, transport::Channel};

use super::Server;

/// An answer of a JSON route.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// An answer of `/api/sql`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) stats: Value,
}

impl Rows {
    /// The only value of the only row.
    pub(crate) fn single(&self) -> &Value {
        assert_eq!((self.rows.len(), self.columns.len()), (1, 1), "one value expected: {self:?}");
        &self.rows[0][0]
    }

    /// A value by row number and column name.
    pub(crate) fn at(&self, row: usize, column: &str) -> &Value {
        let position = self
            .columns
            .iter()
            .position(|c| c == column)
            .unwrap_or_else(|| panic!("no column {column:?}: {:?}", self.columns));
        &self.rows[row][position]
    }
}

/// A whole number of an answer, also when it was written as text because of its size.
pub(crate) fn value(of: &Value) -> i64 {
    of.as_i64().or_else(|| of.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{of} is no whole number"))
}

impl Server {
    /// Rows of a statement.
    ///
    /// # Panics
    /// When it is refused.
    pub(crate) async fn sql(&self, statement: &str) -> Rows {
        let answer = self.ask_sql(statement).await;
        // What goes wrong after the first rows is told behind them.
        assert!(answer.status.is_success() && answer.body["error"].is_null(), "{statement}: {answer:?}");
        let body = answer.body;
        let list = |of: &Value| of.as_array().cloned().unwrap_or_default();
        Rows {
            columns: list(&body["columns"]).iter().map(|c| c["name"].as_str().unwrap_or_default().to_owned()).collect(),
            rows: list(&body["rows"]).iter().map(list).collect(),
            stats: body["stats"].clone(),
        }
    }

    /// The answer to a statement that may be refused.
    pub(crate) async fn ask_sql(&self, statement: &str) -> Answer {
        let request = self.http.post(self.url("/api/sql")).header("content-type", "text/plain; charset=utf-8");
        answer(request.body(statement.to_owned())).await
    }

    /// Number of rows of a table.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        value(self.sql(&format!("SELECT count(*) FROM {table}")).await.single())
    }

    /// The body of a JSON route.
    ///
    /// # Panics
    /// When it is not answered with success.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let answer = self.ask(path, parameters).await;
        assert!(answer.status.is_success(), "{path} {parameters:?}: {answer:?}");
        answer.body
    }

    /// The answer of a JSON route.
    pub(crate) async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        answer(self.http.get(self.url(path)).query(parameters)).await
    }

    /// The answer of a JSON route to a JSON body.
    ///
    /// # Panics
    /// When it is not answered with success.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = answer(self.http.post(self.url(path)).json(body)).await;
        assert!(answer.status.is_success(), "{path} {body}: {answer:?}");
        answer.body
    }

    /// Seals and flushes everything.
    pub(crate) async fn flush(&self) {
        let answer = answer(self.http.post(self.url("/api/admin/flush"))).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// Merges segments.
    pub(crate) async fn compact(&self) {
        let answer = answer(self.http.post(self.url("/api/admin/compact"))).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// A value of `/metrics`: the sum over the series of that name whose labels contain all of `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.http.get(self.url("/metrics")).send().await.expect("an answer").text().await.expect("text");
        let series = text.lines().filter(|l| l.split(['{', ' ']).next() == Some(name));
        series
            .filter(|l| labels.iter().all(|label| l.contains(label)))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Sends a body to a path of OTLP/HTTP.
    pub(crate) async fn post_otlp(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let mut request = self.http.post(self.otlp_url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).send().await.expect("an answer")
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.grpc_url()).expect("an address").connect().await.expect("a connection")
    }

    pub(crate) async fn export_logs(
        &self,
        request: ExportLogsServiceRequest,
    ) -> Result<ExportLogsServiceResponse, Status> {
        let mut client = LogsServiceClient::new(self.channel().await).max_encoding_message_size(usize::MAX);
        client.export(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn export_spans(
        &self,
        request: ExportTraceServiceRequest,
    ) -> Result<ExportTraceServiceResponse, Status> {
        let mut client = TraceServiceClient::new(self.channel().await).max_encoding_message_size(usize::MAX);
        client.export(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn export_metrics(
        &self,
        request: ExportMetricsServiceRequest,
    ) -> Result<ExportMetricsServiceResponse, Status> {
        let mut client = MetricsServiceClient::new(self.channel().await).max_encoding_message_size(usize::MAX);
        client.export(request).await.map(tonic::Response::into_inner)
    }
}

/// Sends a request to a JSON route.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let content_type =
        response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let bytes = response.bytes().await.expect("a whole answer");
    let body =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { status, content_type, body }
}
