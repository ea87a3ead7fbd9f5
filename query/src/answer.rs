//! Answers: rows as they come, and what it cost to find them.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use futures::{Stream, StreamExt, stream::BoxStream};

use crate::error::Result;

/// An answer whose rows are still coming.
#[derive(Debug)]
pub struct Answer {
    /// Columns of the rows: no views and no dictionaries, text is `Utf8`, ids are hex text.
    pub schema: SchemaRef,
    /// The rows. Dropping them cancels the query.
    pub rows: Rows,
    /// What it has cost so far; final once `rows` has ended.
    pub stats: StatsHandle,
    /// By which name it can be cancelled.
    pub query_id: String,
}

impl Answer {
    /// Waits for all rows.
    ///
    /// # Errors
    /// What the query failed with, if it failed.
    pub async fn collect(mut self) -> Result<(Vec<RecordBatch>, Stats)> {
        let mut batches = Vec::new();
        while let Some(batch) = self.rows.next().await {
            batches.push(batch?);
        }
        Ok((batches, self.stats.get()))
    }
}

/// Rows of an answer as they are found. Dropping it cancels the query.
pub struct Rows(BoxStream<'static, Result<RecordBatch>>);

impl Rows {
    pub(crate) fn new(stream: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Rows of the answer.
    pub rows: u64,
    /// Time since the question arrived.
    pub elapsed_ms: u64,
    /// Rows that had to be looked at.
    pub rows_scanned: u64,
    /// Bytes read from segments, compressed.
    pub bytes_scanned: u64,
    /// Segments of which something was read.
    pub segments_scanned: u64,
    /// Segments left out because nothing in them can match.
    pub segments_pruned: u64,
    /// Most memory that the query's operators held at once.
    pub memory_peak_bytes: u64,
    /// Whether all rows were delivered.
    pub complete: bool,
}

/// Looks at an answer's [`Stats`] while it runs and after.
#[derive(Clone)]
pub struct StatsHandle(Arc<dyn Fn() -> Stats + Send + Sync>);

impl StatsHandle {
    pub(crate) fn new(read: impl Fn() -> Stats + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The cost until now.
    pub fn get(&self) -> Stats {
        (self.0)()
    }
}

impl fmt::Debug for StatsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatsHandle").field(&self.get()).finish()
    }
}
