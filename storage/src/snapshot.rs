//! An immutable view for one reader: memtables and segments of one catalog version. No row is in it twice, none that
//! was acknowledged before is missing, and its files stay while it lives.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::{model::Table, segment::Segment};

/// What one reader sees. Cheap to make and to clone; holding it keeps memory and files.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) catalog_version: u64,
    pub(crate) tables: Arc<[TableSnapshot]>,
}

/// One table's part.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableSnapshot {
    pub(crate) batches: Vec<Arc<RecordBatch>>,
    pub(crate) segments: Arc<[Arc<Segment>]>,
}

impl Snapshot {
    /// Rows not yet in a segment, in order of arrival, in the table's wide schema.
    pub fn memtables(&self, table: Table) -> Vec<RecordBatch> {
        self.table(table).batches.iter().map(|rows| RecordBatch::clone(rows)).collect()
    }

    /// The segments, in no order.
    pub fn segments(&self, table: Table) -> &[Arc<Segment>] {
        &self.table(table).segments
    }

    /// Version of the catalog that lists these segments. Grows with every change.
    pub const fn catalog_version(&self) -> u64 {
        self.catalog_version
    }

    fn table(&self, table: Table) -> &TableSnapshot {
        &self.tables[table as usize - 1]
    }
}
