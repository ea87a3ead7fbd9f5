//! Rows being added up: cells by key, in the order in which they were first seen, and the columns they become.

use std::{hash::Hash, ops::Range, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int32Builder,
        ListArray, ListBuilder, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Builder,
    },
    datatypes::{DataType, Field, Int32Type, UInt64Type},
};
use hashbrown::HashMap;

use super::{DurationHistogram, bucket_start_nano};
use crate::{
    error::{Error, Result},
    model::Table,
    schema,
    segment::gather::Gather,
};

/// Sums by key.
#[derive(Debug)]
pub(super) struct Cells<K, V> {
    places: HashMap<K, usize>,
    cells: Vec<(K, V)>,
}

impl<K: Copy + Eq + Hash, V: Default> Default for Cells<K, V> {
    fn default() -> Self {
        Self { places: HashMap::new(), cells: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Cells<K, V> {
    /// The cell of a key.
    pub(super) fn get(&mut self, key: K) -> &mut V {
        let Self { places, cells } = self;
        let place = *places.entry(key).or_insert_with(|| {
            cells.push((key, V::default()));
            cells.len() - 1
        });
        &mut cells[place].1
    }

    /// Whether the key has a cell.
    pub(super) fn has(&self, key: &K) -> bool {
        self.places.contains_key(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The cells, to be changed where they are.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.cells.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The cells, in the order in which they were first seen.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.cells.iter().map(|(key, value)| (key, value))
    }
}

/// The rows of several batches of one table in one, whose labels have one dictionary a column.
pub(super) fn united(table: Table, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let positions: Vec<_> = batches
        .iter()
        .enumerate()
        .flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row)))
        .collect();
    Gather::new(batches, schema::wide(table))?.rows(&positions)
}

/// Instants in UTC.
pub(super) fn timestamps(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from_iter_values(values).with_timezone("UTC"))
}

/// Labels by their place in `values`; negative is NULL.
pub(super) fn labels(keys: impl Iterator<Item = i32>, values: ArrayRef) -> Result<ArrayRef> {
    let keys: Int32Array = keys.map(|key| (key >= 0).then_some(key)).collect();
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?))
}

/// A dictionary's values.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Ids of traces, or of what is named like them.
pub(super) fn trace_ids<'a>(ids: impl Iterator<Item = Option<&'a [u8; 16]>>) -> Result<ArrayRef> {
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 16)?))
}

/// The three columns of a histogram: sum, indexes, counts.
pub(super) fn histograms<'a>(histograms: impl Iterator<Item = &'a DurationHistogram>) -> [ArrayRef; 3] {
    let item = |data_type| Field::new("item", data_type, false);
    let mut sums = Vec::new();
    let mut indexes = ListBuilder::new(Int32Builder::new()).with_field(item(DataType::Int32));
    let mut counts = ListBuilder::new(UInt64Builder::new()).with_field(item(DataType::UInt64));
    for histogram in histograms {
        sums.push(histogram.sum_nano());
        for (index, count) in histogram.buckets() {
            indexes.values().append_value(*index);
            counts.values().append_value(*count);
        }
        indexes.append(true);
        counts.append(true);
    }
    [Arc::new(Float64Array::from(sums)), Arc::new(indexes.finish()), Arc::new(counts.finish())]
}

/// Histogram columns, read by row.
pub(super) struct HistogramColumns<'a> {
    sums: &'a [f64],
    indexes: &'a ListArray,
    counts: &'a ListArray,
}

impl<'a> HistogramColumns<'a> {
    /// The columns that begin with `prefix`.
    pub(super) fn of(rows: &'a RecordBatch, prefix: &str) -> Result<Self> {
        let list = |name: &str| {
            rows.column_by_name(&format!("{prefix}{name}"))
                .and_then(|column| column.as_list_opt::<i32>())
                .ok_or_else(|| Error::internal(format!("{prefix}{name} is no list")))
        };
        Ok(Self {
            sums: super::numbers::<arrow::datatypes::Float64Type>(rows, &format!("{prefix}duration_sum_nano"))?,
            indexes: list("bucket_indexes")?,
            counts: list("bucket_counts")?,
        })
    }

    /// Adds a row's histogram to `sum`.
    pub(super) fn add_to(&self, row: usize, sum: &mut DurationHistogram) {
        let counts = &self.counts.values().as_primitive::<UInt64Type>().values()[places(self.counts, row)];
        sum.merge(self.indexes_of(row).iter().copied().zip(counts.iter().copied()), self.sums[row]);
    }

    /// The longest duration of a row, as exactly as its buckets tell; 0 without any.
    pub(super) fn longest_nano(&self, row: usize) -> i64 {
        self.indexes_of(row).last().map_or(0, |index| bucket_start_nano(*index) as i64)
    }

    fn indexes_of(&self, row: usize) -> &'a [i32] {
        &self.indexes.values().as_primitive::<Int32Type>().values()[places(self.indexes, row)]
    }
}

/// Where a row's items lie among all items.
fn places(list: &ListArray, row: usize) -> Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// An id of a trace out of a column of them.
pub(super) fn trace_id(ids: &FixedSizeBinaryArray, row: usize) -> Option<[u8; 16]> {
    if ids.is_valid(row) { ids.value(row).try_into().ok() } else { None }
}
