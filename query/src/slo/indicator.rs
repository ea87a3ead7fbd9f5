//! Rows of `span_metrics` -> how many spans of each objective there were, and how many of them were good.
//!
//! One pass over the rows serves every objective: a row is looked up by its service, and each objective on that service takes
//! its share of it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use arrow::{
    array::{Array, AsArray, ListArray},
    compute::cast,
    datatypes::{DataType, Field, Int32Type, UInt64Type},
    record_batch::RecordBatch,
};
use config::objective::{Bad, Indicator};

use super::budget::Count;
use crate::{
    columns::Columns,
    error::{Error, Result},
};

/// Histogram buckets a doubling of the duration: OpenTelemetry's exponential histogram at scale 4.
const BUCKETS_PER_DOUBLING: f64 = 16.0;

/// The columns that are read. Without a threshold among the objectives the histograms stay on disk.
pub(crate) const COLUMNS: [&str; 6] = ["timestamp", "service_name", "name", "kind", "status_code", "calls"];
/// Read as well where a threshold needs them.
pub(crate) const HISTOGRAM_COLUMNS: [&str; 2] = ["bucket_indexes", "bucket_counts"];

/// Which objectives take which rows.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    by_service: HashMap<String, Vec<Wanted>>,
    has_threshold: bool,
}

#[derive(Clone, Debug)]
struct Wanted {
    /// Position of the objective in the caller's list.
    objective: usize,
    operation: Option<String>,
    bad: Bad,
    /// Length of the steps in which its spans are added up.
    step_nano: i64,
}

/// What a pass over rows has found.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By objective and start of the step.
    pub counts: HashMap<(usize, i64), Count>,
    /// Start of the latest slot in which a service has sent any span.
    pub seen: HashMap<String, i64>,
}

/// What a row says, apart from its time and service.
#[derive(Clone, Copy, Debug)]
struct Calls<'a> {
    name: &'a str,
    kind: &'a str,
    is_error: bool,
    calls: u64,
    bucket_indexes: &'a [i32],
    bucket_counts: &'a [u64],
}

impl Matcher {
    /// For these indicators, each with the length of the steps it wants its counts in.
    pub fn new<'a>(indicators: impl IntoIterator<Item = (&'a Indicator, i64)>) -> Self {
        let mut matcher = Self::default();
        for (objective, (indicator, step_nano)) in indicators.into_iter().enumerate() {
            matcher.has_threshold |= indicator.bad != Bad::Errors;
            let wanted = Wanted { objective, operation: indicator.operation.clone(), bad: indicator.bad, step_nano };
            matcher.by_service.entry(indicator.service.clone()).or_default().push(wanted);
        }
        matcher
    }

    /// Services whose rows are needed.
    pub fn services(&self) -> BTreeSet<&str> {
        self.by_service.keys().map(String::as_str).collect()
    }

    /// Whether the histograms have to be read.
    pub const fn has_threshold(&self) -> bool {
        self.has_threshold
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// `Internal` when a column is missing or of another type.
    pub fn add(&self, batch: &RecordBatch, tally: &mut Tally) -> Result<()> {
        let columns = Columns(batch);
        let (time, calls) = (columns.int("timestamp")?, columns.int("calls")?);
        let (service, name) = (columns.text("service_name")?, columns.text("name")?);
        let (kind, status) = (columns.text("kind")?, columns.text("status_code")?);
        let histogram = if self.has_threshold { Some(Histograms::of(columns)?) } else { None };
        for row in 0..batch.num_rows() {
            let Some(wanted) = self.by_service.get(service.value(row)) else { continue };
            let at = time.value(row);
            match tally.seen.get_mut(service.value(row)) {
                Some(latest) => *latest = at.max(*latest),
                None => drop(tally.seen.insert(service.value(row).to_owned(), at)),
            }
            let (bucket_indexes, bucket_counts) = histogram.as_ref().map_or((&[][..], &[][..]), |h| h.row(row));
            let calls = Calls {
                name: name.value(row),
                kind: kind.value(row),
                is_error: status.value(row) == "error",
                calls: u64::try_from(calls.value(row)).unwrap_or(0),
                bucket_indexes,
                bucket_counts,
            };
            for wanted in wanted {
                if let Some(count) = wanted.count(&calls) {
                    let step = at.div_euclid(wanted.step_nano) * wanted.step_nano;
                    let held = tally.counts.entry((wanted.objective, step)).or_default();
                    *held = held.plus(count);
                }
            }
        }
        Ok(())
    }
}

