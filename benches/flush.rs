//! Rows -> sorted segment with its indexes, in memory.

use criterion::{Criterion, Throughput};
use storage::{model::Table, segment};

use crate::telemetry;

const REQUESTS: u64 = 20;

pub(crate) fn bench(criterion: &mut Criterion) {
    let settings = config::Config::default().storage;
    let mut group = criterion.benchmark_group("flush");
    group.throughput(Throughput::Elements(telemetry::ITEMS as u64 * REQUESTS)).sample_size(10);
    for (signal, table) in [Table::Logs, Table::Spans, Table::Metrics].into_iter().enumerate() {
        let batches: Vec<_> = (0..REQUESTS)
            .flat_map(|seed| telemetry::batch(signal, seed).tables)
            .filter(|t| t.table == table)
            .map(|t| t.rows)
            .collect();
        group.bench_function(table.name(), |b| {
            b.iter(|| segment::build(table, &batches, &settings).expect("a segment"));
        });
    }
    group.finish();
}
