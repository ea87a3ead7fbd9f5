//! Words of a text, and whether a text matches: what index and scan do for each record.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use storage::segment::text::words;

const BODIES: [&str; 3] = [
    "order ORD-00412345 placed by user-1234: 3 items, 48.20 EUR, paid with visa",
    "支付 8f3a9c1b2d4e5f60 已授权,金额 148 元",
    "Failed to process order ORD-00000001: payment declined by gateway acme code=502 after 812.4ms",
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text");
    group.throughput(Throughput::Elements(BODIES.len() as u64));
    group.bench_function("words", |b| {
        b.iter(|| BODIES.iter().map(|body| words(black_box(body)).count()).sum::<usize>())
    });
    for (name, text) in [("word", "declined"), ("phrase", "\"declined by gateway\""), ("prefix", "author*")] {
        let parsed = query::text::parse(text).expect("a valid text query");
        group.bench_function(name, |b| b.iter(|| BODIES.iter().filter(|body| parsed.matches(black_box(body))).count()));
    }
    group.finish();
}
