//! sent = stored + rejected + duplicate, whatever is sent, how often and through which door.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
        metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    logs::v1::LogRecord,
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, metric::Data,
        number_data_point::Value,
    },
    trace::v1::Span,
};
use proptest::{prelude::*, sample::Index};
use prost::Message as _;
use storage::model::Table;

use super::{
    Answer, JSON, NOW_UNSIGNED, PROTOBUF, Server, gzip,
    messages::{log, logs, metric, metrics, point, span, spans},
};
use crate::{Signal, SignalCounters};

/// One request: its signal, its body, the items in it, and how often and how it is sent.
#[derive(Clone, Debug)]
struct Sending {
    signal: Signal,
    body: Vec<u8>,
    item_count: u64,
    times: u64,
    by_grpc: bool,
}

fn time() -> impl Strategy<Value = u64> {
    let day = 86_400_000_000_000u64;
    prop_oneof![
        3 => NOW_UNSIGNED - day..NOW_UNSIGNED + day,
        1 => NOW_UNSIGNED - 1_000 * day..NOW_UNSIGNED + 1_000 * day,
        1 => Just(u64::MAX),
        1 => Just(0),
    ]
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    (time(), ".{0,10}").prop_map(|(time_unix_nano, body)| LogRecord { time_unix_nano, ..log(&body) })
}

fn any_span() -> impl Strategy<Value = Span> {
    (time(), 0..18usize, 0..10usize).prop_map(|(start_time_unix_nano, trace, span_id)| Span {
        start_time_unix_nano,
        trace_id: vec![1; trace],
        span_id: vec![2; span_id],
        ..span("s")
    })
}

fn data() -> impl Strategy<Value = (Data, u64)> {
    let numbers = proptest::collection::vec(time(), 0..4).prop_map(|times| {
        let count = times.len() as u64;
        let data_points = times.into_iter().map(|time_unix_nano| {
            let point = point(Some(Value::AsInt(1)));
            opentelemetry_proto::tonic::metrics::v1::NumberDataPoint { time_unix_nano, ..point }
        });
        (Data::Gauge(Gauge { data_points: data_points.collect() }), count)
    });
    let histogram = (time(), 0..4usize, 0..4usize).prop_map(|(time_unix_nano, buckets, bounds)| {
        let point = HistogramDataPoint {
            time_unix_nano,
            bucket_counts: vec![1; buckets],
            explicit_bounds: (0..bounds).map(|bound| bound as f64).collect(),
            ..Default::default()
        };
        (Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 }), 1)
    });
    let exponential = (time(), any::<i32>(), 0..3u64).prop_map(|(time_unix_nano, scale, zero_count)| {
        let point = ExponentialHistogramDataPoint { time_unix_nano, scale, zero_count, count: 1, ..Default::default() };
        (Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 }), 1)
    });
    prop_oneof![numbers, histogram, exponential]
}

fn sending() -> impl Strategy<Value = Sending> {
    let body = prop_oneof![
        proptest::collection::vec(log_record(), 0..5).prop_map(|records| {
            let count = records.len() as u64;
            (Signal::Logs, logs(records).encode_to_vec(), count)
        }),
        proptest::collection::vec(any_span(), 0..5).prop_map(|all| {
            let count = all.len() as u64;
            (Signal::Spans, spans(all).encode_to_vec(), count)
        }),
        proptest::collection::vec(data(), 0..4).prop_map(|all| {
            let count = all.iter().map(|(_, count)| count).sum();
            let all = all.into_iter().map(|(data, _)| metric("m", data)).collect();
            (Signal::Metrics, metrics(all).encode_to_vec(), count)
        }),
    ];
    (body, 1..3u64, any::<bool>()).prop_map(|((signal, body, item_count), times, by_grpc)| Sending {
        signal,
        body,
        item_count,
        times,
        by_grpc,
    })
}

/// Sends all of it and compares the counters with what was sent and with what is stored.
async fn check(sendings: Vec<Sending>) {
    let server = Server::with(|config| config.retention.logs = "30d".parse().unwrap()).await;
    let mut sent = [0; 3];
    for sending in sendings {
        for _ in 0..sending.times {
            let accepted = if sending.by_grpc {
                server.call(sending.signal, &[], 0, &sending.body).await.status.code() == tonic::Code::Ok
            } else {
                let headers = [("content-encoding", "gzip")];
                server.post(sending.signal, PROTOBUF, &headers, gzip(&sending.body)).await.status.is_success()
            };
            assert!(accepted, "{sending:?}");
            sent[sending.signal as usize] += sending.item_count;
        }
    }
    let counters = server.ingest.counters();
    let stored = |tables: &[Table]| tables.iter().map(|table| server.rows(*table).num_rows() as u64).sum::<u64>();
    let points = [Table::Metrics, Table::Histograms, Table::ExponentialHistograms, Table::Summaries];
    for (counters, sent, stored) in [
        (counters.logs, sent[0], stored(&[Table::Logs])),
        (counters.spans, sent[1], stored(&[Table::Spans])),
        (counters.metrics, sent[2], stored(&points)),
    ] {
        let SignalCounters { received, accepted, rejected, duplicate, refused_requests } = counters;
        assert_eq!(received, sent);
        assert_eq!(accepted, stored);
        assert_eq!(sent, stored + rejected + duplicate);
        assert_eq!(refused_requests, 0);
    }
    server.stop().await;
}

