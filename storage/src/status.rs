//! How much there is, for people and programs.

use serde::Serialize;

/// The state of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Each table, in the order of `Table::ALL`.
    pub tables: Vec<TableStatus>,
    /// Files of the log.
    pub wal_files: usize,
    /// Their length.
    pub wal_bytes: u64,
    /// Memory of rows not yet in a segment.
    pub memtable_bytes: u64,
    /// What that memory may grow to.
    pub memtable_budget_bytes: u64,
    /// Memory of footers and indexes that are kept.
    pub segment_cache_bytes: u64,
    /// Requests that are remembered, to know them again.
    pub batch_keys: usize,
    /// What may still be written to the disk, as of the last look.
    pub disk_free_bytes: u64,
    /// Segments and log.
    pub disk_used_bytes: u64,
    /// Version of the catalog's content.
    pub catalog_version: u64,
    /// `None` when batches are taken; else why not.
    pub refuses_because: Option<String>,
    /// What the start found.
    pub recovery: Recovery,
}

/// What the start found in the log and beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Whole frames in the log.
    pub frames: u64,
    /// Rows of them that were in no segment.
    pub rows: u64,
    /// Bytes after the last whole frame: a write that was never finished or acknowledged. Cut off.
    pub torn_bytes: u64,
    /// Bytes between whole frames that are none: damage.
    pub damaged_bytes: u64,
    /// Frames that are not there, by the sequences of those that are: what the damage cost. A power cut that wrote the
    /// last group out of order counts too, although nobody was promised anything.
    pub missing_frames: u64,
    /// Files of no live segment that were removed.
    pub leftover_files: u64,
    /// Live segments whose file is not there.
    pub missing_segments: u64,
}

/// The state of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableStatus {
    /// Name in SQL.
    pub name: &'static str,
    /// Number of live segments.
    pub segments: usize,
    /// Rows in them.
    pub segment_rows: u64,
    /// Length of their files.
    pub segment_bytes: u64,
    /// Rows not yet in a segment.
    pub memtable_rows: u64,
    /// Memory they hold.
    pub memtable_bytes: u64,
    /// Time of the oldest row, in nanoseconds since the Unix epoch.
    pub oldest_unix_nano: Option<i64>,
    /// Time of the newest row.
    pub newest_unix_nano: Option<i64>,
}
