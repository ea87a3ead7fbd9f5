//! Bad input A (framing), through the real listeners. Numbers are those of the list of bad inputs in the reliability plan.

use std::{io::Write as _, net::SocketAddr, time::Duration};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::support::{Server, telemetry, within};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const PATHS: [&str; 3] = ["/v1/logs", "/v1/traces", "/v1/metrics"];
const MIB: usize = 1024 * 1024;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("memory does not fail");
    out.finish().expect("memory does not fail")
}

/// `google.rpc.Status`, as far as these tests read it.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

async fn assert_status(what: &str, response: Response, expected: u16) -> bytes::Bytes {
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a whole answer");
    assert_eq!(status, expected, "{what}: {}", String::from_utf8_lossy(&body));
    body
}

/// A gRPC call with any bytes as its message.
async fn raw_call(server: &Server, path: &'static str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(server.channel().await).max_encoding_message_size(usize::MAX);
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static(path);
    Ok(client.unary(tonic::Request::new(message), path, raw::Codec).await?.into_inner())
}

const EXPORT_LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const EXPORT_SPANS: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORT_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// A codec that changes nothing.
mod raw {
    use bytes::{Buf as _, BufMut as _};
    use tonic::{
        Status,
        codec::{DecodeBuf, Decoder, EncodeBuf, Encoder},
    };

    #[derive(Debug, Default)]
    pub(super) struct Codec;

    impl tonic::codec::Codec for Codec {
        type Encode = Vec<u8>;
        type Decode = Vec<u8>;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            Self
        }

        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Codec {
        type Item = Vec<u8>;
        type Error = Status;

        fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
            out.put_slice(&item);
            Ok(())
        }
    }

    impl Decoder for Codec {
        type Item = Vec<u8>;
        type Error = Status;

        fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
            let mut out = vec![0; from.remaining()];
            from.copy_to_slice(&mut out);
            Ok(Some(out))
        }
    }
}

fn retry_info(status: &Status) -> bool {
    use tonic_types::StatusExt as _;
    status.get_details_retry_info().is_some()
}

#[tokio::test]
async fn malformed_protobuf_is_refused_whole_and_counted() {
    let server = Server::start().await;
    let malformed: [(&str, &[u8]); 5] = [
        ("2: one zero byte", &[0]),
        ("3: truncated varint", &[0x0a, 0xff]),
        ("4: length 2^63", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("5: wrong wire type", &[0x08, 0x01]),
        ("6: unmatched group", &[0x0b]),
    ];
    for (what, bytes) in malformed {
        for path in PATHS {
            let response = server.post_otlp(path, &[("content-type", PROTOBUF)], bytes).await;
            assert_eq!(response.headers()["content-type"], PROTOBUF, "{what}");
            let body = assert_status(what, response, 400).await;
            let status = RpcStatus::decode(body).expect("google.rpc.Status in the request's encoding");
            assert!(!status.message.is_empty());
        }
        for path in [EXPORT_LOGS, EXPORT_SPANS, EXPORT_METRICS] {
            let refused = raw_call(&server, path, bytes.to_vec()).await.expect_err(what);
            assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused:?}");
            assert!(!retry_info(&refused));
        }
    }
    let counted = server.metric("rootline_ingest_refused_requests_total", &[]).await;
    assert!((counted - 30.0).abs() < 0.5, "30 requests were refused, {counted} counted");
    // Those who behave are not affected.
    server.export_logs(telemetry::logs("a", vec![telemetry::log("fine")])).await.expect("accepted");
    assert_eq!(server.count("logs").await, 1);
}

#[tokio::test]
async fn empty_and_unknown_are_fine() {
    let server = Server::start().await;
    for path in PATHS {
        let response = server.post_otlp(path, &[("content-type", PROTOBUF)], "").await;
        assert_status("1: empty body", response, 200).await;
    }
    for path in [EXPORT_LOGS, EXPORT_SPANS, EXPORT_METRICS] {
        assert_eq!(raw_call(&server, path, Vec::new()).await.expect("1: empty message"), Vec::<u8>::new());
    }
    // 7: field 1000, a string, before and after what we know.
    let mut bytes = vec![0xc2, 0x3e, 3, b'a', b'b', b'c'];
    bytes.extend(telemetry::logs("a", vec![telemetry::log("known")]).encode_to_vec());
    bytes.extend([0xc2, 0x3e, 1, b'z']);
    let response = server.post_otlp("/v1/logs", &[("content-type", PROTOBUF)], bytes).await;
    assert_status("7: unknown fields", response, 200).await;
    assert_eq!(server.sql("SELECT body FROM logs").await.rows, [["known"]]);
}

