//! One evaluation of 1,000 objectives on 1,000 services that are called all the time: what a server pays every 10 s.

use std::fmt::Write as _;

use criterion::Criterion;
use query::{Query, alert::record::Records, slo::evaluate::Evaluator};
use storage::Storage;

use crate::{append, telemetry};

const OBJECTIVES: usize = 1_000;
const SLOT_NANO: u64 = 10_000_000_000;
/// An hour, as the longest regular reading looks at.
const SLOTS: u64 = 360;

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let (home, storage) = append::store(&runtime);
    let mut config = config::Config::default();
    config.storage.data_dir = home.path().join("data");
    write_objectives(&config.objective_directory());
    runtime.block_on(append_calls(&storage));
    let query = Query::new(storage.clone(), &config).expect("the defaults are valid");
    let records = Records::new(std::sync::Arc::clone(storage.catalog()));
    let mut evaluator = Evaluator::new(&query, records, &config);

    let mut group = criterion.benchmark_group("objectives");
    group.sample_size(20);
    // The first evaluation reads the past as a whole.
    runtime.block_on(evaluator.evaluate()).expect("evaluated");
    let evaluated = query.objectives().published();
    assert_eq!(evaluated.statuses.len(), OBJECTIVES);
    assert!(evaluated.statuses.iter().all(|status| status.count.total > 0.0), "every objective counts its calls");
    group.bench_function("evaluate 1,000", |b| {
        b.iter(|| runtime.block_on(evaluator.evaluate()).expect("evaluated"));
    });
    group.finish();
}

/// Half of them on errors, half on a threshold, over 28 days; ten files.
fn write_objectives(directory: &std::path::Path) {
    std::fs::create_dir_all(directory).expect("a writable directory");
    for file in 0..10 {
        let mut text = String::new();
        for n in (file..OBJECTIVES).step_by(10) {
            let bad = if n % 2 == 0 { "errors" } else { "{slower_than: 300ms}" };
            writeln!(
                text,
                "---\n{{apiVersion: openslo/v1, kind: SLO, metadata: {{name: objective-{n}}}, spec: {{service: service-{n}, \
                 indicator: {{spec: {{thresholdMetric: {{metricSource: {{type: Rootline, spec: {{spans: {{service: service-{n}, bad: {bad}}}}}}}}}}}}}, \
                 timeWindow: [{{duration: 28d, isRolling: true}}], budgetingMethod: Occurrences, objectives: [{{target: 0.999}}]}}}}"
            )
            .expect("text takes text");
        }
        std::fs::write(directory.join(format!("{file}.yaml")), text).expect("a writable directory");
    }
}

/// A call of every service in every slot of the last hour.
async fn append_calls(storage: &Storage) {
    let now = storage.clock().now_unix_nano().cast_unsigned();
    for slot in 0..SLOTS {
        storage.append(telemetry::one_call_each(OBJECTIVES, now - slot * SLOT_NANO)).await.expect("appended");
    }
}
