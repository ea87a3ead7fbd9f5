//! The requirements of the OTLP specification on servers, in its order: one test each, named for what it asks.

use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceResponse, logs_service_client::LogsServiceClient},
        metrics::v1::{ExportMetricsServiceResponse, metrics_service_client::MetricsServiceClient},
        trace::v1::{ExportTraceServiceResponse, trace_service_client::TraceServiceClient},
    },
    metrics::v1::number_data_point::Value,
};
use prost::Message as _;
use storage::{error::ErrorKind, model::Table};
use tonic::{Code, codec::CompressionEncoding};
use tonic_types::StatusExt as _;
use tower::{Service as _, ServiceExt as _};

use super::{JSON, PROTOBUF, Server, gzip, messages::*, text, zstd};
use crate::Signal;

/// A size limit that tests can exceed quickly.
const SMALL_LIMIT: u64 = 10_000;

async fn small_server() -> Server {
    Server::with(|config| config.ingest.max_request_size = config::ByteSize::bytes(SMALL_LIMIT)).await
}

/// "All server components MUST support the following transport compression options: none, gzip."
#[tokio::test]
async fn none_and_gzip_are_understood_by_both_protocols() {
    let server = Server::start().await;
    let body = |name: &str| logs(vec![log(name)]);
    let (http_none, http_gzip, http_zstd) = (body("a"), body("b"), body("c"));
    assert_eq!(server.send(Signal::Logs, &http_none).await.status, StatusCode::OK);
    for (encoding, compressed) in
        [("gzip", gzip(&http_gzip.encode_to_vec())), ("zstd", zstd(&http_zstd.encode_to_vec()))]
    {
        let answer = server.post(Signal::Logs, PROTOBUF, &[("content-encoding", encoding)], compressed).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}: {answer:?}");
    }
    let client = LogsServiceClient::new(server.channel());
    client.clone().export(body("d")).await.unwrap();
    client.clone().send_compressed(CompressionEncoding::Gzip).export(body("e")).await.unwrap();
    client.clone().send_compressed(CompressionEncoding::Zstd).export(body("f")).await.unwrap();
    let found: Vec<_> = text(&server.rows(Table::Logs), "body").into_iter().flatten().collect();
    assert_eq!(found, ["a", "b", "c", "d", "e", "f"]);
    server.stop().await;
}

/// "The server MUST enforce a message size limit when receiving the request, including after decompression […] the gRPC
/// server implementations MUST report a RESOURCE_EXHAUSTED code as a non-retryable error."
#[tokio::test]
async fn grpc_messages_over_the_limit_are_resource_exhausted_without_retry_info() {
    let server = small_server().await;
    let message = logs(vec![log(&"x".repeat(2 * SMALL_LIMIT as usize))]).encode_to_vec();
    let plain = server.call(Signal::Logs, &[], 0, &message).await;
    let inflated = server.call(Signal::Logs, &[("grpc-encoding", "gzip")], 1, &gzip(&message)).await;
    for reply in [plain, inflated] {
        assert_eq!(reply.status.code(), Code::ResourceExhausted, "{reply:?}");
        assert_eq!(reply.retry_delay(), None);
    }
    assert_eq!(server.row_count(), 0);
    server.stop().await;
}

/// "It is RECOMMENDED to use 64 MiB as the default limit. Implementations SHOULD allow this limit to be configured."
#[test]
fn the_default_limit_is_64_mib() {
    assert_eq!(config::Config::default().ingest.max_request_size.as_u64(), 64 << 20);
}

/// "Implementations that need to achieve high throughput SHOULD support concurrent Unary calls."
#[tokio::test]
async fn calls_on_one_connection_are_answered_concurrently() {
    let server = Server::start().await;
    let client = LogsServiceClient::new(server.channel());
    let calls = (0..50).map(|number| {
        let mut client = client.clone();
        async move { client.export(logs(vec![log(&format!("call {number}"))])).await }
    });
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(server.rows(Table::Logs).num_rows(), 50);
    server.stop().await;
}

/// "If the server receives an empty request the server SHOULD respond with success."
#[tokio::test]
async fn an_empty_request_is_a_success() {
    let server = Server::start().await;
    for signal in Signal::ALL {
        assert_eq!(server.call(signal, &[], 0, &[]).await.status.code(), Code::Ok);
        let answer = server.post(signal, PROTOBUF, &[], Vec::new()).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        assert_eq!(server.post(signal, JSON, &[], b"{}".to_vec()).await.json(), serde_json::json!({}));
    }
    server.stop().await;
}

