//! OTLP/HTTP: `POST /v1/{logs,traces,metrics}` in protobuf or JSON. Answers are in the encoding of the request.

use std::time::Duration;

use axum::{
    Router,
    body::Body as HttpBody,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};

use super::read_whole;
use crate::{
    Body, Caller, Connection, Encoding, Ingest, Signal,
    inflate::Compression,
    outcome::{Accepted, Refusal},
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The routes. Each signal has its own path and all share one handler.
pub(crate) fn router(ingest: &Ingest) -> Router {
    let route = |signal: Signal| {
        post(move |State(ingest): State<Ingest>, request: Request| export(ingest, signal, request))
            .fallback(move |State(ingest): State<Ingest>, request: Request| refuse_method(ingest, signal, request))
    };
    Router::new()
        .route("/v1/logs", route(Signal::Logs))
        .route("/v1/traces", route(Signal::Spans))
        .route("/v1/metrics", route(Signal::Metrics))
        .with_state(ingest.clone())
}

async fn export(ingest: Ingest, signal: Signal, request: Request) -> Response {
    let encoding = encoding(request.headers());
    match receive(&ingest, signal, request).await {
        // A request that could be read had one of the two encodings.
        Ok(accepted) => success(signal, &accepted, encoding.unwrap_or(Encoding::Protobuf)),
        Err(refusal) => {
            ingest.refused(signal, &refusal);
            failure(&refusal, encoding, ingest.retry_after())
        }
    }
}

async fn refuse_method(ingest: Ingest, signal: Signal, request: Request) -> Response {
    let refusal = Refusal::Method;
    ingest.refused(signal, &refusal);
    let mut response = failure(&refusal, encoding(request.headers()), ingest.retry_after());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn receive(ingest: &Ingest, signal: Signal, request: Request) -> Result<Accepted, Refusal> {
    let (parts, body) = request.into_parts();
    let encoding =
        encoding(&parts.headers).ok_or_else(|| Refusal::UnsupportedType(text(&parts.headers, CONTENT_TYPE)))?;
    let compression = compression(&parts.headers)?;
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_default();
    let connection = parts.extensions.get::<Connection>().cloned().unwrap_or_default();
    let mut share = ingest.inner.admission.share(&connection);
    let bytes = read_whole(ingest, body, announced, &mut share).await?;
    ingest.accept(signal, caller, Body { bytes, compression, encoding, share }).await
}

/// The request's encoding; `None` for a content type we do not read.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = content_type.split(';').next()?.trim();
    if media_type.eq_ignore_ascii_case(PROTOBUF) {
        Some(Encoding::Protobuf)
    } else if media_type.eq_ignore_ascii_case(JSON) {
        Some(Encoding::Json)
    } else {
        None
    }
}

fn compression(headers: &HeaderMap) -> Result<Compression, Refusal> {
    let mut names = headers.get_all(CONTENT_ENCODING).iter();
    let name = match (names.next(), names.next()) {
        (None, _) => return Ok(Compression::None),
        (Some(name), None) => name.to_str().ok(),
        // One layer is inflated.
        (Some(_), Some(_)) => None,
    };
    name.and_then(Compression::from_name)
        .ok_or_else(|| Refusal::UnsupportedCompression(text(headers, CONTENT_ENCODING)))
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

fn success(signal: Signal, accepted: &Accepted, encoding: Encoding) -> Response {
    let (content_type, body) = match encoding {
        Encoding::Protobuf => (PROTOBUF, accepted.protobuf(signal)),
        Encoding::Json => (JSON, accepted.json(signal)),
    };
    respond(StatusCode::OK, content_type, body)
}

/// The status and a `google.rpc.Status`; JSON for requests whose encoding we do not know, as people can read it.
fn failure(refusal: &Refusal, encoding: Option<Encoding>, retry_after: Duration) -> Response {
    let (status, delay) = refusal.http(retry_after);
    let (content_type, body) = match encoding {
        Some(Encoding::Protobuf) => (PROTOBUF, refusal.protobuf(retry_after)),
        Some(Encoding::Json) | None => (JSON, refusal.json(retry_after)),
    };
    let mut response = respond(status, content_type, body);
    let headers = response.headers_mut();
    if let Some(delay) = delay {
        // Whole seconds are all the header can say; none would be an invitation to come back at once.
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if matches!(refusal, Refusal::UnsupportedCompression(_)) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, identity"));
    }
    if matches!(refusal, Refusal::ReadTimeout(_)) {
        // What still comes of the body would be read as the next request.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(HttpBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
