//! A request body -> Arrow rows.

use std::hint::black_box;

use criterion::{Criterion, Throughput};

use crate::telemetry;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(telemetry::ITEMS as u64));
    let bodies = [("logs", telemetry::logs(1)), ("spans", telemetry::spans(1)), ("metrics", telemetry::metrics(1))];
    for (signal, (name, body)) in bodies.iter().enumerate() {
        group.bench_function(*name, |b| b.iter(|| ingest::testing::batch(signal as u8, false, black_box(body))));
    }
    group.finish();
}