/// "On success, the server response MUST be a Export<signal>ServiceResponse message […] The server MUST leave the
/// partial_success field unset in case of a successful response."
#[tokio::test]
async fn full_success_leaves_partial_success_unset() {
    let server = Server::start().await;
    let channel = server.channel();
    let response = LogsServiceClient::new(channel.clone()).export(logs(vec![log("a")])).await.unwrap().into_inner();
    assert_eq!(response, ExportLogsServiceResponse { partial_success: None });
    let response = TraceServiceClient::new(channel.clone()).export(spans(vec![span("a")])).await.unwrap().into_inner();
    assert_eq!(response, ExportTraceServiceResponse { partial_success: None });
    let request = metrics(vec![gauge("a", Value::AsInt(1))]);
    let response = MetricsServiceClient::new(channel).export(request).await.unwrap().into_inner();
    assert_eq!(response, ExportMetricsServiceResponse { partial_success: None });
    server.stop().await;
}

/// "If the request is only partially accepted […] the server MUST initialize the partial_success field, and it MUST set
/// the respective rejected_* field […] The server SHOULD populate the error_message field."
#[tokio::test]
async fn partial_success_counts_what_was_rejected_and_says_why() {
    let server = Server::start().await;
    let far = super::NOW_UNSIGNED + 400 * 86_400_000_000_000;
    let mut late_log = log("late");
    late_log.time_unix_nano = far;
    let mut late_span = span("late");
    late_span.start_time_unix_nano = far;
    let mut late_point = point(Some(Value::AsInt(1)));
    late_point.time_unix_nano = far;
    let gauge =
        opentelemetry_proto::tonic::metrics::v1::Gauge { data_points: vec![late_point, point(Some(Value::AsInt(2)))] };
    let gauge = metric("m", opentelemetry_proto::tonic::metrics::v1::metric::Data::Gauge(gauge));

    let reply = server.call(Signal::Logs, &[], 0, &logs(vec![late_log, log("now")]).encode_to_vec()).await;
    let partial = reply.message::<ExportLogsServiceResponse>().partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 1);
    assert_eq!(
        partial.error_message,
        "1 of 2 log records rejected: 1 too_far_ahead (time 2024-12-18T22:13:20.000000000Z is too far in the future \
         (ingest.max_future = \"1d\"))"
    );
    let partial = server.send(Signal::Spans, &spans(vec![span("now"), late_span])).await;
    let partial = partial.message::<ExportTraceServiceResponse>().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("1 of 2 spans"), "{}", partial.error_message);
    let partial = server.send(Signal::Metrics, &metrics(vec![gauge])).await;
    let partial = partial.message::<ExportMetricsServiceResponse>().partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 1);
    assert!(partial.error_message.contains("1 of 2 data points"), "{}", partial.error_message);
    assert_eq!(server.row_count(), 3);
    server.stop().await;
}

/// "The server MUST limit the size of the response message. It is RECOMMENDED to use 4 MiB as the default limit."
#[tokio::test]
async fn a_response_stays_small_however_much_is_rejected() {
    let server = Server::start().await;
    let mut nameless = span(&"n".repeat(1_000));
    nameless.trace_id.clear();
    let answer = server.send(Signal::Spans, &spans(vec![nameless; 5_000])).await;
    let partial = answer.message::<ExportTraceServiceResponse>().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 5_000);
    assert!(answer.body.len() < 4_096, "{} bytes", answer.body.len());
    server.stop().await;
}

