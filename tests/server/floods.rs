//! Bad input A (framing), continued: senders that try to hold or exhaust the server. Each is bounded, the others are served.

use std::{net::SocketAddr, time::Duration};

use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Server, Setup,
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS, frame, header, post,
    },
    telemetry, within,
};

const PROTOBUF: &str = "application/x-protobuf";
const EXPORT_LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const MIB: u64 = 1 << 20;
/// HTTP/2's error for senders that overdo it.
const ENHANCE_YOUR_CALM: u32 = 11;
/// More than any of these senders may cost; a debug build's allocator keeps some of what it gave out.
const GROWTH_BYTES: u64 = 64 * MIB;

/// Another sender is served.
async fn assert_others_are_served(server: &Server, body: &str) {
    server.export_logs(telemetry::logs("others", vec![telemetry::log(body)])).await.expect("accepted");
    let found = server.sql(&format!("SELECT count(*) FROM logs WHERE body = '{body}'")).await;
    assert_eq!(found.rows, [[1]], "{body}");
}

fn assert_grew_little(server: &Server, before: u64, what: &str) {
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES, "{what}: grew by {} MiB", grown / MIB);
}

/// A server that has answered before: what it needs once, it has.
async fn warm() -> Server {
    let server = Server::start().await;
    assert_others_are_served(&server, "before").await;
    server
}

#[tokio::test]
async fn endless_continuations_close_the_connection() {
    let server = warm().await;
    let before = server.resident_bytes();
    for address in [&server.listeners.otlp_grpc, &server.listeners.otlp_http, &server.listeners.http] {
        let connection = Frames::connect(address).await;
        let open = frame(HEADERS, 0, 1, &post(EXPORT_LOGS, "application/grpc"));
        let more = (0..100_000).map(|n| frame(CONTINUATION, 0, 1, &header(&format!("x-{n}"), &"y".repeat(1_000))));
        let said = connection.flood([open].into_iter().chain(more)).await;
        let said = said.unwrap_or_else(|_| panic!("27: 100 MB of headers were taken"));
        assert!(said.goaway.is_none_or(|error| error == ENHANCE_YOUR_CALM), "27: {said:?}");
    }
    assert_grew_little(&server, before, "27: continuations");
    assert_others_are_served(&server, "after continuations").await;
}

#[tokio::test]
async fn rapid_resets_close_the_connection() {
    let server = warm().await;
    let before = server.resident_bytes();
    let connection = Frames::connect(&server.listeners.otlp_grpc).await;
    let head = post(EXPORT_LOGS, "application/grpc");
    let streams = (0..500_000u32).map(|n| {
        let stream = 2 * n + 1;
        [frame(HEADERS, END_HEADERS, stream, &head), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    });
    let said = connection.flood(streams).await.unwrap_or_else(|_| panic!("27: 500,000 resets were taken"));
    assert!(said.goaway.is_none_or(|error| error == ENHANCE_YOUR_CALM), "27: {said:?}");
    assert_grew_little(&server, before, "27: resets");
    assert_others_are_served(&server, "after resets").await;
    assert_eq!(server.count("logs").await, 2, "of what was reset nothing is stored");
}

#[tokio::test]
async fn a_million_empty_frames_close_the_connection_and_a_few_do_not() {
    let server = warm().await;
    let before = server.resident_bytes();
    let message = telemetry::logs("patient", vec![telemetry::log("between empty frames")]).encode_to_vec();
    let (first, second) = message.split_at(message.len() / 2);
    let open = [frame(HEADERS, END_HEADERS, 1, &post("/v1/logs", PROTOBUF)), frame(DATA, 0, 1, first)].concat();
    let empty = frame(DATA, 0, 1, &[]);
    let pieces = [open.clone()].into_iter().chain(std::iter::repeat_n(empty.repeat(1_000), 1_000));
    let said = Frames::connect(&server.listeners.otlp_http).await.flood(pieces).await;
    let said = said.unwrap_or_else(|_| panic!("27: a million empty frames were taken"));
    assert!(said.goaway.is_none_or(|error| error == ENHANCE_YOUR_CALM), "27: {said:?}");
    assert_grew_little(&server, before, "27: empty frames");
    assert_others_are_served(&server, "after empty frames").await;
    assert_eq!(server.count("logs").await, 2, "half a message is not stored");
    let mut patient = Frames::connect(&server.listeners.otlp_http).await;
    let end = frame(DATA, END_STREAM, 1, second);
    assert!(patient.send(&[open, empty.repeat(50), end].concat()).await && patient.ended(1).await);
    assert_eq!(
        server.sql("SELECT body FROM logs WHERE service_name = 'patient'").await.rows,
        [["between empty frames"]]
    );
}

/// A body in pieces of one byte costs many times its length while it waits: the connection is closed, or its request ends
/// like any other. Pings, settings and resets of nothing have no effect at all.
#[tokio::test]
async fn tiny_frames_are_bounded() {
    let server = warm().await;
    let before = server.resident_bytes();
    let open = frame(HEADERS, END_HEADERS, 1, &post("/v1/logs", PROTOBUF));
    let tiny = frame(DATA, 0, 1, &[0]).repeat(1_000);
    let connection = Frames::connect(&server.listeners.otlp_http).await;
    drop(connection.flood([open].into_iter().chain(std::iter::repeat_n(tiny, 200))).await);
    for noise in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1])] {
        let connection = Frames::connect(&server.listeners.otlp_http).await;
        drop(connection.flood(std::iter::repeat_n(noise.repeat(1_000), 50)).await);
    }
    assert_grew_little(&server, before, "27: tiny frames");
    assert_others_are_served(&server, "beside tiny frames").await;
    assert_eq!(server.sql("SELECT count(*) FROM logs WHERE service_name <> 'others'").await.rows, [[0]]);
}