#[tokio::test]
async fn content_types_and_encodings_are_checked() {
    let server = Server::start().await;
    let good = telemetry::logs("a", vec![telemetry::log("b")]).encode_to_vec();
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(&str, Headers, &[u8], u16); 8] = [
        ("10: JSON under the protobuf type", &[("content-type", PROTOBUF)], b"{\"resourceLogs\":[]}", 400),
        ("11: no content type", &[], &good, 415),
        ("11: wrong content type", &[("content-type", "text/plain")], &good, 415),
        ("22: unknown encoding", &[("content-type", PROTOBUF), ("content-encoding", "br")], &good, 415),
        ("20: truncated gzip", &[("content-type", PROTOBUF), ("content-encoding", "gzip")], &gzip(&good)[..12], 400),
        ("gzip", &[("content-type", PROTOBUF), ("content-encoding", "gzip")], &gzip(&good), 200),
        (
            "zstd",
            &[("content-type", PROTOBUF), ("content-encoding", "zstd")],
            &zstd::encode_all(good.as_slice(), 1).expect("memory"),
            200,
        ),
        ("identity", &[("content-type", PROTOBUF), ("content-encoding", "identity")], &good, 200),
    ];
    for (what, headers, body, expected) in cases {
        assert_status(what, server.post_otlp("/v1/logs", headers, body.to_vec()).await, expected).await;
    }
    // One body in three encodings is one body.
    assert_eq!(server.count("logs").await, 1);
    let wrong = server.http.get(server.otlp_url("/v1/logs")).send().await.expect("an answer");
    assert_eq!(wrong.status().as_u16(), 405);
}

#[tokio::test]
async fn json_follows_the_protobuf_mapping_of_otlp() {
    let server = Server::start().await;
    let document = |time: Value, severity: Value, trace: &str, number: Value| {
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{
            "timeUnixNano": time, "severityNumber": severity, "traceId": trace, "body": {"stringValue": "json"},
            "attributes": [{"key": "n", "value": {"intValue": number}}], "unknownField": {"x": 1}
        }]}]}]})
    };
    let hex = "5b8efff798038103d269b633813fc60c";
    let at = telemetry::AT;
    let big = 9_007_199_254_740_993_i64;
    let cases = [
        ("14: int64 as strings", document(json!(at.to_string()), json!(9), hex, json!(big.to_string())), 200),
        ("14: int64 as numbers", document(json!(at), json!(9), hex, json!(big + 1)), 200),
        ("15: base64 ids", document(json!(at.to_string()), json!(9), "W47/95gDgQPSabYzgT/GDA==", json!("1")), 400),
        ("15: enum names", document(json!(at.to_string()), json!("SEVERITY_NUMBER_INFO"), hex, json!("1")), 400),
    ];
    for (what, document, expected) in cases {
        let response = server.post_otlp("/v1/logs", &[("content-type", JSON)], document.to_string()).await;
        assert!(response.headers()["content-type"].to_str().expect("text").starts_with(JSON), "{what}");
        let body = assert_status(what, response, expected).await;
        let body: Value = serde_json::from_slice(&body).expect("JSON answers JSON");
        if what.contains("enum") {
            assert!(
                body["message"].as_str().is_some_and(|m| m.contains("integer") || m.contains("number")),
                "a hint: {body}"
            );
        }
    }
    for (what, bytes) in
        [("12: a bare NaN", "{\"resourceMetrics\":[{\"x\":NaN}]}"), ("no JSON", "{"), ("an array", "[]")]
    {
        let response = server.post_otlp("/v1/metrics", &[("content-type", JSON)], bytes).await;
        assert_status(what, response, 400).await;
    }
    let rows = server.sql("SELECT attributes['n'], trace_id, timestamp FROM logs ORDER BY 1").await;
    assert_eq!(
        rows.rows,
        [
            [json!(big.to_string()), json!(hex), json!("2026-01-02T03:04:05.000000006Z")],
            [json!((big + 1).to_string()), json!(hex), json!("2026-01-02T03:04:05.000000006Z")],
        ]
    );
}

/// A valid request of exactly this many bytes: one log record with a long body.
fn request_of(bytes: usize) -> Vec<u8> {
    let with = |body: usize| -> ExportLogsServiceRequest {
        let mut record = telemetry::log("");
        record.body = Some(telemetry::text(&"x".repeat(body)));
        telemetry::logs("large", vec![record])
    };
    // Lengths are written in more bytes the larger they are: approach the size from both sides.
    let mut body = bytes - 200;
    loop {
        let length = with(body).encoded_len();
        if length == bytes {
            return with(body).encode_to_vec();
        }
        body = (body + bytes) - length;
    }
}

