//! Bad framing and the answer it gets: `docs` name the lines by number.

use http::StatusCode;
use prost::Message as _;
use storage::model::Table;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use super::{JSON, PROTOBUF, Server, frame, gzip, messages::*, text, zstd};
use crate::Signal;

/// Bodies that are not the message they claim to be: refused whole, in both protocols.
#[tokio::test]
async fn malformed_protobuf_is_refused_whole() {
    let good = logs(vec![log("never stored")]).encode_to_vec();
    let with_tail = |tail: &[u8]| [&good[..], tail].concat();
    let cases: [(&str, Vec<u8>); 9] = [
        ("one zero byte", vec![0]),
        ("truncated varint", with_tail(&[0x80])),
        ("varint of eleven bytes", with_tail(&[0x78, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1])),
        ("length of 2^63", with_tail(&[0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])),
        ("length beyond the end", with_tail(&[0x0a, 5, 1])),
        ("wrong wire type", with_tail(&[0x08, 1])),
        ("wire type 7", with_tail(&[0x0f])),
        ("group that never ends", with_tail(&[0x7b])),
        ("group ended as another", with_tail(&[0x7b, 0x74])),
    ];
    let server = Server::start().await;
    let count = cases.len() as u64;
    for (name, body) in cases {
        let answer = server.post(Signal::Logs, PROTOBUF, &[], body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        assert!(!answer.error().is_empty(), "{name}");
        let reply = server.call(Signal::Logs, &[], 0, &body).await;
        assert_eq!((reply.status.code(), reply.retry_delay()), (Code::InvalidArgument, None), "{name}");
    }
    assert_eq!(server.row_count(), 0);
    assert_eq!(server.ingest.counters().logs.refused_requests, 2 * count);
    server.stop().await;
}

/// Unknown groups are unknown fields.
#[tokio::test]
async fn unknown_fields_of_every_wire_type_are_ignored() {
    let server = Server::start().await;
    let mut body = logs(vec![log("kept")]).encode_to_vec();
    body.extend_from_slice(&[0x78, 1, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 1, 0, 0x7b, 0x78, 1, 0x7c, 0x7d, 1, 2, 3, 4]);
    assert_eq!(server.post(Signal::Logs, PROTOBUF, &[], body).await.status, StatusCode::OK);
    assert_eq!(text(&server.rows(Table::Logs), "body"), [Some("kept".to_owned())]);
    server.stop().await;
}

/// Line 8: 10 MB of what nobody knows, in one piece, in five million pieces, and within a record.
#[tokio::test]
async fn megabytes_of_unknown_fields_are_stepped_over() {
    let server = Server::with(|config| config.memory.budget = "256MiB".parse().unwrap()).await;
    let unknown = |bytes: &[u8]| {
        let mut field = vec![0x7a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend_from_slice(bytes);
        field
    };
    let wrap = |inner: &[u8]| {
        let mut field = vec![0x12];
        prost::encoding::encode_varint(inner.len() as u64, &mut field);
        field.extend_from_slice(inner);
        field
    };
    let mut groups = Vec::new();
    for _ in 0..2_500_000 {
        groups.extend_from_slice(&[0x7b, 0x78, 0x01, 0x7c]);
    }
    for (name, unknown) in [("one", unknown(&[7; 10 << 20])), ("many", [0x78, 1].repeat(5 << 20)), ("groups", groups)] {
        let mut record = log(name).encode_to_vec();
        record.extend_from_slice(&unknown);
        let mut body = Vec::new();
        let mut group = wrap(&wrap(&record));
        group[0] = 0x12;
        prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut body);
        prost::encoding::encode_varint(group.len() as u64, &mut body);
        body.extend_from_slice(&group);
        body.extend_from_slice(&unknown);
        assert_eq!(server.post(Signal::Logs, PROTOBUF, &[], body).await.status, StatusCode::OK, "{name}");
    }
    let found: Vec<_> = text(&server.rows(Table::Logs), "body").into_iter().flatten().collect();
    assert_eq!(found, ["one", "many", "groups"]);
    assert_eq!(server.ingest.admission_bytes().0, 0);
    server.stop().await;
}

#[tokio::test]
async fn content_types_are_taken_at_their_word() {
    let server = Server::start().await;
    let json = br#"{"resourceLogs":[]}"#.to_vec();
    for (name, content_type, body, status) in [
        ("JSON as protobuf", PROTOBUF, json.clone(), StatusCode::BAD_REQUEST),
        ("protobuf as JSON", JSON, logs(vec![log("a")]).encode_to_vec(), StatusCode::BAD_REQUEST),
        ("no type", "", json.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("text", "text/plain", json.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("protobuf by another name", "application/protobuf", Vec::new(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let answer = server.post(Signal::Logs, content_type, &[], body).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert!(!answer.error().is_empty(), "{name}");
    }
    let response = reqwest::Client::new()
        .post(format!("http://{}/opentelemetry.proto.collector.logs.v1.LogsService/Export", server.grpc))
        .header("content-type", JSON)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    server.stop().await;
}

#[tokio::test]
async fn json_that_is_not_otlp_is_refused_with_a_reason() {
    let point = |value: &str| {
        format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{{"timeUnixNano":"1700000000000000000",{value}}}]}}}}]}}]}}]}}"#
        )
    };
    let log = |field: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{field}}}]}}]}}]}}"#);
    let server = Server::start().await;
    for (signal, document, reason) in [
        (Signal::Metrics, point(r#""asDouble":NaN"#), "expected value"),
        (Signal::Metrics, point(r#""asInt":"twelve""#), "expected an integer"),
        (Signal::Metrics, point(r#""asInt":1.5"#), "expected an integer"),
        (Signal::Metrics, point(r#""asInt":"9223372036854775808""#), "out of range"),
        (Signal::Metrics, point(r#""attributes":{"a":1}"#), "expected an array"),
        (Signal::Logs, log(r#""traceId":"W47/95gDgQPSabYzgT/GDA==""#), "hex text in OTLP/JSON, not base64"),
        (Signal::Logs, log(r#""traceId":"5b8"#), "EOF"),
        (Signal::Logs, log(r#""body":{"bytesValue":"%"}"#), "not base64"),
        (Signal::Logs, log(r#""body":"text""#), "expected AnyValue"),
        (Signal::Logs, log(r#""body":{"stringValue":"\ud800"}"#), "hex escape"),
        (Signal::Logs, "[]".to_owned(), "ExportLogsServiceRequest"),
        (Signal::Logs, "{} {}".to_owned(), "trailing"),
        (Signal::Logs, "[".repeat(100_000), "line 1"),
        (Signal::Logs, log(&format!(r#""body":{}"#, r#"{"arrayValue":{"values":["#.repeat(100_000))), "expected value"),
    ] {
        let answer = server.send_json(signal, &document).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{:.100}", document);
        assert!(answer.error().contains(reason), "{:.100}: {}", document, answer.error());
    }
    assert_eq!(server.row_count(), 0);
    server.stop().await;
}

#[tokio::test]
async fn json_takes_what_the_mapping_allows() {
    let server = Server::start().await;
    let document = "\u{feff}".to_owned()
        + r#"{"resourceMetrics":[{"resource":null,"scopeMetrics":[{"metrics":[
        {"name":"special","gauge":{"dataPoints":[{"timeUnixNano":1.7e18,"asDouble":"NaN"},{"timeUnixNano":"1700000000000000000","asDouble":"-Infinity"},
            {"timeUnixNano":"1700000000000000000","asDouble":"1.5"},{"timeUnixNano":"1700000000000000000","asDouble":-0.0}]}},
        {"name":"twice","name":"last","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1700000000000000000","count":"3",
            "sum":4,"bucketCounts":["1",2],"explicitBounds":[0.5],"attributes":[{"key":"b","value":{"bytesValue":"_w8"}}]}]}}]}]}]}"#;
    let answer = server.send_json(Signal::Metrics, &document).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, serde_json::json!({})));
    // Line 16: a key that comes twice is a field that comes twice. The last of plain values wins, lists go on: no item
    // that is written is lost.
    let twice = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9,"severityNumber":17,
        "body":{"stringValue":"first"},"body":{"stringValue":"last"}}]}]}],
        "resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"second list"}}]}]}]}"#;
    assert_eq!(server.send_json(Signal::Logs, twice).await.json(), serde_json::json!({}));
    let logs = server.rows(Table::Logs);
    assert_eq!(text(&logs, "body"), [Some("last".to_owned()), Some("second list".to_owned())]);
    assert_eq!(super::integers(&logs, "severity_number"), [Some(17), Some(0)]);
    let values = super::doubles(&server.rows(Table::Metrics), "value");
    let bits: Vec<_> = values.iter().map(|value| value.unwrap().to_bits()).collect();
    assert!(values[0].unwrap().is_nan());
    assert_eq!(bits[1..], [f64::NEG_INFINITY, 1.5, -0.0].map(f64::to_bits));
    let histograms = server.rows(Table::Histograms);
    assert_eq!(text(&histograms, "metric_name"), [Some("last".to_owned())]);
    assert_eq!(super::maps(&histograms, "attributes"), [r#"{"b":"ff0f"}"#]);
    assert_eq!(super::doubles(&histograms, "sum"), [Some(4.0)]);
    server.stop().await;
}

/// A small body that would inflate to far more than the limit, or that asks for a window of 2 GiB.
#[tokio::test]
async fn bombs_are_refused_within_the_memory_budget() {
    let server = Server::with(|config| config.memory.budget = "256MiB".parse().unwrap()).await;
    let zeros = vec![0u8; 80 << 20];
    let (gzip_bomb, zstd_bomb) = (gzip(&zeros), zstd(&zeros));
    drop(zeros);
    // A frame header alone: magic, descriptor of a frame with a window, window descriptor 2^31, an empty last block.
    let window_bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00];
    for (name, encoding, body) in
        [("gzip", "gzip", gzip_bomb), ("zstd", "zstd", zstd_bomb), ("zstd window", "zstd", window_bomb)]
    {
        let answer = server.post(Signal::Logs, PROTOBUF, &[("content-encoding", encoding)], body.clone()).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{name}: {}", answer.error());
        assert_eq!(answer.header("retry-after"), None, "{name}");
        let reply = server.call(Signal::Logs, &[("grpc-encoding", encoding)], 1, &body).await;
        assert_eq!((reply.status.code(), reply.retry_delay()), (Code::ResourceExhausted, None), "{name}: {reply:?}");
    }
    assert_eq!(server.ingest.admission_bytes().0, 0);
    server.stop().await;
}

#[tokio::test]
async fn damaged_compression_is_refused() {
    let server = Server::start().await;
    let message = logs(vec![log(&"text ".repeat(500))]).encode_to_vec();
    let (gzipped, zstandard) = (gzip(&message), zstd(&message));
    let flipped = |mut bytes: Vec<u8>| {
        // The checksum at the end.
        *bytes.iter_mut().rev().nth(5).unwrap() ^= 0xff;
        bytes
    };
    for (name, encoding, body) in [
        ("truncated gzip", "gzip", gzipped[..gzipped.len() / 2].to_vec()),
        ("gzip header only", "gzip", gzipped[..10].to_vec()),
        ("gzip with a wrong checksum", "gzip", flipped(gzipped.clone())),
        ("gzip with trailing garbage", "gzip", [&gzipped[..], b"garbage"].concat()),
        ("gzip in gzip", "gzip", gzip(&gzipped)),
        ("not gzip", "gzip", message.clone()),
        ("truncated zstd", "zstd", zstandard[..zstandard.len() / 2].to_vec()),
        ("not zstd", "zstd", message.clone()),
        ("zstd with trailing garbage", "zstd", [&zstandard[..], b"garbage"].concat()),
        ("zstd in zstd", "zstd", zstd(&zstandard)),
    ] {
        let answer = server.post(Signal::Logs, PROTOBUF, &[("content-encoding", encoding)], body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        let reply = server.call(Signal::Logs, &[("grpc-encoding", encoding)], 1, &body).await;
        assert_eq!(reply.status.code(), Code::InvalidArgument, "{name}: {reply:?}");
    }
    assert_eq!(server.row_count(), 0);
    server.stop().await;
}

#[tokio::test]
async fn unknown_compressions_are_unsupported() {
    let server = Server::start().await;
    for encoding in ["br", "deflate", "gzip, gzip", "snappy"] {
        let answer = server.post(Signal::Logs, PROTOBUF, &[("content-encoding", encoding)], vec![1]).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{encoding}");
        assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd, identity"));
        let reply = server.call(Signal::Logs, &[("grpc-encoding", encoding)], 1, &[1]).await;
        assert_eq!(reply.status.code(), Code::Unimplemented, "{encoding}");
        assert_eq!(reply.headers["grpc-accept-encoding"], "identity,gzip,zstd");
    }
    server.stop().await;
}

#[tokio::test]
async fn grpc_frames_that_break_the_rules_are_refused() {
    let server = Server::start().await;
    let message = logs(vec![log("a")]).encode_to_vec();
    let two = [frame(0, &message), frame(0, &message)].concat();
    let short = frame(0, &message)[..message.len()].to_vec();
    for (name, body, code) in [
        ("no message", Vec::new(), Code::InvalidArgument),
        ("half a prefix", vec![0, 0], Code::InvalidArgument),
        ("half a message", short, Code::InvalidArgument),
        ("two messages", two, Code::InvalidArgument),
        ("flag 2", frame(2, &message), Code::InvalidArgument),
        ("compressed without saying how", frame(1, &gzip(&message)), Code::Internal),
        ("length of 4 GiB", vec![0, 255, 255, 255, 255, 1], Code::ResourceExhausted),
    ] {
        let reply = server.call_raw(Signal::Logs, &[], body).await;
        assert_eq!(reply.status.code(), code, "{name}: {reply:?}");
    }
    // A message that is not compressed may come under any encoding.
    assert_eq!(server.call(Signal::Logs, &[("grpc-encoding", "gzip")], 0, &message).await.status.code(), Code::Ok);
    assert_eq!(server.rows(Table::Logs).num_rows(), 1);
    server.stop().await;
}

/// Writes a request as it stands and reads until the connection closes or an answer is there.
async fn raw(server: &Server, request: &[u8]) -> String {
    let mut socket = tokio::net::TcpStream::connect(server.http).await.unwrap();
    socket.write_all(request).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // A connection closed hard is an answer too.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn content_lengths_that_lie_store_nothing() {
    let server = Server::start().await;
    let body = logs(vec![log("never stored")]).encode_to_vec();
    for length in [(body.len() + 10).to_string(), "-1".to_owned(), "many".to_owned(), "18446744073709551616".to_owned()]
    {
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {length}\r\n\r\n"
        );
        let answer = raw(&server, &[head.as_bytes(), &body].concat()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{length}: {answer}");
    }
    // Too small: what is announced is a truncated message, the rest is not a request.
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\n\r\n",
        body.len() - 3
    );
    let answer = raw(&server, &[head.as_bytes(), &body].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(server.row_count(), 0);
    server.stop().await;
}

/// An announced length over the limit is answered before the body comes.
#[tokio::test]
async fn a_body_of_64_mib_and_one_byte_is_too_large() {
    let server = Server::start().await;
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n",
        (64 << 20) + 1
    );
    let answer = raw(&server, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let reply =
        server.call_raw(Signal::Logs, &[], [&[0][..], &((64u32 << 20) + 1).to_be_bytes(), &[0; 100]].concat()).await;
    assert_eq!((reply.status.code(), reply.retry_delay()), (Code::ResourceExhausted, None));
    server.stop().await;
}

/// Line 24: a body that never ends is given up at the read deadline, also when it goes on and on.
#[tokio::test]
async fn a_body_without_an_end_is_408() {
    let server = Server::start().await;
    let socket = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let (mut read, mut write) = socket.into_split();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"
    );
    write.write_all(head.as_bytes()).await.unwrap();
    let drip = async {
        // Ends when the connection does.
        while write.write_all(b"1\r\n \r\n").await.is_ok() {
            tokio::task::yield_now().await;
            if server.ingest.admission_bytes().0 > 100 {
                server.ingest.inner.clock.advance(server.ingest.inner.settings.read_timeout / 10);
            }
        }
    };
    let answer = async {
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        let _ = read.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let ((), answer) = tokio::join!(drip, answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(server.ingest.admission_bytes().0, 0);
    assert_eq!(server.ingest.counters().logs.refused_requests, 1);
    assert_eq!(server.row_count(), 0);
    server.stop().await;
}

/// A body that does not come is given up at the read deadline.
#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let server = Server::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // The request waits for its body as soon as it holds memory for what came.
    while server.ingest.admission_bytes().0 == 0 {
        tokio::task::yield_now().await;
    }
    server.ingest.inner.clock.advance(server.ingest.inner.settings.read_timeout);
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(server.ingest.admission_bytes().0, 0);
    server.stop().await;
}