/// Writes what it can and reads until the connection is closed.
async fn answer(address: &str, request: Vec<u8>) -> String {
    let address: SocketAddr = address.parse().expect("an address");
    let (mut read, mut write) = TcpStream::connect(address).await.expect("a connection").into_split();
    let send = async move {
        // Fails when the server has heard enough.
        let _ = write.write_all(&request).await;
        write
    };
    let listen = async move {
        let mut answer = Vec::new();
        let _ = read.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let both = async { tokio::join!(send, listen).1 };
    within("an answer or a closed connection", Duration::from_secs(60), both).await
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = warm().await;
    let before = server.resident_bytes();
    let body = telemetry::logs("large head", vec![telemetry::log("never stored")]).encode_to_vec();
    let long = format!("x-long: {}\r\n", "y".repeat(MIB as usize));
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    for (what, headers) in [("one of 1 MiB", long), ("10,000", many)] {
        let mut request = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        for address in [&server.listeners.otlp_http, &server.listeners.http] {
            let answer = answer(address, request.clone()).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "28: {what}: {answer}");
        }
    }
    let long = vec![header("x-long", &"y".repeat(MIB as usize))];
    let many: Vec<_> = (0..10_000).map(|n| header(&format!("x-{n}"), "y")).collect();
    for (what, headers) in [("one of 1 MiB", long), ("10,000", many)] {
        let block = [post("/v1/logs", PROTOBUF), headers.concat()].concat();
        let mut chunks = block.chunks(16_000).peekable();
        let mut frames = vec![frame(HEADERS, 0, 1, chunks.next().expect("a head"))];
        while let Some(chunk) = chunks.next() {
            let flags = if chunks.peek().is_none() { END_HEADERS } else { 0 };
            frames.push(frame(CONTINUATION, flags, 1, chunk));
        }
        frames.push(frame(DATA, END_STREAM, 1, &body));
        // Answered with 431 or closed: either way the stream ends, or the connection does.
        if let Err(mut open) = Frames::connect(&server.listeners.otlp_http).await.flood(frames).await {
            let ended = open.ended(1).await;
            assert!(ended || open.closed().await.goaway.is_some(), "28: {what}");
        }
    }
    assert_grew_little(&server, before, "28: heads");
    assert_eq!(server.sql("SELECT count(*) FROM logs WHERE service_name = 'large head'").await.rows, [[0]]);
    assert_others_are_served(&server, "after large heads").await;
}

