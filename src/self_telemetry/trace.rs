//! Spans of the server's own API requests.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use opentelemetry::{
    KeyValue,
    trace::{Span as _, SpanKind, Status, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

/// Only what answers questions is worth a span: probes, scrapes and files of the UI are not.
const TRACED_PREFIX: &str = "/api/";

/// Makes a span of each API request.
#[derive(Clone, Debug)]
pub(crate) struct RequestTracer {
    tracer: SdkTracer,
}

impl RequestTracer {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self { tracer }
    }
}

/// Middleware of the HTTP listener: one server span from the request's head to the answer's.
pub(crate) async fn record_requests(State(tracer): State<RequestTracer>, request: Request, next: Next) -> Response {
    // The route, never the path: its values belong to people.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(route) = route.filter(|route| route.starts_with(TRACED_PREFIX)) else {
        return next.run(request).await;
    };
    let method = request.method().to_string();
    let mut span = tracer
        .tracer
        .span_builder(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("http.request.method", method), KeyValue::new("http.route", route)])
        .start(&tracer.tracer);
    let answer = next.run(request).await;
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(answer.status().as_u16())));
    if answer.status().is_server_error() {
        span.set_status(Status::error(answer.status().to_string()));
    }
    span.end();
    answer
}
