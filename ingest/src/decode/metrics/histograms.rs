//! Points of histograms -> rows of `histograms` and `exponential_histograms`. Buckets stay as they were sent.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int32Array, UInt64Array},
    error::ArrowError,
};
use storage::{
    model::{Table, TableRows},
    schema,
};

use super::{
    super::{
        Context, Rejection, Stop,
        columns::Lists,
        wire::{Fields, Malformed},
    },
    Exemplars, Point, Source,
    points::{PointColumns, push_exemplars},
};

/// Scales beyond this have no bucket bounds: 2^-scale leaves the range of normal doubles.
const MAX_SCALE: i32 = 1022;

/// What a histogram of either kind says about all of its measurements.
#[derive(Debug, Default)]
struct Totals {
    count: Vec<u64>,
    sum: Vec<Option<f64>>,
    min: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
}

/// The totals of one point.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

impl Totals {
    fn push(&mut self, total: Total) {
        self.count.push(total.count);
        self.sum.push(total.sum);
        self.min.push(total.min);
        self.max.push(total.max);
    }

    fn finish(self) -> Vec<ArrayRef> {
        vec![
            Arc::new(UInt64Array::from(self.count)),
            Arc::new(Float64Array::from(self.sum)),
            Arc::new(Float64Array::from(self.min)),
            Arc::new(Float64Array::from(self.max)),
        ]
    }
}

/// A list column of bucket counts.
#[derive(Debug, Default)]
struct Counts {
    rows: Lists,
    counts: Vec<u64>,
}

impl Counts {
    fn push(&mut self, counts: &[u64]) {
        self.counts.extend_from_slice(counts);
        self.rows.end_row(self.counts.len());
    }

    fn finish(self, table: Table, column: &str) -> Result<ArrayRef, ArrowError> {
        self.rows.finish(&schema::wide(table), column, Arc::new(UInt64Array::from(self.counts)))
    }
}

/// Columns of `histograms` under construction.
#[derive(Debug, Default)]
pub(super) struct Histograms {
    points: PointColumns,
    totals: Totals,
    bucket_counts: Counts,
    bound_rows: Lists,
    bounds: Vec<f64>,
}

impl Histograms {
    pub(super) fn push<'a>(
        &mut self,
        message: &'a [u8],
        source: Source<'_, 'a>,
        exemplars: &mut Exemplars,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Stop> {
        let mut point = Point::default();
        let mut total = Total::default();
        let (mut buckets, mut bounds) = (Vec::new(), Vec::new());
        let mut exemplar_messages = Vec::new();
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 | 3 => point.read_time(field)?,
                4 => total.count = field.fixed64()?,
                5 => total.sum = Some(field.double()?),
                6 => field.repeated_fixed64(&mut buckets)?,
                7 => field.repeated_fixed64(&mut bounds)?,
                8 => exemplar_messages.push(field.bytes()?),
                9 => context.push_attribute(field.bytes()?)?,
                10 => point.flags = field.uint32()?,
                11 => total.min = Some(field.double()?),
                12 => total.max = Some(field.double()?),
                _ => {}
            }
        }
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from_bits).collect();
        check_bounds(buckets.len(), &bounds)?;
        context.budget.charge((buckets.len() + bounds.len()) * size_of::<u64>())?;
        let mismatch = !buckets.is_empty() && sum(&[&buckets]) != u128::from(total.count);
        let accepted = self.points.push(&point, mismatch.then_some("count_mismatch"), source, context)?;
        self.totals.push(total);
        self.bucket_counts.push(&buckets);
        self.bounds.extend_from_slice(&bounds);
        self.bound_rows.end_row(self.bounds.len());
        push_exemplars(&exemplar_messages, accepted, source, exemplars, context)
    }

    pub(super) fn finish(self) -> Result<Option<TableRows>, ArrowError> {
        let table = Table::Histograms;
        let mut own = self.totals.finish();
        own.push(self.bucket_counts.finish(table, "bucket_counts")?);
        let bounds = Arc::new(Float64Array::from(self.bounds));
        own.push(self.bound_rows.finish(&schema::wide(table), "explicit_bounds", bounds)?);
        self.points.finish(table, own)
    }
}