/// Two ways to say where a body ends are one too many: the chunks decide, as HTTP says, and what follows them is the next
/// request, whatever the length says.
#[tokio::test]
async fn a_length_beside_chunks_is_not_believed() {
    let server = warm().await;
    let chunked = |body: &str| {
        let message = telemetry::logs("both", vec![telemetry::log(body)]).encode_to_vec();
        [format!("{:x}\r\n", message.len()).as_bytes(), &message, b"\r\n0\r\n\r\n"].concat()
    };
    let both = ["content-length: 5\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 5"];
    for (n, lengths) in both.into_iter().enumerate() {
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {PROTOBUF}\r\n{lengths}\r\n\r\n"
        );
        let request = [head.as_bytes(), &chunked(&format!("order {n}"))].concat();
        // Read by its length, the rest of the chunks would be a second request, and refused as none.
        let answer = answer(&server.listeners.otlp_http, request).await;
        let stored = server.sql(&format!("SELECT count(*) FROM logs WHERE body = 'order {n}'")).await;
        let accepted = answer.starts_with("HTTP/1.1 200");
        assert!(accepted || answer.starts_with("HTTP/1.1 400"), "29: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "29: {answer}");
        assert_eq!(stored.rows, [[i64::from(accepted)]], "29: what is answered is what is stored");
    }
    for (what, lengths) in [
        ("two lengths", "content-length: 5\r\ncontent-length: 6"),
        ("chunks within chunks", "transfer-encoding: chunked, identity"),
        ("no chunks at all", "transfer-encoding: gzip"),
    ] {
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {PROTOBUF}\r\n{lengths}\r\n\r\n"
        );
        let answer = answer(&server.listeners.otlp_http, [head.as_bytes(), &chunked(what)].concat()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "29: {what}: {answer}");
    }
    assert_eq!(
        server.sql("SELECT count(*) FROM logs WHERE service_name = 'both' AND body NOT LIKE 'order%'").await.rows,
        [[0]]
    );
    assert_others_are_served(&server, "after lengths").await;
}

#[tokio::test]
async fn a_body_without_an_end_is_given_up_at_the_read_deadline() {
    let server = Server::start_with(Setup::configured("[ingest]\nread_timeout = \"1s\"\n")).await;
    let address: SocketAddr = server.listeners.otlp_http.parse().expect("an address");
    let (mut read, mut write) = TcpStream::connect(address).await.expect("a connection").into_split();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await.expect("sent");
    let drip = async {
        while write.write_all(b"1\r\n\0\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let listen = async {
        let mut answer = Vec::new();
        let _ = read.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    // The drip ends with the connection.
    let both = async { tokio::join!(drip, listen).1 };
    let answer = within("24: closed", Duration::from_secs(60), both).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "24: {answer}");
    assert_eq!(server.count("logs").await, 0);
    // The same over HTTP/2: the stream ends, its connection lives on.
    let mut connection = Frames::connect(&server.listeners.otlp_grpc).await;
    let open = frame(HEADERS, END_HEADERS, 1, &post(EXPORT_LOGS, "application/grpc"));
    assert!(connection.send(&[open, frame(DATA, 0, 1, &[0, 0, 0, 0, 100, 1])].concat()).await);
    assert!(connection.ended(1).await, "24: gRPC");
    let refused = server.metric("rootline_ingest_refused_requests_total", &["reason=\"read_timeout\""]).await;
    assert!((refused - 2.0).abs() < 0.5, "{refused} counted");
}

/// One connection takes all the memory for requests that it can get, and keeps it: another one's small requests find room.
#[tokio::test]
async fn a_greedy_connection_leaves_room_for_small_requests() {
    let server = Server::start_with(Setup::configured("[memory]\nbudget = \"256MiB\"\n")).await;
    let mut greedy = Frames::connect(&server.listeners.otlp_grpc).await;
    let head = post(EXPORT_LOGS, "application/grpc");
    // Each announces a message and never sends it. Sizes fall until nothing more is given.
    let mut stream = 1;
    for shift in (4..=26).rev() {
        for _ in 0..4 {
            let announced = [&[0][..], &(1u32 << shift).to_be_bytes()].concat();
            let open = [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, 0, stream, &announced)].concat();
            assert!(greedy.send(&open).await);
            stream += 2;
        }
        // One more of what cannot fit is refused in any case: its answer says that those before it were seen.
        let too_large = [&[0][..], &u32::MAX.to_be_bytes()].concat();
        let open = [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, END_STREAM, stream, &too_large)].concat();
        assert!(greedy.send(&open).await && greedy.ended(stream).await);
        stream += 2;
    }
    assert!(greedy.said.ended.len() > 23, "the greedy connection met a bound");
    for n in 0..50 {
        let body = format!("small {n}");
        server.export_logs(telemetry::logs("small", vec![telemetry::log(&body)])).await.expect("a small request fits");
    }
    assert_eq!(server.count("logs").await, 50);
}
