//! Pages of log records.

use std::time::Duration;

use arrow::record_batch::RecordBatch;
use datafusion::{
    logical_expr::{Expr, col, lit},
    prelude::SessionContext,
};
use futures::StreamExt;
use storage::model::{Table, TimeRange};

use super::record::{COLUMNS, LogRecord, RowId, records};
use crate::{
    Answer, Limits, Query, Stats,
    cost::Cost,
    error::{Error, Result},
    search::{Filter, Order, Slices, Subject, during, predicate, timestamp},
};

/// Which log records are wanted.
#[derive(Clone, Debug)]
pub struct LogSearch {
    /// What holds on each.
    pub filter: Filter,
    /// When they happened.
    pub range: TimeRange,
    /// Which come first.
    pub order: Order,
    /// How many at most.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// At most `query.max_timeout`.
    pub timeout: Option<Duration>,
    /// By which name it can be cancelled.
    pub query_id: Option<String>,
}

/// The last record of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub RowId);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(|()| {
            Error::invalid(format!("{text:?} is no cursor")).hint("give next_cursor of the page before as it is")
        })
    }
}

/// Some log records, in order.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// The records.
    pub rows: Vec<LogRecord>,
    /// Where the next page begins; `None` when there are no more.
    pub next: Option<Cursor>,
    /// What it cost.
    pub stats: Stats,
}

impl Query {
    /// Log records in time order.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn logs(&self, search: LogSearch) -> Result<LogPage> {
        let mut page = Page { query: self, search: &search, rows: Vec::new(), cost: Cost::new() };
        let has_more = page.fill().await?;
        let Page { rows, cost, .. } = page;
        let next = rows.last().filter(|_| has_more).map(|last| Cursor(last.id));
        let stats = cost.of(rows.len());
        Ok(LogPage { rows, next, stats })
    }
}

struct Page<'a> {
    query: &'a Query,
    search: &'a LogSearch,
    rows: Vec<LogRecord>,
    cost: Cost,
}