/// "The server SHOULD indicate retryable errors using code Unavailable and MAY supply additional details via status
/// using RetryInfo"; RESOURCE_EXHAUSTED is retryable "only if the server signals that the recovery is possible".
#[tokio::test]
async fn storage_that_cannot_take_more_is_retryable_and_says_when() {
    for (kind, code, http) in [
        (ErrorKind::Unavailable, Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
        (ErrorKind::Overloaded, Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
    ] {
        let server = Server::refusing(kind).await;
        let message = logs(vec![log("a")]);
        let reply = server.call(Signal::Logs, &[], 0, &message.encode_to_vec()).await;
        assert_eq!((reply.status.code(), reply.retry_delay()), (code, Some(Duration::from_secs(1))), "{reply:?}");
        let answer = server.send(Signal::Logs, &message).await;
        assert_eq!((answer.status, answer.header("retry-after")), (http, Some("1")), "{answer:?}");
        server.stop().await;
    }
}

/// Other failures of the server are not retryable: INTERNAL, 500, without a delay.
#[tokio::test]
async fn storage_that_fails_is_not_retryable() {
    let server = Server::refusing(ErrorKind::Internal).await;
    let message = logs(vec![log("a")]);
    let reply = server.call(Signal::Logs, &[], 0, &message.encode_to_vec()).await;
    assert_eq!((reply.status.code(), reply.retry_delay()), (Code::Internal, None), "{reply:?}");
    let answer = server.send(Signal::Logs, &message).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::INTERNAL_SERVER_ERROR, None));
    server.stop().await;
}

/// "To indicate non-retryable errors, the server is recommended to use code InvalidArgument and MAY supply additional
/// details via status using BadRequest."
#[tokio::test]
async fn bad_data_is_invalid_argument_with_bad_request_details() {
    let server = Server::start().await;
    let reply = server.call(Signal::Spans, &[], 0, &[0]).await;
    assert_eq!((reply.status.code(), reply.retry_delay()), (Code::InvalidArgument, None), "{reply:?}");
    let details = reply.status.get_details_bad_request().unwrap();
    assert_eq!(details.field_violations.len(), 1);
    server.stop().await;
}

/// "If the server is unable to keep up […] it SHOULD signal that fact to the client", before reading the message.
#[tokio::test]
async fn over_the_memory_budget_requests_are_told_to_come_again() {
    let server = Server::start().await;
    let mut hog = server.ingest.inner.admission.share(&crate::Connection::default());
    hog.grow(server.ingest.inner.admission.capacity_bytes()).unwrap();
    let message = logs(vec![log("a")]);
    let reply = server.call(Signal::Logs, &[], 0, &message.encode_to_vec()).await;
    assert_eq!(reply.status.code(), Code::ResourceExhausted, "{reply:?}");
    assert_eq!(reply.retry_delay(), Some(Duration::from_secs(1)));
    let answer = server.send(Signal::Logs, &message).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    drop(hog);
    assert_eq!(server.send(Signal::Logs, &message).await.status, StatusCode::OK);
    assert_eq!(server.ingest.admission_bytes().0, 0, "everything was given back");
    server.stop().await;
}

/// "OTLP/HTTP uses HTTP POST requests."
#[tokio::test]
async fn only_post_is_answered() {
    let server = Server::start().await;
    let response = reqwest::get(format!("http://{}/v1/logs", server.http)).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "POST");
    server.stop().await;
}

/// "Implementations MAY use HTTP/1.1 or HTTP/2 transports."
#[tokio::test]
async fn http_is_answered_in_both_versions() {
    let server = Server::start().await;
    assert_eq!(server.send(Signal::Logs, &logs(vec![log("one")])).await.status, StatusCode::OK);
    // A gRPC channel is an HTTP/2 connection.
    let uri = format!("http://{}", server.http);
    let mut channel = tonic::transport::Channel::from_shared(uri.clone()).unwrap().connect().await.unwrap();
    let body = logs(vec![log("two")]).encode_to_vec();
    let request = http::Request::post(format!("{uri}/v1/logs")).header("content-type", PROTOBUF);
    let request = request.body(tonic::body::Body::new(http_body_util::Full::from(body))).unwrap();
    let response = channel.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
    server.stop().await;
}

/// "The default URL path for requests that carry […]": each path takes its own message.
#[tokio::test]
async fn each_signal_has_its_path() {
    let server = Server::start().await;
    assert_eq!(server.send(Signal::Logs, &logs(vec![log("a")])).await.status, StatusCode::OK);
    assert_eq!(server.send(Signal::Spans, &spans(vec![span("a")])).await.status, StatusCode::OK);
    let request = metrics(vec![gauge("a", Value::AsDouble(1.5))]);
    assert_eq!(server.send(Signal::Metrics, &request).await.status, StatusCode::OK);
    for table in [Table::Logs, Table::Spans, Table::Metrics] {
        assert_eq!(server.rows(table).num_rows(), 1, "{table}");
    }
    server.stop().await;
}