#[tokio::test]
async fn size_limits_hold_before_and_after_inflation() {
    let server = Server::start().await;
    let limit = 64 * MIB;
    let (fits, over) = (request_of(limit), request_of(limit + 1));
    // Made before the first request: the server closes a connection that is silent for as long as compressing takes.
    let (small_fits, small_over, zeros) = (gzip(&fits), gzip(&over), gzip(&vec![0; 512 * MIB]));
    let before = server.resident_bytes();
    assert_status("25: 64 MiB", server.post_otlp("/v1/logs", &[("content-type", PROTOBUF)], fits.clone()).await, 200)
        .await;
    assert_status(
        "25: one byte more",
        server.post_otlp("/v1/logs", &[("content-type", PROTOBUF)], over.clone()).await,
        413,
    )
    .await;
    let compressed = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_status("25: inflated, one byte more", server.post_otlp("/v1/logs", &compressed, small_over).await, 413)
        .await;
    assert_status("25: inflated", server.post_otlp("/v1/logs", &compressed, small_fits).await, 200).await;
    let refused = raw_call(&server, EXPORT_LOGS, over).await.expect_err("25: gRPC, one byte more");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(!retry_info(&refused), "it would be too large again");

    // 17, 18: bombs. 1 GiB of zeros, and a zstd frame that asks for a window of 2 GiB.
    let bomb = zstd_bomb();
    let zstd_headers = [("content-type", PROTOBUF), ("content-encoding", "zstd")];
    assert_status("18: zstd bomb", server.post_otlp("/v1/logs", &zstd_headers, bomb).await, 413).await;
    assert_status("17: gzip bomb", server.post_otlp("/v1/logs", &compressed, zeros).await, 413).await;
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 1024 * MIB as u64, "grew by {} MiB", grown / MIB as u64);
    assert_eq!(server.count("logs").await, 1, "the same 64 MiB twice are one batch");
}

/// A zstd frame header with a 2 GiB window, then a block that repeats one byte.
fn zstd_bomb() -> Vec<u8> {
    // Magic, descriptor (no size, no checksum, no dictionary), window: exponent 21, mantissa 0 -> 2^31 bytes.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3];
    for last in [0u32, 0, 0, 1] {
        // Type 1 (RLE), 128 KiB of it.
        let header = last | 1 << 1 | (128 * 1024) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(b'x');
    }
    frame
}

#[tokio::test]
async fn grpc_names_encodings_it_does_not_know() {
    let server = Server::start().await;
    // 22: a message marked as compressed with something unknown.
    let request = http::Request::post(format!("{}{EXPORT_LOGS}", server.grpc_url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", "snappy")
        .body(tonic::body::Body::new(axum::body::Body::from(vec![1, 0, 0, 0, 1, 0])))
        .expect("a request");
    let response = server.channel().await.oneshot(request).await.expect("an answer");
    assert_eq!(response.headers()["grpc-status"], "12", "UNIMPLEMENTED: {:?}", response.headers());
}

/// What the server says to these bytes until it closes the connection or has answered.
async fn exchange(address: &str, request: &[u8]) -> String {
    let address: SocketAddr = address.parse().expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("sent");
    stream.shutdown().await.expect("the sending half can be closed");
    let mut answer = Vec::new();
    // A reset is an answer too.
    let _ = within("an answer or a closed connection", Duration::from_secs(40), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_wrong_content_length_stores_nothing() {
    let server = Server::start().await;
    let body = telemetry::logs("a", vec![telemetry::log("b")]).encode_to_vec();
    let (shorter, longer) = ((body.len() - 3).to_string(), (body.len() + 3).to_string());
    for (what, length) in [("smaller", shorter.as_str()), ("larger", &longer), ("negative", "-1"), ("no number", "ten")]
    {
        let mut request = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend(&body);
        let answer = exchange(&server.listeners.otlp_http, &request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "23, {what}: {answer}");
    }
    assert_eq!(server.count("logs").await, 0);
    for garbage in ["GET", "\x16\x03\x01\x02\x00\x01\x00", "POST /v1/logs HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n"] {
        for address in [&server.listeners.otlp_http, &server.listeners.http, &server.listeners.otlp_grpc] {
            let answer = exchange(address, garbage.as_bytes()).await;
            assert!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"), "{garbage:?}: {answer}");
        }
    }
    server.export_logs(telemetry::logs("a", vec![telemetry::log("b")])).await.expect("others are not affected");
}