impl Page<'_> {
    /// Whether there may be more rows than fit.
    async fn fill(&mut self) -> Result<bool> {
        let LogSearch { range, order, limit, after, .. } = *self.search;
        let mut rest = Some(range);
        if let Some(Cursor(after)) = after {
            if range.contains(after.timestamp_unix_nano) {
                self.rows = self.at(after.timestamp_unix_nano, Some(after), limit).await?;
                if self.rows.len() >= limit {
                    return Ok(true);
                }
            }
            rest = beyond(range, order, after.timestamp_unix_nano);
        }
        let mut slices = Slices::new(rest, order, self.query.extents(Table::Logs));
        while let Some(slice) = slices.next() {
            let before = self.rows.len();
            if before >= limit || self.take(slice).await? {
                return Ok(true);
            }
            slices.found(self.rows.len() - before, limit - self.rows.len());
        }
        Ok(false)
    }

    /// The first rows of a slice that still fit. Whether there are more.
    async fn take(&mut self, slice: TimeRange) -> Result<bool> {
        let LogSearch { order, limit, .. } = *self.search;
        let wanted = limit - self.rows.len();
        let filter = self.search.filter.clone();
        let answer = self
            .run(wanted + 1, move |ctx| async move {
                let predicate = predicate(&filter, Subject::Logs)?;
                let rows = ctx.table("logs").await?.filter(during("timestamp", slice).and(predicate))?;
                let sorted = rows.sort(vec![col("timestamp").sort(order == Order::Ascending, false)])?;
                Ok(sorted.limit(0, Some(wanted + 1))?.select_columns(&COLUMNS)?)
            })
            .await?;
        let (batches, stats) = answer.collect().await?;
        self.cost.add(stats);
        let mut found = Vec::new();
        for batch in &batches {
            found.extend(records(batch)?);
        }
        let cut_off = (found.len() > wanted).then(|| found.pop()).flatten();
        if let Some(next) = &cut_off
            && found.last().is_some_and(|last| last.timestamp_unix_nano == next.timestamp_unix_nano)
        {
            // The engine chose any of the rows that share this time: choose again, the same ones each time.
            found.retain(|row| row.timestamp_unix_nano != next.timestamp_unix_nano);
            let missing = wanted - found.len();
            let ties = self.at(next.timestamp_unix_nano, None, missing).await?;
            found.extend(ties);
        }
        found.sort_by(|a, b| in_order(order, a, b));
        number_copies(&mut found);
        self.rows.extend(found);
        Ok(cut_off.is_some())
    }

    /// The first `limit` rows of one instant after `after`, by content.
    async fn at(&mut self, unix_nano: i64, after: Option<RowId>, limit: usize) -> Result<Vec<LogRecord>> {
        let filter = self.search.filter.clone();
        let answer = self
            .run(usize::MAX, move |ctx| async move {
                let predicate = predicate(&filter, Subject::Logs)?;
                let at_instant: Expr = col("timestamp").eq(lit(timestamp(unix_nano)));
                let rows = ctx.table("logs").await?.filter(at_instant.and(predicate))?;
                Ok(rows.select_columns(&COLUMNS)?)
            })
            .await?;
        let Answer { mut rows, stats, .. } = answer;
        let first_hash = after.map_or(0, |after| after.content_hash);
        // Copies up to the cursor are counted and left out at the end.
        let keep = limit.saturating_add(after.map_or(0, |after| after.copy as usize + 1));
        let mut found: Vec<LogRecord> = Vec::new();
        while let Some(batch) = rows.next().await {
            found.extend(records(&batch?)?.into_iter().filter(|row| row.id.content_hash >= first_hash));
            if found.len() > keep.saturating_mul(4).max(1024) {
                found.sort_by_key(|row| row.id);
                found.truncate(keep);
            }
        }
        self.cost.add(stats.get());
        found.sort_by_key(|row| row.id);
        number_copies(&mut found);
        found.retain(|row| after.is_none_or(|after| row.id > after));
        found.truncate(limit);
        Ok(found)
    }

    async fn run<B, F>(&self, max_rows: usize, build: B) -> Result<Answer>
    where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<datafusion::dataframe::DataFrame>> + Send + 'static,
    {
        let limits = Limits {
            timeout: self.search.timeout,
            max_rows: Some(max_rows),
            range: None,
            query_id: self.search.query_id.clone(),
            label: "log search".to_owned(),
        };
        self.query.run(limits, build).await
    }
}

/// What of `range` lies after an instant, in search order.
fn beyond(range: TimeRange, order: Order, unix_nano: i64) -> Option<TimeRange> {
    match order {
        Order::Descending => TimeRange::new(range.start_unix_nano(), range.end_unix_nano().min(unix_nano)),
        Order::Ascending => {
            TimeRange::new(range.start_unix_nano().max(unix_nano.saturating_add(1)), range.end_unix_nano())
        }
    }
}

fn in_order(order: Order, a: &LogRecord, b: &LogRecord) -> std::cmp::Ordering {
    let by_time = a.timestamp_unix_nano.cmp(&b.timestamp_unix_nano);
    let by_time = if order == Order::Descending { by_time.reverse() } else { by_time };
    by_time.then_with(|| a.id.content_hash.cmp(&b.id.content_hash))
}

/// The records of an answer, the oldest first.
pub(crate) fn records_in_order(batches: &[RecordBatch]) -> Result<Vec<LogRecord>> {
    let mut found = Vec::new();
    for batch in batches {
        found.extend(records(batch)?);
    }
    found.sort_by(|a, b| in_order(Order::Ascending, a, b));
    number_copies(&mut found);
    Ok(found)
}

/// Numbers equal records; they are neighbours.
fn number_copies(rows: &mut [LogRecord]) {
    for i in 1..rows.len() {
        let (before, row) = (rows[i - 1].id, &mut rows[i].id);
        let is_copy = before.timestamp_unix_nano == row.timestamp_unix_nano && before.content_hash == row.content_hash;
        row.copy = if is_copy { before.copy + 1 } else { 0 };
    }
}