impl Wanted {
    /// Its share of a row; `None` where the row is none of its calls.
    fn count(&self, row: &Calls<'_>) -> Option<Count> {
        let is_call = match &self.operation {
            // Every call that others make of the service.
            None => matches!(row.kind, "server" | "consumer"),
            // An operation may also be a step inside the service; the calls that it makes of others are theirs.
            Some(operation) => operation == row.name && matches!(row.kind, "server" | "consumer" | "internal"),
        };
        if !is_call {
            return None;
        }
        let total = row.calls as f64;
        let good = match self.bad {
            Bad::Errors if row.is_error => 0.0,
            Bad::Errors => total,
            Bad::SlowerThan(limit) => calls_within(limit, row.bucket_indexes, row.bucket_counts).min(total),
        };
        Some(Count { good, total })
    }
}

/// Calls that took at most `limit`. The bucket that holds the limit is split where the limit stands in it, on the
/// histogram's logarithmic scale: wrong by less than that bucket's count.
pub fn calls_within(limit: Duration, bucket_indexes: &[i32], bucket_counts: &[u64]) -> f64 {
    let nanos = limit.as_nanos().max(1) as f64;
    let position = nanos.log2() * BUCKETS_PER_DOUBLING;
    let (last, part) = (position.floor(), position.fract());
    let share = |index: i32| match f64::from(index) {
        index if index < last => 1.0,
        index if index > last => 0.0,
        _ => part,
    };
    bucket_indexes.iter().zip(bucket_counts).map(|(index, count)| share(*index) * *count as f64).sum()
}

/// The two list columns of a batch.
struct Histograms {
    indexes: ListArray,
    counts: ListArray,
}

impl Histograms {
    fn of(columns: Columns<'_>) -> Result<Self> {
        let list = |name: &str, item: DataType| -> Result<ListArray> {
            let to = DataType::List(Field::new_list_field(item, true).into());
            let converted = cast(&columns.column(name)?, &to)
                .map_err(|error| Error::internal(format!("column {name}: {error}")))?;
            Ok(converted.as_list::<i32>().clone())
        };
        Ok(Self { indexes: list("bucket_indexes", DataType::Int32)?, counts: list("bucket_counts", DataType::UInt64)? })
    }

    fn row(&self, row: usize) -> (&[i32], &[u64]) {
        (
            &self.indexes.values().as_primitive::<Int32Type>().values()[range(&self.indexes, row)],
            &self.counts.values().as_primitive::<UInt64Type>().values()[range(&self.counts, row)],
        )
    }
}

fn range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offset = |at: usize| usize::try_from(list.value_offsets()[at]).unwrap_or(0);
    if list.is_null(row) { 0..0 } else { offset(row)..offset(row + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(nanos: f64) -> i32 {
        (nanos.log2() * BUCKETS_PER_DOUBLING).floor() as i32
    }

    fn row<'a>(name: &'a str, kind: &'a str, is_error: bool) -> Calls<'a> {
        Calls { name, kind, is_error, calls: 10, bucket_indexes: &[], bucket_counts: &[] }
    }

    fn wanted(operation: Option<&str>, bad: Bad) -> Wanted {
        Wanted { objective: 0, operation: operation.map(str::to_owned), bad, step_nano: 1 }
    }

    #[test]
    fn calls_of_a_service_are_those_that_others_make() {
        let all = wanted(None, Bad::Errors);
        assert_eq!(all.count(&row("a", "server", false)), Some(Count { good: 10.0, total: 10.0 }));
        assert_eq!(all.count(&row("a", "consumer", true)), Some(Count { good: 0.0, total: 10.0 }));
        for kind in ["client", "producer", "internal"] {
            assert_eq!(all.count(&row("a", kind, true)), None, "{kind}");
        }
    }

    #[test]
    fn an_operation_is_its_name() {
        let one = wanted(Some("GET /"), Bad::Errors);
        assert_eq!(one.count(&row("GET /", "internal", false)), Some(Count { good: 10.0, total: 10.0 }));
        assert_eq!(one.count(&row("POST /", "server", false)), None);
        assert_eq!(one.count(&row("GET /", "client", false)), None);
    }

    #[test]
    fn a_threshold_splits_its_bucket() {
        let limit = Duration::from_millis(300);
        let middle = index(300e6);
        let indexes = [middle - 40, middle, middle + 1];
        let within = calls_within(limit, &indexes, &[5, 8, 3]);
        assert!((5.0..13.0).contains(&within), "{within}");
        let start = (f64::from(middle) / BUCKETS_PER_DOUBLING).exp2();
        let end = (f64::from(middle + 1) / BUCKETS_PER_DOUBLING).exp2();
        let expected = 5.0 + 8.0 * (300e6f64 / start).log2() / (end / start).log2();
        assert!((within - expected).abs() < 1e-6, "{within} {expected}");
        assert_eq!(calls_within(Duration::from_nanos(1), &[0, 5], &[2, 2]), 0.0);
        assert_eq!(calls_within(Duration::from_secs(3600), &indexes, &[5, 8, 3]), 16.0);
    }
}