/// "Server implementations SHOULD accept OTLP/HTTP with binary-encoded Protobuf payload and OTLP/HTTP with JSON-encoded
/// Protobuf payload requests on the same port"; "The server MUST use the same Content-Type in the response as it
/// received in the request", for failures too.
#[tokio::test]
async fn responses_have_the_encoding_of_their_request() {
    let server = Server::start().await;
    for content_type in [PROTOBUF, JSON] {
        let answer = server.post(Signal::Logs, content_type, &[], Vec::new()).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some(content_type)));
        let answer = server.post(Signal::Logs, content_type, &[], b"\xff".to_vec()).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::BAD_REQUEST, Some(content_type)));
        assert!(!answer.error().is_empty());
    }
    let answer = server.post(Signal::Logs, "Application/JSON; charset=utf-8", &[], b"{}".to_vec()).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some(JSON)));
    server.stop().await;
}

/// "The traceId and spanId byte arrays are represented as case-insensitive hex-encoded strings."
#[tokio::test]
async fn json_ids_are_hex_in_either_case() {
    let server = Server::start().await;
    let document = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","parentSpanId":"EEE19B7EC3C1B173",
         "name":"a","kind":2,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000001"}]}]}]}"#;
    assert_eq!(server.send_json(Signal::Spans, document).await.json(), serde_json::json!({}));
    let rows = server.rows(Table::Spans);
    let hex = |column: &str| hex::encode(super::bytes(&rows, column)[0].as_ref().unwrap());
    assert_eq!(hex("trace_id"), "5b8efff798038103d269b633813fc60c");
    assert_eq!(hex("span_id"), "eee19b7ec3c1b174");
    assert_eq!(hex("parent_span_id"), "eee19b7ec3c1b173");
    server.stop().await;
}

/// "Values of enum fields MUST be encoded as integer values […] the enum name strings MUST NOT be used."
#[tokio::test]
async fn json_enum_names_are_refused_with_a_hint() {
    let server = Server::start().await;
    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_SERVER"}]}]}]}"#;
    let status = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"status":{"code":"STATUS_CODE_ERROR"}}]}]}]}"#;
    let log = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"SEVERITY_NUMBER_WARN"}]}]}]}"#;
    let sum = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":
        {"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","dataPoints":[{"asInt":"1"}]}}]}]}]}"#;
    for (signal, document, hint) in [
        (Signal::Spans, span, "\"kind\" is \"SPAN_KIND_SERVER\"; enums are integers in OTLP/JSON: write 2"),
        (Signal::Spans, status, "write 2"),
        (Signal::Logs, log, "write 13"),
        (Signal::Metrics, sum, "write 1"),
    ] {
        let answer = server.send_json(signal, document).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.error().contains(hint), "{}", answer.error());
    }
    assert_eq!(server.row_count(), 0);
    server.stop().await;
}

/// "OTLP/JSON receivers MUST ignore message fields with unknown names"; "The keys of JSON objects are field names
/// converted to lowerCamelCase. Original field names are not valid to use as keys."
#[tokio::test]
async fn json_fields_with_unknown_names_are_ignored() {
    let server = Server::start().await;
    let document = r#"{"future":[{"a":1}],"resourceLogs":[{"later":null,"scopeLogs":[{"logRecords":[
        {"timeUnixNano":"1700000000000000000","body":{"stringValue":"kept","novel":{"x":[1,2]}},"trace_id":"00","severity_text":"lost"}]}]}]}"#;
    assert_eq!(server.send_json(Signal::Logs, document).await.status, StatusCode::OK);
    let rows = server.rows(Table::Logs);
    assert_eq!(text(&rows, "body"), [Some("kept".to_owned())]);
    assert_eq!(text(&rows, "severity_text"), [None]);
    server.stop().await;
}

/// "64-bit integer numbers in JSON-encoded payloads are encoded as decimal strings, and either numbers or strings are
/// accepted when decoding."
#[tokio::test]
async fn json_64_bit_integers_are_text_or_numbers() {
    let server = Server::start().await;
    let document = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[
        {"timeUnixNano":"1700000000000000000","asInt":"9223372036854775807"},
        {"timeUnixNano":1700000000000000000,"asInt":-9223372036854775808}]}}]}]}]}"#;
    assert_eq!(server.send_json(Signal::Metrics, document).await.status, StatusCode::OK);
    let rows = server.rows(Table::Metrics);
    assert_eq!(super::integers(&rows, "value_int"), [Some(i64::MAX), Some(i64::MIN)]);
    assert_eq!(super::integers(&rows, "timestamp"), [Some(super::NOW); 2]);
    server.stop().await;
}