/// What happens to a body on its way.
#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Flip(Index, u8),
    /// A piece of the body is put in at another place.
    Splice(Index, Index, Index),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        1 => any::<Index>().prop_map(Damage::Cut),
        4 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => any::<(Index, Index, Index)>().prop_map(|(from, to, at)| Damage::Splice(from, to, at)),
    ];
    proptest::collection::vec(damage, 0..3)
}

fn damaged(mut body: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if body.is_empty() {
            break;
        }
        let length = body.len();
        match damage {
            Damage::Cut(at) => body.truncate(at.index(length)),
            Damage::Flip(at, bit) => body[at.index(length)] ^= 1 << bit,
            Damage::Splice(from, to, at) => {
                let (from, to) = (from.index(length), to.index(length));
                let piece = body[from.min(to)..from.max(to)].to_vec();
                let at = at.index(length);
                body.splice(at..at, piece);
            }
        }
    }
    body
}

/// The same request in JSON.
fn json(signal: Signal, body: &[u8]) -> Vec<u8> {
    let written = match signal {
        Signal::Logs => serde_json::to_vec(&ExportLogsServiceRequest::decode(body).unwrap()),
        Signal::Spans => serde_json::to_vec(&ExportTraceServiceRequest::decode(body).unwrap()),
        Signal::Metrics => serde_json::to_vec(&ExportMetricsServiceRequest::decode(body).unwrap()),
    };
    written.unwrap()
}

/// Items in a body as the generated types read it.
fn generated_count(signal: Signal, body: &[u8]) -> Option<u64> {
    let count: usize = match signal {
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body).ok()?;
            request.resource_logs.iter().flat_map(|group| &group.scope_logs).map(|scope| scope.log_records.len()).sum()
        }
        Signal::Spans => {
            let request = ExportTraceServiceRequest::decode(body).ok()?;
            request.resource_spans.iter().flat_map(|group| &group.scope_spans).map(|scope| scope.spans.len()).sum()
        }
        // Counted where the walk is tested.
        Signal::Metrics => return None,
    };
    Some(count as u64)
}

/// Items that the answer says were rejected.
fn told(signal: Signal, answer: &Answer) -> i64 {
    match signal {
        Signal::Logs => answer
            .message::<ExportLogsServiceResponse>()
            .partial_success
            .map_or(0, |partial| partial.rejected_log_records),
        Signal::Spans => {
            answer.message::<ExportTraceServiceResponse>().partial_success.map_or(0, |partial| partial.rejected_spans)
        }
        Signal::Metrics => answer
            .message::<ExportMetricsServiceResponse>()
            .partial_success
            .map_or(0, |partial| partial.rejected_data_points),
    }
}

/// Sends each bent body and looks at what changed: success accounts for every item, an error for none.
async fn check_bent(sendings: Vec<(Sending, Vec<Damage>, bool)>) {
    let server = Server::with(|config| config.retention.logs = "30d".parse().unwrap()).await;
    let stored = |signal| {
        let tables: &[Table] = match signal {
            Signal::Logs => &[Table::Logs],
            Signal::Spans => &[Table::Spans],
            Signal::Metrics => &[Table::Metrics, Table::Histograms, Table::ExponentialHistograms, Table::Summaries],
        };
        tables.iter().map(|table| server.rows(*table).num_rows() as u64).sum::<u64>()
    };
    for (Sending { signal, body, by_grpc, .. }, damages, is_json) in sendings {
        let is_json = is_json && !by_grpc;
        let body = damaged(if is_json { json(signal, &body) } else { body }, &damages);
        let counters = || {
            let all = server.ingest.counters();
            [all.logs, all.spans, all.metrics][signal as usize]
        };
        let (before, rows_before) = (counters(), stored(signal));
        let (is_success, rejected) = if by_grpc {
            (server.call(signal, &[], 0, &body).await.status.code() == tonic::Code::Ok, None)
        } else {
            let answer = server.post(signal, if is_json { JSON } else { PROTOBUF }, &[], body.clone()).await;
            assert!(answer.status.is_success() || answer.status == 400, "{answer:?}");
            let told = (answer.status.is_success() && !is_json).then(|| told(signal, &answer));
            (answer.status.is_success(), told)
        };
        let (after, rows) = (counters(), stored(signal) - rows_before);
        if is_success {
            let received = after.received - before.received;
            let (new_rejected, new_duplicates) = (after.rejected - before.rejected, after.duplicate - before.duplicate);
            assert_eq!(received, rows + new_rejected + new_duplicates);
            assert_eq!(after.accepted - before.accepted, rows);
            assert_eq!(after.refused_requests, before.refused_requests);
            if let Some(told) = rejected {
                assert_eq!(told, new_rejected as i64);
            }
            if let (false, Some(sent)) = (is_json, generated_count(signal, &body)) {
                assert_eq!(received, sent);
            }
        } else {
            assert_eq!(rows, 0, "a refused request stores nothing");
            let expected = SignalCounters { refused_requests: before.refused_requests + 1, ..before };
            assert_eq!(after, expected);
        }
    }
    assert_eq!(server.ingest.admission_bytes().0, 0);
    server.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens to bodies on their way: cut, bits flipped, pieces put in elsewhere; in both encodings.
    #[test]
    fn bent_requests_are_accounted_for_or_store_nothing(
        sendings in proptest::collection::vec((sending(), damages(), any::<bool>()), 1..12)
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(check_bent(sendings));
    }

    #[test]
    fn what_is_sent_is_stored_rejected_or_duplicate(sendings in proptest::collection::vec(sending(), 1..8)) {
        tokio::runtime::Runtime::new().unwrap().block_on(check(sendings));
    }
}
