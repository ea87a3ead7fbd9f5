//! The order of rows in a segment: by time bucket, then by the table's sort key, then as they arrived.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use arrow::{
    array::{Array, AsArray, DictionaryArray, RecordBatch},
    datatypes::{DataType, Int32Type, TimestampNanosecondType, UInt64Type},
};

use crate::{
    error::{Error, Result},
    model::Table,
    schema::{self, sort_key},
};

/// Place of a row: which batch, which row in it.
pub(crate) type Position = (usize, usize);

/// What a row is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Rank of the first label among all values there.
    label: u32,
    /// Second part: rank of a label, a series id or a pattern id (0 for NULL).
    second: u64,
    time: i64,
    batch: u32,
    row: u32,
}

impl Key {
    pub(crate) const fn position(&self) -> Position {
        (self.batch as usize, self.row as usize)
    }

    /// Time of the row.
    pub(crate) const fn time(&self) -> i64 {
        self.time
    }

    /// Whether both rows have the same first two parts: of a metric's points, whether they are of one series.
    pub(crate) const fn same_series(&self, other: &Self) -> bool {
        self.label == other.label && self.second == other.second
    }
}

/// Consecutive rows of one series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) rows: Range<usize>,
    /// Times of its first and last row.
    pub(crate) times: (i64, i64),
    /// Its last row: it says best how the series is described now.
    pub(crate) last: Position,
}

/// Sorted keys of all rows. `batches` have at least the columns of the table's sort key.
pub(crate) fn sorted_keys(table: Table, batches: &[RecordBatch]) -> Result<Vec<Key>> {
    let [label, second, time] = sort_key(table) else {
        return Err(Error::internal(format!("{table} has no sort key of three parts")));
    };
    let labels = Ranked::new(batches, label)?;
    let is_label = matches!(schema::wide(table).field_with_name(second)?.data_type(), DataType::Dictionary(..));
    let seconds = if is_label { Some(Ranked::new(batches, second)?) } else { None };
    let mut keys = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (i, batch) in batches.iter().enumerate() {
        let times = column(batch, time)?
            .as_primitive_opt::<TimestampNanosecondType>()
            .ok_or_else(|| Error::internal(format!("{time} is no timestamp")))?
            .values();
        let numbers = match &seconds {
            Some(_) => None,
            None => Some(
                column(batch, second)?
                    .as_primitive_opt::<UInt64Type>()
                    .ok_or_else(|| Error::internal(format!("{second} is no number")))?,
            ),
        };
        for row in 0..batch.num_rows() {
            let second = match (&seconds, numbers) {
                (Some(ranked), _) => u64::from(ranked.rank(i, row)),
                (None, Some(numbers)) if numbers.is_valid(row) => numbers.value(row),
                (None, _) => 0,
            };
            keys.push(Key { label: labels.rank(i, row), second, time: times[row], batch: i as u32, row: row as u32 });
        }
    }
    keys.sort_unstable();
    Ok(keys)
}

/// The keys of each time bucket of that length, oldest first, each still in order.
pub(crate) fn by_bucket(keys: Vec<Key>, bucket_nano: i64) -> BTreeMap<i64, Vec<Key>> {
    let bucket_nano = bucket_nano.max(1);
    let start = |time: i64| time.saturating_sub(time.rem_euclid(bucket_nano));
    let bounds = keys.iter().fold(None, |bounds: Option<(i64, i64)>, key| {
        Some(bounds.map_or((key.time, key.time), |(min, max)| (min.min(key.time), max.max(key.time))))
    });
    match bounds {
        None => BTreeMap::new(),
        Some((min, max)) if start(min) == start(max) => BTreeMap::from([(start(min), keys)]),
        Some(_) => {
            let mut buckets: BTreeMap<i64, Vec<Key>> = BTreeMap::new();
            keys.into_iter().for_each(|key| buckets.entry(start(key.time)).or_default().push(key));
            buckets
        }
    }
}

/// Pairs of neighbouring differences that are looked at to tell how even times are.
const TIME_SAMPLES: usize = 1024;

/// Whether most points of a series follow each other at one pace.
pub(crate) fn has_even_times(keys: &[Key]) -> bool {
    let step = (keys.len() / TIME_SAMPLES).max(1);
    let (mut even, mut seen) = (0, 0);
    for three in keys.windows(3).step_by(step).filter(|three| three[0].same_series(&three[2])) {
        seen += 1;
        even += usize::from(three[1].time.wrapping_sub(three[0].time) == three[2].time.wrapping_sub(three[1].time));
    }
    even * 2 >= seen
}

/// Sorted keys in pieces of `rows` or a few more: none ends between rows that go `together`.
pub(crate) fn pieces(keys: &[Key], rows: usize, together: impl Fn(&Key, &Key) -> bool) -> impl Iterator<Item = &[Key]> {
    let mut left = keys;
    std::iter::from_fn(move || {
        let at_least = rows.max(1).min(left.len());
        let more = left[at_least.saturating_sub(1)..].windows(2).take_while(|pair| together(&pair[0], &pair[1]));
        let (piece, rest) = left.split_at(at_least + more.count());
        left = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The series of sorted keys, in order.
pub(crate) fn runs(keys: &[Key]) -> Vec<Run> {
    let mut first = 0;
    keys.chunk_by(|a, b| a.same_series(b))
        .map(|run| {
            let rows = first..first + run.len();
            first = rows.end;
            let last = run[run.len() - 1];
            Run { rows, times: (run[0].time, last.time), last: last.position() }
        })
        .collect()
}

/// A label column of several batches with the rank of each value.
struct Ranked<'a> {
    columns: Vec<&'a DictionaryArray<Int32Type>>,
    ranks: Vec<Vec<u32>>,
}

impl<'a> Ranked<'a> {
    fn new(batches: &'a [RecordBatch], name: &str) -> Result<Self> {
        let columns = batches.iter().map(|batch| label(batch, name)).collect::<Result<Vec<_>>>()?;
        let mut ranks: HashMap<&str, u32> = HashMap::new();
        for column in &columns {
            ranks.extend(column.values().as_string::<i32>().iter().flatten().map(|value| (value, 0)));
        }
        let mut values: Vec<&str> = ranks.keys().copied().collect();
        values.sort_unstable();
        ranks.extend(values.iter().enumerate().map(|(rank, value)| (*value, rank as u32)));
        let ranks = columns
            .iter()
            .map(|column| {
                let values = column.values().as_string::<i32>().iter();
                values.map(|value| value.map_or(0, |value| ranks[value])).collect()
            })
            .collect();
        Ok(Self { columns, ranks })
    }

    fn rank(&self, batch: usize, row: usize) -> u32 {
        let key = self.columns[batch].keys().values()[row];
        usize::try_from(key).ok().and_then(|key| self.ranks[batch].get(key)).copied().unwrap_or(0)
    }
}

pub(crate) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    batch
        .column_by_name(name)
        .map(|column| &**column)
        .ok_or_else(|| Error::internal(format!("a batch without column {name}")))
}

fn label<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a DictionaryArray<Int32Type>> {
    let column = column(batch, name)?
        .as_any_dictionary_opt()
        .and_then(|_| batch.column_by_name(name)?.as_dictionary_opt::<Int32Type>())
        .ok_or_else(|| Error::internal(format!("{name} is no label")))?;
    if column.values().as_string_opt::<i32>().is_none() {
        return Err(Error::internal(format!("{name} is no label")));
    }
    Ok(column)
}
