//! Everything storage asks of the outside world, in one place, so that tests can put another world there.

use std::{future::Future, io::Write, path::Path, sync::Arc};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use object_store::{ObjectStore, local::LocalFileSystem};

use crate::{
    catalog::{Catalog, SqliteCatalog},
    clock::Clock,
    compaction,
    error::{Error, Result},
    files::{Disk, FileSystem},
    model::Table,
    random::Random,
    recover::refuse_later_log,
    retention::ExpiredRows,
    segment::{self, BuiltSegment, Flush, Made, Segment, WrittenSegment},
};

/// Makes segment files of rows.
#[async_trait]
pub trait SegmentBuilder: Send + Sync + std::fmt::Debug {
    /// Sorts the rows and writes one segment per time bucket, which says which flush it is of.
    ///
    /// # Errors
    /// `Internal`: the rows stay in memory and in the WAL.
    fn build(
        &self,
        table: Table,
        batches: &[RecordBatch],
        settings: &config::Storage,
        flush: &Flush,
    ) -> Result<Vec<BuiltSegment>>;

    /// Writes to `sink` one segment with the rows of all `inputs`, which are of one tenant, table and time bucket.
    ///
    /// # Errors
    /// `Corrupt`, `Unavailable`, `Internal`: the inputs stay.
    async fn merge(
        &self,
        inputs: &[Arc<Segment>],
        terms: &MergeTerms<'_>,
        sink: &mut (dyn Write + Send),
    ) -> Result<WrittenSegment>;
}

/// How segments are merged.
#[derive(Clone, Copy, Debug)]
pub struct MergeTerms<'a> {
    /// How the output is written.
    pub settings: &'a config::Storage,
    /// Memory held at once, about.
    pub memory_bytes: usize,
    /// Derived rows whose step ends before this are added up in longer steps.
    pub fine_from_unix_nano: i64,
    /// Makes the file say what it replaces.
    pub made: Option<Made>,
    /// Rows that are left out.
    pub expired: Option<&'a ExpiredRows>,
}

/// Parquet with its indexes: [`segment::build`] and [`compaction::merge`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ParquetBuilder;

#[async_trait]
impl SegmentBuilder for ParquetBuilder {
    fn build(
        &self,
        table: Table,
        batches: &[RecordBatch],
        settings: &config::Storage,
        flush: &Flush,
    ) -> Result<Vec<BuiltSegment>> {
        segment::write::build_flush(table, batches, settings, Some(flush))
    }

    async fn merge(
        &self,
        inputs: &[Arc<Segment>],
        terms: &MergeTerms<'_>,
        sink: &mut (dyn Write + Send),
    ) -> Result<WrittenSegment> {
        compaction::merge::merge(inputs, terms, sink).await
    }
}

/// Who does work that blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// Threads of their own: the log's, and Tokio's blocking pool. Flushes, merges and retention run by themselves.
    Own,
    /// The caller, at once; nothing runs by itself. For simulations, which are one thread.
    Caller,
}

impl Threads {
    /// Runs work that blocks.
    ///
    /// # Errors
    /// What the work says; `Internal` when it panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Caller => work(),
            Self::Own => tokio::task::spawn_blocking(work)
                .await
                .unwrap_or_else(|error| Err(Error::internal("storage work ended early").with_source(error))),
        }
    }

    /// Runs a future that computes for long where it holds up no other.
    ///
    /// # Errors
    /// What the future says; `Internal` when it panicked.
    pub(crate) async fn aside<T: Send + 'static>(
        self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Caller => work.await,
            Self::Own => {
                let runtime = tokio::runtime::Handle::current();
                self.blocking(move || runtime.block_on(work)).await
            }
        }
    }

    /// Runs a task beside the caller, if there is more than the caller.
    pub(crate) fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        if self == Self::Own {
            tokio::spawn(task);
        }
    }
}

/// The world as storage sees it.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
    /// Writes WAL files and segments.
    pub files: Arc<dyn FileSystem>,
    /// Reads segments, under the paths that `files` wrote.
    pub objects: Arc<dyn ObjectStore>,
    /// Live segments and checkpoints.
    pub catalog: Arc<dyn Catalog>,
    /// Makes segment files.
    pub builder: Arc<dyn SegmentBuilder>,
    /// Who does blocking work.
    pub threads: Threads,
}

impl Environment {
    /// Real clock, real chance, a directory on a local disk with its lock taken, SQLite.
    ///
    /// # Errors
    /// `Invalid` when another process uses the directory or a later version wrote its catalog; `Unavailable`; `Corrupt`.
    pub async fn system(data_dir: &Path) -> Result<Self> {
        let disk = Disk::open(data_dir)?;
        refuse_later_log(&disk)?;
        let objects = LocalFileSystem::new_with_prefix(data_dir)?;
        let catalog = SqliteCatalog::open(data_dir).await?;
        Ok(Self {
            clock: Clock::system(),
            random: Random::system(),
            files: Arc::new(disk),
            objects: Arc::new(objects),
            catalog: Arc::new(catalog),
            builder: Arc::new(ParquetBuilder),
            threads: Threads::Own,
        })
    }
}
