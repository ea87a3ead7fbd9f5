//! Questions that are answered by several plans: their cost together.

use std::ops::ControlFlow;

use arrow::record_batch::RecordBatch;
use datafusion::{common::ScalarValue, prelude::SessionContext};
use futures::StreamExt as _;

use crate::{Answer, Limits, Query, Stats, error::Result};

/// Cost of all plans run so far for one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost(Stats);

impl Cost {
    pub(crate) const fn new() -> Self {
        Self(Stats {
            rows: 0,
            elapsed_ms: 0,
            rows_scanned: 0,
            bytes_scanned: 0,
            segments_scanned: 0,
            segments_pruned: 0,
            memory_peak_bytes: 0,
            complete: true,
        })
    }

    /// One more plan, run after the others.
    pub(crate) fn add(&mut self, next: Stats) {
        let Stats { elapsed_ms, rows_scanned, bytes_scanned, segments_scanned, segments_pruned, .. } = next;
        self.0.elapsed_ms += elapsed_ms;
        self.0.rows_scanned += rows_scanned;
        self.0.bytes_scanned += bytes_scanned;
        self.0.segments_scanned += segments_scanned;
        self.0.segments_pruned += segments_pruned;
        self.0.memory_peak_bytes = self.0.memory_peak_bytes.max(next.memory_peak_bytes);
        self.0.complete &= next.complete;
    }

    /// The cost of an answer of so many rows.
    pub(crate) fn of(self, rows: usize) -> Stats {
        Stats { rows: rows as u64, ..self.0 }
    }
}

impl Query {
    /// All rows of a statement of our own; what they cost goes to `cost`.
    pub(crate) async fn ask(
        &self,
        limits: &Limits,
        label: &str,
        statement: impl Into<String>,
        params: Vec<(String, ScalarValue)>,
        cost: &mut Cost,
    ) -> Result<Vec<RecordBatch>> {
        let (batches, stats) = self.asked(limits, label, statement.into(), params).await?.collect().await?;
        cost.add(stats);
        Ok(batches)
    }

    /// Gives the rows of a statement of our own to `read` as they come, until it wants no more: none of them is held.
    pub(crate) async fn ask_each(
        &self,
        limits: &Limits,
        label: &str,
        statement: &'static str,
        params: Vec<(String, ScalarValue)>,
        mut read: impl FnMut(&RecordBatch) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut rows = self.asked(limits, label, statement.to_owned(), params).await?.rows;
        while let Some(batch) = rows.next().await {
            if read(&batch?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn asked(
        &self,
        limits: &Limits,
        label: &str,
        statement: String,
        params: Vec<(String, ScalarValue)>,
    ) -> Result<Answer> {
        let limits = Limits { label: label.to_owned(), max_rows: Some(usize::MAX), ..limits.clone() };
        let build = move |ctx: SessionContext| async move { Ok(ctx.sql(&statement).await?.with_param_values(params)?) };
        self.run(limits, build).await
    }
}
