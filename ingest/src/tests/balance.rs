//! sent = stored + rejected + duplicate, whatever is sent, how often and through which door.

use opentelemetry_proto::tonic::{
    logs::v1::LogRecord,
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, metric::Data,
        number_data_point::Value,
    },
    trace::v1::Span,
};
use proptest::prelude::*;
use prost::Message as _;
use storage::model::Table;

use super::{
    NOW_UNSIGNED, PROTOBUF, Server, gzip,
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_sent_is_stored_rejected_or_duplicate(sendings in proptest::collection::vec(sending(), 1..8)) {
        tokio::runtime::Runtime::new().unwrap().block_on(check(sendings));
    }
}
