//! Statement -> plan -> rows, over segments, as `/api/sql` runs it.

use criterion::Criterion;
use futures::TryStreamExt as _;
use query::{Query, SqlRequest};

use crate::{append, telemetry};

const STATEMENTS: [(&str, &str); 5] = [
    ("count by service", "SELECT service_name, count(*) FROM logs GROUP BY 1"),
    ("attribute", "SELECT attributes['http.route'], count(*) FROM logs GROUP BY 1 ORDER BY 2 DESC LIMIT 10"),
    ("needle", "SELECT body FROM logs WHERE match(body, '\"order ORD\" user_nobody')"),
    ("newest of a service", "SELECT * FROM logs WHERE service_name = 'checkout' ORDER BY timestamp DESC LIMIT 100"),
    (
        "p95 by operation",
        "SELECT service_name, name, approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_nano) FROM spans GROUP BY 1, 2",
    ),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let (_home, storage) = append::store(&runtime);
    let query = runtime.block_on(async {
        for seed in 0..40 {
            for signal in [0, 1] {
                storage.append(telemetry::batch(signal, seed)).await.expect("appended");
            }
        }
        storage.flush().await.expect("flushed");
        Query::new(storage.clone(), &config::Config::default()).expect("the defaults are valid")
    });
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(20);
    for (name, statement) in STATEMENTS {
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter(async || {
                let request = SqlRequest { text: statement.to_owned(), ..SqlRequest::default() };
                let answer = query.sql(request).await.expect("an answer");
                answer.rows.try_fold(0, async |n, rows| Ok(n + rows.num_rows())).await.expect("all rows")
            });
        });
    }
    group.finish();
}
