//! How telemetry is kept, found and dropped.
//!
//! [`Storage::append`]: duplicate check -> WAL (fsync) -> memtable -> acknowledged (`append`, `wal`, `memtable`).
//! `rollup`: what follows from rows on their way in (calls, edges, patterns, versions) goes to derived tables beside them.
//! `flush`: a sealed memtable -> sorted segments -> one catalog transaction that publishes them and moves the checkpoint.
//! [`Storage::snapshot`]: memtables + segments of one catalog version, for one reader. `compaction` and `retention`
//! exchange and drop segments; their files stay until the last reader and a grace time have passed.
//!
//! What the outside world gives (time, chance, disk, objects, catalog) comes in as an [`Environment`].

mod append;
pub mod catalog;
pub mod clock;
pub mod compaction;
mod environment;
pub mod error;
pub mod files;
mod flush;
mod maintenance;
mod memtable;
pub mod model;
pub mod pattern;
pub mod random;
mod recover;
mod retention;
pub mod rollup;
pub mod schema;
pub mod scrub;
pub mod segment;
#[cfg(test)]
mod simulation;
mod snapshot;
mod status;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod wal;

use std::{sync::Arc, time::Duration};

use arrow::record_batch::RecordBatch;
use tokio::sync::broadcast;

use self::{
    clock::Clock,
    model::{Batch, Durable, Table},
    store::Store,
};
pub use self::{
    environment::{Environment, ParquetBuilder, SegmentBuilder, Threads},
    error::{Error, ErrorKind, Result},
    snapshot::Snapshot,
    status::{Recovery, Status, TableStatus},
};

/// The store. Cheap to clone; clones are the same store.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Store>);

impl Storage {
    /// Opens the store: replays the WAL, clears leftovers, starts flushing, merging and retention.
    ///
    /// # Errors
    /// `Invalid` when the data directory is in use, of a later version, or without its catalog; `Corrupt`; `Unavailable`.
    pub async fn open(config: &config::Config, environment: Environment) -> Result<Self> {
        let store = Store::recover(config, environment).await?;
        store.start();
        Ok(Self(store))
    }

    /// Stores a batch whole. When it returns, the rows are on disk and the next snapshot has them.
    ///
    /// # Errors
    /// `Overloaded` and `Unavailable`: not promised, send it again later. `Invalid`: cannot be stored as it is.
    pub async fn append(&self, batch: Batch) -> Result<Durable> {
        self.0.append(batch).await
    }

    /// The rows of all tables as of now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot(&model::Tenant::default())
    }

    /// Rows of a table as they are appended from now on. A receiver that is too slow misses some and is told how many.
    pub fn subscribe(&self, table: Table) -> broadcast::Receiver<RecordBatch> {
        self.0.subscribe(table)
    }

    /// Writes every row in memory to segments.
    ///
    /// # Errors
    /// `Unavailable`, `Internal`: the rows that were not written stay in memory and in the WAL.
    pub async fn flush(&self) -> Result<()> {
        self.0.flush_all().await
    }

    /// Merges what is worth merging.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Internal`: the segments that were not merged stay as they are.
    pub async fn compact(&self) -> Result<()> {
        self.0.compact().await
    }

    /// How much there is, and whether more is taken.
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Where small state is kept in transactions.
    pub fn catalog(&self) -> &Arc<dyn catalog::Catalog> {
        &self.0.environment.catalog
    }

    /// The clock of the store's environment.
    pub fn clock(&self) -> &Clock {
        &self.0.environment.clock
    }

    /// Takes no more, finishes what waits for the log, flushes what fits into the deadline and closes cleanly. Rows that
    /// did not fit are replayed at the next start.
    ///
    /// # Errors
    /// `Unavailable` when the deadline passed with rows still in the WAL only: nothing is lost.
    pub async fn shutdown(self, deadline: Duration) -> Result<()> {
        self.0.shutdown(deadline).await
    }

    /// Negative control of the crash tests: acknowledge requests before they are written.
    #[cfg(feature = "testing")]
    pub fn acknowledge_before_write(&self, on: bool) {
        self.0.set_acknowledges_early(on);
    }
}
