//! What questions need beside rows: the store itself and small state of the process.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    compute::{max, min},
    datatypes::TimestampNanosecondType,
};
use storage::{Storage, clock::Clock, model::Table};
use tokio::sync::{Semaphore, broadcast};

use crate::{
    Query, TimeRange,
    alert::record::Records,
    error::{Error, Result, of_storage},
    reports::Reports,
    slo::board::Board,
    slots::Slots,
};

/// Shared by all clones of a [`Query`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    /// `None` over rows that are in no store.
    storage: Option<Storage>,
    slots: Arc<Slots>,
    objectives: Board,
    records: Option<Records>,
    /// One permit for each search for a cause.
    cause_turns: CauseTurns,
}

/// Searches for causes at once.
const CAUSES_AT_ONCE: usize = 2;

#[derive(Clone, Debug)]
struct CauseTurns(Arc<Semaphore>);

impl Default for CauseTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CAUSES_AT_ONCE)))
    }
}

impl Beside {
    pub(crate) fn of(storage: Storage) -> Self {
        let records = Records::new(Arc::clone(storage.catalog()));
        Self { storage: Some(storage), records: Some(records), ..Self::default() }
    }
}

impl Query {
    /// How much is stored.
    ///
    /// # Errors
    /// `Impossible` over rows that are in no store.
    pub fn storage_status(&self) -> Result<storage::Status> {
        Ok(self.storage()?.status())
    }

    /// Writes every row in memory to segments.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn flush(&self) -> Result<()> {
        self.storage()?.flush().await.map_err(|error| of_storage(&error))
    }

    /// Merges the segments that are worth merging.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn compact(&self) -> Result<()> {
        self.storage()?.compact().await.map_err(|error| of_storage(&error))
    }

    /// Whoever holds a permit may search for a cause.
    pub(crate) fn cause_turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.1.cause_turns.0)
    }

    /// How every objective stands.
    pub fn objectives(&self) -> &Board {
        &self.1.objectives
    }

    /// Alerts, incidents and notifications.
    ///
    /// # Errors
    /// `Impossible` over rows that are in no store.
    pub fn records(&self) -> Result<&Records> {
        self.1.records.as_ref().ok_or_else(|| Error::impossible("these rows are in no store"))
    }

    /// Root-cause reports.
    ///
    /// # Errors
    /// `Impossible` over rows that are in no store.
    pub fn reports(&self) -> Result<Reports> {
        Ok(Reports::new(Arc::clone(self.storage()?.catalog())))
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.1.slots
    }

    /// Stable number of a service, from which its colour follows.
    pub fn slot_of(&self, service: &str) -> u32 {
        self.slots().slot(service)
    }

    pub(crate) fn clock(&self) -> Clock {
        self.0.source().clock()
    }

    pub(crate) fn subscribe(&self, table: Table) -> Result<broadcast::Receiver<arrow::record_batch::RecordBatch>> {
        Ok(self.storage()?.subscribe(table))
    }

    /// Time ranges and row counts of what is stored of `table`.
    pub(crate) fn extents(&self, table: Table) -> Vec<(TimeRange, u64)> {
        let snapshot = self.0.source().snapshot();
        let segments = snapshot.segments(table).into_iter().map(|segment| {
            let meta = segment.meta();
            (meta.time_range, meta.row_count)
        });
        let memtables = snapshot.memtables(table).into_iter().filter_map(|rows| {
            let times = rows.column_by_name(table.time_column())?.as_primitive_opt::<TimestampNanosecondType>()?;
            Some((TimeRange::spanning(min(times)?, max(times)?), rows.num_rows() as u64))
        });
        segments.chain(memtables).collect()
    }

    fn storage(&self) -> Result<&Storage> {
        self.1.storage.as_ref().ok_or_else(|| Error::impossible("these rows are in no store"))
    }
}
