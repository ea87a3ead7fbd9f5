//! What travels between rooms: tenants, tables and batches of accepted rows.

pub mod attributes;
mod table;
mod time;
pub(crate) mod varint;

use std::{fmt, sync::Arc};

use arrow::record_batch::RecordBatch;

pub use self::{table::Table, time::TimeRange};

/// Whose telemetry it is. Part of WAL frames, catalog rows and paths; never a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// A tenant name as a token carries it.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name, safe as one path component by construction of tokens.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of a request's decompressed body for one tenant and token. A retried body has the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchKey(pub u128);

/// Accepted rows of one table, in the table's wide schema (`schema::wide`).
#[derive(Clone, Debug)]
pub struct TableRows {
    /// The table the rows belong to.
    pub table: Table,
    /// The rows. Never empty.
    pub rows: RecordBatch,
}

/// All accepted rows of one request: stored whole or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose rows they are.
    pub tenant: Tenant,
    /// `None` when duplicates are not to be recognised.
    pub key: Option<BatchKey>,
    /// At most one entry a table, in the order of [`Table::ALL`].
    pub tables: Vec<TableRows>,
}

impl Batch {
    /// Rows over all tables.
    pub fn row_count(&self) -> usize {
        self.tables.iter().map(|t| t.rows.num_rows()).sum()
    }
}

/// The promise given back for an appended batch: it is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Position of the batch in the WAL's order.
    pub sequence: u64,
    /// The same body was stored before within the window: nothing was stored again.
    pub duplicate: bool,
}