/// "The server MUST limit the size of the request body when parsing it, including after decompression […] the server
/// MUST respond with HTTP 413 Content Too Large."
#[tokio::test]
async fn http_bodies_over_the_limit_are_413() {
    let server = small_server().await;
    let message = logs(vec![log(&"x".repeat(2 * SMALL_LIMIT as usize))]).encode_to_vec();
    let plain = server.post(Signal::Logs, PROTOBUF, &[], message.clone()).await;
    let gzip = server.post(Signal::Logs, PROTOBUF, &[("content-encoding", "gzip")], gzip(&message)).await;
    let zstd = server.post(Signal::Logs, PROTOBUF, &[("content-encoding", "zstd")], zstd(&message)).await;
    for answer in [plain, gzip, zstd] {
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.header("retry-after"), None);
        assert!(answer.error().contains("10000 bytes"), "{}", answer.error());
    }
    assert_eq!(server.row_count(), 0);
    server.stop().await;
}

/// Exactly the limit is accepted, one byte more is not.
#[tokio::test]
async fn the_limit_itself_is_accepted() {
    let server = small_server().await;
    let overhead = logs(vec![log(&"x".repeat(1_000))]).encode_to_vec().len() - 1_000;
    // Lengths take one byte more in each of the three levels once a message is over 16 KiB; it is not.
    let fitting = logs(vec![log(&"x".repeat(SMALL_LIMIT as usize - overhead))]).encode_to_vec();
    assert_eq!(fitting.len() as u64, SMALL_LIMIT);
    let over = logs(vec![log(&"x".repeat(SMALL_LIMIT as usize - overhead + 1))]).encode_to_vec();
    for (body, http, grpc) in
        [(fitting, StatusCode::OK, Code::Ok), (over, StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted)]
    {
        assert_eq!(
            server.post(Signal::Logs, PROTOBUF, &[("content-encoding", "gzip")], gzip(&body)).await.status,
            http
        );
        assert_eq!(server.call(Signal::Logs, &[("grpc-encoding", "zstd")], 1, &zstd(&body)).await.status.code(), grpc);
        assert_eq!(server.post(Signal::Logs, PROTOBUF, &[], body.clone()).await.status, http);
        assert_eq!(server.call(Signal::Logs, &[], 0, &body).await.status.code(), grpc);
    }
    server.stop().await;
}

/// "If the processing of the request fails because the request contains data that cannot be decoded […] the server MUST
/// respond with HTTP 400 Bad Request. The Status.details field in the response SHOULD contain a BadRequest."
#[tokio::test]
async fn http_bad_data_is_400_with_bad_request_details() {
    let server = Server::start().await;
    let answer = server.post(Signal::Logs, PROTOBUF, &[], vec![0]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let status = tonic_types::Status::decode(answer.body).unwrap();
    assert_eq!(status.code, Code::InvalidArgument as i32);
    assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.BadRequest");
    let answer = server.post(Signal::Logs, JSON, &[], b"{".to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["details"][0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
    server.stop().await;
}

/// "The client SHOULD keep the connection alive between requests": an answer of failure does not cost the connection.
#[tokio::test]
async fn a_connection_survives_refused_requests() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = Server::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.http).await.unwrap();
    for _ in 0..3 {
        let request =
            "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 2_000];
        let length = socket.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer[..length]));
    }
    server.stop().await;
}

/// "Receivers MAY ignore empty envelopes": a resource or scope without items is no item and no error.
#[tokio::test]
async fn empty_envelopes_are_ignored() {
    let server = Server::start().await;
    for (signal, body) in [
        (Signal::Logs, logs(Vec::new()).encode_to_vec()),
        (Signal::Spans, spans(Vec::new()).encode_to_vec()),
        (Signal::Metrics, metrics(vec![Default::default()]).encode_to_vec()),
    ] {
        let answer = server.post(signal, PROTOBUF, &[], body).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    }
    assert_eq!(server.ingest.counters(), crate::Counters::default());
    server.stop().await;
}

