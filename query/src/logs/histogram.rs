//! Log records counted over time, by level.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::{
    functions_aggregate::expr_fn::count,
    logical_expr::{cast, col, lit},
};
use storage::model::TimeRange;

use crate::{
    Limits, Query, Stats,
    columns::Columns,
    cost::Cost,
    error::Result,
    search::{Filter, Severity, Subject, during, predicate},
};

/// Which log records are counted, and how finely.
#[derive(Clone, Debug)]
pub struct HistogramRequest {
    /// What holds on each.
    pub filter: Filter,
    /// When they happened; the buckets cover it.
    pub range: TimeRange,
    /// How many buckets; at least one.
    pub buckets: usize,
    /// Cost and name.
    pub limits: Limits,
}

/// Counts over time.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Start of the first bucket.
    pub start_unix_nano: i64,
    /// Length of each bucket; the last may reach over the end of the range.
    pub step_nano: u64,
    /// Counts by bucket, of each level that occurs, the most severe first.
    pub series: Vec<(Severity, Vec<u64>)>,
    /// All records.
    pub total: u64,
    /// What it cost.
    pub stats: Stats,
}

impl Query {
    /// Counts log records over time.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn log_histogram(&self, request: HistogramRequest) -> Result<Histogram> {
        let HistogramRequest { filter, range, buckets, limits } = request;
        let step_nano = range.duration_nano().div_ceil(buckets.max(1) as u64).max(1);
        let bucket_count = usize::try_from(range.duration_nano().div_ceil(step_nano)).unwrap_or(usize::MAX);
        let start = range.start_unix_nano();
        let step = i64::try_from(step_nano).unwrap_or(i64::MAX);
        let answer = self
            .run(limits, move |ctx| async move {
                let predicate = predicate(&filter, Subject::Logs)?;
                let rows = ctx.table("logs").await?.filter(during("timestamp", range).and(predicate))?;
                let bucket = (cast(col("timestamp"), DataType::Int64) - lit(start)) / lit(step);
                let counted = rows.aggregate(
                    vec![bucket.alias("bucket"), col("severity_number")],
                    vec![count(lit(1i64)).alias("n")],
                )?;
                Ok(counted)
            })
            .await?;
        let (batches, stats) = answer.collect().await?;
        let mut cost = Cost::new();
        cost.add(stats);

        // The key orders levels from the most severe.
        let mut series: BTreeMap<std::cmp::Reverse<Severity>, Vec<u64>> = BTreeMap::new();
        let mut total = 0;
        for batch in &batches {
            let columns = Columns(batch);
            let (bucket, n) = (columns.int("bucket")?, columns.int("n")?);
            let severity = columns.int("severity_number")?;
            for row in 0..batch.num_rows() {
                let level = Severity::of(i32::try_from(severity.value(row)).unwrap_or(0));
                let counts = series.entry(std::cmp::Reverse(level)).or_insert_with(|| vec![0; bucket_count]);
                let n = u64::try_from(n.value(row)).unwrap_or(0);
                if let Some(count) = usize::try_from(bucket.value(row)).ok().and_then(|at| counts.get_mut(at)) {
                    *count += n;
                    total += n;
                }
            }
        }
        let series: Vec<_> = series.into_iter().map(|(level, counts)| (level.0, counts)).collect();
        let stats = cost.of(series.len());
        Ok(Histogram { start_unix_nano: start, step_nano, series, total, stats })
    }
}