/// Buckets and bounds that belong together: one more bucket than bounds, or neither; bounds strictly rising.
fn check_bounds(buckets: usize, bounds: &[f64]) -> Result<(), Rejection> {
    if (buckets, bounds.len()) != (0, 0) && buckets != bounds.len() + 1 {
        return Err(Rejection::BucketCount { buckets, bounds: bounds.len() });
    }
    let unsorted = |index: &usize| {
        bounds[*index].is_nan() || index.checked_sub(1).is_some_and(|before| bounds[before] >= bounds[*index])
    };
    (0..bounds.len()).find(unsorted).map_or(Ok(()), |index| Err(Rejection::Bounds { index }))
}

/// Wide enough that no list of counts overflows it.
fn sum(lists: &[&[u64]]) -> u128 {
    lists.iter().flat_map(|counts| counts.iter()).map(|count| u128::from(*count)).sum()
}

/// Buckets of one sign.
#[derive(Debug, Default)]
struct Buckets {
    offset: i32,
    counts: Vec<u64>,
}

impl Buckets {
    /// Buckets that come twice are one list.
    fn read(&mut self, message: &[u8]) -> Result<(), Malformed> {
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => self.offset = field.sint32()?,
                2 => field.repeated_uint64(&mut self.counts)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Rejection> {
        let last = i64::from(self.offset) + self.counts.len() as i64;
        if i32::try_from(last).is_err() {
            return Err(Rejection::BucketOffset { offset: self.offset, buckets: self.counts.len() });
        }
        Ok(())
    }
}

/// Columns of `exponential_histograms` under construction.
#[derive(Debug, Default)]
pub(super) struct ExponentialHistograms {
    points: PointColumns,
    totals: Totals,
    scale: Vec<i32>,
    zero_count: Vec<u64>,
    zero_threshold: Vec<f64>,
    positive_offset: Vec<i32>,
    positive: Counts,
    negative_offset: Vec<i32>,
    negative: Counts,
}

impl ExponentialHistograms {
    pub(super) fn push<'a>(
        &mut self,
        message: &'a [u8],
        source: Source<'_, 'a>,
        exemplars: &mut Exemplars,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Stop> {
        let mut point = Point::default();
        let mut total = Total::default();
        let (mut scale, mut zero_count, mut zero_threshold) = (0, 0, 0.0);
        let (mut positive, mut negative) = (Buckets::default(), Buckets::default());
        let mut exemplar_messages = Vec::new();
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => context.push_attribute(field.bytes()?)?,
                2 | 3 => point.read_time(field)?,
                4 => total.count = field.fixed64()?,
                5 => total.sum = Some(field.double()?),
                6 => scale = field.sint32()?,
                7 => zero_count = field.fixed64()?,
                8 => positive.read(field.bytes()?)?,
                9 => negative.read(field.bytes()?)?,
                10 => point.flags = field.uint32()?,
                11 => exemplar_messages.push(field.bytes()?),
                12 => total.min = Some(field.double()?),
                13 => total.max = Some(field.double()?),
                14 => zero_threshold = field.double()?,
                _ => {}
            }
        }
        if scale.unsigned_abs() > MAX_SCALE.unsigned_abs() {
            return Err(Rejection::Scale { scale }.into());
        }
        if zero_count > total.count {
            return Err(Rejection::ZeroCount { zero_count, count: total.count }.into());
        }
        positive.check()?;
        negative.check()?;
        context.budget.charge((positive.counts.len() + negative.counts.len()) * size_of::<u64>())?;
        let counted = sum(&[&positive.counts, &negative.counts, &[zero_count]]);
        let mismatch = counted != u128::from(total.count);
        let accepted = self.points.push(&point, mismatch.then_some("count_mismatch"), source, context)?;
        self.totals.push(total);
        self.scale.push(scale);
        self.zero_count.push(zero_count);
        self.zero_threshold.push(zero_threshold);
        self.positive_offset.push(positive.offset);
        self.positive.push(&positive.counts);
        self.negative_offset.push(negative.offset);
        self.negative.push(&negative.counts);
        push_exemplars(&exemplar_messages, accepted, source, exemplars, context)
    }

    pub(super) fn finish(self) -> Result<Option<TableRows>, ArrowError> {
        let table = Table::ExponentialHistograms;
        let mut own = self.totals.finish();
        own.extend([
            Arc::new(Int32Array::from(self.scale)) as ArrayRef,
            Arc::new(UInt64Array::from(self.zero_count)),
            Arc::new(Float64Array::from(self.zero_threshold)),
            Arc::new(Int32Array::from(self.positive_offset)),
            self.positive.finish(table, "positive_bucket_counts")?,
            Arc::new(Int32Array::from(self.negative_offset)),
            self.negative.finish(table, "negative_bucket_counts")?,
        ]);
        self.points.finish(table, own)
    }
}