/// "The client will typically choose to re-send such data": a body is stored once however often and by whichever
/// compression it comes.
#[tokio::test]
async fn a_repeated_body_is_acknowledged_and_not_stored_again() {
    let server = Server::start().await;
    let message = logs(vec![log("once"), log("two")]);
    let body = message.encode_to_vec();
    assert_eq!(server.send(Signal::Logs, &message).await.status, StatusCode::OK);
    let again = server.post(Signal::Logs, PROTOBUF, &[("content-encoding", "gzip")], gzip(&body)).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::OK, 0));
    assert_eq!(server.call(Signal::Logs, &[], 0, &body).await.status.code(), Code::Ok);
    assert_eq!(server.rows(Table::Logs).num_rows(), 2);
    let counters = server.ingest.counters().logs;
    assert_eq!((counters.received, counters.accepted, counters.duplicate), (6, 2, 4));
    server.stop().await;
}

/// `ingest.dedup = false`: every body is a new one.
#[tokio::test]
async fn repeated_bodies_are_stored_again_when_asked_to() {
    let server = Server::with(|config| config.ingest.dedup = false).await;
    for _ in 0..2 {
        assert_eq!(server.send(Signal::Logs, &logs(vec![log("again")])).await.status, StatusCode::OK);
    }
    assert_eq!(server.rows(Table::Logs).num_rows(), 2);
    server.stop().await;
}

/// "The default network port for OTLP/gRPC is 4317 […] for OTLP/HTTP is 4318."
#[test]
fn the_default_ports_are_those_of_the_specification() {
    let listen = config::Config::default().listen;
    assert_eq!(listen.otlp_grpc.to_string(), "127.0.0.1:4317");
    assert_eq!(listen.otlp_http.to_string(), "127.0.0.1:4318");
}

/// "Newer versions of OTLP may add new fields to messages that will be ignored by […] nodes that do not understand
/// these fields"; a service that this version does not have is UNIMPLEMENTED, a path 404.
#[tokio::test]
async fn what_a_later_version_adds_does_no_harm() {
    let server = Server::start().await;
    let mut body = logs(vec![log("kept")]).encode_to_vec();
    body.extend_from_slice(&[0xfa, 0x3f, 3, b'n', b'e', b'w', 0xf0, 0x3f, 7]);
    assert_eq!(server.post(Signal::Logs, PROTOBUF, &[], body).await.status, StatusCode::OK);
    assert_eq!(text(&server.rows(Table::Logs), "body"), [Some("kept".to_owned())]);
    let profiles = format!("http://{}/v1development/profiles", server.http);
    assert_eq!(reqwest::Client::new().post(profiles).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let mut client = tonic::client::Grpc::new(server.channel());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
    );
    let codec = tonic_prost::ProstCodec::<ExportLogsServiceResponse, ExportLogsServiceResponse>::default();
    let status =
        client.unary(tonic::Request::new(ExportLogsServiceResponse::default()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    server.stop().await;
}

/// The JSON examples of the specification's repository, wherever the shared data lies (`RL_SHARED`).
#[tokio::test]
async fn the_examples_of_the_specification_are_stored() {
    #[expect(clippy::disallowed_methods, reason = "where the shared data lies is no setting of the server")]
    let shared = std::env::var_os("RL_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        |shared| {
            let shared = std::path::PathBuf::from(shared);
            // A relative path is meant from the top of the repository; tests run in their room.
            if shared.is_relative() {
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(shared)
            } else {
                shared
            }
        },
    );
    let examples = shared.join("data/otlp/examples");
    if !examples.is_dir() {
        eprintln!("SKIPPED: {} is not there", examples.display());
        return;
    }
    let server = Server::start().await;
    for (file, signal) in [
        ("logs.json", Signal::Logs),
        ("events.json", Signal::Logs),
        ("trace.json", Signal::Spans),
        ("metrics.json", Signal::Metrics),
    ] {
        let document = std::fs::read_to_string(examples.join(file)).unwrap();
        let answer = server.send_json(signal, &document).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, serde_json::json!({})), "{file}");
    }
    for table in [Table::Logs, Table::Spans, Table::Metrics, Table::Histograms, Table::ExponentialHistograms] {
        assert!(server.rows(table).num_rows() > 0, "{table}");
    }
    server.stop().await;
}
