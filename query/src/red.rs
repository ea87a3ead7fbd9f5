//! Rate, errors and durations, as the derived tables count them.

use std::collections::BTreeMap;

use arrow::{array::Array, record_batch::RecordBatch};
use storage::rollup::DurationHistogram;

use crate::{
    columns::Columns,
    error::{Error, Result},
};

/// Calls, errors and durations in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Red {
    /// Number of calls.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Calls by duration.
    pub durations: DurationHistogram,
}

impl Red {
    /// Failed share; 0 without calls.
    pub fn error_ratio(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.errors as f64 / self.calls as f64 }
    }

    /// Duration in nanoseconds that the share `q` of calls did not exceed, within about 2 %; `None` without calls.
    pub fn quantile_nano(&self, q: f64) -> Option<f64> {
        self.durations.quantile_nano(q)
    }

    /// Counts calls of one duration bucket.
    pub(crate) fn add(&mut self, bucket: i64, calls: u64, errors: u64) {
        self.calls += calls;
        self.errors += errors;
        self.add_durations(bucket, calls);
    }

    /// Adds to the durations only.
    pub(crate) fn add_durations(&mut self, bucket: i64, calls: u64) {
        self.durations.merge([(i32::try_from(bucket).unwrap_or(i32::MAX), calls)], 0.0);
    }
}

/// What is counted under a key in a window, in the period before it, and who is an example.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Compared {
    pub(crate) window: Red,
    pub(crate) previous: Red,
    pub(crate) exemplar_trace_id: Option<String>,
}

/// Sums by a key of label columns.
#[derive(Debug, Default)]
pub(crate) struct Sums<const N: usize>(pub(crate) BTreeMap<[String; N], Compared>);

impl<const N: usize> Sums<N> {
    /// Adds rows of `keys`, `before` (whether of the period before), `calls`, `errors` and `exemplar`.
    pub(crate) fn add_counts(&mut self, batch: &RecordBatch, keys: [&str; N]) -> Result<()> {
        let columns = Columns(batch);
        let (calls, errors) = (columns.int("calls")?, columns.int("errors")?);
        let exemplar = columns.text("exemplar")?;
        self.each(batch, keys, |sum, is_before, row| {
            let red = if is_before { &mut sum.previous } else { &mut sum.window };
            red.calls += count(calls.value(row))?;
            red.errors += count(errors.value(row))?;
            if !is_before && exemplar.is_valid(row) {
                sum.exemplar_trace_id = Some(exemplar.value(row).to_owned());
            }
            Ok(())
        })
    }

    /// Adds rows of `keys`, `before`, `bucket` and `count` to the durations.
    pub(crate) fn add_durations(&mut self, batch: &RecordBatch, keys: [&str; N]) -> Result<()> {
        let columns = Columns(batch);
        let (buckets, counts) = (columns.int("bucket")?, columns.int("count")?);
        self.each(batch, keys, |sum, is_before, row| {
            let red = if is_before { &mut sum.previous } else { &mut sum.window };
            red.add_durations(buckets.value(row), count(counts.value(row))?);
            Ok(())
        })
    }

    fn each(
        &mut self,
        batch: &RecordBatch,
        keys: [&str; N],
        mut add: impl FnMut(&mut Compared, bool, usize) -> Result<()>,
    ) -> Result<()> {
        let columns = Columns(batch);
        let before = columns.bool("before")?;
        let labels = keys.iter().map(|key| columns.text(key)).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let key: [String; N] = std::array::from_fn(|i| labels[i].value(row).to_owned());
            add(self.0.entry(key).or_default(), before.value(row), row)?;
        }
        Ok(())
    }
}

/// A count that a plan returns as a signed number.
pub(crate) fn count(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Error::internal("a count is negative"))
}
