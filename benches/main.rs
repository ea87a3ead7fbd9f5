//! Is it still as fast? Criterion over the hot paths, on seeded telemetry: `cargo bench`, one group of it with
//! `cargo bench -- decode`. Numbers are items per second where there are items.

mod append;
mod decode;
mod flush;
mod objectives;
mod scan;
mod telemetry;
mod text;

criterion::criterion_group!(
    benches,
    decode::bench,
    append::bench,
    flush::bench,
    scan::bench,
    objectives::bench,
    text::bench
);
criterion::criterion_main!(benches);
