//! The order of rows in a segment: by time bucket, then by the table's sort key, then as they arrived.

use std::{collections::BTreeMap, ops::Range};

use arrow::{
    array::{Array, AsArray, DictionaryArray, RecordBatch},
    datatypes::{DataType, Int32Type, TimestampNanosecondType, UInt64Type},
};
use hashbrown::HashMap;

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
    /// Its series.
    pub(crate) id: u64,
    pub(crate) rows: Range<usize>,
    /// Times of its first and last row.
    pub(crate) times: (i64, i64),
    /// Its last row: it says best how the series is described now.
    pub(crate) last: Position,
}

/// Makes the sort keys of a table's rows, once it has seen all their labels.
pub(crate) struct KeyMaker {
    columns: [&'static str; 3],
    labels: Ranks,
    /// Of the second part, where that is a label too.
    seconds: Option<Ranks>,
}

impl KeyMaker {
    pub(crate) fn new(table: Table) -> Result<Self> {
        let [label, second, time] = sort_key(table) else {
            return Err(Error::internal(format!("{table} has no sort key of three parts")));
        };
        let is_label = matches!(schema::wide(table).field_with_name(second)?.data_type(), DataType::Dictionary(..));
        Ok(Self { columns: [label, second, time], labels: Ranks::default(), seconds: is_label.then(Ranks::default) })
    }

    /// Columns that [`KeyMaker::see`] looks at.
    pub(crate) fn label_columns(&self) -> &[&'static str] {
        &self.columns[..if self.seconds.is_some() { 2 } else { 1 }]
    }

    /// Takes note of the labels of some rows.
    pub(crate) fn see(&mut self, rows: &RecordBatch) -> Result<()> {
        let [first, second, _] = self.columns;
        self.labels.see(label(rows, first)?);
        if let Some(seconds) = &mut self.seconds {
            seconds.see(label(rows, second)?);
        }
        Ok(())
    }

    /// All labels have been seen.
    pub(crate) fn rank(&mut self) {
        self.labels.rank();
        self.seconds.iter_mut().for_each(Ranks::rank);
    }

    /// Appends the keys of the rows of a batch, the first of which is row `first_row` of that batch or input.
    pub(crate) fn keys(&self, batch: u32, first_row: u32, rows: &RecordBatch, keys: &mut Vec<Key>) -> Result<()> {
        let [first, second, time] = self.columns;
        let times = column(rows, time)?
            .as_primitive_opt::<TimestampNanosecondType>()
            .ok_or_else(|| Error::internal(format!("{time} is no timestamp")))?
            .values();
        let labels = self.labels.of(label(rows, first)?);
        let mut push = |row: usize, second: u64| {
            keys.push(Key { label: labels(row), second, time: times[row], batch, row: first_row + row as u32 });
        };
        if let Some(seconds) = &self.seconds {
            let seconds = seconds.of(label(rows, second)?);
            (0..rows.num_rows()).for_each(|row| push(row, u64::from(seconds(row))));
            return Ok(());
        }
        let numbers = column(rows, second)?
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| Error::internal(format!("{second} is no number")))?;
        let number = |row| if numbers.is_valid(row) { numbers.value(row) } else { 0 };
        (0..rows.num_rows()).for_each(|row| push(row, number(row)));
        Ok(())
    }
}

/// Sorted keys of all rows. `batches` have at least the columns of the table's sort key.
pub(crate) fn sorted_keys(table: Table, batches: &[RecordBatch]) -> Result<Vec<Key>> {
    let mut maker = KeyMaker::new(table)?;
    batches.iter().try_for_each(|batch| maker.see(batch))?;
    maker.rank();
    let mut keys = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (i, batch) in batches.iter().enumerate() {
        maker.keys(i as u32, 0, batch, &mut keys)?;
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
    let (even, seen) = even_times(keys);
    even * 2 >= seen
}

/// Of some points of sorted keys, how many follow each other at one pace, and how many were looked at.
pub(crate) fn even_times(keys: &[Key]) -> (usize, usize) {
    let step = (keys.len() / TIME_SAMPLES).max(1);
    let (mut even, mut seen) = (0, 0);
    for three in keys.windows(3).step_by(step).filter(|three| three[0].same_series(&three[2])) {
        seen += 1;
        even += usize::from(three[1].time.wrapping_sub(three[0].time) == three[2].time.wrapping_sub(three[1].time));
    }
    (even, seen)
}

/// The series of sorted keys, in order, as the keys pass.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
    last: Option<Key>,
}

impl Runs {
    pub(crate) fn add(&mut self, key: &Key) {
        let row = self.runs.last().map_or(0, |run| run.rows.end);
        match (self.runs.last_mut(), self.last) {
            (Some(run), Some(last)) if last.same_series(key) => {
                run.rows.end = row + 1;
                run.times.1 = key.time;
                run.last = key.position();
            }
            _ => self.runs.push(Run {
                id: key.second,
                rows: row..row + 1,
                times: (key.time, key.time),
                last: key.position(),
            }),
        }
        self.last = Some(*key);
    }

    pub(crate) fn finish(self) -> Vec<Run> {
        self.runs
    }
}

/// The series of sorted keys, in order.
pub(crate) fn runs(keys: &[Key]) -> Vec<Run> {
    let mut runs = Runs::default();
    keys.iter().for_each(|key| runs.add(key));
    runs.finish()
}

/// The place of each label in their order; NULL is before all.
#[derive(Debug, Default)]
struct Ranks(HashMap<Box<str>, u32>);

impl Ranks {
    fn see(&mut self, column: &DictionaryArray<Int32Type>) {
        for label in column.values().as_string::<i32>().iter().flatten() {
            if !self.0.contains_key(label) {
                self.0.insert(label.into(), 0);
            }
        }
    }

    fn rank(&mut self) {
        let mut labels: Vec<_> = self.0.iter_mut().collect();
        labels.sort_unstable_by(|a, b| a.0.cmp(b.0));
        labels.into_iter().zip(1..).for_each(|((_, rank), place)| *rank = place);
    }

    /// The rank of the label in each row.
    fn of(&self, column: &DictionaryArray<Int32Type>) -> impl Fn(usize) -> u32 {
        let labels = column.values().as_string::<i32>();
        let rank = |label: Option<&str>| label.and_then(|label| self.0.get(label)).copied().unwrap_or(0);
        let ranks: Vec<u32> = labels.iter().map(rank).collect();
        move |row| column.key(row).and_then(|key| ranks.get(key)).copied().unwrap_or(0)
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
