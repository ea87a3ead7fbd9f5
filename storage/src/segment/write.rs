//! Rows -> the bytes of segment files.

use arrow::array::RecordBatch;
use bytes::Bytes;

use super::{SegmentId, SegmentMeta};
use crate::{
    error::{Error, Result},
    model::{Table, Tenant, TimeRange},
    schema,
};

/// A segment's file, complete, and what the catalog will say about it.
#[derive(Clone, Debug)]
pub struct BuiltSegment {
    /// The table the rows belong to.
    pub table: Table,
    /// The whole file.
    pub bytes: Bytes,
    /// See [`SegmentMeta::tail_bytes`].
    pub tail_bytes: u64,
    /// Rows in it. Never 0.
    pub row_count: u64,
    /// Smallest range that holds the time of every row.
    pub time_range: TimeRange,
    /// Start of the time bucket that holds all its rows.
    pub bucket_start_unix_nano: i64,
}

impl BuiltSegment {
    /// What the catalog keeps once the file lies at `path`.
    pub fn meta(&self, id: SegmentId, tenant: Tenant, path: impl Into<String>) -> SegmentMeta {
        SegmentMeta {
            id,
            tenant,
            table: self.table,
            path: path.into(),
            file_bytes: self.bytes.len() as u64,
            tail_bytes: self.tail_bytes,
            row_count: self.row_count,
            time_range: self.time_range,
            bucket_start_unix_nano: self.bucket_start_unix_nano,
            schema_version: schema::VERSION,
        }
    }
}

/// The rows of `batches` (wide schema of `table`) as segments: one per time bucket, oldest first. The same rows in the
/// same order give the same bytes.
pub fn build(table: Table, batches: &[RecordBatch], settings: &config::Storage) -> Result<Vec<BuiltSegment>> {
    let _ = (table, batches, settings);
    Err(Error::invalid("not built yet"))
}
