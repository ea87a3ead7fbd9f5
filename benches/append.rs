//! Rows -> WAL frame -> fdatasync -> memtable, one request at a time: what a single exporter waits for.

use criterion::{BatchSize, Criterion, Throughput};
use storage::{Environment, Storage};

use crate::telemetry;

/// A store on a directory that lives as long as it.
pub(crate) fn store(runtime: &tokio::runtime::Runtime) -> (tempfile::TempDir, Storage) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut config = config::Config::default();
    config.storage.data_dir = home.path().join("data");
    std::fs::create_dir_all(&config.storage.data_dir).expect("a writable directory");
    config.compaction.enabled = false;
    config.retention.logs = config::Age::Forever;
    config.retention.spans = config::Age::Forever;
    let storage = runtime.block_on(async {
        let environment = Environment::system(&config.storage.data_dir).await.expect("an environment");
        Storage::open(&config, environment).await.expect("a store")
    });
    (home, storage)
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(telemetry::ITEMS as u64)).sample_size(20);
    for (signal, name) in ["logs", "spans", "metrics"].into_iter().enumerate() {
        let (_home, storage) = store(&runtime);
        let batch = telemetry::batch(signal, 1);
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter_batched(
                || batch.clone(),
                async |batch| storage.append(batch).await.expect("appended"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}
