//! OTLP/gRPC: the `Export` method of the three services.
//!
//! Reads the gRPC framing itself: the generated services inflate inside their codec, before anything could admit the
//! memory for it, and answer what is too large or malformed with codes that make OTLP clients retry forever.

use axum::{
    Router,
    body::Body as HttpBody,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use tonic::{Status, service::Routes};

use super::{Reading, in_time};
use crate::{
    Body, Caller, Connection, Encoding, Ingest, Signal,
    admission::Share,
    inflate::Compression,
    outcome::{Accepted, Refusal},
};

/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

const GRPC: &str = "application/grpc";
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// The routes. Other methods are answered with UNIMPLEMENTED.
pub(crate) fn routes(ingest: &Ingest) -> Routes {
    let route =
        |signal: Signal| post(move |State(ingest): State<Ingest>, request: Request| export(ingest, signal, request));
    let router = Router::new()
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", route(Signal::Logs))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", route(Signal::Spans))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", route(Signal::Metrics))
        .fallback(unimplemented)
        .with_state(ingest.clone());
    Routes::from(router)
}

async fn unimplemented() -> Response {
    Status::unimplemented("no such method").into_http()
}

async fn export(ingest: Ingest, signal: Signal, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        // Not a gRPC client: it understands a status line.
        ingest.refused(signal, &Refusal::UnsupportedType("not gRPC".to_owned()));
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    match receive(&ingest, signal, request).await {
        Ok(accepted) => success(signal, &accepted),
        Err(refusal) => {
            ingest.refused(signal, &refusal);
            let mut response: Response = refusal.grpc(ingest.retry_after()).into_http();
            response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
            response
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    matches!(content_type.split(';').next().unwrap_or_default().trim(), GRPC | "application/grpc+proto")
}

async fn receive(ingest: &Ingest, signal: Signal, request: Request) -> Result<Accepted, Refusal> {
    let (parts, body) = request.into_parts();
    let encoding =
        match parts.headers.get(GRPC_ENCODING) {
            None => Compression::None,
            Some(name) => name.to_str().ok().and_then(Compression::from_name).ok_or_else(|| {
                Refusal::UnsupportedCompression(String::from_utf8_lossy(name.as_bytes()).into_owned())
            })?,
        };
    let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_default();
    let connection = parts.extensions.get::<Connection>().cloned().unwrap_or_default();
    let mut share = ingest.inner.admission.share(&connection);
    let (is_compressed, bytes) = read_message(ingest, body, &mut share).await?;
    let compression = match (is_compressed, encoding) {
        (false, _) => Compression::None,
        (true, Compression::None) => return Err(Refusal::MissingCompression),
        (true, encoding) => encoding,
    };
    ingest.accept(signal, caller, Body { bytes, compression, encoding: Encoding::Protobuf, share }).await
}

/// The one message of a unary call. Its memory is admitted when its prefix tells its length, before it is read.
async fn read_message(ingest: &Ingest, body: HttpBody, share: &mut Share) -> Result<(bool, Bytes), Refusal> {
    let limit = ingest.inner.settings.max_request_size.as_usize();
    let mut reading = Reading::new(body, share);
    in_time(ingest, async {
        while reading.buffer.len() < PREFIX_BYTES {
            // What comes with the prefix is part of a message that is admitted below.
            if !reading.more(limit.saturating_add(PREFIX_BYTES)).await? {
                return Err(Refusal::Malformed("the call ended before a message".to_owned()));
            }
        }
        let is_compressed = match reading.buffer[0] {
            0 => false,
            1 => true,
            flag => return Err(Refusal::Malformed(format!("the compressed flag is {flag}, expected 0 or 1"))),
        };
        let length = (&reading.buffer[1..PREFIX_BYTES]).get_u32() as usize;
        if length > limit {
            return Err(Refusal::TooLarge { limit });
        }
        let end = PREFIX_BYTES + length;
        reading.admit(end)?;
        reading.buffer.reserve(end - reading.buffer.len().min(end));
        while reading.more(end).await.map_err(beyond_message)? {}
        if reading.buffer.len() != end {
            let found = reading.buffer.len() - PREFIX_BYTES;
            return Err(Refusal::Malformed(format!("the message has {found} bytes, announced were {length}")));
        }
        Ok((is_compressed, reading.buffer.split().freeze().slice(PREFIX_BYTES..)))
    })
    .await
}

/// Bytes after the one message of a call are not a message that is too large.
fn beyond_message(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::TooLarge { .. } => Refusal::Malformed("more than one message in a unary call".to_owned()),
        other => other,
    }
}

/// The response message, then the status in trailers.
fn success(signal: Signal, accepted: &Accepted) -> Response {
    let message = accepted.protobuf(signal);
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a response is a few kilobytes"));
    frame.put_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(HttpBody::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    response
}
