//! Rows not yet in a segment: one table's contiguous run of WAL sequences.
//!
//! Thousands of one-row requests must be cheap to hold and to scan, so small batches are merged as they come: sixteen
//! of one size become one of the next, until a batch has [`TARGET_ROWS`]. Each row is copied at most a few times.

use std::{sync::Arc, time::Duration};

use arrow::{array::Array as _, compute::concat_batches, record_batch::RecordBatch};

use crate::{
    error::Result,
    model::{Table, TimeRange},
    schema,
};

/// A batch with that many rows is not merged any more.
const TARGET_ROWS: usize = 8192;
/// That many neighbours of one size become one.
const FAN: usize = 16;
/// What a column costs besides its buffers: array, shared pointers, allocation slack.
const COLUMN_OVERHEAD_BYTES: usize = 256;

/// Rows of one table in memory.
#[derive(Debug)]
pub(crate) struct Memtable {
    table: Table,
    chunks: Vec<Chunk>,
    row_count: usize,
    bytes: usize,
    time_range: Option<TimeRange>,
    /// The first and last sequence whose rows are here.
    sequences: Option<(u64, u64)>,
    /// Monotonic time of the first insert.
    since: Duration,
}

#[derive(Clone, Debug)]
struct Chunk {
    rows: Arc<RecordBatch>,
    bytes: usize,
    /// Times merged; `u32::MAX` when large enough.
    level: u32,
}

impl Memtable {
    /// Without rows.
    pub(crate) const fn new(table: Table) -> Self {
        Self {
            table,
            chunks: Vec::new(),
            row_count: 0,
            bytes: 0,
            time_range: None,
            sequences: None,
            since: Duration::ZERO,
        }
    }

    /// Adds rows of consecutive or later sequences.
    ///
    /// # Errors
    /// `Internal` when small batches cannot be merged: never for batches of the table's schema.
    pub(crate) fn insert(&mut self, rows: RecordBatch, sequences: (u64, u64), now: Duration) -> Result<()> {
        self.touch(sequences, now);
        if let Some(range) = TimeRange::of_rows(self.table, &rows) {
            self.time_range = Some(self.time_range.map_or(range, |known| known.union(range)));
        }
        self.row_count += rows.num_rows();
        self.push(rows, 0);
        self.merge_small()
    }

    /// Notes that these sequences count for the table, with or without rows: what is remembered of them is published with
    /// the next flush.
    pub(crate) fn touch(&mut self, sequences: (u64, u64), now: Duration) {
        if self.sequences.is_none() {
            self.since = now;
        }
        self.sequences = Some((self.sequences.map_or(sequences.0, |(first, _)| first), sequences.1));
    }

    fn push(&mut self, rows: RecordBatch, level: u32) {
        let bytes = held_bytes(&rows);
        let level = if rows.num_rows() >= TARGET_ROWS { u32::MAX } else { level };
        self.bytes += bytes;
        self.chunks.push(Chunk { rows: Arc::new(rows), bytes, level });
    }

    fn merge_small(&mut self) -> Result<()> {
        loop {
            let Some(level) = self.chunks.last().map(|chunk| chunk.level).filter(|level| *level != u32::MAX) else {
                return Ok(());
            };
            let run = self.chunks.iter().rev().take_while(|chunk| chunk.level == level).count();
            if run < FAN {
                return Ok(());
            }
            let merged = self.chunks.split_off(self.chunks.len() - run);
            self.bytes -= merged.iter().map(|chunk| chunk.bytes).sum::<usize>();
            let rows = concat_batches(&schema::wide(self.table), merged.iter().map(|chunk| &*chunk.rows))?;
            self.push(rows, level + 1);
        }
    }

    /// The rows in order of arrival; cheap to hold on to.
    pub(crate) fn batches(&self) -> Vec<Arc<RecordBatch>> {
        self.chunks.iter().map(|chunk| Arc::clone(&chunk.rows)).collect()
    }

    /// Number of rows.
    pub(crate) const fn row_count(&self) -> usize {
        self.row_count
    }

    /// Memory that the rows hold.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to flush: no rows, and nothing remembered.
    pub(crate) const fn is_empty(&self) -> bool {
        self.sequences.is_none()
    }

    /// Smallest range that holds the time of every row.
    pub(crate) const fn time_range(&self) -> Option<TimeRange> {
        self.time_range
    }

    /// The first sequence whose rows are here.
    pub(crate) fn first_sequence(&self) -> Option<u64> {
        self.sequences.map(|(first, _)| first)
    }

    /// Monotonic time of the first insert; meaningless without rows.
    pub(crate) const fn since(&self) -> Duration {
        self.since
    }
}

/// Small batches of one group as one: a memtable takes one batch a group then.
///
/// # Errors
/// `Internal` when the batches are not of the table's schema.
pub(crate) fn gather(table: Table, mut batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if batches.len() < 2 || rows > TARGET_ROWS {
        return Ok(batches);
    }
    let gathered = concat_batches(&schema::wide(table), &batches)?;
    batches.clear();
    batches.push(gathered);
    Ok(batches)
}

/// Memory that a batch holds. Buffers shared by several columns, as after decoding, are counted by the part used.
pub(crate) fn held_bytes(rows: &RecordBatch) -> usize {
    rows.columns()
        .iter()
        .map(|column| {
            let used = column.to_data().get_slice_memory_size();
            used.unwrap_or_else(|_| column.get_array_memory_size()) + COLUMN_OVERHEAD_BYTES
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use arrow::{array::AsArray as _, datatypes::TimestampNanosecondType};

    use super::*;
    use crate::testing::log_rows;

    #[test]
    fn thousands_of_one_row_batches_become_few() {
        let mut memtable = Memtable::new(Table::Logs);
        for sequence in 1..=5_000 {
            memtable
                .insert(
                    log_rows(&[(sequence, "hello")]),
                    (sequence.cast_unsigned(), sequence.cast_unsigned()),
                    Duration::ZERO,
                )
                .unwrap();
        }
        let batches = memtable.batches();
        assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 5_000);
        assert!(batches.len() < 4 * FAN, "{} batches", batches.len());
        assert!(memtable.bytes() < 5_000 * 400, "{} bytes", memtable.bytes());
        assert_eq!(memtable.time_range(), Some(TimeRange::spanning(1, 5_000)));
        assert_eq!(memtable.first_sequence(), Some(1));
        // Order of arrival is kept.
        let times: Vec<_> = batches
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<TimestampNanosecondType>().values().to_vec())
            .collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn a_group_of_small_batches_is_gathered_and_large_ones_are_left() {
        let small = vec![log_rows(&[(1, "a")]), log_rows(&[(2, "b")])];
        assert_eq!(gather(Table::Logs, small).unwrap().len(), 1);
        let rows: Vec<_> = (0..9_000).map(|i| (i, "x")).collect();
        assert_eq!(gather(Table::Logs, vec![log_rows(&rows), log_rows(&rows)]).unwrap().len(), 2);
    }
}
